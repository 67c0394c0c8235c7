"""Text becomes a typed option by the constructor's own annotations; a typed option becomes text that may be shown.

`describe_options` and `check_keywords` read a signature, `parse_options` turns the texts of an ini section into
what the signature wants, and `mask` shows a value without its secrets. The parts are loaded when they are used:
putting an onion together in Python needs none of the text.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgikit.options.dotted import load_dotted as load_dotted
    from wsgikit.options.keywords import check_keywords as check_keywords
    from wsgikit.options.masking import is_secret as is_secret
    from wsgikit.options.masking import mask as mask
    from wsgikit.options.parsing import parse_options as parse_options
    from wsgikit.options.signature import REQUIRED as REQUIRED
    from wsgikit.options.signature import Option as Option
    from wsgikit.options.signature import describe_options as describe_options

__all__ = [
    "REQUIRED",
    "Option",
    "check_keywords",
    "describe_options",
    "is_secret",
    "load_dotted",
    "mask",
    "parse_options",
]

_HOMES = {
    "REQUIRED": "signature",
    "Option": "signature",
    "check_keywords": "keywords",
    "describe_options": "signature",
    "is_secret": "masking",
    "load_dotted": "dotted",
    "mask": "masking",
    "parse_options": "parsing",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'wsgikit.options' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"wsgikit.options.{home}"), name)
    return value
