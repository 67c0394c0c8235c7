"""Several applications side by side, each at its prefix."""

from __future__ import annotations

import sys
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from paste.deploy import loadapp

from wsgikit import Middleware, Stack, build_stack, use
from wsgikit.exceptions import ConfigurationError
from wsgikit.ini import load_app, load_stack
from wsgikit.ini.applications import PrefixMounts
from wsgikit.ini.mounted import mounted_stacks


def naming(name):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{name} {environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]

    return app


def get(app, path, script_name="", method="GET"):
    environ = {"PATH_INFO": path, "QUERY_STRING": "", "SCRIPT_NAME": script_name, "REQUEST_METHOD": method}
    setup_testing_defaults(environ)
    head = []
    body = validator(app)(environ, lambda status, headers, exc_info=None: head.append(status) or (lambda data: None))
    try:
        return head[0], b"".join(body).decode()
    finally:
        body.close()


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/", "home  /"),
        ("/about", "home  /about"),
        ("/shop", "shop /shop "),
        ("/shop/", "shop /shop /"),
        ("/shop/1", "shop /shop /1"),
        ("/shopping", "home  /shopping"),
        ("/shop/admin/x", "admin /shop/admin /x"),
        ("/shop/administration", "shop /shop /administration"),
    ],
)
def test_the_longest_prefix_takes_the_request(path, answer):
    app = PrefixMounts({"/": naming("home"), "/shop": naming("shop"), "/shop/admin/": naming("admin")})
    assert get(app, path) == ("200 OK", answer)


def test_prefixes_nest():
    app = PrefixMounts({"/shop": naming("shop")})
    assert get(app, "/shop/1", "/site") == ("200 OK", "shop /site/shop /1")


def test_what_no_prefix_takes_is_not_found():
    app = PrefixMounts({"/shop": naming("shop")})
    assert get(app, "/elsewhere") == ("404 Not Found", "Not Found\n")
    assert get(app, "/elsewhere", method="HEAD") == ("404 Not Found", "")


class Pool(Middleware):
    def __init__(self, app, *, closed, name, fails=False):
        super().__init__(app)
        self.closed, self.name, self.fails = closed, name, fails

    def close(self):
        self.closed.append(self.name)
        if self.fails:
            raise OSError(self.name)


def test_closing_the_stack_closes_mounted_onions_before_what_is_around_them():
    closed = []
    piped = Pool(Pool(naming("a"), closed=closed, name="inner"), closed=closed, name="outer")
    built = build_stack(naming("b"), use(Pool, closed=closed, name="built"))
    nested = PrefixMounts({"/": Pool(naming("c"), closed=closed, name="nested")})
    mounts = PrefixMounts({"/piped": piped, "/twice": piped, "/built": built, "/nested": nested})
    build_stack(mounts, use(Pool, closed=closed, name="around")).close()
    assert closed == ["inner", "outer", "built", "nested", "around"]


def test_closing_a_stack_closes_one_that_is_its_application():
    closed = []
    inner = build_stack(naming("a"), use(Pool, closed=closed, name="inner"))
    build_stack(inner, use(Pool, closed=closed, name="outer")).close()
    Stack.around(Pool(inner, closed=closed, name="by hand")).close()
    assert closed == ["inner", "outer", "inner", "by hand"]


def test_an_onion_that_fails_to_close_does_not_keep_the_others_from_it():
    closed = []
    mounts = PrefixMounts(
        {name: Pool(naming(name), closed=closed, name=name, fails=True) for name in ("/first", "/second")}
    )
    with pytest.raises(OSError, match="/first"):
        build_stack(mounts, use(Pool, closed=closed, name="around")).close()
    assert closed == ["/first", "/second", "around"]


def test_an_application_of_others_is_not_closed():
    app = naming("a")
    app.close = lambda: pytest.fail("it is not ours to close")
    build_stack(app, use(Pool, closed=[], name="around")).close()


def test_a_composite_of_an_ini_mounts_its_apps(tmp_path):
    (tmp_path / "app.ini").write_text(
        """[composite:main]
use = egg:wsgikit#mount
/ = demo
/again = piped
x-note = ignored

[app:demo]
use = egg:wsgikit#app
app = wsgiref.simple_server:demo_app

[pipeline:piped]
pipeline = errors demo

[filter:errors]
use = egg:wsgikit#error_pages
"""
    )
    for app in (load_app(str(tmp_path / "app.ini")), loadapp(f"config:{tmp_path}/app.ini")):
        assert list(app.apps) == ["", "/again"]
        assert "PATH_INFO = '/x'" in get(app, "/again/x")[1]


LAYERED = """[pipeline:main]
pipeline = session mounts
[composite:mounts]
use = egg:wsgikit#mount
/ = inner
[pipeline:inner]
pipeline = needs demo
[filter:session]
use = egg:wsgikit#session
secret_key = 0123456789abcdef0123456789abcdef0123456789abcdef
[filter:needs]
use = egg:wsgikit#layer
factory = mount_layers:NeedsSession
[app:demo]
use = egg:wsgikit#app
app = wsgiref.simple_server:demo_app
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mount_layers.py").write_text(
        "from wsgikit import Middleware\nclass NeedsSession(Middleware):\n    requires = ('wsgikit.session',)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("mount_layers", None)


def test_a_mounted_layer_may_need_what_the_layers_around_provide(folder):
    (folder / "app.ini").write_text(LAYERED)
    stack = load_stack("app.ini")
    assert [type(layer).__name__ for layer in stack.layers] == ["SessionMiddleware"]
    ((prefix, mounted),) = mounted_stacks(stack)
    assert prefix == "/"
    assert [type(layer).__name__ for layer in mounted.layers] == ["NeedsSession"]


def test_a_mounted_layer_that_lacks_what_it_needs_is_found_while_loading(folder):
    (folder / "app.ini").write_text(LAYERED.replace("pipeline = session mounts", "pipeline = mounts"))
    with pytest.raises(ConfigurationError) as raised:
        load_stack("app.ini")
    assert str(raised.value).startswith(
        "app.ini:2 [pipeline:main]: stack at /: NeedsSession (1): needs environ['wsgikit.session'], and no layer "
    )
