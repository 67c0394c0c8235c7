"""A shop's cart, written for Beaker years ago. It stays as it is while the session under it changes."""

from __future__ import annotations

from urllib.parse import parse_qs


def app(environ, start_response):
    session = environ["beaker.session"]
    path = environ["PATH_INFO"]
    query = parse_qs(environ.get("QUERY_STRING", ""))

    if path == "/login":
        session.invalidate()
        session["user"] = query["name"][0]
        session.save()
    elif path == "/add":
        session.setdefault("cart", []).append(query["item"][0])
        session.save()
    elif path == "/logout":
        session.delete()

    user = session.get("user", "stranger")
    cart = ", ".join(session.get("cart", [])) or "nothing"
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{user} has {cart}".encode()]


def make_app(global_config, **settings):
    """Be the app factory that the ini files name."""
    return app
