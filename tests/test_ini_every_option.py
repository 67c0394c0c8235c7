"""Every option of every public middleware, written in an ini file, makes the layer that Python makes.

The options are read from the signatures: an option that is added later is tested without a change here, unless no
value can be made up from its annotation. Then it needs a row in `VALUES`.
"""

from __future__ import annotations

import datetime
import enum
import json
import os
import pathlib
import re
import sys
import types
import typing
from typing import Any, Literal

import pytest
from paste.deploy import loadapp

import wsgikit
from wsgikit import Router, build_stack, use
from wsgikit.exceptions import ConfigurationError
from wsgikit.ini import layer_names, load_stack
from wsgikit.middleware.authentication import RemoteUser
from wsgikit.onion.stack import Stack
from wsgikit.options import describe_options
from wsgikit.options.words import members_of, split_collection, split_mapping, strip_annotated

FOLDER = pathlib.Path(__file__).parent / "typing"
"""Any folder with few files."""

SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef"

POSTGRESQL = "postgresql+psycopg://nobody@127.0.0.1/nothing"

parts = types.ModuleType("every_option_parts")
"""What dotted names in the files lead to."""
parts.router = Router("every_option_parts")  # type: ignore[attr-defined]
parts.calls = wsgikit.Calls()  # type: ignore[attr-defined]
parts.scheme = RemoteUser()  # type: ignore[attr-defined]
parts.pattern = re.compile("https://c[0-9]+[.]example")  # type: ignore[attr-defined]
parts.function = lambda *args, **options: True  # type: ignore[attr-defined]
parts.Error = type("Error", (Exception,), {"__module__": "every_option_parts"})  # type: ignore[attr-defined]

# Options that a class can't be built without: section and option, text, value.
NEEDED: dict[str, dict[str, tuple[str, Any]]] = {
    "router": {"router": ("every_option_parts:router", parts.router)},
    "session": {"secret_key": (SECRET, SECRET)},
    "database": {"url": ("sqlite://", "sqlite://")},
    "authentication": {"schemes": ("every_option_parts:scheme", parts.scheme)},
    "rate_limit": {"limits": ("100/minute; 2000/day", "100/minute; 2000/day")},
    "static": {"root": (str(FOLDER), FOLDER)},
    "csrf": {"cookie": ("csrf", "csrf"), "secret_key": (SECRET, SECRET)},  # without a session layer
    "page_calls": {"functions": ("every_option_parts:calls", parts.calls)},
    "trusted_hosts": {"hosts": ("example.com", "example.com")},
    "maintenance": {"flag": ("/run/app/maintenance", "/run/app/maintenance")},
    "sendfile": {
        "kind": ("x-sendfile", "x-sendfile"),
        "mappings": ("/srv/files = /protected/", {"/srv/files": "/protected/"}),
    },
}

# Values that can't be made up from the annotation: a list of text and value; what must stand beside; what must not.
VALUES: dict[tuple[str, str], list[tuple[str, Any]]] = {
    ("session", "secret_key"): [
        (SECRET, SECRET),
        (f"\n  {SECRET}\n  {SECRET[::-1]}", (SECRET, SECRET[::-1])),
    ],
    ("session", "store"): [("cookie", "cookie"), ("memory://", "memory://")],
    ("session", "on_oversize"): [("error", "error"), ("warn", "warn"), ("memory://", "memory://")],
    ("session", "cookie_path"): [("/shop", "/shop")],
    ("session", "cookie_domain"): [("example.com", "example.com")],
    ("session", "idle_timeout_seconds"): [("2h", 7200), ("none", None)],
    ("session", "refresh_after_seconds"): [("1h", 3600)],
    ("session", "sweep_probability"): [("0.25", 0.25)],
    ("database", "url"): [("sqlite://", "sqlite://")],
    ("database", "engine"): [("every_option_parts:engine", "engine")],
    ("database", "statement_timeout_seconds"): [("1500ms", 1.5)],
    ("database", "reset"): [("DISCARD ALL", "DISCARD ALL"), ("every_option_parts:function", parts.function)],
    ("database", "replica_url"): [("sqlite://", "sqlite://")],
    ("database", "secret_key"): [(SECRET, SECRET)],
    ("database", "exclude_paths"): [("/a, /b", ("/a", "/b"))],
    ("database", "manager"): [("every_option_parts:function", parts.function)],
    ("database", "session_options"): [("expire_on_commit = no", {"expire_on_commit": False})],
    ("database", "environ_key"): [("my.db", "my.db")],
    ("error_pages", "pages"): [("404 = every_option_parts:function", {404: parts.function})],
    ("error_pages", "statuses"): [("every_option_parts:Error = 409", {parts.Error: 409})],
    ("error_pages", "texts"): [("every_option_texts.ini", "every_option_texts.ini")],
    ("error_pages", "debug_hosts"): [("10.0.0.0/8, 127.0.0.1", ("10.0.0.0/8", "127.0.0.1"))],
    ("error_pages", "editor"): [("vscode", "vscode"), ("x://{path}:{line}", "x://{path}:{line}")],
    ("idempotency", "required"): [
        ("POST /pay/*", "POST /pay/*"),
        ("POST /pay/*, every_option_parts:function", ("POST /pay/*", parts.function)),
    ],
    ("idempotency", "header"): [("X-Once", "X-Once")],
    ("cache", "store"): [("memory://", "memory://"), ("redis://127.0.0.1:1/0", "redis://127.0.0.1:1/0")],
    ("cache", "key_headers"): [("X-A, X-B", ("X-A", "X-B"))],
    ("cache", "tags_header"): [("X-Tags", "X-Tags")],
    ("compression", "encodings"): [("gzip, br", ("gzip", "br"))],
    ("compression", "types"): [("text/*, *+json", ("text/*", "*+json"))],
    ("compression", "levels"): [("gzip = 9\n  br = 5", {"gzip": 9, "br": 5})],
    ("method_override", "methods"): [("DELETE, PATCH", ("DELETE", "PATCH"))],
    ("sendfile", "mappings"): [("/srv/files = /protected/", {"/srv/files": "/protected/"})],
    ("static", "root"): [(str(FOLDER), FOLDER), (f"{FOLDER}, {FOLDER}", (FOLDER, FOLDER))],
    ("static", "package"): [("django.contrib.admin", "django.contrib.admin")],
    ("static", "prefix"): [("/assets/", "/assets/")],
    ("static", "immutable"): [("[.]v[0-9]+[.]", re.compile("[.]v[0-9]+[.]"))],
    ("static", "fallback"): [("routing_usage.py", "routing_usage.py")],
    ("static", "headers"): [("X-A = b", {"X-A": "b"})],
    ("static", "dev_server"): [("http://127.0.0.1:5173", "http://127.0.0.1:5173")],
    ("access_log", "format"): [("json", "json"), ("{method} {path} {status}", "{method} {path} {status}")],
    ("access_log", "exclude"): [
        ("/static/*", "/static/*"),
        ("/a, every_option_parts:function", ("/a", parts.function)),
    ],
    ("access_log", "redact_query"): [("pin", "pin"), ("pin, tan", ("pin", "tan"))],
    ("tracing", "tracer_provider"): [("every_option_parts:tracer_provider", "tracer_provider")],
    ("tracing", "exclude"): [("/livez", "/livez"), ("/a, every_option_parts:function", ("/a", parts.function))],
    ("tracing", "capture_headers"): [("X-A", "X-A"), ("X-A, X-B", ("X-A", "X-B"))],
    ("server_timing", "allow"): [("local", "local"), ("local, 10.0.0.0/8", ("local", "10.0.0.0/8"))],
    ("profiler", "allow"): [("local", "local"), ("local, 10.0.0.0/8", ("local", "10.0.0.0/8"))],
    ("metrics", "path"): [("/numbers", "/numbers"), ("none", None)],
    ("metrics", "buckets"): [("0.1, 1, 10", (0.1, 1.0, 10.0))],
    ("metrics", "registry"): [("every_option_parts:registry", "registry")],
    ("metrics", "allow"): [("local", "local"), ("local, 10.0.0.0/8", ("local", "10.0.0.0/8"))],
    ("request_id", "header"): [("X-Correlation-ID", "X-Correlation-ID")],
    ("request_id", "length"): [("40", 40)],
    ("access_list", "allow"): [("10.0.0.7, 192.168.0.0/16", ("10.0.0.7", "192.168.0.0/16")), ("::1", "::1")],
    ("access_list", "deny"): [("10.0.0.7", "10.0.0.7")],
    ("access_list", "status"): [("404", 404)],
    ("body_limit", "max_body_bytes"): [("2KiB", 2048), ("0", 0)],
    ("body_limit", "max_seconds"): [("2m", 120), ("250ms", 0.25)],
    ("body_limit", "min_bytes_per_second"): [("500", 500)],
    ("health", "live"): [("/live", "/live"), ("none", None)],
    ("health", "ready"): [("/up", "/up"), ("none", None)],
    ("health", "warmup"): [("/warm", "/warm"), ("none", None)],
    ("health", "checks"): [
        ("database", "database"),
        ("database, every_option_parts:function", ("database", parts.function)),
    ],
    ("health", "allow"): [("10.0.0.7", "10.0.0.7"), ("local, 10.0.0.0/8", ("local", "10.0.0.0/8"))],
    ("health", "drain_file"): [("/run/app/drain", "/run/app/drain")],
    ("inspector", "path"): [("/__look__", "/__look__")],
    ("inspector", "allow"): [("10.0.0.7", "10.0.0.7"), ("local, 10.0.0.0/8", ("local", "10.0.0.0/8"))],
    ("inspector", "token"): [(SECRET, SECRET)],
    ("maintenance", "flag"): [
        ("/run/app/maintenance", "/run/app/maintenance"),
        ("every_option_parts:function", parts.function),
    ],
    ("maintenance", "allow"): [("10.0.0.7, 10.1.0.0/16", ("10.0.0.7", "10.1.0.0/16"))],
    ("maintenance", "page"): [("page.html", "page.html")],
    ("maintenance", "secret_key"): [(SECRET, SECRET)],
    ("authentication", "schemes"): [
        ("every_option_parts:scheme", parts.scheme),
        ("every_option_parts:scheme, every_option_parts:scheme", (parts.scheme, parts.scheme)),
    ],
    ("authentication", "environ_key"): [("my.user", "my.user")],
    ("rate_limit", "key"): [("X-API-Key", "X-API-Key"), ("every_option_parts:function", parts.function)],
    ("rate_limit", "store"): [("memory://", "memory://")],
    ("rate_limit", "ipv6_prefix"): [("48", 48)],
    ("rate_limit", "safelist"): [("10.0.0.0/8, ::1", ("10.0.0.0/8", "::1")), ("::1", "::1")],
    ("rate_limit", "ban"): [("10/minute for 1h", "10/minute for 1h")],
    ("rate_limit", "ban_statuses"): [("401, 404", (401, 404))],
    ("cors", "origins"): [
        ("*", "*"),
        ("https://a.example, https://*.b.example", ("https://a.example", "https://*.b.example")),
        ("https://a.example, every_option_parts:pattern", ("https://a.example", parts.pattern)),
        ("https://a.example, every_option_parts:function", ("https://a.example", parts.function)),
    ],
    ("cors", "methods"): [("GET, PUT", ("GET", "PUT")), ("*", "*")],
    ("cors", "headers"): [("Content-Type, X-A", ("Content-Type", "X-A"))],
    ("https", "host"): [("www.example.com", "www.example.com")],
    ("https", "exempt"): [("/health", "/health"), ("/health, /live/*", ("/health", "/live/*"))],
    ("security_headers", "csp"): [
        (
            "script-src = 'self' NONCE\nimg-src = none\nsandbox = ()",
            {"script-src": "'self' NONCE", "img-src": None, "sandbox": "()"},
        ),
        ("none", None),
    ],
    ("security_headers", "csp_report_only"): [("default-src = 'self'", {"default-src": "'self'"})],
    ("security_headers", "opener_policy"): [("unsafe-none", "unsafe-none"), ("none", None)],
    ("security_headers", "resource_policy"): [("cross-origin", "cross-origin")],
    ("security_headers", "embedder_policy"): [("require-corp", "require-corp")],
    ("security_headers", "origin_agent_cluster"): [("?0", "?0")],
    ("security_headers", "referrer_policy"): [("origin, same-origin", "origin, same-origin")],
    ("security_headers", "content_type_options"): [("none", None)],
    ("security_headers", "dns_prefetch_control"): [("on", "on")],
    ("security_headers", "download_options"): [("none", None)],
    ("security_headers", "frame_options"): [("DENY", "DENY")],
    ("security_headers", "permitted_cross_domain_policies"): [("all", "all")],
    ("security_headers", "xss_protection"): [("none", None), ("0", "0")],
    ("security_headers", "permissions_policy"): [
        ("camera = ()\nusb = self https://a.example", {"camera": "()", "usb": "self https://a.example"})
    ],
    ("csrf", "trusted_origins"): [
        ("https://a.example", "https://a.example"),
        ("https://a.example, https://b.example", ("https://a.example", "https://b.example")),
    ],
    ("csrf", "field"): [("token", "token")],
    ("csrf", "header"): [("X-Token", "X-Token")],
    ("csrf", "cookie"): [("__Host-csrf", "__Host-csrf")],
    ("csrf", "secret_key"): [(SECRET, SECRET)],
    ("fetch_policy", "allow"): [
        ("/fonts/*", "/fonts/*"),
        ("/fonts/*, every_option_parts:function", ("/fonts/*", parts.function)),
    ],
    ("page_calls", "path"): [("/rpc", "/rpc")],
    ("proxy_headers", "trusted_proxies"): [("10.0.0.0/8, unix", ("10.0.0.0/8", "unix")), ("unix", "unix")],
    ("proxy_headers", "headers"): [
        ("forwarded", "forwarded"),
        ("x-forwarded-for, x-forwarded-host", ("x-forwarded-for", "x-forwarded-host")),
    ],
    ("trusted_hosts", "hosts"): [
        ("example.com", "example.com"),
        (".example.com, localhost:*", (".example.com", "localhost:*")),
    ],
    ("trusted_hosts", "canonical"): [("www.example.com", "www.example.com")],
    ("template", "folders"): [("templates", "templates"), ("templates, templates", ["templates", "templates"])],
    ("template", "context_processors"): [("every_option_parts:function", (parts.function,))],
    ("template", "filters"): [("f = every_option_parts:function", {"f": parts.function})],
    ("template", "tests"): [("t = every_option_parts:function", {"t": parts.function})],
    ("template", "globals"): [("x = every_option_parts:function", {"x": parts.function})],
}
BESIDE: dict[tuple[str, str], dict[str, tuple[str, Any]]] = {
    ("access_list", "status"): {"deny": ("10.0.0.7", "10.0.0.7")},
    ("error_pages", "console"): {"debug": ("yes", True)},
    ("error_pages", "show_locals"): {"debug": ("yes", True)},
    ("database", "replica_url"): {"secret_key": (SECRET, SECRET)},
    # Not opened: the URL only has to be one of a database that knows the option.
    ("database", "statement_timeout_seconds"): {"url": (POSTGRESQL, POSTGRESQL)},
    ("security_headers", "csp_defaults"): {"csp": ("default-src = 'self'", {"default-src": "'self'"})},
    ("https", "hsts_preload"): {"hsts_subdomains": ("yes", True)},
    ("session", "cookie_samesite"): {"cookie_secure": ("yes", True)},
    ("session", "cookie_partitioned"): {"cookie_secure": ("yes", True)},
}
INSTEAD: dict[tuple[str, str], str] = {("database", "engine"): "url", ("database", "connect"): "url"}

# What can't be written in an ini file, with the reason. Nothing so far.
NOT_IN_INI: dict[tuple[str, str], str] = {}


def samples(annotation: Any, name: str, default: Any) -> list[tuple[str, Any]]:
    """Make up texts and what they mean, from the annotation alone."""
    made: list[tuple[str, Any]] = []
    for member in members_of(annotation):
        made += _samples_of_one(strip_annotated(member), name, default)
    return made


def _samples_of_one(kind: Any, name: str, default: Any) -> list[tuple[str, Any]]:
    origin = typing.get_origin(kind) or kind
    if kind is type(None):
        return []
    if kind is bool:
        return [("off", False)] if default is True else [("yes", True)]
    if kind in (int, float):
        if name.endswith("_seconds"):
            return [("2m", 120), ("90", 90)]
        if name.endswith("_bytes"):
            return [("2KiB", 2048)]
        return [("7", 7)] if kind is int else [("0.5", 0.5)]
    if kind is str:
        return [("words", "words")]
    if kind is bytes:
        return []
    if kind is datetime.timedelta:
        return [("2h", datetime.timedelta(hours=2))]
    if origin is Literal:
        return [(str(choice), choice) for choice in typing.get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [(str(member.value), member) for member in kind]
    if isinstance(kind, type) and issubclass(kind, pathlib.PurePath):
        return [("/srv/x", pathlib.Path("/srv/x"))]
    if origin is re.Pattern:
        return [("^/x", re.compile("^/x"))]
    if "Callable" in str(origin):
        return [("every_option_parts:function", parts.function)]
    if split_mapping(kind) is not None:
        return [("a = b", {"a": "b"})] if set(typing.get_args(kind)) == {str} else []
    if split_collection(kind) is not None:
        made_as = split_collection(kind)[0]  # type: ignore[index]
        return [("a, b", made_as(["a", "b"]))] if str in typing.get_args(kind) else []
    return []


def rows() -> list[Any]:
    made = []
    for section, class_name in layer_names().items():
        cls = getattr(wsgikit, class_name)
        if not describe_options(cls):
            made.append(pytest.param(section, "", "", None, id=section))
        for option in describe_options(cls):
            key = (section, option.name)
            if key in NOT_IN_INI:
                continue
            values = VALUES.get(key) or NEEDED.get(section, {}).get(option.name)
            values = [values] if isinstance(values, tuple) else values
            values = values or samples(option.annotation, option.name, option.default)
            if not values:  # no silent gap: see the test below
                made.append(pytest.param(section, option.name, None, None, id=f"{section}-{option.name}-no value"))
            for text, value in values:
                made.append(pytest.param(section, option.name, text, value, id=f"{section}-{option.name}-{text!r}"))
    return made


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """The working folder, and the module that dotted names lead to."""
    from opentelemetry.trace import NoOpTracerProvider
    from prometheus_client import CollectorRegistry
    from sqlalchemy import create_engine

    (tmp_path / "every_option_texts.ini").write_text("[de]\n404 = Nichts|Hier ist nichts.\n")
    (tmp_path / "templates").mkdir()
    (tmp_path / "page.html").write_text("<h1>Later</h1>")
    monkeypatch.chdir(tmp_path)
    engine = create_engine("sqlite://")
    monkeypatch.setattr(parts, "engine", engine, raising=False)
    monkeypatch.setattr(parts, "tracer_provider", NoOpTracerProvider(), raising=False)
    monkeypatch.setattr(parts, "registry", CollectorRegistry(), raising=False)
    monkeypatch.setitem(sys.modules, "every_option_parts", parts)
    yield
    engine.dispose()


# What is different in any two instances: Werkzeug's debugger makes up a secret.
RANDOM = {"debugger"}


def facts(value: Any, depth: int = 0) -> Any:
    """What an object is made of, for a comparison: two layers of the same options have the same facts."""
    if value is None or isinstance(value, (bool, int, float, str, bytes, re.Pattern)):
        return value
    if isinstance(value, (type, types.FunctionType, types.MethodType)):  # some are made again for each layer
        return value.__module__, value.__qualname__
    if isinstance(value, dict):
        return [(facts(key, depth + 1), facts(item, depth + 1)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [facts(item, depth + 1) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    own = [*getattr(value, "__dict__", {}).items()]
    if depth > 3 or not own or not type(value).__module__.startswith(("wsgikit", "every_option")):
        return facts(type(value))
    return (
        facts(type(value)),
        [(key, facts(item, depth + 1)) for key, item in own if key not in {"app", "_onion", *RANDOM}],
    )


def from_ini(section: str, texts: dict[str, str], load) -> Stack:
    keys = "\n".join(f"{key} = {text.replace(chr(10), chr(10) + '  ')}" for key, text in texts.items())
    with open("app.ini", "w", encoding="utf-8") as file:
        file.write(
            f"[pipeline:main]\npipeline = layer app\n[filter:layer]\nuse = egg:wsgikit#{section}\n{keys}\n"
            "[app:app]\nuse = egg:wsgikit#app\napp = wsgiref.simple_server:demo_app\n"
        )
    return load()


def by_stock_paste_deploy() -> Stack:
    return Stack.around(loadapp(f"config:{os.path.abspath('app.ini')}"))


@pytest.mark.parametrize(("section", "option", "text", "value"), rows())
def test_an_option_from_ini_makes_the_layer_that_python_makes(section, option, text, value):
    from wsgiref.simple_server import demo_app

    assert text is not None, f"no value can be made up for {section}.{option}: give it a row in VALUES"
    if value in ("engine", "registry", "tracer_provider"):
        value = getattr(parts, value)
    given = dict(NEEDED.get(section, {})) | BESIDE.get((section, option), {})
    given.pop(INSTEAD.get((section, option), ""), None)
    if option:
        given[option] = (text, value)
    texts = {key: pair[0] for key, pair in given.items()}
    cls = getattr(wsgikit, layer_names()[section])

    with build_stack(demo_app, use(cls, **{key: pair[1] for key, pair in given.items()})) as expected:
        for load in (lambda: load_stack("app.ini"), by_stock_paste_deploy):
            with from_ini(section, texts, load) as stack:
                (layer,), (expected_layer,) = stack.layers, expected.layers
                assert type(layer) is type(expected_layer)
                assert layer._options == expected_layer._options
                assert facts(layer) == facts(expected_layer)
                assert stack.describe() == expected.describe()


def test_what_is_not_written_in_ini_is_still_there_and_has_a_reason():
    for (section, option), reason in NOT_IN_INI.items():
        cls = getattr(wsgikit, layer_names()[section])
        assert option in {o.name for o in describe_options(cls)}
        assert reason


def test_a_whole_onion_from_ini_is_the_one_from_python(tmp_path):
    from wsgiref.simple_server import demo_app

    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "app.ini").write_text(
        """[DEFAULT]
database = sqlite:///%(here)s/app.db

[pipeline:main]
pipeline = errors context session database routes app

[filter:errors]
use = egg:wsgikit#error_pages
debug = no

[filter:context]
use = egg:wsgikit#context

[filter:session]
use = egg:wsgikit#session
secret_key = file:secret
idle_timeout_seconds = 14d
cookie_secure = auto

[filter:database]
use = egg:wsgikit#database
url = %(database)s
slow_query_seconds = 250ms
pool_size = 3

[filter:routes]
use = egg:wsgikit#router
router = every_option_parts:router

[app:app]
use = egg:wsgikit#app
app = wsgiref.simple_server:demo_app
"""
    )
    expected = build_stack(
        demo_app,
        use(wsgikit.ErrorPagesMiddleware, debug=False),
        use(wsgikit.ContextMiddleware),
        use(
            wsgikit.SessionMiddleware,
            secret_key=SECRET,
            idle_timeout_seconds=14 * 86400,
            cookie_secure="auto",
        ),
        use(wsgikit.DatabaseMiddleware, url=f"sqlite:///{tmp_path}/app.db", slow_query_seconds=0.25, pool_size=3),
        use(wsgikit.RouterMiddleware, router=parts.router),
    )
    with expected, load_stack("app.ini") as ours, Stack.around(loadapp(f"config:{tmp_path}/app.ini")) as stock:
        assert ours.describe() == stock.describe() == expected.describe()
        assert [facts(layer) for layer in ours.layers] == [facts(layer) for layer in expected.layers]
        assert SECRET not in ours.describe()


@pytest.mark.parametrize("section", layer_names())
def test_an_unknown_key_is_refused_by_every_layer(section):
    needed = {key: pair[0] for key, pair in NEEDED.get(section, {}).items()}
    # DatabaseMiddleware passes further keys on to SQLAlchemy, which refuses those that it doesn't know.
    text = ".*Invalid argument.*nonsense" if section == "database" else "nonsense: unknown option"
    with pytest.raises(ConfigurationError, match=rf"^app\.ini:\d+ \[filter:layer\]: {text}"):
        from_ini(section, {**needed, "nonsense": "1"}, lambda: load_stack("app.ini"))


def test_the_masked_options_of_a_stack_can_be_printed_as_they_are():
    with from_ini("session", {"secret_key": SECRET}, lambda: load_stack("app.ini")) as stack:
        assert "secret_key=***" in stack.describe()
        assert SECRET not in json.dumps(stack.describe())
