"""The layer under the conformance suite, and under texts that nobody would write."""

from __future__ import annotations

import logging

import html5lib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsgikit import ErrorPagesMiddleware, build_stack, use
from wsgikit.testing import assert_conforms


@pytest.fixture(autouse=True)
def quiet():
    """Keep hundreds of expected tracebacks out of the output."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    "options",
    [{"debug": True, "show_locals": True}, {"pages": {"5xx": lambda page: "mine"}, "replace_empty": False}],
    ids=["developer", "own page"],
)
def test_the_layer_conforms(options):
    assert_conforms(lambda app: ErrorPagesMiddleware(app, **options))


TEXT = st.text(max_size=60) | st.sampled_from(
    ["<script>", "]]>", "</textarea>", "</style>", "{{ js }}", "\x00", "&#0;"]
)


# `ask` holds nothing from one call to the next.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=TEXT, note=TEXT, path=TEXT, local=TEXT, header=st.text("abc<>\"'&;=, \t", max_size=30))
@pytest.mark.parametrize("options", [{}, {"debug": True, "show_locals": True}], ids=["visitor", "developer"])
def test_whatever_the_texts_are_the_page_stays_a_page(ask, options, message, note, path, local, header):
    def app(environ, start_response):
        mine = local
        error = ValueError(message)
        error.add_note(note)
        raise error from KeyError(mine)

    stack = build_stack(app, use(ErrorPagesMiddleware, **options))
    path = "/" + path.encode("utf-8", "ignore").decode().replace("?", "")
    extra = {"HTTP_USER_AGENT": header, "HTTP_ACCEPT_LANGUAGE": header, "HTTP_COOKIE": header}
    html = ask(stack, path=path, accept="text/html", **extra).text
    root = html5lib.parse(html, namespaceHTMLElements=False)
    scripts = [element for element in root.iter("script") if not element.get("nonce")]
    assert not scripts
    assert len(list(root.iter("h1"))) == 1
    assert root.find("body/main") is not None
    assert ask(stack, path=path, accept="application/json", **extra).json["status"] == 500
    assert ask(stack, path=path, accept="*/*", **extra).text.startswith("500 Internal Server Error\n")
