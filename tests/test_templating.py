"""Templates: what is in them, where they are found, and what is said if they aren't."""

from __future__ import annotations

import json
import types
from datetime import UTC, date, datetime
from decimal import Decimal

import flask
import jinja2
import pytest
from markupsafe import Markup
from webtest import TestApp

from wsgikit.context.locals import g, request, session
from wsgikit.context.middleware import ContextMiddleware
from wsgikit.exceptions import ConfigurationError, OutsideRequestError
from wsgikit.http.json_provider import JsonProvider
from wsgikit.onion.stack import build_stack, use
from wsgikit.routing.middleware import RouterMiddleware
from wsgikit.routing.router import Router
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.templating import (
    MissingTemplate,
    TemplateMiddleware,
    Templates,
    get_template_attribute,
    render_template,
    render_template_string,
    stream_template,
    stream_template_string,
)
from wsgikit.views import flash


@pytest.fixture
def folder(tmp_path):
    def write(name, **files):
        base = tmp_path / name
        base.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (base / file.replace("_html", ".html").replace("_txt", ".txt")).write_text(text, encoding="utf-8")
        return base

    return write


@pytest.fixture
def module(folder, monkeypatch):
    """A function that makes a module in a folder with templates, and a router of it."""
    import sys

    def make(name, **files):
        base = folder(name)
        folder(f"{name}/templates", **files)
        module = types.ModuleType(name)
        module.__file__ = str(base / "__init__.py")
        monkeypatch.setitem(sys.modules, name, module)
        return Router(name)

    return make


def served(router, *layers):
    return TestApp(build_stack(router, use(ContextMiddleware), *layers), lint=True)


def test_a_template_beside_the_module_is_rendered_and_escaped(module):
    router = module("shop", page_html="<p>{{ name }}</p>", page_txt="{{ name }}")
    router.add_url_rule("/<name>", "page", lambda name: render_template("page.html", name=name))
    router.add_url_rule("/text/<name>", "text", lambda name: render_template("page.txt", name=name))
    assert served(router).get("/a<b>").text == "<p>a&lt;b&gt;</p>"
    assert served(router).get("/text/a<b>").text == "a<b>"


def test_a_template_extends_another_and_other_letters_are_kept(module):
    router = module(
        "shop",
        base_html="<title>{% block title %}{% endblock %}</title>{% include 'foot.html' %}",
        foot_html="<footer>ß日</footer>",
        page_html="{% extends 'base.html' %}{% block title %}Grüße{% endblock %}",
    )
    router.add_url_rule("/", "page", lambda: render_template("page.html"))
    assert served(router).get("/").text == "<title>Grüße</title><footer>ß日</footer>"


def test_what_is_in_every_template(module):
    router = module(
        "shop",
        page_html=(
            "{{ request.path }} {{ g.user }} {{ session.name }} {{ url_for('page') }} "
            "{{ get_flashed_messages() }} {{ session.check_csrf_token(csrf_token()) }}"
        ),
    )

    @router.before_request
    def before():
        g.user = "ann"

    @router.get("/")
    def page():
        from wsgikit.context.locals import session

        session["name"] = "s"
        flash("saved")
        return render_template("page.html")

    app = served(router, use(SessionMiddleware, secret_key="k0123456789abcde"))
    assert app.get("/").text == "/ ann s / [&#39;saved&#39;] True"


def test_a_session_that_a_template_does_not_use_is_not_opened(module):
    router = module("shop", page_html="x")
    router.add_url_rule("/", "page", lambda: render_template("page.html"))
    response = served(router, use(SessionMiddleware, secret_key="k0123456789abcde")).get("/")
    assert "Vary" not in response.headers
    assert "Set-Cookie" not in response.headers


def blog_and_site(module):
    site = module("site", shared_html="site", base_html="{{ who }}/{{ what }}/{{ wide }}", only_html="only site")
    blog = module("blog", shared_html="blog", inner_html="{% extends 'base.html' %}", mine_html="mine")
    site.include(blog, "/blog")

    @site.context_processor
    def of_site():
        return {"who": "site", "what": "site"}

    @blog.context_processor
    def of_blog():
        return {"what": "blog"}

    @blog.app_context_processor
    def of_all():
        return {"wide": "wide"}

    blog.add_url_rule("/<name>", "page", lambda name: render_template(f"{name}.html"))
    site.add_url_rule("/<name>", "page", lambda name: render_template(f"{name}.html"))
    return site


FOUND = {
    "/shared": "site",
    "/blog/shared": "site",
    "/blog/mine": "mine",
    "/mine": "mine",
    "/blog/inner": "site/blog/wide",
    "/inner": "site/site/wide",
    "/blog/only": "only site",
}


@pytest.mark.parametrize(("path", "text"), FOUND.items(), ids=FOUND.keys())
def test_an_included_router_brings_its_templates_and_processors_after_the_outer_ones(module, path, text):
    assert served(blog_and_site(module)).get(path).text == text


def test_what_the_view_gives_goes_over_what_processors_add(module):
    router = module("shop", page_html="{{ a }}{{ b }}")
    router.context_processor(lambda: {"a": 1, "b": 1})
    router.add_url_rule("/", "page", lambda: render_template("page.html", b=2))
    assert served(router).get("/").text == "12"


def test_filters_tests_and_globals_of_routers_are_known(module):
    site, blog = module("site", page_html="{{ 'a'|up }}{{ 3 is odd_one }}{{ answer() }}{{ 'b'|twice }}"), module("blog")
    site.include(blog)

    @site.template_filter()
    def up(text):
        return text.upper()

    @site.template_test("odd_one")
    def is_odd(number):
        return number % 2

    @site.template_global()
    def answer():
        return 42

    @blog.template_filter("twice")
    def double(text):
        return text * 2

    site.add_url_rule("/", "page", lambda: render_template("page.html"))
    assert served(site).get("/").text == "A142bb".replace("1", "1")


def test_templates_from_text_are_escaped(module):
    router = module("shop")
    router.add_url_rule("/", "page", lambda: render_template_string("<b>{{ x }}</b>{{ request.path }}", x="<"))
    assert served(router).get("/").text == "<b>&lt;</b>/"


@pytest.mark.parametrize("stream", [stream_template, stream_template_string], ids=["a file", "text"])
def test_a_stream_is_made_while_it_is_sent_with_the_locals_alive(module, stream):
    source = "{{ request.path }}{% for n in numbers %}{{ n }}{{ g.user }}{% endfor %}"
    router = module("shop", page_html=source)
    pulled = []

    def numbers():
        for number in (1, 2):
            pulled.append(number)
            yield number

    @router.get("/")
    def page():
        g.user = "ann"
        made = stream("page.html" if stream is stream_template else source, numbers=numbers())
        assert pulled == []
        return made

    assert served(router).get("/").text == "/1ann2ann"


VALUES = {
    "a date": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    "a decimal": Decimal("0.10"),
    "what would end a script": "</script>&'",
    "other letters": "ü",
    "keys out of order": {"b": 1, "a": None},
    "markup": Markup("<b>"),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize("source", ["{{ value|tojson }}", "{{ value|tojson(indent=2) }}"])
def test_json_in_templates_is_flasks(source, value):
    router, app = Router("x"), flask.Flask("x")
    router.add_url_rule("/", "page", lambda: render_template_string(source, value=value))
    app.add_url_rule("/", "page", lambda: flask.render_template_string(source, value=value))
    ours, flasks = TestApp(router).get("/").text, TestApp(app).get("/").text
    assert json.loads(ours) == json.loads(flasks)
    assert "".join(ours.split()) == "".join(flasks.split())


def test_json_in_templates_is_the_routers():
    router = Router("x", json=JsonProvider(dates="iso", ensure_ascii=False))
    router.add_url_rule("/", "page", lambda: render_template_string("{{ d|tojson }}", d=[date(2030, 1, 2), "ü"]))
    assert TestApp(router).get("/").text == '["2030-01-02","ü"]'


def test_a_macro_can_be_taken_out_of_a_template(module):
    router = module("shop", macros_html="{% macro hello(name) %}Hello {{ name }}{% endmacro %}")
    router.add_url_rule("/", "page", lambda: get_template_attribute("macros.html", "hello")("ann"))
    assert served(router).get("/").text == "Hello ann"


def test_the_first_of_several_templates_is_taken(module):
    router = module("shop", b_html="b")
    router.add_url_rule("/", "page", lambda: render_template(["a.html", "b.html"]))
    assert served(router).get("/").text == "b"


MISSING = {
    "itself": ("missing.html", "missing.html"),
    "its base": ("child.html", "nobase.html"),
    "what it includes": ("includes.html", "nopart.html"),
    "all of several": (["x.html", "y.html"], "x.html or y.html"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["rendered", "streamed"])
@pytest.mark.parametrize(("name", "missing"), MISSING.values(), ids=MISSING.keys())
def test_a_missing_template_names_the_folders_looked_in(module, name, missing, stream):
    router = module("shop", child_html="{% extends 'nobase.html' %}", includes_html="{% include 'nopart.html' %}")
    blog = module("blog")
    router.include(blog, "/blog")
    render = stream_template if stream else render_template
    router.add_url_rule("/", "page", lambda: render(name))
    with pytest.raises(MissingTemplate) as caught:
        served(router).get("/")
    text = str(caught.value)
    assert text.startswith(f"template: {missing}: expected a file in ")
    assert str(router.template_folder) in text
    assert str(blog.template_folder) in text
    assert isinstance(caught.value, jinja2.TemplateNotFound)


def test_outside_a_request_there_is_nothing_to_render_with():
    with pytest.raises(OutsideRequestError):
        render_template("x.html")


def test_a_request_context_is_enough_to_render(module):
    router = module("shop", page_html="{{ url_for('page', number=3) }} {{ request.path }}")
    router.add_url_rule("/<int:number>", "page", lambda number: "")
    with build_stack(router, use(ContextMiddleware)).request_context("/somewhere"):
        assert render_template("page.html") == "/3 /somewhere"


# ---------------------------------------------------------------------- Templates by themselves


def test_templates_work_outside_a_request(folder):
    templates = Templates(folder("t", a_html="{{ x }}"), filters={"up": str.upper}, globals={"y": 1})
    assert templates.render("a.html", x="<") == "&lt;"
    assert templates.render_string("{{ 'a'|up }}{{ y }}") == "A1"
    assert list(templates.stream_string("{{ x }}", x=1)) == ["1"]
    assert repr(templates).startswith("<Templates /")


def test_auto_reload_follows_debug(folder):
    import os

    base = folder("t", a_html="one")
    for debug, expected in ((True, "two"), (False, "one")):
        folder("t", a_html="one")
        templates = Templates(base, debug=debug)
        assert templates.render("a.html") == "one"
        folder("t", a_html="two")
        os.utime(base / "a.html", (1, 1))
        assert templates.render("a.html") == expected


def test_compiled_templates_are_kept_in_a_folder(folder, tmp_path):
    cache = tmp_path / "cache"
    Templates(folder("t", a_html="one"), bytecode_cache=cache).render("a.html")
    assert len(list(cache.iterdir())) == 1


BAD = {
    "a folder that isn't there": (
        lambda: Templates("/nowhere"),
        "folders: expected a folder that is there, got '/nowhere'",
    ),
    "an unknown option": (lambda: Templates(trim=True), "Templates: options: .*trim"),
}


@pytest.mark.parametrize(("make", "text"), BAD.values(), ids=BAD.keys())
def test_wrong_options_are_refused(make, text):
    with pytest.raises(ConfigurationError, match=text):
        make()


# ---------------------------------------------------------------------- the layer


def plain_app(environ, start_response):
    body = environ["wsgikit.templates"].render("page.html", x="<").encode()
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [body]


@pytest.mark.parametrize("layers", [(), (use(ContextMiddleware),)], ids=["alone", "with a context"])
def test_an_application_without_router_has_templates(folder, layers):
    base = folder("t", page_html="{{ x }}{{ request.path if request else '' }}")
    app = TestApp(build_stack(plain_app, *layers, use(TemplateMiddleware, folders=str(base))), lint=True)
    assert app.get("/p").text == ("&lt;/p" if layers else "&lt;")


def test_a_flask_app_behind_the_layer_can_use_render_template(folder):
    app = flask.Flask("x")
    app.add_url_rule("/", "page", lambda: render_template("page.html", x=request.path))
    base = folder("t", page_html="{{ x }}!")
    assert (
        TestApp(build_stack(app, use(ContextMiddleware), use(TemplateMiddleware, folders=[str(base)]))).get("/").text
        == "/!"
    )


def test_the_templates_of_the_layer_come_before_those_of_the_router(folder, module):
    router = module("shop", page_html="router", own_html="{% extends 'base.html' %}")
    base = folder("t", page_html="layer", base_html="base of the layer {{ extra }}")
    router.add_url_rule("/<name>", "page", lambda name: render_template(f"{name}.html"))
    app = TestApp(
        build_stack(
            plain_app,
            use(ContextMiddleware),
            use(TemplateMiddleware, folders=[str(base)], context_processors=[lambda: {"extra": "e"}]),
            use(RouterMiddleware, router=router),
        ),
        lint=True,
    )
    assert app.get("/page").text == "layer"
    assert app.get("/own").text == "base of the layer e"


# ---------------------------------------------------------------------- what is escaped

ESCAPED = (
    "a.html a.HTML a.htm a.xml a.svg a.xhtml a.html.j2 a.html.jinja a.html.jinja2 a.j2 a.jinja2 a.jinja a.tpl".split()
)
ESCAPED += "a.tmpl a.mako a.shtml a.html.tmpl a a.rss a.atom a.mjml a.vue a.html5 d.txt/a j2 .j2 a.txt.html".split()
PLAIN = "a.txt a.TXT a.js a.css a.json a.csv a.md a.txt.j2 a.json.jinja2 x/mail.text a.html.txt".split()


@pytest.mark.parametrize("name", ESCAPED)
def test_a_template_is_escaped_unless_its_name_is_one_of_text(name):
    templates = Templates(loader=jinja2.DictLoader({name: "{{ x }}"}))
    assert templates.render(name, x="<b>") == "&lt;b&gt;"


@pytest.mark.parametrize("name", PLAIN)
def test_templates_of_text_are_not_escaped(name):
    templates = Templates(loader=jinja2.DictLoader({name: "{{ x }}"}))
    assert templates.render(name, x="<b>") == "<b>"


# ---------------------------------------------------------------------- without context

MACROS = """
{% macro f() %}{{ request.method }} {{ session.n }} {{ g.x }} {{ url_for('page', name='a') }}{% endmacro %}
{% macro w() %}{{ caller() }}{{ g.x }}{% endmacro %}
"""
WITHOUT_CONTEXT = {
    "import as": ("{% import 'm.html' as m %}{{ m.f() }}", "GET 5 gx /a"),
    "from import": ("{% from 'm.html' import f %}{{ f() }}", "GET 5 gx /a"),
    "import with context": ("{% import 'm.html' as m with context %}{{ m.f() }}", "GET 5 gx /a"),
    "call block": ("{% import 'm.html' as m %}{% call m.w() %}c {{ g.x }} {% endcall %}", "c gx gx"),
    "include without context": ("{% include 'i.html' without context %}", "GET 5 gx"),
}


@pytest.mark.parametrize(("source", "text"), WITHOUT_CONTEXT.values(), ids=WITHOUT_CONTEXT.keys())
def test_macros_imported_without_context_see_the_locals(module, source, text):
    i_html = "{{ request.method }} {{ session.n }} {{ g.x }}"
    router = module("macros", m_html=MACROS, i_html=i_html, page_html=source)

    @router.get("/<name>")
    def page(name):
        session["n"] = 5
        g.x = "gx"
        return render_template("page.html")

    app = build_stack(
        router, use(ContextMiddleware), use(SessionMiddleware, secret_key="0f7c0c3f2e9b4d1aa6e5d0b8c7f61234")
    )
    assert TestApp(app).get("/a").text.strip() == text


def test_a_template_asks_whether_there_is_a_session(module):
    router = module("none", page_html="{% if session %}some{% else %}none{% endif %}")
    router.add_url_rule("/", "page", lambda: render_template("page.html"))
    assert TestApp(build_stack(router, use(ContextMiddleware))).get("/").text == "none"
    assert Templates(router=router).render("page.html") == "none"
