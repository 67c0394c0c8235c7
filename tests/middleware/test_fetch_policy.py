"""`FetchPolicyMiddleware`: the resource isolation policy of W3C Fetch Metadata."""

from __future__ import annotations

import pytest

from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.fetch_policy import FetchPolicyMiddleware, is_isolated
from wsgikit.testing import assert_conforms


# The rows follow web.dev "Protect your resources from web attacks with Fetch Metadata" and the W3C draft §5.
@pytest.mark.parametrize(
    ("method", "site", "mode", "destination", "refused"),
    [
        ("GET", "", "", "", False),
        ("POST", "", "", "", False),
        ("GET", "same-origin", "cors", "empty", False),
        ("POST", "same-site", "cors", "empty", False),
        ("GET", "none", "navigate", "document", False),
        ("GET", "cross-site", "navigate", "document", False),
        ("HEAD", "cross-site", "navigate", "document", False),
        ("POST", "cross-site", "navigate", "document", True),
        ("GET", "cross-site", "navigate", "object", True),
        ("GET", "cross-site", "navigate", "embed", True),
        ("GET", "cross-site", "navigate", "iframe", True),
        ("GET", "cross-site", "nested-navigate", "iframe", True),
        ("GET", "cross-site", "no-cors", "image", True),
        ("GET", "cross-site", "no-cors", "script", True),
        ("GET", "cross-site", "cors", "empty", True),
        ("POST", "cross-site", "cors", "empty", True),
        ("OPTIONS", "cross-site", "cors", "empty", False),
        ("GET", "cross-site", "websocket", "websocket", True),
        ("GET", "cross-site", "", "", False),
        ("POST", "cross-site", "", "", True),
        ("GET", "CROSS-SITE", "no-cors", "image", True),
        ("GET", "cross-site, same-origin", "cors", "empty", True),
        ("GET", "none, cross-site", "cors", "empty", True),
    ],
)
def test_the_policy_refuses_what_other_sites_embed_or_send(method, site, mode, destination, refused):
    assert is_isolated(method, site, mode, destination) is refused


def test_links_of_other_sites_can_be_refused_as_well():
    assert is_isolated("GET", "cross-site", "navigate", "document", allow_navigation=False)
    assert not is_isolated("GET", "none", "navigate", "document", allow_navigation=False)


HEADERS = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "cors", "HTTP_SEC_FETCH_DEST": "empty"}


def test_a_refused_request_is_a_403_and_does_not_reach_the_application(ask):
    answer = ask(FetchPolicyMiddleware, **HEADERS)
    assert answer.code == 403
    assert answer.seen is None
    assert "Sec-Fetch-Site" in answer["Vary"]


@pytest.mark.parametrize("allow", ["/fonts/*", ["/fonts/*"], [lambda environ: environ["PATH_INFO"] == "/fonts/a"]])
def test_a_path_in_allow_is_never_refused(ask, allow):
    def make(app):
        return FetchPolicyMiddleware(app, allow=allow)

    assert ask(make, path="/fonts/a", **HEADERS).code == 200
    assert ask(make, path="/", **HEADERS).code == 403
    assert ask(make, path="/fonts/../admin", **HEADERS).code == 403


def test_other_requests_pass_untouched(ask):
    answer = ask(FetchPolicyMiddleware, method="POST")
    assert (answer.code, answer.body, list(answer.headers)) == (200, b"Hello", [("Content-Type", "text/plain")])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"allow_navigation": "yes"}, "allow_navigation: expected True or False"),
        ({"allow": ["/a*b"]}, "allow: expected a path such as '/api/*'"),
        ({"allow": [3]}, "allow: expected a path such as '/api/*'"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match="^FetchPolicyMiddleware: ") as caught:
        FetchPolicyMiddleware(print, **options)
    assert text in str(caught.value)


def test_the_layer_conforms():
    assert_conforms(FetchPolicyMiddleware)
