"""The modules that pages load: `client.js`, and `sijax.js` for pages that move."""

from __future__ import annotations

__all__ = ["load_assets"]

from hashlib import sha256
from importlib.resources import files

from wsgikit.onion.reply import reply
from wsgikit.wsgi import WSGIApplication


def load_assets(path: str) -> tuple[dict[str, str | WSGIApplication], str]:
    """Return what is served below a path, and the hashed name of the client module.

    The modules have a hash in their names and are kept by browsers; their plain names lead there.
    """
    folder = files("wsgikit.middleware.page_calls")
    assets: dict[str, str | WSGIApplication] = {}
    client = ""
    for name in ("client", "sijax"):
        content = folder.joinpath(f"{name}.js").read_bytes()
        if client:
            content = content.replace(b"./client.js", b"./" + client.encode())
        hashed = f"{name}.{sha256(content).hexdigest()[:12]}.js"
        headers = [("Cache-Control", "public, max-age=31536000, immutable"), ("X-Content-Type-Options", "nosniff")]
        assets[f"{path}/{hashed}"] = reply(200, content, "text/javascript; charset=utf-8", headers)
        assets[f"{path}/{name}.js"] = hashed
        client = client or hashed
    return assets, client
