"""The old blog: a WSGI application without a framework. Nobody wants to touch it."""

ARCHIVE = {"/archive": "All posts of 2009", "/archive/snow": "It snows."}


def application(environ, start_response):
    text = ARCHIVE.get(environ["PATH_INFO"])
    if text is None:
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"No such page in the old blog\n"]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode()]
