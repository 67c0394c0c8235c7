"""Page calls: what is called, with what, and what the page gets."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import Conflict, abort

from wsgikit import (
    Calls,
    ContextMiddleware,
    CsrfMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    Exchange,
    Middleware,
    PageCallsMiddleware,
    PageReply,
    Request,
    SessionMiddleware,
    build_stack,
    db,
    g,
    policy,
    request,
    session,
    use,
)
from wsgikit.exceptions import ApplicationError, ConfigurationError
from wsgikit.testing import TestClient, assert_conforms

SECRET = "bcd4b7f9e6a0d1c2b3e4f5a9f2c1c5e3a8"


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"inside"]


class Site:
    """A stack with page calls, and how a page calls it."""

    def __init__(self, calls, *layers, **options):
        self.stack = build_stack(app, *layers, use(PageCallsMiddleware, functions=calls, **options))
        self.client = TestClient(self.stack)

    def post(self, body, content_type="application/json", query="", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(
            f"/__calls__{query}", body, headers={"Content-Type": content_type, **headers}, status="*"
        )

    def call(self, name, args=None, **headers):
        message = {"call": name} if args is None else {"call": name, "args": args}
        return self.post(json.dumps(message), **headers)


@pytest.fixture
def calls():
    return Calls()


# ---------------------------------------------------------------------- what is called


def test_a_call_returns_the_value_and_no_commands(calls):
    @calls.function("add")
    def add(a: int, b: int = 1) -> int:
        return a + b

    answer = Site(calls).call("add", {"a": 2})
    assert answer.json == {"value": 3, "commands": []}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert Site(calls).call("add", [2, 5]).json["value"] == 7


def test_a_function_is_registered_under_its_own_name_without_another(calls):
    @calls.function
    def one():
        return 1

    @calls.function()
    def two():
        return 2

    assert Site(calls).call("one").json["value"] == 1
    assert Site(calls).call("two").json["value"] == 2
    assert one() == 1


def test_other_paths_reach_the_application(calls):
    site = Site(calls)
    for path in ("/", "/__calls__/", "/__calls__/nothing", "/__calls__x", "/x/__calls__"):
        assert site.client.post(path).body == b"inside"


def test_the_path_is_an_option(calls):
    calls.add("one", lambda: 1)
    site = Site(calls, path="/rpc")
    assert site.client.post_json("/rpc", {"call": "one"}).json["value"] == 1
    assert site.client.get("/rpc/client.js").headers["Location"].startswith("client.")


@pytest.mark.parametrize(
    "name", ["nothing", "__class__", "add.__globals__", "__init__", "constructor", "__proto__", "", "a" * 100_000, "é"]
)
def test_an_unknown_name_is_a_404_without_a_list_of_names(calls, name):
    calls.add("add", lambda: 1)
    answer = Site(calls).call(name)
    assert answer.status_int == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no function of this name.",
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_another_method_is_a_405(calls, method):
    answer = Site(calls).client.request("/__calls__", method=method, status="*")
    assert (answer.status_int, answer.headers["Allow"]) == (405, "POST")


def test_public_methods_of_an_object_are_registered_and_nothing_else(calls):
    class Notes:
        attribute = print

        @property
        def secret(self):
            raise AssertionError("a property isn't read")

        def save(self, text: str) -> str:
            return self._clean(text)

        @staticmethod
        def count() -> int:
            return 7

        @classmethod
        def kind(cls) -> str:
            return cls.__name__

        def _clean(self, text):
            return text.strip()

        class Inner:
            pass

    calls.object(Notes())
    calls.object(Notes(), prefix="notes")
    names = ["count", "kind", "save"]
    assert list(calls.functions) == [*names, *(f"notes.{name}" for name in names)]
    assert Site(calls).call("notes.save", {"text": " x "}).json["value"] == "x"
    assert Site(calls).call("kind").json["value"] == "Notes"


@pytest.mark.parametrize(
    ("register", "text"),
    [
        (lambda calls: [calls.add("a", print) for _ in "ab"], "Calls: name: expected one that isn't taken, got 'a'"),
        (lambda calls: calls.add("__class__", list), "Calls: name: expected a name such as 'save_note'"),
        (lambda calls: calls.add("a b", list), "Calls: name: expected a name"),
        (lambda calls: calls.add(7, list), "Calls: name: expected a name"),
        (lambda calls: calls.add("a", 7), "Calls: function 'a': function: expected a function, got 7"),
        (lambda calls: calls.add("a", coroutine), "Calls: function 'a': function: expected one that isn't asynch"),
        (lambda calls: calls.add("a", positional), "Calls: function 'a': x: expected a parameter with a name"),
        (lambda calls: calls.add("a", unresolved), "Calls: function 'a': x: expected an annotation that can be res"),
        (lambda calls: calls.add("a", uncheckable), "Calls: function 'a': x: expected a type that can be checked"),
        (lambda calls: calls.object(object()), "Calls.object: instance: expected an object with public methods"),
    ],
)
def test_what_can_not_be_called_is_refused_when_it_is_registered(calls, register, text):
    with pytest.raises(ConfigurationError) as error:
        register(calls)
    assert str(error.value).startswith(text)


async def coroutine():
    pass


def positional(x, /):
    pass


def unresolved(x: Nowhere):  # noqa: F821
    pass


def uncheckable(x: TestClient):
    pass


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "functions"),
        ({"functions": {}}, "PageCallsMiddleware: functions: expected a Calls registry, got {}"),
        ({"path": "calls"}, "PageCallsMiddleware: path: expected a path such as '/__calls__', got 'calls'"),
        ({"path": "/"}, "PageCallsMiddleware: path"),
        ({"path": "/a/"}, "PageCallsMiddleware: path"),
        ({"path": "/a?b"}, "PageCallsMiddleware: path"),
        ({"path": "/é"}, "PageCallsMiddleware: path"),
        ({"max_body_bytes": 0}, "PageCallsMiddleware: max_body_bytes: expected a whole number of at least 1"),
        ({"max_upload_bytes": "much"}, "PageCallsMiddleware: max_upload_bytes"),
    ],
    ids=repr,
)
def test_an_option_that_can_not_work_is_refused(options, text):
    if options and "functions" not in options:
        options = {"functions": Calls(), **options}
    with pytest.raises(TypeError) as error:
        PageCallsMiddleware(app, **options)
    assert text in str(error.value)


# ---------------------------------------------------------------------- arguments


@dataclass
class Note:
    text: str
    stars: int = 0


class Colour(Enum):
    red = "r"


def returned(annotation):
    def function(x):
        return repr(x)

    function.__annotations__ = {"x": annotation}
    return function


FITTING = [
    (str, "text", "'text'"),
    (str, "", "''"),
    (int, 7, "7"),
    (int, 7.0, "7"),
    (int, "7", "7"),
    (float, 7, "7.0"),
    (float, "0.5", "0.5"),
    (bool, True, "True"),
    (bool, "on", "True"),
    (int | None, None, "None"),
    (int | None, "", "None"),
    (str | None, "", "''"),
    (list[int], [1, 2], "[1, 2]"),
    (dict, {"__proto__": 1}, "{'__proto__': 1}"),
    (dict[str, int], {"a": 1}, "{'a': 1}"),
    (Note, {"text": "x"}, "Note(text='x', stars=0)"),
    (list[Note], [{"text": "x", "stars": 2}], "[Note(text='x', stars=2)]"),
    (Literal["a", "b"], "b", "'b'"),
    (date, "2030-01-02", "datetime.date(2030, 1, 2)"),
    (UUID, "12345678123456781234567812345678", "UUID('12345678-1234-5678-1234-567812345678')"),
    (Decimal, "1.50", "Decimal('1.50')"),
    (Colour, "r", "<Colour.red: 'r'>"),
    (list[date], ["2030-01-02"], "[datetime.date(2030, 1, 2)]"),
    (int | list[int], [7], "[7]"),
    (list[int | None], [None, 7], "[None, 7]"),
    (object, {"any": [1]}, "{'any': [1]}"),
]
UNFIT = [
    (str, 7),
    (str, None),
    (int, "seven"),
    (int, 7.5),
    (int, True),
    (int, 2**63),
    (int, None),
    (float, "nan"),
    (float, 10**400),
    (bool, 1),
    (list[int], 7),
    (list[int], ["x"]),
    (dict[str, int], {"a": "x"}),
    (Note, {}),
    (Note, {"text": 7}),
    (Note, "text"),
    (Literal["a"], "b"),
    (date, "tomorrow"),
    (UUID, "1"),
    (Colour, "green"),
    (int | None, "x"),
    (Annotated[int, "note"], "x"),
    (list[date], ["x"]),
    (list[date], [[]]),
    (int | list[int], "x"),
    (list[Colour], [{}]),
]


@pytest.fixture(params=[True, False], ids=["pydantic", "without pydantic"])
def checker(request, monkeypatch):
    """Checks of arguments by pydantic, and by our own code if it isn't installed."""
    if not request.param:
        monkeypatch.setattr("wsgikit.http.parameters.pydantic_adapter", lambda hint: None)


@pytest.mark.parametrize(("annotation", "value", "expected"), FITTING, ids=repr)
def test_an_argument_becomes_what_its_annotation_says(calls, checker, annotation, value, expected):
    calls.add("f", returned(annotation))
    assert Site(calls).call("f", {"x": value}).json["value"] == expected


@pytest.mark.parametrize(("annotation", "value"), UNFIT, ids=repr)
def test_an_argument_that_does_not_fit_is_a_422_that_names_it(calls, checker, annotation, value):
    calls.add("f", returned(annotation))
    answer = Site(calls).post(f'{{"call": "f", "args": {{"x": {json.dumps(value)}}}}}')
    assert answer.status_int == 422
    assert answer.json["errors"][0]["loc"][:2] == ["args", "x"]
    assert answer.json["errors"][0]["msg"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
HINTS = [pair[0] for pair in FITTING]


@given(args=JSON, index=st.integers(0, len(HINTS) - 1))
@settings(deadline=None, max_examples=200)
def test_whatever_a_page_sends_is_no_error_of_the_site(args, index):
    calls = Calls()
    calls.add("f", returned(HINTS[index]))
    site = Site(calls)
    assert site.post(json.dumps({"call": "f", "args": {"x": args}})).status_int in (200, 400, 422)
    assert site.post(json.dumps({"call": "f", "args": args})).status_int in (200, 400, 422)
    assert site.post(json.dumps(args)).status_int in (400, 404)


def test_missing_and_unknown_arguments_are_all_named(calls):
    calls.add("f", lambda a, b, c=1: None)
    answer = Site(calls).call("f", {"a": 1, "d": 2, "__class__": 3, "__proto__": 4})
    assert answer.status_int == 422
    assert answer.json["errors"] == [
        {"loc": ["args", "d"], "msg": "is not known here"},
        {"loc": ["args", "__class__"], "msg": "is not known here"},
        {"loc": ["args", "__proto__"], "msg": "is not known here"},
        {"loc": ["args", "b"], "msg": "is missing"},
    ]


def test_more_arguments_in_a_list_than_parameters_are_a_422(calls):
    calls.add("f", lambda a: a)
    assert Site(calls).call("f", [1, 2]).status_int == 422
    calls.add("rest", lambda a, *rest: [a, *rest])
    assert Site(calls).call("rest", [1, 2, 3]).json["value"] == [1, 2, 3]
    calls.add("any", lambda a, **rest: [a, rest])
    assert Site(calls).call("any", {"a": 1, "b": 2}).json["value"] == [1, {"b": 2}]


def test_a_parameter_annotated_as_request_or_exchange_gets_it(calls):
    @calls.function
    def where(now: Request, exchange: Exchange, name: str = "x"):
        return [now.path, exchange.environ["REQUEST_METHOD"], name]

    assert Site(calls).call("where").json["value"] == ["/__calls__", "POST", "x"]
    assert Site(calls).call("where", {"exchange": 1}).status_int == 422


# ---------------------------------------------------------------------- what a page sends


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"no json", 400),
        (b'{"call": "f"', 400),
        (b"[]", 400),
        (b"null", 400),
        (b'{"args": {}}', 400),
        (b'{"call": 7}', 400),
        (b'{"call": ["f"]}', 400),
        (b'{"call": "f", "args": 7}', 400),
        (b'{"call": "f", "args": null}', 400),
        (b'{"call": "f", "args": {"x": NaN}}', 400),
        (b'{"call": "f", "args": {"x": "\\ud800"}}', 400),
        (b'{"call": "f", "args": {"x": "\xff"}}', 400),
        (b'{"call": "f", "args": {"x": "\xed\xa0\x80"}}', 400),
        ('{"call": "f", "args": {"x": "\\udfff"}}'.encode("utf-16-le"), 400),
        (b'{"call": "f", "args": {"\\ud800": 1}}', 400),
        (b'{"call": "f", "args": {"x": ' + b"1" * 5000 + b"}}", 400),
        (b'{"call": "f", "args": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", 400),
        (b'{"call": "f", "args": {"x": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001 + b"}", 400),
        (b'{"call": "f", "args": {"x": "' + b"x" * 1_048_576 + b'"}}', 413),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_body_that_is_no_call_is_a_4xx(calls, body, status):
    calls.add("f", lambda x=None: x)
    answer = Site(calls).post(body)
    assert answer.status_int == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == status


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
def test_another_media_type_is_a_415(calls, content_type):
    calls.add("f", lambda: 1)
    assert Site(calls).post('{"call": "f"}', content_type=content_type).status_int == 415


def test_the_size_limit_is_inclusive_and_holds_without_a_length(calls):
    calls.add("f", lambda x: len(x))
    body = json.dumps({"call": "f", "args": {"x": "x" * 50}})
    assert Site(calls, max_body_bytes=len(body)).post(body).status_int == 200
    assert Site(calls, max_body_bytes=len(body) - 1).post(body).status_int == 413
    site = Site(calls, max_body_bytes=len(body) - 1)
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    answer = site.client.post(
        "/__calls__", body, {"Content-Type": "application/json"}, extra_environ=environ, status="*"
    )
    assert answer.status_int == 413


def test_the_function_can_read_the_body_again(calls):
    @calls.function
    def f(now: Request):
        return now.get_json()

    assert Site(calls).call("f", {}).json["value"] == {"call": "f", "args": {}}


# ---------------------------------------------------------------------- what a function returns


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ([1, {"a": "é"}], [1, {"a": "é"}]),
        (date(2030, 1, 2), "2030-01-02"),
        (Note("x"), {"text": "x", "stars": 0}),
        (Markup("<b>"), "<b>"),
        (Decimal("1.5"), "1.5"),
    ],
    ids=repr,
)
def test_a_value_is_sent_as_json(calls, value, expected):
    calls.add("f", lambda: value)
    assert Site(calls).call("f").json == {"value": expected, "commands": []}


def test_a_reply_has_its_commands_in_order(calls):
    @calls.function
    def f():
        return (
            PageReply(7)
            .alert("hello")
            .html("#a", Markup("<b>x</b>"))
            .html_append("#a", "1")
            .html_prepend("#a", 2)
            .css("#a", "color", "red")
            .attr("#a", "title", "t")
            .attr_append("#a", "title", "u")
            .attr_prepend("#a", "title", "s")
            .remove(".b")
            .call("refresh", [1, "x"])
            .script("1")
            .redirect("/next")
        )

    assert Site(calls).call("f").json == {
        "value": 7,
        "commands": [
            ["alert", "hello"],
            ["html", "#a", "<b>x</b>"],
            ["html_append", "#a", "1"],
            ["html_prepend", "#a", "2"],
            ["css", "#a", "color", "red"],
            ["attr", "#a", "title", "t"],
            ["attr_append", "#a", "title", "u"],
            ["attr_prepend", "#a", "title", "s"],
            ["remove", ".b"],
            ["call", "refresh", [1, "x"]],
            ["script", "1"],
            ["redirect", "/next"],
        ],
    }


@pytest.mark.parametrize("url", ["javascript:alert(1)", " JavaScript:x", "data:text/html,x", "\x01vbscript:x"])
def test_a_redirect_to_a_script_is_refused(url):
    with pytest.raises(ApplicationError, match="PageReply.redirect: url: expected a path, or an http"):
        PageReply().redirect(url)


@pytest.mark.parametrize("url", ["/a:b", "https://example.com", "a?b=c:d", "//example.com"])
def test_a_redirect_to_a_page_is_allowed(url):
    assert PageReply().redirect(url).commands == [["redirect", url]]


@pytest.mark.parametrize("name", ["onclick", "OnLoad"])
@pytest.mark.parametrize("command", ["attr", "attr_append", "attr_prepend"])
def test_an_event_handler_as_an_attribute_is_refused(command, name):
    with pytest.raises(ApplicationError, match="expected no event handler"):
        getattr(PageReply(), command)("#a", name, "x")


def test_an_http_exception_is_a_problem_with_its_headers(calls):
    @calls.function
    def f():
        abort(429, "Slower.", retry_after=7)

    calls.add("g", lambda: abort(Conflict("Taken.")))
    answer = Site(calls).call("f")
    assert (answer.status_int, answer.headers["Retry-After"]) == (429, "7")
    assert answer.json == {"type": "about:blank", "title": "Too Many Requests", "status": 429, "detail": "Slower."}


def test_an_error_of_the_function_is_the_error_pages_to_answer(calls, caplog):
    @calls.function
    def f():
        raise LookupError("secret")

    with pytest.raises(LookupError):
        Site(calls).call("f")
    answer = Site(calls, use(ErrorPagesMiddleware)).call("f", Accept="application/json")
    assert (answer.status_int, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text


# ---------------------------------------------------------------------- events


def test_functions_of_events_see_the_call_and_may_answer(calls):
    seen = []
    calls.add("f", lambda x: x)

    @calls.before_call
    def before(call):
        seen.append(("before", call.name, call.args, call.request.path))
        return PageReply("stopped") if call.args["x"] == 2 else None

    @calls.after_call
    def after(call, reply):
        seen.append(("after", call.name, reply.value))
        reply.alert("done")

    site = Site(calls)
    assert site.call("f", {"x": 1}).json == {"value": 1, "commands": [["alert", "done"]]}
    assert site.call("f", {"x": 2}).json == {"value": "stopped", "commands": []}
    assert seen == [
        ("before", "f", {"x": 1}, "/__calls__"),
        ("after", "f", 1),
        ("before", "f", {"x": 2}, "/__calls__"),
    ]


def test_an_invalid_call_is_seen_and_may_be_answered(calls):
    calls.add("f", lambda x: x)
    seen = []

    @calls.invalid_call
    def invalid(call, problem):
        seen.append((call.name, problem["status"]))
        return PageReply().alert("Please reload.") if call.name == "old" else None

    site = Site(calls)
    assert site.call("old").json == {"value": None, "commands": [["alert", "Please reload."]]}
    assert site.call("gone").status_int == 404
    assert site.call("f", {}).status_int == 422
    assert seen == [("old", 404), ("gone", 404), ("f", 422)]


# ---------------------------------------------------------------------- streams


def events_of(answer):
    assert answer.headers["Content-Type"] == "text/event-stream"
    blocks = [block for block in answer.text.split("\n\n") if block.strip(":")]
    return [(json.loads(b.split("data: ")[1]), "event: end" in b, "event: problem" in b) for b in blocks]


def test_a_generator_streams_what_it_yields_and_ends_with_what_it_returns(calls):
    @calls.function
    def f(n: int):
        for number in range(n):
            yield PageReply().html("#n", str(number))
        yield None
        yield {"item": 1}
        return "end"

    assert events_of(Site(calls).call("f", {"n": 2})) == [
        ({"value": None, "commands": [["html", "#n", "0"]]}, False, False),
        ({"value": None, "commands": [["html", "#n", "1"]]}, False, False),
        ({"value": {"item": 1}, "commands": []}, False, False),
        ({"value": "end", "commands": []}, True, False),
    ]


def test_a_generator_that_fails_before_its_first_item_is_answered_by_a_problem(calls):
    @calls.function
    def f():
        abort(403)
        yield

    assert Site(calls).call("f").status_int == 403
    calls.add("g", lambda: (x for x in ()))
    assert Site(calls).call("g").json == {"value": None, "commands": []}


def test_a_stream_that_fails_ends_with_its_problem(calls):
    @calls.function
    def f():
        yield 1
        abort(409, "Taken.")

    body = iter(Site(calls).stack(environ_of("f"), lambda *_: None))
    chunks = [next(body), next(body), next(body)]
    assert b"event: problem\n" in chunks[2]
    assert b'"status":409' in chunks[2]
    with pytest.raises(Conflict):
        next(body)
    body.close()


def environ_of(name):
    body = json.dumps({"call": name}).encode()
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/__calls__",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
    }


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_client_that_left_ends_the_generator(calls, steps):
    ended = []

    def endless():
        try:
            while True:
                yield 1
        finally:
            ended.append(True)

    kept = endless()  # a reference, so that the garbage collector doesn't close it
    calls.add("f", lambda: kept)
    body = Site(calls).stack(environ_of("f"), lambda *_: None)
    step = iter(body)
    for _ in range(steps):
        next(step)
    body.close()
    assert ended == [True]


def test_what_a_stream_writes_after_its_first_item_is_committed_only_if_it_ends_well(calls, tmp_path):
    from sqlalchemy import text as sql

    @calls.function
    def f(fail: bool):
        yield 1
        db.execute(sql("CREATE TABLE IF NOT EXISTS notes (text)"))
        db.execute(sql("INSERT INTO notes VALUES ('a')"))
        yield 2
        if fail:
            abort(409)

    calls.add("count", lambda: db.execute(sql("SELECT count(*) FROM notes")).scalar())
    site = Site(calls, use(ContextMiddleware), use(DatabaseMiddleware, url=f"sqlite:///{tmp_path}/notes.db"))
    site.call("f", {"fail": False})
    assert site.call("count").json["value"] == 1
    with pytest.raises(Conflict):
        site.call("f", {"fail": True})
    assert site.call("count").json["value"] == 1
    site.stack.close()


# ---------------------------------------------------------------------- calls of other sites


# As CsrfMiddleware judges; see tests/http/test_csrf_decision.py for the whole table.
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "http://localhost:80"}, 200),
        ({"Origin": "http://localhost:81"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Cookie": "a=b"}, 403),
        ({"Authorization": "Basic eDp5"}, 403),
    ],
    ids=repr,
)
def test_a_call_of_another_site_is_refused_without_a_csrf_layer(calls, headers, status):
    called = []
    calls.add("f", lambda: called.append(True))
    answer = Site(calls).client.post(
        "/__calls__", '{"call": "f"}', {"Content-Type": "application/json", "Host": "localhost", **headers}, status="*"
    )
    assert answer.status_int == status
    assert called == [True] * (status == 200)


def test_a_forged_call_can_not_find_out_names(calls):
    calls.add("f", lambda: 1)
    site = Site(calls)
    answers = [site.call(name, Sec_Fetch_Site="cross-site") for name in ("f", "nothing")]
    assert [answer.status_int for answer in answers] == [403, 403]
    assert answers[0].body == answers[1].body


def test_a_session_asks_for_its_token_if_the_browser_says_nothing(calls):
    calls.add("token", lambda: session.get_csrf_token())
    site = Site(calls, ContextMiddleware, use(SessionMiddleware, secret_key=SECRET))
    assert site.call("token").status_int == 403
    token = site.call("token", Sec_Fetch_Site="same-origin").json["value"]
    assert site.call("token", X_CSRF_Token=token).json["value"] == token
    wrong = site.call("token", X_CSRF_Token="x" + token)
    assert (wrong.status_int, "token-wrong" in wrong.json["detail"]) == (403, True)
    assert site.call("token", X_CSRF_Token=token, Sec_Fetch_Site="cross-site").status_int == 403


def test_the_verdict_of_a_csrf_layer_is_obeyed(calls):
    calls.add("f", lambda: 1)

    @calls.function
    @policy(csrf=False)
    def hook():
        return 2

    layers = (
        use(SessionMiddleware, secret_key=SECRET),
        use(CsrfMiddleware, trusted_origins=["https://friend.example"]),
    )
    site = Site(calls, *layers)
    assert site.call("f", Origin="https://friend.example", Sec_Fetch_Site="cross-site").status_int == 200
    assert site.call("f", Origin="https://other.example").status_int == 403
    assert site.call("hook", Origin="https://other.example").json["value"] == 2
    reporting = Site(calls, use(SessionMiddleware, secret_key=SECRET), use(CsrfMiddleware, report_only=True))
    assert reporting.call("f", Origin="https://other.example").status_int == 200


def test_a_verdict_that_another_layer_wrote_is_obeyed(calls):
    calls.add("f", lambda: 1)

    class Verdict:
        allowed = False
        reason = "mine"

    class Judge(Middleware):
        def before_request(self, exchange):
            exchange.environ["wsgikit.csrf"] = Verdict()

    answer = Site(calls, Judge).call("f", Sec_Fetch_Site="same-origin")
    assert (answer.status_int, "(mine)" in answer.json["detail"]) == (403, True)


# ---------------------------------------------------------------------- among other layers


def test_a_call_sees_the_locals_and_is_one_transaction(calls, tmp_path):
    from sqlalchemy import text as sql

    class Names(Middleware):
        def before_request(self, exchange):
            g.name = "Ann"

    @calls.function
    def save(text: str, fail: bool = False):
        db.execute(sql("CREATE TABLE IF NOT EXISTS notes (text)"))
        db.execute(sql("INSERT INTO notes VALUES (:text)"), {"text": text})
        session["count"] = session.get("count", 0) + 1
        if fail:
            abort(409)
        return [g.name, session["count"], request.path, [row[0] for row in db.execute(sql("SELECT text FROM notes"))]]

    site = Site(
        calls,
        ContextMiddleware,
        use(SessionMiddleware, secret_key=SECRET),
        use(DatabaseMiddleware, url=f"sqlite:///{tmp_path}/notes.db"),
        Names,
    )
    first = site.call("save", {"text": "a"}, Sec_Fetch_Site="same-origin").json["value"]
    assert site.call("save", {"text": "b", "fail": True}, Sec_Fetch_Site="same-origin").status_int == 409
    second = site.call("save", {"text": "c"}, Sec_Fetch_Site="same-origin").json["value"]
    assert first == ["Ann", 1, "/__calls__", ["a"]]
    assert second[3] == ["a", "c"], "the call that failed was rolled back"
    site.stack.close()


def test_layers_further_out_see_a_call_as_a_view_with_its_policy(calls):
    seen = []

    class Login(Middleware):
        request_policy = ("login",)

        def before_view(self, exchange):
            seen.append((exchange.route.endpoint, exchange.route.rule, dict(exchange.policy)))
            if exchange.policy.get("login"):
                return exchange.reply(401, "Log in.")
            return None

    called = []

    @calls.function
    @policy(login=True)
    def private():
        called.append(True)

    calls.add("public", lambda: 1)
    site = Site(calls, Login)
    assert site.call("private").status_int == 401
    assert site.call("public").status_int == 200
    assert called == []
    assert seen == [("private", "/__calls__", {"login": True}), ("public", "/__calls__", {})]


def test_a_policy_that_no_layer_obeys_is_an_error(calls):
    called = []
    calls.add("private", policy(login=True)(lambda: called.append(True)))
    with pytest.raises(ApplicationError, match="function 'private': policy: login: expected a layer that obeys it"):
        Site(calls).call("private")
    assert called == []


def test_page_calls_inside_out_are_refused_while_building(calls):
    with pytest.raises(ConfigurationError, match="PageCallsMiddleware"):
        build_stack(app, use(PageCallsMiddleware, functions=calls), use(CsrfMiddleware, tokens="never"))


# ---------------------------------------------------------------------- uploads


@pytest.fixture
def uploads(calls):
    @calls.function
    def keep(title: str, photo: FileStorage, more: list[FileStorage] | None = None) -> list:
        return [title, photo.filename, photo.read().decode(), [file.filename for file in more or ()]]

    calls.add("any", lambda file: [one.filename for one in (file if isinstance(file, list) else [file])])
    return calls


def upload(site, name, args, *files, query=None, **headers):
    return site.client.post(
        f"/__calls__?call={name}" if query is None else f"/__calls__{query}",
        {"args": args if isinstance(args, str) else json.dumps(args)},
        upload_files=list(files),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        status="*",
    )


def test_an_upload_gets_its_arguments_and_files(uploads):
    site = Site(uploads)
    answer = upload(site, "keep", {"title": "x"}, ("photo", "é.txt", b"abc"), ("more", "1", b"1"), ("more", "2", b"2"))
    assert answer.json["value"] == ["x", "é.txt", "abc", ["1", "2"]]
    assert upload(site, "keep", {"title": "x"}, ("photo", "a", b"")).json["value"] == ["x", "a", "", []]
    assert upload(site, "any", {}, ("file", "1", b"1"), ("file", "2", b"2")).json["value"] == ["1", "2"]


@pytest.mark.parametrize(
    ("args", "files", "loc"),
    [
        ({"title": "x"}, [], ["args", "photo"]),
        ({"title": "x", "photo": "text"}, [], ["args", "photo"]),
        ({"title": "x"}, [("photo", "1", b""), ("photo", "2", b"")], ["args", "photo"]),
        ({}, [("title", "1", b""), ("photo", "1", b"")], ["args", "title"]),
        ({"title": "x"}, [("photo", "1", b""), ("nothing", "1", b"")], ["args", "nothing"]),
    ],
    ids=repr,
)
def test_files_that_do_not_fit_are_a_422(uploads, args, files, loc):
    answer = upload(Site(uploads), "keep", args, *(files or [("x", "", b"")]))
    assert answer.status_int == 422
    locs = [tuple(error["loc"]) for error in answer.json["errors"]]
    assert tuple(loc) in locs
    assert len(locs) == len(set(locs))


@pytest.mark.parametrize("query", ["", "?call", "?call=keep&call=any", "?" + "&" * 200, "?x=1"])
def test_an_upload_without_one_name_in_the_query_is_a_400(uploads, query):
    assert upload(Site(uploads), "", {}, ("photo", "a", b"x"), query=query).status_int == 400


@pytest.mark.parametrize("args", ["no json", "7", "[1]", '{"title": "\\ud800"}'])
def test_arguments_of_an_upload_that_are_no_object_are_a_400(uploads, args):
    assert upload(Site(uploads), "keep", args, ("photo", "a", b"x")).status_int == 400


def test_an_upload_that_is_too_large_is_a_413_and_one_of_another_site_is_not_read(uploads):
    site = Site(uploads, max_upload_bytes="1KiB")
    assert upload(site, "keep", {"title": "x"}, ("photo", "a", b"x" * 2000)).status_int == 413
    assert (
        upload(site, "keep", {"title": "x"}, ("photo", "a", b"x" * 2000), Sec_Fetch_Site="cross-site").status_int == 403
    )
    broken = site.client.post("/__calls__?call=keep", b"x", {"Content-Type": "multipart/form-data"}, status="*")
    assert 400 <= broken.status_int < 500


# ---------------------------------------------------------------------- the modules


def test_the_client_is_served_under_a_hashed_name_for_good(calls):
    client = Site(calls).client
    moved = client.get("/__calls__/client.js")
    assert (moved.status_int, moved.headers["Cache-Control"]) == (307, "no-cache")
    name = moved.headers["Location"]
    answer = client.get(f"/__calls__/{name}")
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "export async function call(" in answer.text
    assert client.head(f"/__calls__/{name}").body == b""
    assert client.post(f"/__calls__/{name}", status="*").status_int == 405
    sijax = client.get("/__calls__/" + client.get("/__calls__/sijax.js").headers["Location"])
    assert f'"./{name}"' in sijax.text


def test_the_application_finds_the_address_of_the_client_in_environ(calls):
    seen = []

    def inner(environ, start_response):
        seen.append(environ["wsgikit.page_calls"])
        return app(environ, start_response)

    client = TestClient(PageCallsMiddleware(inner, functions=calls), extra_environ={"SCRIPT_NAME": "/shop"})
    client.get("/")
    assert seen[0].startswith("/shop/__calls__/client.")


def test_the_client_module_is_small_and_needs_nothing_else():
    from importlib.resources import files

    text = files("wsgikit.middleware.page_calls").joinpath("client.js").read_text()
    assert len(text.splitlines()) <= 200
    assert "eval(" not in text
    assert "new Function" not in text
    assert "import " not in text.replace("import.meta", "")
    assert "script(textContent)" in text
    types = files("wsgikit.middleware.page_calls").joinpath("client.d.ts").read_text()
    import re

    exported = set(re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", text, re.MULTILINE))
    assert exported == set(re.findall(r"^export (?:declare )?(?:function|class|const) (\w+)", types, re.MULTILINE))


def test_the_layer_conforms(calls):
    assert_conforms(lambda app: PageCallsMiddleware(app, functions=calls))
