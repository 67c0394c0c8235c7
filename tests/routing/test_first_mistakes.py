"""What a newcomer writes wrong, and what the router says to it."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

import wsgikit
from wsgikit import (
    ContextMiddleware,
    ErrorPagesMiddleware,
    Router,
    RouterMiddleware,
    Templates,
    build_stack,
    render_template,
    render_template_string,
    request,
    use,
)
from wsgikit.exceptions import ConfigurationError, OutsideRequestError
from wsgikit.http.json_provider import JsonProvider
from wsgikit.routing.matcher import RouteMap

# ---------------------------------------------------------------------- keywords

KEYWORDS = {
    "method of get": (
        lambda router: router.get("/a", method=["GET"]),
        r"^get: method: expected no such option, got \['GET'\]. Use route\(\) for several methods\.$",
    ),
    "method of route": (
        lambda router: router.route("/a", method=["GET"])(lambda: ""),
        r"^rule '/a': unknown option 'method'\. Write methods=\[\.\.\.\]\.$",
    ),
    "a misspelled one of route": (
        lambda router: router.route("/a", strict_slahes=False)(lambda: ""),
        r"^rule '/a': unknown option 'strict_slahes'\. Did you mean 'strict_slashes'\?$",
    ),
    "url_prefix of include": (
        lambda router: router.include(Router("b"), url_prefix="/b"),
        r"^include: unknown option 'url_prefix'\. Write prefix=\.$",
    ),
    "url_prefix of Router": (
        lambda router: Router("a", url_prefix="/a"),
        r"^Router: unknown option 'url_prefix'\. Pass prefix= .* include\(router, prefix=\.\.\.\)\.$",
    ),
    "the arguments of Blueprint": (
        lambda router: Router("blog", __name__),
        r"^Router: positional arguments: expected no more than import_name, got '.*'. Pass it by name\.$",
    ),
    "mount": (lambda router: router.mount("/m", Router("b"), hots="x"), "Did you mean 'host'"),
}


@pytest.mark.parametrize(("register", "text"), KEYWORDS.values(), ids=KEYWORDS.keys())
def test_a_wrong_keyword_is_told_with_the_right_one(register, text):
    with pytest.raises(ConfigurationError, match=text):
        register(Router("site"))


def test_a_router_given_by_position_is_told_with_its_option():
    with pytest.raises(ConfigurationError) as caught:
        build_stack(Router("app"), use(RouterMiddleware, Router("x")))
    assert str(caught.value) == (
        "build_stack: RouterMiddleware: positional arguments: expected at most 1, the application among them, got 2. "
        "Write use(RouterMiddleware, router=…)."
    )


SWITCHES = {
    "Router": [
        (name, lambda **switch: Router("x", **switch))
        for name in ("strict_slashes", "merge_slashes", "redirect_defaults", "host_matching", "raw_path")
    ],
    "RouteMap": [
        (name, lambda **switch: RouteMap(**switch))
        for name in ("strict_slashes", "merge_slashes", "redirect_defaults", "host_matching", "sort_parameters")
    ],
    "Rule '/a'": [
        (name, lambda **switch: Router("x").add_url_rule("/a", "a", **switch))
        for name in ("build_only", "alias", "strict_slashes", "merge_slashes")
    ],
    "rule '/a'": [
        ("provide_automatic_options", lambda **switch: Router("x").route("/a", **switch)(lambda: "")),
    ],
    "mount": [("keep_path", lambda **switch: Router("x").mount("/m", Router("y"), **switch))],
    "RouterMiddleware": [
        ("pass_method_not_allowed", lambda **switch: RouterMiddleware(Router("x"), router=Router("y"), **switch)),
    ],
    "JsonProvider": [(name, lambda **switch: JsonProvider(**switch)) for name in ("ensure_ascii", "sort_keys")],
    "Templates": [(name, lambda **switch: Templates(**switch)) for name in ("debug", "auto_reload", "autoescape")],
}


@pytest.mark.parametrize(
    ("where", "name", "make"),
    [(where, name, make) for where, switches in SWITCHES.items() for name, make in switches],
    ids=[f"{name} of {where}" for where, switches in SWITCHES.items() for name, _ in switches],
)
def test_a_switch_that_is_text_is_refused(where, name, make):
    with pytest.raises(ConfigurationError, match=f"^{where}: {name}: expected True or False, got '0'"):
        make(**{name: "0"})
    make(**{name: False})


# ---------------------------------------------------------------------- views

MISFITS = {
    "another name": ("/<int:x>", lambda y: "", "it takes no 'x'"),
    "one too few": ("/<a>/<b>", lambda a: "", "it takes no 'b'"),
    "one too many": ("/x", lambda a: "", "it needs 'a', which the rule has not"),
    "a keyword without default": ("/<a>", lambda a, *, b: "", "it needs 'b', which the rule has not"),
}


@pytest.mark.parametrize(("rule", "view", "text"), MISFITS.values(), ids=MISFITS.keys())
def test_a_view_that_does_not_fit_its_rule_is_refused_at_the_first_request(client, rule, view, text):
    router = Router("site")
    router.add_url_rule("/fine", "fine", lambda: "fine")
    router.add_url_rule(rule, "odd", view)
    for _ in range(2):  # not only the first time
        with pytest.raises(ConfigurationError, match=text):
            client(router).get("/fine")


def with_user(view):
    def call(**values):
        return view("ann", **values)

    return call


class Page:
    def show(self, x):
        return str(x)


async def coroutine(x):
    return str(x)


FITS = {
    "keywords": lambda **values: str(values["x"]),
    "a default": lambda x, y=1: str(x),
    "a decorator that adds": with_user(lambda user, x: str(x)),
    "a method": Page().show,
    "a coroutine": coroutine,
}


@pytest.mark.parametrize("view", FITS.values(), ids=FITS.keys())
def test_a_view_that_can_be_called_is_called(client, view):
    router = Router("site")
    router.add_url_rule("/<int:x>", "fits", view)
    assert client(router).get("/7").text == "7"


def test_a_preprocessor_of_later_may_take_values_away(client):
    router = Router("site")
    blog = Router("blog")
    blog.add_url_rule("/", "index", lambda: "index")
    router.include(blog, "/<lang>")

    @blog.url_value_preprocessor
    def pull_language(endpoint, values):
        values.pop("lang")

    assert client(router).get("/de/").text == "index"


def test_a_hook_may_change_the_values(client):
    router = Router("site")
    router.add_url_rule("/<lang>/<int:x>", "show", lambda x: str(x))
    stack = build_stack(router, use(ContextMiddleware))

    @router.before_request
    def pull_language():
        request.view_args.pop("lang")

    assert client(stack).get("/de/7").text == "7"


# ---------------------------------------------------------------------- a missing field


@pytest.mark.parametrize("is_debug", [False, True], ids=["for visitors", "in debug"])
def test_a_missing_field_is_named_in_the_log_and_on_the_page_in_debug_only(client, caplog, is_debug):
    caplog.set_level(logging.INFO)
    router = Router("site")
    router.add_url_rule("/", "form", lambda: request.form["nmae"], methods=["POST"])
    stack = build_stack(router, use(ErrorPagesMiddleware, debug=is_debug), use(ContextMiddleware))
    response = client(stack, REMOTE_ADDR="127.0.0.1").post("/", {"name": "x"}, expect_errors=True)
    assert response.status_int == 400
    assert ("nmae" in response.text) is is_debug
    assert [record.getMessage() for record in caplog.records] == ["POST /: 400 Bad Request: no field 'nmae'"]


@pytest.mark.parametrize("place", ["args", "form", "files", "values"])
def test_a_missing_field_is_named_without_error_pages_too(client, caplog, place):
    caplog.set_level(logging.INFO)
    told = []
    router = Router("site")

    @router.post("/")
    def form():
        try:
            return getattr(request, place)["nmae"]
        except KeyError as error:
            told.append(str(error))
            raise

    response = client(router).post("/", {"name": "x"}, expect_errors=True)
    assert response.status_int == 400
    assert "nmae" not in response.text
    assert told == ["400 Bad Request: the request has no field 'nmae'"]
    assert [record.getMessage() for record in caplog.records] == [f"POST /: {told[0]}"]


# ---------------------------------------------------------------------- outside of a request

OUTSIDE = {
    "url_for": lambda: wsgikit.url_for("index"),
    "render_template": lambda: render_template("a.html"),
    "render_template_string": lambda: render_template_string(""),
    "stream_template": lambda: wsgikit.stream_template("a.html"),
    "stream_template_string": lambda: wsgikit.stream_template_string(""),
    "get_template_attribute": lambda: wsgikit.get_template_attribute("a.html", "x"),
    "flash": lambda: wsgikit.flash("x"),
    "get_flashed_messages": lambda: wsgikit.get_flashed_messages(),
    "make_response": lambda: wsgikit.make_response("x"),
    "send_file": lambda: wsgikit.send_file("x"),
    "send_from_directory": lambda: wsgikit.send_from_directory("x", "y"),
    "after_this_request": lambda: wsgikit.after_this_request(print),
}


@pytest.mark.parametrize(("name", "call"), OUTSIDE.items(), ids=OUTSIDE.keys())
def test_a_function_that_needs_a_request_names_itself(name, call):
    with pytest.raises(OutsideRequestError, match=rf"^{name}\(\): used outside of a request"):
        call()


# ---------------------------------------------------------------------- URLs with a host

HOSTS = {
    "the port of http": ("http", "localhost:80", "http://localhost/u"),
    "another port": ("http", "localhost:8080", "http://localhost:8080/u"),
    "the port of https": ("https", "example.org:443", "https://example.org/u"),
    "the other scheme's port": ("https", "example.org:80", "https://example.org:80/u"),
    "IPv6": ("http", "[::1]:80", "http://[::1]/u"),
}


@pytest.mark.parametrize(("scheme", "host", "url"), HOSTS.values(), ids=HOSTS.keys())
def test_an_external_url_has_the_host_that_the_request_has(client, scheme, host, url):
    router = Router("site")
    router.add_url_rule("/u", "u", lambda: f"{wsgikit.url_for('u', _external=True)} {request.url}")
    environ = {"HTTP_HOST": host, "wsgi.url_scheme": scheme}
    assert client(router).get("/u", extra_environ=environ).text == f"{url} {url}"


def test_an_external_url_without_a_host_header_has_the_port_of_the_server():
    router = Router("site")
    router.add_url_rule("/u", "u", lambda: "")
    environ = {"SERVER_NAME": "10.0.0.1", "SERVER_PORT": "8000", "wsgi.url_scheme": "http", "REQUEST_METHOD": "GET"}
    assert router.url_for("u", _environ=environ, _external=True) == "http://10.0.0.1:8000/u"


def test_a_host_header_that_names_no_host_is_the_visitors_error(client):
    router = Router("site")
    router.add_url_rule("/u", "u", lambda: wsgikit.url_for("u", _external=True))
    router.add_url_rule("/v", "v", lambda: wsgikit.url_for("u"))
    environ = {"HTTP_HOST": "evil.org/<script>"}
    assert client(router).get("/u", extra_environ=environ, expect_errors=True).status_int == 400
    assert client(router).get("/v", extra_environ=environ).text == "/u"


def test_a_rule_that_names_its_host_has_an_external_url_outside_of_a_request():
    router = Router("site", host_matching=True)
    router.add_url_rule("/u", "u", lambda: "", host="shop.example")
    assert router.url_for("u", _external=True) == "http://shop.example/u"
    assert router.url_for("u", _scheme="https") == "https://shop.example/u"


# ---------------------------------------------------------------------- without Jinja2

WITHOUT_JINJA = """
import sys
sys.modules["jinja2"] = None
from wsgikit import *
from wsgikit.exceptions import ConfigurationError
from wsgikit.testing import TestClient
router = Router("site")
router.add_url_rule("/plain", "plain", lambda: "plain")
router.add_url_rule("/page", "page", lambda: render_template("a.html"))
print(TestClient(router).get("/plain").text)
for make in (lambda: TemplateMiddleware(router), lambda: TestClient(router).get("/page")):
    try:
        make()
    except ConfigurationError as error:
        print(error)
"""


def test_all_but_templates_works_without_jinja2():
    done = subprocess.run([sys.executable, "-c", WITHOUT_JINJA], capture_output=True, text=True, timeout=60)
    told = "Templates: Jinja2 is missing. Install it: pip install 'wsgikit[templates]'."
    assert (done.returncode, done.stdout.splitlines()) == (0, ["plain", told, told]), done.stderr
