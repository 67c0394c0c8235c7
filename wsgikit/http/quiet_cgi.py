"""Loads the standard library's `cgi`, which webob imports, without the warning that it will be removed.

The warning is webob's matter: with ``filterwarnings = error`` it would make the first use of `request` fail.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        import cgi  # noqa: F401  # loaded now, so that webob finds it
    except ImportError:  # Python 3.13; webob needs legacy-cgi there, and says so
        pass
