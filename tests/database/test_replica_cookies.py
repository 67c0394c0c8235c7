"""The cookie that says who has just written: whose it is, and over what it is sent."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.onion.stack import build_stack, use


@pytest.fixture
def options(tmp_path):
    return {"replica_url": f"sqlite:///{tmp_path}/replica.db", "secret_key": "k0123456789abcde"}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_cookie_is_secure_where_the_request_is(wrap, sqlite, call, insert, ok, options, scheme):
    def app(environ, start_response):
        insert(environ, "a")
        return ok(start_response)

    answer = call(wrap(app, url=sqlite.url, **options), method="POST", **{"wsgi.url_scheme": scheme})
    assert ("; Secure" in dict(answer.headers)["Set-Cookie"]) is (scheme == "https")


def test_a_cookie_is_good_for_the_database_that_was_written_to(layers, sqlite, call, insert, ok, options):
    """D15: each has a cookie by its own name, and that of one under the name of the other isn't believed."""
    read_elsewhere = []

    def app(environ, start_response):
        if environ["REQUEST_METHOD"] == "POST":
            insert(environ, "a")
        else:
            exchange = environ["wsgikit.exchange"]
            read_elsewhere.extend(
                layer.name for layer in stack.layers if layer.work_of(exchange).source is layer.replica
            )
        return ok(start_response)

    stack = build_stack(
        app,
        use(DatabaseMiddleware, url=sqlite.url, **options),
        use(DatabaseMiddleware, url=sqlite.url, name="reports", **options),
    )
    layers.append(stack)
    written = call(stack, method="POST")
    (pair,) = [value.partition(";")[0] for name, value in written.headers if name == "Set-Cookie"]
    value = pair.removeprefix("wsgikit_wrote=")
    call(stack, HTTP_COOKIE=pair)
    assert read_elsewhere == ["reports"]
    read_elsewhere.clear()
    call(stack, HTTP_COOKIE=f"wsgikit_wrote_reports={value}")
    assert read_elsewhere == ["default", "reports"]


def test_the_cookie_bears_the_name_of_its_database(wrap, sqlite, call, ok, options):
    """D15: two that were written to at once would overwrite each other's."""

    def app(environ, start_response):
        environ["wsgikit.db.reports"].execute(sa.text("INSERT INTO notes (text) VALUES ('a')"))
        return ok(start_response)

    answer = call(wrap(app, url=sqlite.url, name="reports", **options), method="POST")
    assert dict(answer.headers)["Set-Cookie"].startswith("wsgikit_wrote_reports=")


@pytest.mark.parametrize(
    ("method", "is_elsewhere"),
    [*((method, True) for method in ("GET", "HEAD", "OPTIONS", "QUERY", "TRACE")), ("POST", False), ("query", False)],
)
def test_methods_that_only_read_are_served_by_the_replica(wrap, sqlite, call, ok, options, method, is_elsewhere):
    """RFC 9110 §9.2.1; QUERY is safe, too (RFC 10008). Methods are case-sensitive."""
    seen = []

    def app(environ, start_response):
        seen.append(layer.work_of(environ["wsgikit.exchange"]).source is layer.replica)
        return ok(start_response)

    layer = wrap(app, url=sqlite.url, **options)
    call(layer, method=method)
    assert seen == [is_elsewhere]


def test_a_cookie_inside_the_value_of_another_is_not_read(wrap, sqlite, call, insert, ok, options):
    """RFC 6265 §5.4: cookies are separated by ';' alone."""
    seen = []

    def app(environ, start_response):
        if environ["REQUEST_METHOD"] == "POST":
            insert(environ, "a")
        seen.append(layer.work_of(environ["wsgikit.exchange"]).source is layer.replica)
        return ok(start_response)

    layer = wrap(app, url=sqlite.url, **options)
    pair = dict(call(layer, method="POST").headers)["Set-Cookie"].partition(";")[0]
    for header in (f"theme=dark; {pair}", f"wsgikit_wrote=forged; {pair}", f"theme=a,{pair}"):
        call(layer, HTTP_COOKIE=header)
    assert seen == [False, False, False, True]
