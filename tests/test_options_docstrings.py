"""A docstring, taken apart."""

from __future__ import annotations

from wsgikit.options.docstrings import Docstring, parse_docstring


class Layer:
    """Do ``this``
    and that.

    Use it where it is useful.

    Args:
        app: the application.
        cookie_name, cookie_path: of the cookie: both are
            text.

        size: in bytes.

    Raises:
        ValueError: it can't.

    Security: it is safe.

    Example::

        def app():
            return 1

        Layer(app)
    """


def test_a_docstring_has_paragraphs_arguments_errors_and_an_example():
    assert parse_docstring(Layer) == Docstring(
        paragraphs=("Do `this` and that.", "Use it where it is useful.", "Security: it is safe."),
        arguments={
            "app": "the application.",
            "cookie_name": "of the cookie: both are text.",
            "cookie_path": "of the cookie: both are text.",
            "size": "in bytes.",
        },
        errors={"ValueError": "it can't."},
        example="def app():\n    return 1\n\nLayer(app)",
    )


def test_what_has_no_docstring_says_nothing():
    def nothing(): ...

    assert parse_docstring(nothing) == Docstring((), {}, {}, "")
