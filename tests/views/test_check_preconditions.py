"""Preconditions that a view judges before it changes anything."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from wsgikit import ContextMiddleware, Router, build_stack, check_preconditions, use
from wsgikit.exceptions import OutsideRequestError
from wsgikit.testing import TestClient

DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
STATE = {"etag": "v1", "last_modified": 1_700_000_000}
CASES = {
    "no condition": ("PUT", STATE, {}, 200),
    "match": ("PUT", STATE, {"If-Match": '"v1"'}, 200),
    "match another": ("PUT", STATE, {"If-Match": '"v0"'}, 412),
    "match weak": ("DELETE", STATE, {"If-Match": 'W/"v1"'}, 412),
    "unmodified": ("PUT", STATE, {"If-Unmodified-Since": DATE}, 200),
    "modified": ("PUT", STATE, {"If-Unmodified-Since": "Tue, 14 Nov 2023 22:13:19 GMT"}, 412),
    "create only": ("PUT", STATE, {"If-None-Match": "*"}, 412),
    "create what is new": ("PUT", {}, {"If-None-Match": "*"}, 200),
    "change what is new": ("PUT", {}, {"If-Match": "*"}, 412),
    "read again": ("GET", STATE, {"If-None-Match": 'W/"v1"'}, 304),
    "read again by date": ("GET", STATE, {"If-Modified-Since": DATE}, 304),
    "read a newer one": ("GET", STATE, {"If-None-Match": '"v0"'}, 200),
    "quoted": ("PUT", {"etag": '"v1"'}, {"If-Match": '"v1"'}, 200),
    "datetime": ("PUT", {"last_modified": datetime(2023, 11, 14, 22, 13, 20)}, {"If-Unmodified-Since": DATE}, 200),
    "datetime with zone": (
        *("PUT", {"last_modified": datetime(2023, 11, 15, tzinfo=UTC)}),
        *({"If-Unmodified-Since": DATE}, 412),
    ),
}


@pytest.mark.parametrize(("method", "state", "headers", "status"), CASES.values(), ids=CASES.keys())
def test_a_view_goes_on_or_ends(method, state, headers, status):
    router = Router("site")
    changed = []

    @router.route("/", methods=["GET", "PUT", "DELETE"])
    def view():
        check_preconditions(**state)
        changed.append(1)
        return "done"

    client = TestClient(build_stack(router, use(ContextMiddleware)))
    response = client.request("/", method=method, headers=headers, expect_errors=True)
    assert response.status_int == status
    assert changed == ([1] if status == 200 else [])
    if status == 304:
        assert response.headers["ETag"] == '"v1"'
        assert response.headers["Last-Modified"] == DATE


def test_without_a_request_there_is_nothing_to_judge():
    with pytest.raises(OutsideRequestError):
        check_preconditions(etag="v1")
