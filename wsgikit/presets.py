"""Ready lists of layers: `production` secures an application, `delivery` serves its files and compresses its pages.

::

    stack = build_stack(app, *presets.production(secret_key=SECRET, hosts=["example.com"]))

A preset is a plain list of ``use(…)``: ``wsgikit show --python app:stack`` prints it.
"""

from __future__ import annotations

__all__ = ["delivery", "is_layer", "layer_class", "merge", "production"]

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import wsgikit
from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean
from wsgikit.middleware.security_headers import NONCE
from wsgikit.onion.order import ORDER, ini_name
from wsgikit.onion.stack import Layer, use
from wsgikit.options.flags import check_flags
from wsgikit.options.secrets import Secret

if TYPE_CHECKING:
    from wsgikit.routing.router import Router

# Each layer that can be part of a preset: its ini name, its class, and its place in the usual order.
_CLASSES = {ini_name(kind): kind for kind in ORDER}
_PLACES = {kind: place for place, kind in enumerate(ORDER)}


def production(
    *,
    secret_key: Secret,
    hosts: str | Iterable[str],
    trusted_proxies: str | Iterable[str] = (),
    database_url: str | None = None,
    router: Router | None = None,
    access_log: bool = False,
    rate_limit: str | None = None,
    overrides: Mapping[str, Mapping[str, Any] | None] = {},  # it is only read
) -> list[Layer]:
    """Return the layers that a public site needs, outermost first: for any application, which stays as it is.

    Health, proxy headers, context, error pages, security headers, trusted hosts, https, cookie policy, body limit,
    session and csrf; the database and the router if they are given. The session's cookie is ``__Host-wsgikit``, so
    that one of the application inside stays. ``upgrade-insecure-requests`` is only sent over https.

    Args:
        secret_key: the secret that signs the session's cookie, or several: the first signs, all verify.
        hosts: the hosts that the site answers to, as for `TrustedHostsMiddleware`.
        trusted_proxies: addresses and networks of the proxies in front (``"10.0.0.0/8"``), ``"unix"`` for a
            Unix socket.
        database_url: the URL of a database; None leaves `DatabaseMiddleware` out.
        router: a `Router` in front of the application; None leaves `RouterMiddleware` out.
        access_log: whether each request gets an id and a line in the log.
        rate_limit: how many requests an address may make, such as ``"100/minute"``; None sets no limit.
        overrides: options by the ini name of the layer: ``{"security_headers": {"csp": None}}`` changes that layer,
            ``{"csrf": None}`` removes it, ``{"cors": {"origins": [...]}}`` adds one at its usual place. The keywords of
            `use` (``only``, ``unless``) can be among the options. In an ini file these are keys of the section:
            ``security_headers.csp = none``, ``csrf = off``, ``cors.origins = https://app.example``.

    Raises:
        ConfigurationError: an unknown layer in `overrides`, or an option that is none. What the layers themselves
            refuse is raised by `build_stack`.

    An old application has inline scripts, which the default policy blocks. Begin with
    ``overrides={"security_headers": {"csp": None, "csp_report_only": {}}}``.

    Example::

        layers = presets.production(secret_key=SECRET, hosts=["example.com"], trusted_proxies=["127.0.0.1"])
        stack = build_stack(app, *layers)
    """
    where = "presets.production"
    check_flags(where, access_log=access_log)
    chosen: dict[str, dict[str, Any]] = {
        "health": {},
        "proxy_headers": {"trusted_proxies": trusted_proxies},
        "context": {},
        "error_pages": {},
        # NONCE disappears from the header of a page that doesn't use it.
        "security_headers": {"csp": {"script-src": ["'self'", NONCE]}, "csp_upgrade": "https"},
        "trusted_hosts": {"hosts": hosts},
        "https": {},
        "cookie_policy": {},
        "body_limit": {},
        "session": {"secret_key": secret_key, "cookie_name": "__Host-wsgikit", "cookie_secure": True},
        "csrf": {},
    }
    if database_url is not None:
        chosen["database"] = {"url": database_url}
    if router is not None:
        chosen["router"] = {"router": router}
    if access_log:
        chosen |= {"request_id": {}, "access_log": {}}
    if rate_limit is not None:
        chosen["rate_limit"] = {"limits": rate_limit}
    return _layers(where, chosen, overrides)


def delivery(
    *,
    root: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    package: str | Sequence[str] = (),
    prefix: str = "/static/",
    cache: bool = False,
    overrides: Mapping[str, Mapping[str, Any] | None] = {},  # it is only read
) -> list[Layer]:
    """Return the layers that deliver: static files if there are some, compression, conditional requests and ranges.

    Args:
        root: the folder of static files, or several, as for `StaticMiddleware`.
        package: a package with static files, or several.
        prefix: the path of the files.
        cache: whether responses that allow it are kept and sent again, by `CacheMiddleware`.
        overrides: options by the ini name of the layer, as for `production`.

    Raises:
        ConfigurationError: an unknown layer in `overrides`, or an option that is none.

    `merge` puts these layers and those of `production` into one list.

    Example::

        stack = build_stack(app, *presets.delivery(root="static"))
    """
    where = "presets.delivery"
    check_flags(where, cache=cache)
    chosen: dict[str, dict[str, Any]] = {"compression": {}, "conditional": {}}
    if root or package:
        given = {"root": root, "package": package}
        chosen["static"] = {"prefix": prefix, **{name: value for name, value in given.items() if value}}
    if cache:
        chosen["cache"] = {}
    return _layers(where, chosen, overrides)


def merge(*presets: Iterable[Layer]) -> list[Layer]:
    """Return the layers of several presets as one list, each layer of ours at its usual place.

    Another layer stays right inside the layer before it.

    Example::

        secure = presets.production(secret_key=SECRET, hosts=["example.com"])
        stack = build_stack(app, *presets.merge(secure, presets.delivery(root="static")))
    """
    placed: list[tuple[int, Layer]] = []
    for preset in presets:
        place = -1
        for layer in preset:
            place = _PLACES.get(getattr(layer.factory, "__name__", ""), place)
            placed.append((place, layer))
    return [layer for _, layer in sorted(placed, key=lambda pair: pair[0])]


def _layers(
    where: str, chosen: dict[str, dict[str, Any]], overrides: Mapping[str, Mapping[str, Any] | None]
) -> list[Layer]:
    """Return the chosen layers with their options changed, in the usual order."""
    if not isinstance(overrides, Mapping):
        expected = "a mapping from names of layers to their options"
        raise ConfigurationError(complaint(where, "overrides", expected, type(overrides).__name__))
    for name, options in overrides.items():
        layer_class(name, where, "overrides")
        if options is None:
            chosen.pop(name, None)
        elif isinstance(options, Mapping):
            chosen[name] = {**chosen.get(name, {}), **options}
        else:
            expected = "a mapping of options, or None, which removes the layer"
            raise ConfigurationError(complaint(where, f"overrides: {name}", expected, type(options).__name__))
    names = sorted(chosen, key=lambda name: _PLACES[_CLASSES[name]])
    return [use(layer_class(name), **chosen[name]) for name in names]


def is_layer(name: str) -> bool:
    """Return whether a layer of this ini name can be in a preset."""
    return _CLASSES.get(name) in wsgikit.__all__


def layer_class(name: str, where: str = "presets", what: str = "layer") -> Any:
    """Return the class of the layer with this ini name.

    Raises:
        ConfigurationError: there is no such layer. The text has the name that was probably meant.
    """
    if not is_layer(name):
        remedy = did_you_mean(name, filter(is_layer, _CLASSES))
        raise ConfigurationError(complaint(where, what, "the name of a layer", name, remedy))
    return getattr(wsgikit, _CLASSES[name])
