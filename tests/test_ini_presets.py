"""The presets as one section of an ini file, through stock PasteDeploy and through our own loader."""

from __future__ import annotations

import sys
import types

import pytest
from paste.deploy import loadapp

from wsgikit import Router, build_stack, presets
from wsgikit.exceptions import ConfigurationError
from wsgikit.ini import load_stack
from wsgikit.onion.stack import Stack

SECRET = "bcd4b7f9e6a0d1c2b3e4f5a9f2c1c5e3a8"
APP = "[app:app]\nuse = egg:wsgikit#app\napp = ini_presets_app:app\n"
SITE = "use = egg:wsgikit#production\nsecret_key = env:PRESET_SECRET\nhosts = example.com\n"

module = types.ModuleType("ini_presets_app")


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello"]


app.__module__ = "ini_presets_app"
module.app = app
module.router = Router("ini_presets_app")


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    monkeypatch.setitem(sys.modules, "ini_presets_app", module)
    monkeypatch.setenv("PRESET_SECRET", SECRET)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function that writes an ini file with these lines in the section of the preset, and returns its path."""
    monkeypatch.chdir(tmp_path)

    def write(*lines: str, section: str = SITE) -> str:
        text = f"[pipeline:main]\npipeline = site app\n{APP}[filter:site]\n{section}" + "\n".join(lines) + "\n"
        (tmp_path / "app.ini").write_text(text)
        return str(tmp_path / "app.ini")

    return write


@pytest.fixture(params=["stock PasteDeploy", "our loader"])
def load(request):
    """A function that loads the stack of a file in one of the two ways."""
    if request.param == "our loader":
        return load_stack
    return lambda path: Stack.around(loadapp(f"config:{path}"))


OPTIONS = {
    "nothing more": ([], {}),
    "proxies": (["trusted_proxies = 127.0.0.1, ::1"], {"trusted_proxies": ("127.0.0.1", "::1")}),
    "database": (["database_url = sqlite://"], {"database_url": "sqlite://"}),
    "router": (["router = ini_presets_app:router"], {"router": module.router}),
    "option of a layer": (["csrf.tokens = always"], {"overrides": {"csrf": {"tokens": "always"}}}),
    "policy": (
        ["security_headers.csp =", "  script-src = 'self' NONCE", "  img-src = none"],
        {"overrides": {"security_headers": {"csp": {"script-src": "'self' NONCE", "img-src": None}}}},
    ),
    "no policy": (["security_headers.csp = none"], {"overrides": {"security_headers": {"csp": None}}}),
    "a layer less": (["csrf = off"], {"overrides": {"csrf": None}}),
    "none is off": (["csrf = none"], {"overrides": {"csrf": None}}),
    "a layer more": (["compression = on"], {"overrides": {"compression": {}}}),
    "a layer more by its options": (
        ["cors.origins = https://a.example", "cors.credentials = yes"],
        {"overrides": {"cors": {"origins": "https://a.example", "credentials": True}}},
    ),
    "scope": (["csrf.unless = /hooks/*"], {"overrides": {"csrf": {"unless": ["/hooks/*"]}}}),
    "a note": (["x-owner = Ann"], {}),
}


@pytest.mark.parametrize(("lines", "options"), OPTIONS.values(), ids=OPTIONS)
def test_the_section_makes_the_layers_that_python_makes(lines, options, write, load):
    stack = load(write(*lines))
    expected = build_stack(app, *presets.production(secret_key=SECRET, hosts="example.com", **options))
    assert stack.describe() == expected.describe()
    stack.close()


def test_the_section_makes_the_delivery_layers(write, load, tmp_path):
    (tmp_path / "a.css").write_text("p {}")
    stack = load(write("root = .", "compression.min_bytes = 1KiB", section="use = egg:wsgikit#delivery\n"))
    layers = [line.split()[1] for line in stack.describe().splitlines()[:-1]]
    assert layers == ["StaticMiddleware", "CompressionMiddleware", "ConditionalMiddleware"]
    assert "min_bytes=1024" in stack.describe()


def test_a_scope_of_the_section_limits_the_whole_preset(write, load):
    stack = load(write("only = /shop/*"))
    heads = []

    def ask(path):
        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "HTTP_HOST": "evil.example",
            "wsgi.url_scheme": "http",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "192.0.2.1",
        }
        return b"".join(stack(environ, lambda status, headers, exc_info=None: heads.append(status)))

    assert ask("/other") == b"Hello"
    ask("/shop/a")
    assert heads == ["200 OK", "400 Bad Request"]


MISTAKES = {
    "unknown option": (
        ["secret_kye = x"],
        "app.ini:10 [filter:site]: secret_kye: unknown option: expected one of secret_key, hosts, ",
    ),
    "unknown layer": (
        ["sesion.store = memory://"],
        "app.ini:10 [filter:site]: sesion.store: expected the name of a layer, got 'sesion'. Did you mean 'session'?",
    ),
    "unknown option of a layer": (
        ["csrf.feld = token"],
        "app.ini:10 [filter:site]: feld: unknown option: expected a known one, got 'feld'. Did you mean 'field'?",
    ),
    "value of an option of a layer": (
        ["csrf.report_only = perhaps"],
        "app.ini:10 [filter:site]: report_only: expected yes, no, true, false, on, off, 1 or 0, got 'perhaps'.",
    ),
    "what the layer refuses": (
        ["csrf.trusted_origins = example.com"],
        "app.ini:10 [filter:site]: CsrfMiddleware: trusted_origins: expected ",
    ),
    "what the layer refuses of the preset": (
        ["trusted_proxies = 10.0.0.0/99"],
        "app.ini:10 [filter:site]: ProxyHeadersMiddleware: trusted_proxies: expected ",
    ),
    "neither on nor off": (
        ["csrf = perhaps"],
        "app.ini:10 [filter:site]: csrf: expected on or off, got 'perhaps'. Options of the layer are written ",
    ),
    "overrides": (
        ["overrides = csrf"],
        "app.ini:10 [filter:site]: overrides: expected no such key, got one. Write the options as keys of the section",
    ),
    "required option of another layer": (
        ["sendfile = on"],
        "app.ini:6 [filter:site]: SendfileMiddleware: kind: expected x-accel-redirect or x-sendfile, got nothing.",
    ),
}


@pytest.mark.parametrize(("lines", "text"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_an_error_with_its_place(lines, text, write):
    with pytest.raises(ConfigurationError) as caught:
        load_stack(write(*lines))
    assert str(caught.value).startswith(text)


def test_the_order_check_sees_each_layer_of_the_preset(write, tmp_path):
    path = write("trusted_hosts = off", "[filter:hosts]", "use = egg:wsgikit#trusted_hosts", "hosts = example.com")
    file = tmp_path / "app.ini"
    file.write_text(file.read_text().replace("pipeline = site app", "pipeline = hosts site app"))
    with pytest.raises(ConfigurationError, match="ProxyHeadersMiddleware must stand outside TrustedHostsMiddleware"):
        load_stack(path)


def test_the_secret_is_in_no_error(write):
    with pytest.raises(ConfigurationError) as caught:
        load_stack(write("session.cookie_domain = example.com"))
    assert SECRET not in str(caught.value)
    assert "app.ini:10" in str(caught.value)
