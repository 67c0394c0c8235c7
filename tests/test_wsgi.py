"""The words of PEP 3333."""

from __future__ import annotations

import io
from wsgiref.util import FileWrapper

import pytest

from wsgikit import wsgi
from wsgikit.wsgi import is_at_rest


class Wrapper(FileWrapper):
    """As servers derive theirs."""


class Chunks(list):
    """A list with its own `__iter__`, perhaps."""


BODIES = [
    ([b"a"], FileWrapper, True),
    ((b"a",), FileWrapper, True),
    ([], None, True),
    (FileWrapper(io.BytesIO()), FileWrapper, True),
    (Wrapper(io.BytesIO()), FileWrapper, True),
    (FileWrapper(io.BytesIO()), Wrapper, False),
    (FileWrapper(io.BytesIO()), None, False),
    (io.BytesIO(), lambda file, size=0: file, False),
    (iter([b"a"]), FileWrapper, False),
    (Chunks([b"a"]), FileWrapper, False),
    ({b"a"}, FileWrapper, False),
    (b"bytes", FileWrapper, False),
    (None, FileWrapper, False),
]


@pytest.mark.parametrize(("body", "wrapper", "expected"), BODIES, ids=lambda value: type(value).__name__)
def test_a_body_is_at_rest_where_sending_it_runs_no_code_of_the_applications(body, wrapper, expected):
    environ = {} if wrapper is None else {"wsgi.file_wrapper": wrapper}
    assert is_at_rest(body, environ) is expected


def test_environ_keys_are_those_of_the_contract():
    assert (wsgi.EXCHANGE, wsgi.SESSION, wsgi.DB) == ("wsgikit.exchange", "wsgikit.session", "wsgikit.db")
    assert (wsgi.REQUEST_ID, wsgi.STACK, wsgi.DB_COMMIT) == (
        "wsgikit.request_id",
        "wsgikit.stack",
        "wsgikit.db.commit",
    )
    assert (wsgi.ROUTING_ARGS, wsgi.THROW_ERRORS) == ("wsgiorg.routing_args", "x-wsgiorg.throw_errors")


def test_no_two_keys_are_the_same():
    keys = [value for name, value in vars(wsgi).items() if name.isupper() and isinstance(value, str)]
    assert len(keys) == len(set(keys))
