"""pypiserver, a package index written with Bottle, in five layers."""

from __future__ import annotations

import pypiserver
from onion import data, wrap

packages = data / "packages"
packages.mkdir(parents=True, exist_ok=True)
application = wrap(pypiserver.app(roots=[packages], disable_fallback=True))
