"""What each middleware of the catalogue costs with nothing to do, and what the `production` preset costs.

``python tests/benchmarks/catalogue_bench.py [words]``; a word picks the tables whose name has it, or one middleware.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from harness import compare, requester

import wsgikit
from wsgikit import Middleware, Router, build_stack, presets, use
from wsgikit.ini import layer_names
from wsgikit.middleware.authentication import Basic

KEY = "bcd4b7f9e6a0d1c2b3e4f5a9f2c1c5e3a8"
HELLO = b"Hello"


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [HELLO]


def catalogue() -> None:
    """Each middleware beside a layer without work, on a request that it has nothing to do with.

    The figure to look at is the difference to the first line. Those marked with a star have something to do for every
    request: they write a header or a log, or count.
    """
    folder = tempfile.mkdtemp()
    logging.disable()
    needed: dict[str, dict[str, Any]] = {
        "access_list": {"deny": ["203.0.113.9"]},
        "authentication": {"schemes": [Basic(verify=lambda user, password: None)]},
        "cors": {"origins": ["https://app.example"]},
        "csrf": {"tokens": "never"},
        "database": {"url": "sqlite://"},
        "maintenance": {"flag": f"{folder}/flag"},
        "page_calls": {"functions": wsgikit.Calls()},
        "rate_limit": {"limits": "1000000000/second"},
        "router": {"router": Router("catalogue")},
        "sendfile": {"kind": "x-sendfile", "mappings": {"/srv/none": "/none/"}},
        "session": {"secret_key": KEY},
        "static": {"root": folder},
        "template": {"folders": [folder]},
        "trusted_hosts": {"hosts": ["localhost"]},
    }
    always = {
        *("access_log", "cache", "conditional", "context", "deadline", "metrics", "rate_limit", "request_id"),
        *("security_headers", "server_timing", "tracing"),
    }

    class Nothing(Middleware):
        """A layer of three hooks that do nothing, so that the cost of the first layer isn't counted."""

        def before_request(self, exchange: Any) -> None:
            pass

        def after_request(self, exchange: Any) -> None:
            pass

        def teardown_request(self, exchange: Any) -> None:
            pass

    candidates: dict[str, Callable[[], object]] = {
        "a layer without work": requester(build_stack(hello, use(Nothing)), HELLO)
    }
    for name, kind in layer_names().items():
        stack = build_stack(hello, use(Nothing), use(getattr(wsgikit, kind), **needed.get(name, {})))
        candidates[f"{name}{' *' if name in always else ''}"] = requester(stack, HELLO)
    medians = compare("a request through one middleware", candidates, "a layer without work", seconds=20)
    base = medians["a layer without work"]
    for name, median in sorted(medians.items(), key=lambda pair: pair[1]):
        print(f"  {name:<44} {median - base:+9.3f} µs")
    logging.disable(logging.NOTSET)


def preset() -> None:
    """Hello through the production preset, beside Falcon without layers and Django with its seven."""
    import django
    import falcon
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path

    class Resource:
        def on_get(self, request: Any, response: Any) -> None:
            response.content_type = "text/plain"
            response.data = HELLO

    falcon_app = falcon.App()
    falcon_app.add_route("/", Resource())
    urls: Any = type(sys)("catalogue_urls")
    urls.urlpatterns = [path("", lambda request: HttpResponse(HELLO, content_type="text/plain"))]
    sys.modules["catalogue_urls"] = urls
    settings.configure(
        ALLOWED_HOSTS=["localhost"],
        SECRET_KEY=KEY,
        ROOT_URLCONF="catalogue_urls",
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.messages"],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
    )
    django.setup()
    router = Router("catalogue")
    router.add_url_rule("/", "hello", lambda: "Hello")
    layers = presets.production(secret_key=KEY, hosts=["localhost"])
    https = {"wsgi.url_scheme": "https"}
    compare(
        '"Hello" through the production preset',
        {
            "a callable by hand": requester(hello, HELLO, **https),
            "wsgikit: the preset around it": requester(build_stack(hello, *layers), HELLO, **https),
            "wsgikit: the preset, a view of ours": requester(build_stack(router, *layers), HELLO, **https),
            "Falcon, no layers": requester(falcon_app, HELLO, **https),
            "Django and its seven": requester(get_wsgi_application(), HELLO, **https),
        },
        reference="Falcon, no layers",
        seconds=6,
    )


BENCHMARKS: dict[str, Callable[[], None]] = {"catalogue": catalogue, "preset": preset}


if __name__ == "__main__":
    words = sys.argv[1:]
    print(f"Python {sys.version.split()[0]}")
    for name, benchmark in BENCHMARKS.items():
        if not words or any(word in name for word in words):
            benchmark()
