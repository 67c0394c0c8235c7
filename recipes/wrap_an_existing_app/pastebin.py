"""bepasty, a pastebin written with Flask, in five layers. BEPASTY_CONFIG names its configuration, as ever."""

from __future__ import annotations

from bepasty.app import create_app
from onion import wrap

application = wrap(create_app())
