"""What tests of routing share: a client that lints, and environs."""

from __future__ import annotations

import pytest
from webtest import TestApp


@pytest.fixture
def client():
    """A function that makes a linting client of an application; errors of status don't raise."""

    def make(app, **extra):
        test_app = TestApp(app, lint=True, extra_environ={str(k): v for k, v in extra.items()})

        def request(method, path, **options):
            return test_app.request(path, method=method, expect_errors=True, **options)

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"):
            setattr(test_app, method.lower() + "_any", lambda path, m=method, **o: request(m, path, **o))
        return test_app

    return make
