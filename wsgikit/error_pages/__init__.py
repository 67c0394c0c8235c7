"""An answer for every error: pages for visitors, a traceback for developers."""
