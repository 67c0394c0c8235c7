"""The same shop when it has moved: our key in environ, our methods, no `save()`."""

from __future__ import annotations

from urllib.parse import parse_qs


def app(environ, start_response):
    session = environ["wsgikit.session"]
    path = environ["PATH_INFO"]
    query = parse_qs(environ.get("QUERY_STRING", ""))

    if path == "/login":
        session.rotate()  # a new id, and the cart comes along
        session["user"] = query["name"][0]
    elif path == "/add":
        session.setdefault("cart", []).append(query["item"][0])
    elif path == "/logout":
        session.destroy()

    user = session.get("user", "stranger")
    cart = ", ".join(session.get("cart", [])) or "nothing"
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{user} has {cart}".encode()]


def make_app(global_config, **settings):
    """Be the app factory that the ini files name."""
    return app
