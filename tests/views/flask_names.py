"""Flask's public names against ours: the table of docs/reference/flask-names.md is made of this.

    python tests/views/flask_names.py > docs/reference/flask-names.md

Each name has where its equivalent lives (checked: it is imported), or a note why it needs none, or LATER.
"""

from __future__ import annotations

import types

LATER = "later"
R, REQ, RES = "wsgikit.Router", "wsgikit.Request", "wsgikit.Response"
STACK, SESSION_LAYER = "wsgikit.Stack", "wsgikit.SessionMiddleware"
SAME = ""

# name: (where, note)
MODULE = {
    "Flask": (R, "A `Router` is one part of what `Flask` is: routes. A `Stack` with layers is the rest."),
    "Blueprint": (R, 'A `Router` that is included in another one: `router.include(blog, "/blog")`.'),
    "Config": (None, "Options are arguments of layers, or an ini file (docs/howto/ini.md); there is no dict of them."),
    "Request": (REQ, "webob's, with Flask's names; see below."),
    "Response": (RES, "webob's, with Flask's names; see below."),
    "abort": ("wsgikit.abort", SAME),
    "after_this_request": ("wsgikit.after_this_request", SAME),
    "copy_current_request_context": ("wsgikit.copy_current_context", "An independent snapshot; any number of threads."),
    "current_app": ("wsgikit.current_app", "The `Stack`."),
    "flash": ("wsgikit.flash", "Kept in the session where Flask keeps it, so both sides of a shared cookie see it."),
    "g": ("wsgikit.g", SAME),
    "get_flashed_messages": ("wsgikit.get_flashed_messages", SAME),
    "get_template_attribute": ("wsgikit.get_template_attribute", SAME),
    "has_app_context": ("wsgikit.has_app_context", SAME),
    "has_request_context": ("wsgikit.has_request_context", SAME),
    "json": ("wsgikit.views.JsonProvider", "`Router(json=JsonProvider(…))` sets how JSON is written."),
    "jsonify": ("wsgikit.jsonify", SAME),
    "make_response": ("wsgikit.make_response", SAME),
    "redirect": ("wsgikit.redirect", "Stays on the site unless `external=True` or `allowed_hosts=`."),
    "render_template": ("wsgikit.render_template", SAME),
    "render_template_string": ("wsgikit.render_template_string", SAME),
    "request": ("wsgikit.request", SAME),
    "send_file": ("wsgikit.send_file", SAME),
    "send_from_directory": ("wsgikit.send_from_directory", "A link that leads out of the folder is a 404, too."),
    "session": ("wsgikit.session", SAME),
    "stream_template": ("wsgikit.stream_template", SAME),
    "stream_template_string": ("wsgikit.stream_template_string", SAME),
    "stream_with_context": (None, "Not needed: every stream runs with the request's context alive."),
    "url_for": ("wsgikit.url_for", "Also into routers that are mounted, and out of them."),
    "appcontext_popped": (
        "wsgikit.signals.appcontext_popped",
        "Needs blinker, see docs/howto/signals.md. The sender is the router.",
    ),
    "appcontext_pushed": ("wsgikit.signals.appcontext_pushed", "As above."),
    "appcontext_tearing_down": ("wsgikit.signals.appcontext_tearing_down", "As above."),
    "before_render_template": ("wsgikit.signals.before_render_template", "As above."),
    "got_request_exception": ("wsgikit.signals.got_request_exception", "As above."),
    "message_flashed": ("wsgikit.signals.message_flashed", "As above."),
    "request_finished": ("wsgikit.signals.request_finished", "As above."),
    "request_started": ("wsgikit.signals.request_started", "As above."),
    "request_tearing_down": ("wsgikit.signals.request_tearing_down", "As above."),
    "template_rendered": ("wsgikit.signals.template_rendered", "As above."),
}
OUR_STACK = "Of the stack, not of the router."
INSIDE = "Inside of Flask: subclasses override it. Here a layer or a hook does that."
APP = {
    "add_template_filter": (f"{R}.add_template_filter", SAME),
    "add_template_global": (f"{R}.add_template_global", SAME),
    "add_template_test": (f"{R}.add_template_test", SAME),
    "add_url_rule": (f"{R}.add_url_rule", SAME),
    "after_request": (f"{R}.after_request", SAME),
    "after_request_funcs": (f"{R}.hooks", SAME),
    "app_context": (f"{STACK}.app_context", OUR_STACK),
    "app_ctx_globals_class": (None, "`g` is a namespace; put what you like on it in `before_request`."),
    "async_to_sync": ("wsgikit.routing.invoke.run_coroutine", "Coroutines run on a loop that stays with the thread."),
    "auto_find_instance_path": (None, "There is no instance folder: options come from arguments or an ini file."),
    "before_request": (f"{R}.before_request", SAME),
    "before_request_funcs": (f"{R}.hooks", SAME),
    "blueprints": (f"{R}.iter_included", SAME),
    "cli": (LATER, "`wsgikit serve`, `routes`, `shell` are there; commands of an application's own come later."),
    "config": (None, "See `Config`."),
    "config_class": (None, "See `Config`."),
    "context_processor": (f"{R}.context_processor", SAME),
    "create_global_jinja_loader": ("wsgikit.Templates", INSIDE),
    "create_jinja_environment": ("wsgikit.Templates", "`Router(template_options={…})`, or a `TemplateMiddleware`."),
    "create_url_adapter": (f"{R}.map", "The map matches and builds without an adapter."),
    "debug": (None, "Of the layers: `ErrorPagesMiddleware(debug=True)`, `wsgikit serve`."),
    "default_config": (None, "See the configuration keys below."),
    "delete": (f"{R}.delete", SAME),
    "dispatch_request": (f"{R}.find", INSIDE),
    "do_teardown_appcontext": (None, INSIDE),
    "do_teardown_request": (None, INSIDE),
    "endpoint": (f"{R}.endpoint", SAME),
    "ensure_sync": ("wsgikit.routing.invoke.as_sync", SAME),
    "error_handler_spec": (f"{R}.hooks", SAME),
    "errorhandler": (f"{R}.errorhandler", "A handler of a code takes webob's exceptions, too."),
    "extensions": (f"{R}.extensions", SAME),
    "finalize_request": (None, INSIDE),
    "full_dispatch_request": (None, INSIDE),
    "get": (f"{R}.get", SAME),
    "get_send_file_max_age": (
        "wsgikit.send_file",
        "`max_age=` takes a function of the path; `Router(static_max_age_seconds=)`.",
    ),
    "handle_exception": ("wsgikit.Middleware.handle_exception", "A hook of every layer."),
    "handle_http_exception": (f"{R}.errorhandler", INSIDE),
    "handle_url_build_error": (f"{R}.url_build_error_handlers", SAME),
    "handle_user_exception": (f"{R}.errorhandler", INSIDE),
    "has_static_folder": (f"{R}.static_folder", SAME),
    "import_name": (f"{R}.import_name", SAME),
    "inject_url_defaults": (f"{R}.url_defaults_of", SAME),
    "instance_path": (None, "See `auto_find_instance_path`."),
    "iter_blueprints": (f"{R}.iter_included", SAME),
    "jinja_env": ("wsgikit.Templates.environment", SAME),
    "jinja_environment": ("wsgikit.Templates", SAME),
    "jinja_loader": (f"{R}.template_folders", SAME),
    "jinja_options": (f"{R}.template_options", SAME),
    "json": (f"{R}.json", SAME),
    "json_provider_class": ("wsgikit.views.JsonProvider", "Pass an instance: `Router(json=…)`."),
    "log_exception": (
        None,
        "`ErrorPagesMiddleware` logs what nothing handled; the router what its handler of 500 took.",
    ),
    "logger": (None, "Use `logging.getLogger(__name__)`."),
    "make_aborter": (None, "`abort` takes any code, exception or response; raise your own exception class."),
    "aborter": (None, "As above."),
    "aborter_class": (None, "As above."),
    "make_config": (None, "See `Config`."),
    "make_default_options_response": (f"{R}.options_response", SAME),
    "make_response": (f"{R}.make_response", SAME),
    "make_shell_context": (None, "`wsgikit shell` enters the application."),
    "name": (f"{R}.name", SAME),
    "open_instance_resource": (None, "See `auto_find_instance_path`."),
    "open_resource": (f"{R}.open_resource", SAME),
    "patch": (f"{R}.patch", SAME),
    "permanent_session_lifetime": (SESSION_LAYER, "`absolute_timeout_seconds`, `idle_timeout_seconds`."),
    "post": (f"{R}.post", SAME),
    "preprocess_request": (None, INSIDE),
    "process_response": (None, INSIDE),
    "put": (f"{R}.put", SAME),
    "raise_routing_exception": (None, INSIDE),
    "redirect": ("wsgikit.redirect", SAME),
    "register_blueprint": (f"{R}.include", "Names, prefixes and hosts; nested; also filled after it was included."),
    "register_error_handler": (f"{R}.register_error_handler", SAME),
    "request_class": (R, "`Router(request_class=…)`, Werkzeug's for example."),
    "request_context": (f"{STACK}.request_context", OUR_STACK),
    "response_class": (None, "A view may return any response: webob's, Werkzeug's, your own, any WSGI application."),
    "root_path": (f"{R}.root_path", SAME),
    "route": (f"{R}.route", SAME),
    "run": ("wsgikit.cli.serve", "`wsgikit serve module:app`."),
    "secret_key": (SESSION_LAYER, "`secret_key=`."),
    "select_jinja_autoescape": (
        "wsgikit.Templates",
        "`autoescape=`; all are escaped but those whose names end as text does.",
    ),
    "send_static_file": ("wsgikit.send_from_directory", "The `static` endpoint serves the folder by itself."),
    "session_interface": ("wsgikit.sessions.stores", "`SessionMiddleware(store=…)` takes a `SessionStore`."),
    "shell_context_processor": (None, "See `make_shell_context`."),
    "shell_context_processors": (None, "See `make_shell_context`."),
    "should_ignore_error": (None, INSIDE),
    "static_folder": (f"{R}.static_folder", "A missing folder is a 404 until it exists."),
    "static_url_path": (f"{R}.static_url_path", SAME),
    "subdomain_matching": (R, "On with `server_name=`."),
    "teardown_appcontext": (f"{R}.teardown_request", "Request and application context end together."),
    "teardown_appcontext_funcs": (f"{R}.hooks", SAME),
    "teardown_request": (f"{R}.teardown_request", SAME),
    "teardown_request_funcs": (f"{R}.hooks", SAME),
    "template_context_processors": (f"{R}.hooks", SAME),
    "template_filter": (f"{R}.template_filter", SAME),
    "template_folder": (f"{R}.template_folder", SAME),
    "template_global": (f"{R}.template_global", SAME),
    "template_test": (f"{R}.template_test", SAME),
    "test_cli_runner": (None, "click's own `CliRunner`."),
    "test_cli_runner_class": (None, "As above."),
    "test_client": ("wsgikit.testing.TestClient", "`TestClient(app)`."),
    "test_client_class": ("wsgikit.testing.TestClient", SAME),
    "test_request_context": (f"{STACK}.request_context", OUR_STACK),
    "testing": (None, "Errors reach a test that sets `x-wsgiorg.throw_errors`, as `TestClient` can."),
    "trap_http_exception": (None, "See `TRAP_HTTP_EXCEPTIONS`."),
    "update_template_context": ("wsgikit.Templates.context", SAME),
    "url_build_error_handlers": (f"{R}.url_build_error_handlers", SAME),
    "url_default_functions": (f"{R}.hooks", SAME),
    "url_defaults": (f"{R}.url_defaults", SAME),
    "url_for": (f"{R}.url_for", "Outside a request too: a path, or with `server_name=` a whole URL."),
    "url_map": (f"{R}.map", SAME),
    "url_map_class": (None, "The map is our own, faster one, with Werkzeug's rules."),
    "url_rule_class": (None, "As above."),
    "url_value_preprocessor": (f"{R}.url_value_preprocessor", SAME),
    "url_value_preprocessors": (f"{R}.hooks", SAME),
    "view_functions": (f"{R}.view_functions", SAME),
    "wsgi_app": (R, "A router is the WSGI application; layers go around it with `build_stack`."),
}
BLUEPRINT = {
    "add_app_template_filter": (f"{R}.add_template_filter", "A filter is for all templates."),
    "add_app_template_global": (f"{R}.add_template_global", "As above."),
    "add_app_template_test": (f"{R}.add_template_test", "As above."),
    "after_app_request": (f"{R}.after_app_request", SAME),
    "app_context_processor": (f"{R}.app_context_processor", SAME),
    "app_errorhandler": (f"{R}.app_errorhandler", SAME),
    "app_template_filter": (f"{R}.template_filter", "As above."),
    "app_template_global": (f"{R}.template_global", "As above."),
    "app_template_test": (f"{R}.template_test", "As above."),
    "app_url_defaults": (f"{R}.app_url_defaults", SAME),
    "app_url_value_preprocessor": (f"{R}.app_url_value_preprocessor", SAME),
    "before_app_request": (f"{R}.before_app_request", SAME),
    "make_setup_state": (None, INSIDE),
    "record": (None, "A router is filled directly; nothing is put off."),
    "record_once": (None, "As above."),
    "register": (f"{R}.include", SAME),
    "teardown_app_request": (f"{R}.teardown_app_request", SAME),
}
LIKE_WEBOB = "webob's name for it."
# Only what differs: every other public name of Flask's Request is on ours.
REQUEST = {
    "accept_charsets": (f"{REQ}.accept_charset", LIKE_WEBOB),
    "accept_encodings": (f"{REQ}.accept_encoding", LIKE_WEBOB),
    "accept_languages": (f"{REQ}.accept_language", LIKE_WEBOB),
    "access_control_request_headers": (f"{REQ}.headers", '`headers["Access-Control-Request-Headers"]`.'),
    "access_control_request_method": (f"{REQ}.headers", "As above."),
    "application": (None, "An old decorator; a view returns a response."),
    "authorization": (f"{REQ}.authorization", "webob's pair of scheme and parameters."),
    "close": (None, "Uploaded files are closed when the request ends."),
    "content_encoding": (f"{REQ}.headers", '`headers["Content-Encoding"]`.'),
    "content_md5": (f"{REQ}.headers", "Obsolete (RFC 9110)."),
    "dict_storage_class": (
        None,
        "`cookies` is a mapping with `getlist`; the others are Werkzeug's `ImmutableMultiDict`.",
    ),
    "form_data_parser_class": (None, "Forms are parsed by Werkzeug's `FormDataParser`."),
    "from_values": (f"{REQ}.blank", LIKE_WEBOB),
    "input_stream": (f"{REQ}.body_file_raw", LIKE_WEBOB),
    "is_multiprocess": (f"{REQ}.environ", '`environ["wsgi.multiprocess"]`.'),
    "is_multithread": (f"{REQ}.environ", "As above."),
    "is_run_once": (f"{REQ}.environ", "As above."),
    "json_module": (None, "`json` reads with the standard library."),
    "list_storage_class": (None, "See `dict_storage_class`."),
    "make_form_data_parser": (None, "See `form_data_parser_class`."),
    "on_json_loading_failed": (None, "A 400; use `errorhandler(400)`."),
    "origin": (f"{REQ}.headers", '`headers.get("Origin")`.'),
    "parameter_storage_class": (None, "See `dict_storage_class`."),
    "host_url": (f"{REQ}.host_url", "webob's: without a slash at its end."),
    "url": (f"{REQ}.url", "webob's: percent-encoded, as in a header; Flask's is for readers."),
    "base_url": (f"{REQ}.base_url", "As `url`."),
    "path": (f"{REQ}.path", "webob's: with the prefix that the application is under. Flask's is `path_info`."),
    "query_string": (f"{REQ}.query_string", "Text; Flask's is bytes."),
    "root_path": (f"{REQ}.script_root", SAME),
    "root_url": (f"{REQ}.url_root", SAME),
    "routing_exception": (None, "`before_request` runs for a 404 as in Flask; `endpoint` is None there."),
    "server": (f"{REQ}.server_name", "And `server_port`."),
    "trusted_hosts": (REQ, "The same name, on a class or one request; upper and lower case are the same."),
    "user_agent": (f"{REQ}.user_agent", "Text, with Flask's `string`; None if there is none."),
    "user_agent_class": (None, "See `user_agent`."),
    "want_form_data_parsed": (None, INSIDE),
}
RESPONSE = {
    "add_etag": (f"{RES}.md5_etag", LIKE_WEBOB),
    "autocorrect_location_header": (None, "`Location` is sent as it is."),
    "automatically_set_content_length": (f"{RES}.content_length", "webob sets it with the body."),
    "calculate_content_length": (f"{RES}.content_length", SAME),
    "call_on_close": ("wsgikit.Exchange.on_teardown", SAME),
    "close": (None, "The engine closes bodies."),
    "default_mimetype": (f"{RES}.default_content_type", LIKE_WEBOB),
    "default_status": (None, "200, as in Flask."),
    "force_type": ("wsgikit.make_response", SAME),
    "freeze": (None, INSIDE),
    "from_app": ("wsgikit.make_response", SAME),
    "get_app_iter": (f"{RES}.app_iter", LIKE_WEBOB),
    "get_etag": (f"{RES}.etag", LIKE_WEBOB),
    "get_wsgi_headers": (f"{RES}.headerlist", LIKE_WEBOB),
    "get_wsgi_response": (None, "It is a WSGI application."),
    "implicit_sequence_conversion": (None, "webob's rules."),
    "is_sequence": (f"{RES}.is_streamed", "The opposite."),
    "iter_encoded": (f"{RES}.app_iter", LIKE_WEBOB),
    "json_module": (None, "The router's `json=` writes JSON."),
    "make_conditional": (f"{RES}.conditional_response", "`response.conditional_response = True`."),
    "make_sequence": (f"{RES}.body", "Reading it does."),
    "max_cookie_size": (SESSION_LAYER, "`cookie_max_bytes=`."),
    "mimetype_params": (f"{RES}.content_type_params", LIKE_WEBOB),
    "set_cookie": (
        f"{RES}.set_cookie",
        "Flask's keywords; after `max_age` by name only. The first is `name`, not `key`.",
    ),
    "set_etag": (f"{RES}.etag", LIKE_WEBOB),
    "stream": (f"{RES}.body_file", LIKE_WEBOB),
}
CONFIG = {
    "DEBUG": ("wsgikit.ErrorPagesMiddleware", '`debug=`; of templates `template_options={"debug": True}`.'),
    "TESTING": ("wsgikit.testing.TestClient", "See `testing`."),
    "PROPAGATE_EXCEPTIONS": (None, '`environ["x-wsgiorg.throw_errors"]`.'),
    "SECRET_KEY": (SESSION_LAYER, "`secret_key=`."),
    "SECRET_KEY_FALLBACKS": (SESSION_LAYER, "`secret_key=[new, old]`: the first signs, all verify."),
    "PERMANENT_SESSION_LIFETIME": (SESSION_LAYER, "`absolute_timeout_seconds=`, `idle_timeout_seconds=`."),
    "USE_X_SENDFILE": (LATER, "`wsgi.file_wrapper` of the server is used meanwhile."),
    "TRUSTED_HOSTS": (LATER, "A layer of its own."),
    "SERVER_NAME": (R, "`server_name=`."),
    "APPLICATION_ROOT": (None, "`SCRIPT_NAME` of the request."),
    "SESSION_COOKIE_NAME": (SESSION_LAYER, "`cookie_name=`."),
    "SESSION_COOKIE_DOMAIN": (SESSION_LAYER, "`cookie_domain=`."),
    "SESSION_COOKIE_PATH": (SESSION_LAYER, "`cookie_path=`."),
    "SESSION_COOKIE_HTTPONLY": (SESSION_LAYER, "`cookie_httponly=`."),
    "SESSION_COOKIE_SECURE": (SESSION_LAYER, "`cookie_secure=`, by the request's scheme where it isn't given."),
    "SESSION_COOKIE_PARTITIONED": (SESSION_LAYER, "`cookie_partitioned=`."),
    "SESSION_COOKIE_SAMESITE": (SESSION_LAYER, '`cookie_samesite=`, "Lax" where it isn\'t given.'),
    "SESSION_REFRESH_EACH_REQUEST": (SESSION_LAYER, "`refresh_after_seconds=`."),
    "MAX_CONTENT_LENGTH": (R, "`max_content_length=`; or on one request."),
    "MAX_FORM_MEMORY_SIZE": (R, "`max_form_memory_size=`; or on one request."),
    "MAX_FORM_PARTS": (R, "`max_form_parts=`; or on one request."),
    "SEND_FILE_MAX_AGE_DEFAULT": ("wsgikit.send_file", "`max_age=`."),
    "TRAP_BAD_REQUEST_ERRORS": (
        None,
        "A missing form field is a 400: `str(error)` and the log (INFO) name it, the page does in debug only.",
    ),
    "TRAP_HTTP_EXCEPTIONS": (None, "A layer with `handle_exception` sees them."),
    "EXPLAIN_TEMPLATE_LOADING": (None, "The error of a missing template names the folders."),
    "PREFERRED_URL_SCHEME": (None, '`url_for(…, _scheme="https", _external=True)`.'),
    "TEMPLATES_AUTO_RELOAD": ("wsgikit.Templates", "`auto_reload=`."),
    "MAX_COOKIE_SIZE": (SESSION_LAYER, "`cookie_max_bytes=`; too large is an error, not a warning."),
    "PROVIDE_AUTOMATIC_OPTIONS": (f"{R}.add_url_rule", "`provide_automatic_options=`."),
}
TABLES = {
    "The module `flask`": MODULE,
    "`Flask`: methods and attributes": APP,
    "`Blueprint`: what it has beside those": BLUEPRINT,
    "`Request`: what differs": REQUEST,
    "`Response`: what differs": RESPONSE,
    "Configuration": CONFIG,
}


def flask_names() -> dict[str, set[str]]:
    """Return the names that each table has to cover, as the installed Flask has them."""
    import flask

    def public(thing: object) -> set[str]:
        return {name for name in dir(thing) if not name.startswith("_")}

    module = {
        name
        for name in public(flask)
        if name == "json"
        or not isinstance(getattr(flask, name), (types.ModuleType, type(__import__("__future__").annotations)))
    }
    app = public(flask.Flask) | public(flask.Flask("x"))
    import wsgikit

    return {
        "The module `flask`": module,
        "`Flask`: methods and attributes": app,
        "`Blueprint`: what it has beside those": public(flask.Blueprint) - app,
        "`Request`: what differs": public(flask.Request) - public(wsgikit.Request),
        "`Response`: what differs": public(flask.Response) - public(wsgikit.Response),
        "Configuration": set(flask.Flask.default_config),
    }


def page() -> str:
    """Return the page of the documentation."""
    lines = [
        "# Flask's names, and ours",
        "",
        "Every public name of Flask 3.1: where it lives here, or why it needs no equivalent, or that it comes later.",
        "The page is made from `tests/views/flask_names.py`; a test checks that it is complete and that every place is",
        "there.",
    ]
    for title, table in TABLES.items():
        lines += ["", f"## {title}", "", "| Flask | here | note |", "|---|---|---|"]
        for name in sorted(table, key=str.lower):
            where, note = table[name]
            place = "none" if where is None else where if where == LATER else f"`{where}`"
            lines.append(f"| `{name}` | {place} | {note} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
