"""Router: rules to views, methods, errors, and what can't be registered."""

from __future__ import annotations

import pytest
from werkzeug.exceptions import HTTPException

from wsgikit.context.middleware import ContextMiddleware
from wsgikit.exceptions import ApplicationError, ConfigurationError
from wsgikit.http.request import Request
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import build_stack, use
from wsgikit.routing.middleware import RouterMiddleware
from wsgikit.routing.router import Router


def legacy(environ, start_response):
    body = f"legacy {environ['SCRIPT_NAME']}|{environ['PATH_INFO']}|".encode() + environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def router_of_posts():
    router = Router("blog")

    @router.route("/")
    def index():
        return "Posts"

    @router.get("/post/<int:post_id>")
    def show(post_id):
        return f"Post {post_id}"

    @router.post("/post/")
    def create():
        return "Made", 201

    return router


AS = {
    "by itself": lambda router: router,
    "in a stack": lambda router: build_stack(router, use(ContextMiddleware)),
    "as a layer": lambda router: RouterMiddleware(Router("nothing"), router=router),
    "as a layer of a stack": lambda router: build_stack(
        Router("nothing"), use(ContextMiddleware), use(RouterMiddleware, router=router)
    ),
}


@pytest.fixture(params=AS.values(), ids=AS.keys())
def serve(request, client):
    return lambda router: client(request.param(router))


def test_a_rule_leads_to_its_view(serve):
    app = serve(router_of_posts())
    assert app.get("/").text == "Posts"
    assert app.get("/post/7").text == "Post 7"
    assert app.post("/post/").status == "201 Created"


def test_a_path_without_a_rule_is_a_404(serve):
    assert serve(router_of_posts()).get_any("/nowhere").status_int == 404
    assert serve(router_of_posts()).get_any("/post/x").status_int == 404


def test_a_method_without_a_rule_is_a_405_that_names_the_others(serve):
    response = serve(router_of_posts()).post_any("/post/7")
    assert response.status_int == 405
    assert sorted(response.headers["Allow"].split(", ")) == ["GET", "HEAD", "OPTIONS"]


def test_head_is_answered_as_get_without_the_body(serve):
    app = serve(router_of_posts())
    head, get = app.head("/post/7"), app.get("/post/7")
    assert head.body == b""
    assert head.headers == get.headers


def test_options_is_answered_with_the_methods_of_the_path(serve):
    response = serve(router_of_posts()).options("/post/")
    assert response.status_int == 200
    assert response.headers["Allow"] == "OPTIONS, POST"


def test_a_view_that_takes_options_answers_it_itself(serve):
    router = Router("x")

    @router.route("/", methods=["GET", "OPTIONS"])
    def index():
        return "mine"

    assert serve(router).options("/").text == "mine"


def test_a_missing_slash_is_a_308_that_keeps_the_query(serve):
    response = serve(router_of_posts()).post_any("/post?a=1")
    assert response.status_int == 308
    assert response.headers["Location"].endswith("/post/?a=1")


def test_an_undecodable_path_is_a_400_from_a_router_by_itself(client):
    app = client(router_of_posts())
    assert app.get_any("/%FF").status_int == 400


def test_routing_args_are_in_environ(client):
    router = Router("x")

    @router.get("/<name>/<int:number>")
    def show(exchange: Exchange, name, number):
        return repr(exchange.environ["wsgiorg.routing_args"])

    assert client(router).get("/ann/3").text == "((), {'name': 'ann', 'number': 3})"


@pytest.mark.parametrize("annotation", [Request, "Request", "onion.request.Request"], ids=str)
def test_a_view_gets_the_request_it_asks_for_by_annotation(client, annotation):
    router = Router("x")

    def show(number, req):
        return f"{number} {req.method} {req.args['q']}"

    show.__annotations__ = {"number": int, "req": annotation}
    router.add_url_rule("/<int:number>", view_func=show)
    assert client(router).get("/3?q=a").text == "3 GET a"


def test_a_view_gets_a_request_of_the_class_that_the_router_was_given(client):
    from werkzeug.wrappers import Request as WerkzeugRequest

    router = Router("x", request_class=WerkzeugRequest)

    @router.get("/")
    def show(request: WerkzeugRequest):
        return type(request).__module__

    assert client(router).get("/").text == "werkzeug.wrappers.request"


def test_the_local_is_of_the_class_that_the_router_was_given(client):
    from werkzeug.wrappers import Request as WerkzeugRequest

    from wsgikit.context.locals import request

    router = Router("x", request_class=WerkzeugRequest, max_content_length=3)

    @router.post("/")
    def show():
        return f"{request.form} {request.path}"

    app = client(build_stack(router, use(ContextMiddleware)))
    assert app.post("/", {"a": "1"}).text == "ImmutableMultiDict([('a', '1')]) /"
    assert app.post("/", {"a": "1234"}, status=413).status_int == 413


def test_a_hook_gets_what_it_asks_for_by_annotation(client):
    router = Router("x")

    @router.before_request
    def stop(exchange: Exchange):
        return exchange.environ["PATH_INFO"]

    router.add_url_rule("/a", "a", lambda: "view")
    assert client(router).get("/a").text == "/a"


# ---------------------------------------------------------------------- errors


def test_an_error_handler_answers_its_code(serve):
    router = router_of_posts()

    @router.errorhandler(405)
    def not_allowed(error):
        return f"only {', '.join(sorted(error.valid_methods))}", error.code

    response = serve(router).post_any("/post/7")
    assert (response.status_int, response.text) == (405, "only GET, HEAD, OPTIONS")


def test_an_error_handler_answers_the_nearest_class(serve):
    router = Router("x")

    @router.get("/")
    def fail():
        raise KeyError("k")

    router.register_error_handler(Exception, lambda error: ("exception", 500))
    router.register_error_handler(LookupError, lambda error: ("lookup", 400))
    response = serve(router).get_any("/")
    assert (response.status_int, response.text) == (400, "lookup")


def test_the_handler_of_500_gets_the_original_exception(serve, caplog):
    router = Router("x")

    @router.get("/")
    def fail():
        raise ValueError("the cause")

    @router.errorhandler(500)
    def page(error):
        return f"{error.code} {error.original_exception}", 500

    assert serve(router).get_any("/").text == "500 the cause"
    assert "the cause" in caplog.text


def test_an_exception_that_nothing_handles_leaves_the_router(serve):
    router = Router("x")

    @router.get("/")
    def fail():
        raise ValueError("the cause")

    with pytest.raises(ValueError, match="the cause"):
        serve(router).get("/")


def test_errors_are_raised_past_the_handler_of_500_where_the_test_asks_for_it(client):
    router = Router("x")

    @router.get("/")
    def fail():
        raise ValueError("the cause")

    router.register_error_handler(500, lambda error: "page")
    with pytest.raises(ValueError, match="the cause"):
        client(router).get("/", extra_environ={"x-wsgiorg.throw_errors": "1"})


@pytest.mark.parametrize("kind", ["werkzeug", "webob", "own"])
def test_http_exceptions_of_every_make_are_responses(serve, kind):
    import webob.exc
    import werkzeug.exceptions

    from wsgikit.exceptions import BadRequest

    error = {
        "werkzeug": werkzeug.exceptions.BadRequest("why"),
        "webob": webob.exc.HTTPBadRequest("why"),
        "own": BadRequest("why"),
    }[kind]
    router = Router("x")

    @router.get("/")
    def fail():
        raise error

    assert serve(router).get_any("/").status_int == 400


@pytest.mark.parametrize("kind", ["werkzeug", "webob", "own"])
def test_the_handler_of_a_code_takes_http_exceptions_of_every_make(serve, kind):
    import webob.exc
    import werkzeug.exceptions

    from wsgikit.exceptions import BadRequest

    error = {
        "werkzeug": werkzeug.exceptions.BadRequest,
        "webob": webob.exc.HTTPBadRequest,
        "own": BadRequest,
    }[kind]
    router = Router("x")
    router.register_error_handler(400, lambda error: ("handled", 400))

    @router.get("/")
    def fail():
        raise error("why")

    assert serve(router).get_any("/").text == "handled"


def test_an_http_exception_goes_to_the_layer_that_makes_pages(client):
    class Pages(Middleware):
        answers_errors = True

        def handle_exception(self, exchange, error):
            assert isinstance(error, HTTPException)
            return exchange.reply(error.code, "a page")

    response = client(build_stack(router_of_posts(), use(Pages))).get_any("/nowhere")
    assert (response.status_int, response.text) == (404, "a page")


def test_before_request_hooks_run_for_a_path_without_a_rule_as_in_flask(client):
    router = router_of_posts()
    seen = []
    router.before_request(lambda: seen.append("before"))
    client(router).get_any("/nowhere")
    assert seen == ["before"]


# ---------------------------------------------------------------------- what can't be registered


def view():
    return ""


BAD = {
    "a second view for an endpoint": (
        lambda r: (r.add_url_rule("/a", "a", view), r.add_url_rule("/b", "a", lambda: "")),
        "endpoint 'a'.*expected one view.*Give one of them another endpoint=",
    ),
    "an endpoint with a dot": (lambda r: r.add_url_rule("/a", "a.b", view), "expected a name without dots"),
    "a rule without endpoint and view": (lambda r: r.add_url_rule("/a"), "expected a name, or a view that has one"),
    "methods as text": (lambda r: r.add_url_rule("/a", "a", view, methods="GET"), "expected a list of methods"),
    "methods of a shortcut": (lambda r: r.get("/a", methods=["GET"]), r"Use route\(\) for several methods"),
    "a view that isn't one": (lambda r: r.add_url_rule("/a", "a", "view"), "expected a function, got 'view'"),
    "an unknown option": (
        lambda r: r.add_url_rule("/a", "a", view, method=["GET"]),
        "unknown option 'method'. Write methods=",
    ),
    "a websocket rule": (lambda r: r.add_url_rule("/a", "a", view, websocket=True), "websocket"),
    "an error handler for no error": (lambda r: r.errorhandler(200)(view), "expected an error's, 400 to 599, got 200"),
    "an error handler for text": (
        lambda r: r.errorhandler("404")(view),
        "expected a status code or an exception class",
    ),
    "an include of itself": (lambda r: r.include(r), "expected one that this one isn't in"),
    "an include of another application": (lambda r: r.include(legacy), r"Use mount\(\) for other applications"),
    "two includes of one name": (
        lambda r: (r.include(Router("a")), r.include(Router("a"))),
        "expected one that is free, got 'a'. Pass another name=",
    ),
    "a prefix without slash": (lambda r: r.include(Router("a"), "blog"), "expected a path that begins with /"),
    "a mount without slash": (lambda r: r.mount("blog", legacy), "expected a path that begins with /"),
    "a mount with a variable": (lambda r: r.mount("/<a>", legacy), "Use a compiled regular expression"),
    "two mounts of one prefix": (
        lambda r: (r.mount("/a", legacy), r.mount("/a/", legacy)),
        "expected one that is free, got '/a'",
    ),
    "a mount of text": (lambda r: r.mount("/a", "app"), "expected a WSGI application, got 'app'"),
    "a filter without parentheses": (lambda r: r.template_filter(view), "Write the parentheses"),
    "a hook that isn't a function": (lambda r: r.before_request("x"), "expected a function, got 'x'"),
}


@pytest.mark.parametrize(("register", "text"), BAD.values(), ids=BAD.keys())
def test_what_cannot_work_is_refused_when_it_is_registered(register, text):
    with pytest.raises(ConfigurationError, match=text):
        register(Router("x"))


@pytest.mark.parametrize("name", ["a.b", "."], ids=str)
def test_a_name_with_dots_is_refused(name):
    with pytest.raises(ConfigurationError, match="expected a name without dots"):
        Router(name=name)


def test_a_router_cannot_be_changed_after_its_first_request(client):
    router = router_of_posts()
    inner = Router("inner")
    router.include(inner, "/inner")
    client(router).get("/")
    for changed in (router, inner):
        with pytest.raises(ConfigurationError, match="change after the first request"):
            changed.get("/late")(view)


def test_a_router_can_be_changed_after_its_stack_was_built(client):
    router = Router("x")
    app = client(build_stack(legacy, use(RouterMiddleware, router=router)))
    router.get("/late")(view)
    assert app.get("/late").text == ""


def test_the_middleware_wants_a_router():
    with pytest.raises(ConfigurationError, match=r"router: expected a wsgikit.Router, got <function legacy"):
        RouterMiddleware(legacy, router=legacy)


# ---------------------------------------------------------------------- falling through


def test_what_no_rule_takes_falls_through_untouched(client):
    router = Router("new")
    router.get("/new")(view)
    app = client(RouterMiddleware(legacy, router=router), SCRIPT_NAME="/base")
    response = app.post("/old//x%2F/", params=b"the body", content_type="text/plain")
    assert response.text == "legacy /base|/old//x//|the body"


def test_a_method_that_no_rule_takes_is_a_405_unless_it_is_passed_on(client):
    router = Router("new")
    router.get("/new")(lambda: "new")
    assert client(RouterMiddleware(legacy, router=router)).post_any("/new").status_int == 405
    passing = client(RouterMiddleware(legacy, router=router, pass_method_not_allowed=True))
    assert passing.post("/new").text == "legacy |/new|"
    assert passing.get("/new").text == "new"


def test_an_undecodable_path_falls_through(client):
    app = client(RouterMiddleware(legacy, router=router_of_posts()))
    assert app.get("/%FF").status_int == 200


def test_hooks_do_not_run_for_what_falls_through(client):
    router = router_of_posts()
    router.before_request(lambda: "stopped")
    app = client(RouterMiddleware(legacy, router=router))
    assert app.get("/other").text == "legacy |/other|"
    assert app.get("/").text == "stopped"


def test_a_request_context_matches_without_running_a_view():
    router = Router("x")
    ran = []
    router.add_url_rule("/post/<int:post_id>", "show", lambda post_id: ran.append(post_id))
    stack = build_stack(legacy, use(ContextMiddleware), use(RouterMiddleware, router=router))
    with stack.request_context("/post/3") as exchange:
        assert exchange.request.endpoint == "show"
        assert exchange.request.view_args == {"post_id": 3}
        assert exchange.request.url_rule.rule == "/post/<int:post_id>"
    assert ran == []


# ---------------------------------------------------------------------- views as coroutines


def test_a_coroutine_view_runs_on_a_loop_that_stays_with_its_thread(client):
    import asyncio

    router = Router("x")
    loops = []

    @router.get("/<int:number>")
    async def show(number):
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())
        return f"n {number}"

    @router.before_request
    async def before():
        await asyncio.sleep(0)

    app = client(router)
    assert app.get("/1").text == "n 1"
    assert app.get("/2").text == "n 2"
    assert loops[0] is loops[1]


def test_a_coroutine_view_sees_the_locals(client):
    from wsgikit.context.locals import g, request

    router = Router("x")

    @router.before_request
    def before():
        g.user = "ann"

    @router.get("/")
    async def show():
        return f"{g.user} {request.path}"

    assert client(build_stack(router, use(ContextMiddleware))).get("/").text == "ann /"


def test_a_router_that_is_served_by_itself_has_the_locals(client):
    from wsgikit.context.locals import g, request
    from wsgikit.views import after_this_request, url_for

    router = Router("x")

    @router.before_request
    def before():
        g.user = "ann"

    @router.get("/<int:number>")
    def show(number):
        @after_this_request
        def mark(response):
            response.headers["X-User"] = g.user
            return response

        def body():
            yield f"{g.user} {request.path} "
            yield url_for("show", number=number + 1)

        return body()

    response = client(router).get("/3")
    assert (response.text, response.headers["X-User"]) == ("ann /3 /4", "ann")


def test_a_loop_is_closed_with_its_thread():
    import gc
    import threading

    from wsgikit.routing.invoke import run_coroutine

    loops = []

    async def work():
        import asyncio

        loops.append(asyncio.get_running_loop())

    thread = threading.Thread(target=lambda: run_coroutine(work()))
    thread.start()
    thread.join()
    gc.collect()
    assert loops[0].is_closed()


def test_outside_a_request_an_external_url_needs_a_server_name():
    with pytest.raises(ApplicationError, match="host: expected the request's host"):
        router_of_posts().url_for("index", _external=True)
