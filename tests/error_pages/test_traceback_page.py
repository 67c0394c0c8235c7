"""What a developer is shown: source, chain, groups, folding, the onion, the request; as HTML, as data and as text."""

from __future__ import annotations

import json
import linecache
import re
import time

import html5lib
import jinja2
import pytest

from wsgikit import ContextMiddleware, ErrorPagesMiddleware, Middleware, Router, SessionMiddleware, build_stack, use
from wsgikit.error_pages.frames import is_own_code, read_problems
from wsgikit.exceptions import ConfigurationError
from wsgikit.http.redact import Redactor


def boom(environ, start_response):
    name = "Ada & <Grace>"
    raise ValueError(f"no such person: {name}")


@pytest.fixture
def page(ask):
    """Ask for the traceback page of an application that fails."""

    def page(app, *, accept="text/html", path="/", environ=None, **options):
        got = ask(ErrorPagesMiddleware(app, debug=True, **options), path=path, accept=accept, **(environ or {}))
        return json.loads(got.body) if accept == "application/json" else got.text

    return page


def plain(html: str) -> str:
    """Return the text of a page without its tags."""
    root = html5lib.parse(html, namespaceHTMLElements=False)
    return "".join(root.find("body").itertext())


def test_it_shows_type_message_and_the_line_that_failed(page):
    html = page(boom)
    assert "<h1>ValueError</h1>" in html
    assert '<p class="message">no such person: Ada &amp; &lt;Grace&gt;</p>' in html
    hit = re.search(r'<span class="row hit"><span class="no">\d+</span>(.*)</span>', html)[1]
    assert 'raise</span> <span class="b">ValueError</span>' in hit


def test_it_is_escaped_everywhere(page):
    evil = "<script>alert(1)</script>"

    def app(environ, start_response):
        error = KeyError(evil)
        error.add_note(evil)
        raise error

    environ = {"HTTP_USER_AGENT": evil, "wsgiorg.routing_args": ((evil,), {evil: evil}), "QUERY_STRING": evil}
    html = page(app, path=f"/{evil}", environ=environ, show_locals=True)
    assert evil not in html
    assert "&lt;script&gt;alert(1)" in html


def test_no_locals_and_no_environ_by_default(page):
    html = page(boom)
    assert "local variables" not in html
    assert "wsgi.input" not in html


def test_locals_are_shown_where_asked_for(page):
    html = page(boom, show_locals=True)
    assert '<th scope="row">name</th><td>&#x27;Ada &amp; &lt;Grace&gt;&#x27;</td>' in html


def test_a_chain_says_what_came_of_what(page):
    def app(environ, start_response):
        try:
            try:
                {}["a"]
            except KeyError:
                int("x")
        except ValueError as error:
            raise RuntimeError("the last") from error

    html = page(app)
    assert "<h1>RuntimeError</h1>" in html
    assert html.index("<h3>Caused by ValueError</h3>") < html.index("<h3>Raised while handling KeyError</h3>")
    text = page(app, accept="*/*")
    cause = "The above exception was the direct cause of the following exception:"
    context = "During handling of the above exception, another exception occurred:"
    assert text.index("KeyError: 'a'") < text.index(context) < text.index(cause) < text.index("RuntimeError: the last")


def test_a_suppressed_context_is_left_out(page):
    def app(environ, start_response):
        try:
            {}["a"]
        except KeyError:
            raise RuntimeError("alone") from None

    assert "KeyError" not in page(app, accept="*/*").split("Raised in:")[0].replace("except KeyError", "")


def test_a_chain_that_bites_its_tail_ends():
    first, second = ValueError("first"), ValueError("second")
    first.__context__, second.__context__ = second, first
    assert len(read_problems(first, Redactor(), False)) == 2


def test_groups_and_notes_are_shown(page):
    def app(environ, start_response):
        problems = []
        for text in ("one", "two"):
            try:
                raise ValueError(text)
            except ValueError as error:
                error.add_note(f"note of {text}")
                problems.append(error)
        raise ExceptionGroup("both", problems)

    html = page(app)
    assert "<h3>1 of 2: ValueError</h3>" in html
    assert "<h3>2 of 2: ValueError</h3>" in html
    assert '<p class="note">note of two</p>' in html
    (data,) = page(app, accept="application/json")["debug"]["exceptions"]
    assert [chain[0]["message"] for chain in data["group"]] == ["one", "two"]
    assert data["group"][0][0]["notes"] == ["note of one"]


def test_own_frames_are_open_and_library_frames_are_folded(page):
    def app(environ, start_response):
        json.loads("{")

    html = page(app)
    frames = re.findall(r'<details class="(frame|folded)"( open)?', html)
    assert frames[0] == ("folded", ""), "the library that raised it"
    assert ("frame", " open") in frames
    assert re.search(r"<summary>\d library frames? <span class=\"place\">json", html)


def test_where_no_code_is_the_applications_the_last_frame_is_open(page):
    html = page(json.loads)  # called with environ: fails inside of the standard library
    assert html.count(" open data-open>") == 1


def test_whose_code_it_is():
    assert is_own_code(__file__)
    assert not is_own_code(json.__file__)
    assert not is_own_code(jinja2.__file__)
    assert not is_own_code(ErrorPagesMiddleware.__init__.__code__.co_filename)
    assert not is_own_code("<frozen importlib._bootstrap>")


def test_the_expression_that_failed_is_marked(page):
    def app(environ, start_response):
        return {"a": {}}["a"]["b"] + 1

    text = page(app, accept="*/*")
    line = next(line for line in text.splitlines() if line.strip().startswith("return {"))
    marks = text.splitlines()[text.splitlines().index(line) + 1]
    assert line[marks.index("^") : marks.rindex("^") + 1] == '{"a": {}}["a"]["b"]'


class Inner(Middleware):
    def before_request(self, exchange):
        raise RuntimeError("in a hook")


def test_the_onion_is_drawn_with_the_layer_where_it_happened(ask):
    layers = use(ErrorPagesMiddleware, debug=True), use(ContextMiddleware), use(Inner)
    got = ask(build_stack(boom, *layers), accept="application/json").json["debug"]
    assert got["where"] == "Inner.before_request"
    assert [(layer["layer"], layer["raised_in"]) for layer in got["onion"]] == [
        ("ErrorPagesMiddleware", None),
        ("ContextMiddleware", None),
        ("Inner", "before_request"),
        (f"{__name__}.boom", None),
    ]
    html = ask(build_stack(boom, *layers), accept="text/html").text
    assert '<span class="badge">layer Inner</span>' in html
    assert '<span class="site">← before_request</span>' in html


def test_layers_that_wrap_one_another_without_a_stack_are_drawn_too(ask):
    got = ask(ErrorPagesMiddleware(Inner(boom), debug=True), accept="application/json").json["debug"]
    assert [layer["layer"] for layer in got["onion"]] == ["ErrorPagesMiddleware", "Inner", f"{__name__}.boom"]


class Session:
    """What a session layer puts into environ."""

    def __init__(self, keys):
        self.keys_loaded = keys

    def __wsgikit_peek__(self):
        return self.keys_loaded

    def __getattribute__(self, name):
        if name not in ("keys_loaded", "__class__", "__wsgikit_peek__"):
            raise AssertionError(f"the session was touched: {name}")
        return object.__getattribute__(self, name)


def test_session_keys_are_shown_where_it_is_loaded_and_it_is_never_touched(page):
    loaded = page(boom, environ={"wsgikit.session": Session(["user", "cart"])})
    assert "Session keys</h2><p><code>cart</code>, <code>user</code></p>" in loaded
    assert "Session keys" not in page(boom, environ={"wsgikit.session": Session(None)})


def test_a_real_session_is_neither_loaded_nor_sent(ask):
    key = "0123456789abcdef0123456789abcdef"
    stack = build_stack(
        boom, use(ErrorPagesMiddleware, debug=True, show_locals=True), use(SessionMiddleware, secret_key=key)
    )
    got = ask(stack, HTTP_COOKIE="session=x")
    assert "Cookie" not in got.headers.get("Vary")
    assert not got.headers.has("Set-Cookie")
    assert "Session keys" not in got.text


def test_the_route_and_its_arguments_are_shown(page):
    arguments = ((), {"route": "/person/<name>", "name": "ada", "token": "hush-hush"})
    data = page(boom, accept="application/json", environ={"wsgiorg.routing_args": arguments})["debug"]
    assert data["route"] == {"Route": "/person/<name>", "name": "'ada'", "token": "••••••"}


def test_the_statements_of_this_request_are_shown(ask):
    class Database(Middleware):
        def before_request(self, exchange):
            exchange.state["wsgikit.sql"] = [("SELECT *\n  FROM people", 0.0012), ("UPDATE x SET a = 1", 0.1), "odd"]

    stack = build_stack(boom, use(ErrorPagesMiddleware, debug=True), use(Database))
    data = ask(stack, accept="application/json").json["debug"]
    assert data["sql"] == [
        {"statement": "SELECT * FROM people", "milliseconds": 1.2},
        {"statement": "UPDATE x SET a = 1", "milliseconds": 100.0},
    ]
    assert "2 statements, 101.2 ms" in ask(stack, accept="text/html").text


def test_statements_of_an_onion_inside_are_shown_too(ask):
    class Database(Middleware):
        def before_request(self, exchange):
            exchange.state["wsgikit.sql"] = [("SELECT 1", 0.001)]

    def foreign(app):
        return lambda environ, start_response: app(environ, start_response)

    stack = build_stack(boom, use(ErrorPagesMiddleware, debug=True), foreign, use(Database))
    assert ask(stack, accept="application/json").json["debug"]["sql"] == [
        {"statement": "SELECT 1", "milliseconds": 1.0}
    ]


def test_request_id_and_user_are_shown(page):
    data = page(boom, accept="application/json", environ={"wsgikit.request_id": "r-1", "REMOTE_USER": "ada"})["debug"]
    assert (data["request"]["Request id"], data["request"]["Remote user"]) == ("r-1", "ada")


def test_positional_arguments_of_a_route_are_shown(page):
    data = page(boom, accept="application/json", environ={"wsgiorg.routing_args": (("a", 1), {})})["debug"]
    assert data["route"] == {"0": "'a'", "1": "1"}


def test_the_rule_and_endpoint_of_a_router_are_shown(ask, records):
    router = Router("tests")

    @router.get("/person/<int:number>", endpoint="person")
    def person(number):
        raise ValueError(number)

    got = ask(build_stack(router, use(ErrorPagesMiddleware, debug=True)), path="/person/7", accept="application/json")
    assert got.json["debug"]["route"] == {"Route": "/person/<int:number>", "Endpoint": "person", "number": "7"}
    assert records()[0].route == "/person/<int:number>"


def test_an_error_while_a_template_runs_shows_the_templates_line(page, tmp_path):
    (tmp_path / "list.html").write_text("<ul>\n{% for x in xs %}\n<li>{{ x.name.first }}</li>\n{% endfor %}\n", "utf-8")
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(tmp_path), undefined=jinja2.StrictUndefined)

    def app(environ, start_response):
        environment.get_template("list.html").render(xs=[{}])

    frames = page(app, accept="application/json")["debug"]["exceptions"][0]["frames"]
    template = next(frame for frame in frames if frame["file"].endswith("list.html"))
    assert (template["line"], template["source"]) == (3, "<li>{{ x.name.first }}</li>")
    assert template["own"]


@pytest.mark.parametrize("loader", ["file", "text"])
def test_a_template_that_does_not_parse_shows_the_templates_line(page, tmp_path, loader):
    text = "<ul>\n{% for x in %}\n{% endfor %}\n"
    (tmp_path / "list.html").write_text(text, "utf-8")
    loaders = {"file": jinja2.FileSystemLoader(tmp_path), "text": jinja2.DictLoader({"list.html": text})}
    environment = jinja2.Environment(loader=loaders[loader])

    def app(environ, start_response):
        environment.get_template("list.html")

    last = page(app, accept="application/json")["debug"]["exceptions"][0]["frames"][-1]
    assert last["file"].endswith("list.html")
    assert (last["line"], last["source"]) == (2, "{% for x in %}")


def test_code_without_a_file_has_a_frame_without_source(page):
    namespace = {}
    exec(compile("def app(environ, start_response):\n    raise ValueError", "<made up>", "exec"), namespace)
    html = page(namespace["app"])
    assert "There is no source." in html
    assert "&lt;made up&gt;:2" in html


def test_a_frame_can_ask_to_be_left_out(page):
    def hidden():
        __traceback_hide__ = True  # noqa: F841
        boom({}, None)

    def app(environ, start_response):
        hidden()

    names = [frame["function"] for frame in page(app, accept="application/json")["debug"]["exceptions"][0]["frames"]]
    assert not any("hidden" in name for name in names)
    assert any("app" in name for name in names)


def test_an_endless_recursion_is_cut(page):
    def app(environ, start_response):
        app(environ, start_response)

    data = page(app, accept="application/json")["debug"]["exceptions"][0]
    assert data["type"] == "RecursionError"
    assert len(data["frames"]) == 60
    assert re.search(r"\d+ frames in between are left out", page(app))


def test_a_broken_str_of_the_error_does_not_hide_it(page):
    class Odd(ValueError):
        def __str__(self):
            raise RuntimeError

    def app(environ, start_response):
        raise Odd

    assert "&lt;str() failed with RuntimeError&gt;" in page(app)


@pytest.mark.parametrize(
    ("editor", "link"),
    [
        ("vscode", r"vscode://file/[^\"]*/test_traceback_page\.py:\d+"),
        ("pycharm", r"pycharm://open\?file=/[^\"]*test_traceback_page\.py&amp;line=\d+"),
        ("my://x?f={path}&l={line}", r"my://x\?f=/[^\"]*test_traceback_page\.py&amp;l=\d+"),
    ],
)
def test_frames_link_to_the_editor(page, editor, link):
    assert re.search(f'<a href="{link}"', page(boom, editor=editor))


@pytest.mark.parametrize("editor", ["vscodee", "javascript:alert('{path}://')", "x://no-place"])
def test_an_unknown_editor_is_refused_while_building(editor):
    with pytest.raises(ConfigurationError, match="editor: expected one of vscode, "):
        ErrorPagesMiddleware(boom, debug=True, editor=editor)


def test_the_markdown_has_traceback_onion_and_statements(page):
    html = page(boom, path="/p?a=1")
    root = html5lib.parse(html, namespaceHTMLElements=False)
    markdown = root.find(".//textarea[@id='markdown']").text
    assert markdown.startswith("## ValueError: no such person: Ada & <Grace>\n\n`GET http://localhost/p?a=1` → 500")
    assert "```pytb\nTraceback (most recent call last):\n" in markdown
    assert "  ErrorPagesMiddleware(debug=True)\n" in markdown


def test_markdown_fences_are_longer_than_any_in_the_message(page):
    def app(environ, start_response):
        raise ValueError("```\n# not a heading\n```")

    assert "````pytb" in page(app)


@pytest.mark.parametrize("options", [{}, {"show_locals": True, "editor": "vscode"}], ids=["plain", "all"])
def test_it_is_valid_html_without_anything_from_elsewhere(page, options):
    def app(environ, start_response):
        try:
            json.loads("{")
        except ValueError as error:
            raise ExceptionGroup("g", [error, KeyError("x")]) from error

    html = page(app, environ={"wsgiorg.routing_args": ((), {"a": 1})}, **options)
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    root = parser.parse(html)  # raises where anything is not as the standard has it
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in root.iter():
        if element.get("aria-labelledby"):
            assert element.get("aria-labelledby") in ids
        assert element.get("style") is None
        assert not any(name.startswith("on") for name in element.keys())  # noqa: SIM118 - it is no dict
        assert element.get("src") is None
    assert not re.findall(r"url\(|@import|https?://(?!localhost)", html)


def test_the_policy_lets_only_the_pages_own_script_run(ask):
    got = ask(ErrorPagesMiddleware(boom, debug=True))
    policy = got.headers.get("Content-Security-Policy")
    nonce = re.search(r"script-src 'nonce-([^']+)'", policy)[1]
    assert got.text.count(f'nonce="{nonce}"') == 2
    assert "unsafe" not in policy


def test_a_lone_surrogate_in_a_message_does_not_break_the_page(page):
    def app(environ, start_response):
        raise ValueError("file \udcff")

    for accept in ("text/html", "application/json", "*/*"):
        assert "file" in str(page(app, accept=accept))


def test_a_page_of_forty_frames_comes_in_fifty_milliseconds(ask):
    def step(number):
        text = f"step {number}"
        if not number:
            raise ValueError(text)
        return step(number - 1) + len(text)

    def app(environ, start_response):
        return step(37)

    layer = ErrorPagesMiddleware(app, debug=True, show_locals=True)
    html = ask(layer, accept="text/html").text
    assert html.count('<details class="frame"') == 40
    best = 1.0
    for _ in range(5):
        linecache.clearcache()
        begin = time.process_time()
        ask(layer, accept="text/html")
        best = min(best, time.process_time() - begin)
    assert best < 0.05
