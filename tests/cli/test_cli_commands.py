"""The commands that only look: show, check, routes, secret, shell; and how errors are told."""

from __future__ import annotations

import sys

import pytest

from wsgikit import ContextMiddleware, ErrorPagesMiddleware
from wsgikit.cli import COMMANDS, main
from wsgikit.cli.target import is_ini, load_target, target_files
from wsgikit.exceptions import ConfigurationError
from wsgikit.ini import layer_names

SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef"
SET = ("--set", "http_port=1")

PIPELINE = """[pipeline:main]
pipeline = layer app
[app:app]
use = egg:wsgikit#app
app = cli_app:app
[filter:layer]
"""


# ---------------------------------------------------------------------- targets


@pytest.mark.parametrize(
    ("target", "repr_of_stack"),
    [
        ("app.ini", "<Stack ErrorPagesMiddleware > ContextMiddleware > RouterMiddleware > cli_app.app>"),
        ("app.ini#app", "<Stack cli_app.app>"),
        ("cli_app:app", "<Stack cli_app.app>"),
        ("cli_app:make_app()", "<Stack cli_app.app>"),
        ("cli_app:onion", "<Stack ErrorPagesMiddleware > ContextMiddleware > cli_app.app>"),
        ("cli_app", "<Stack cli_app.app>"),
    ],
)
def test_a_target_becomes_a_stack(target, repr_of_stack, folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    settings = {"http_port": "1"} if is_ini(target) else None
    assert repr(load_target(target, settings)) == repr_of_stack


def test_a_router_is_a_target(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    assert load_target("cli_app:router").layers == ()


def test_a_stack_stays_the_stack_that_it_is(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    stack = load_target("cli_app:onion")
    assert stack is sys.modules["cli_app"].onion
    assert [type(layer) for layer in stack.layers] == [ErrorPagesMiddleware, ContextMiddleware]


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (
            "cli_ap:app",
            (
                "cli_ap:app: target: expected a module that can be imported, got 'cli_ap:app': "
                "there is no module 'cli_ap'. Install it, or put its folder on PYTHONPATH."
            ),
        ),
        (
            "cli_app:ap",
            (
                "cli_app:ap: target: expected an attribute of cli_app, got 'cli_app:ap': it has no 'ap'. "
                "Did you mean 'app'?"
            ),
        ),
        (
            "cli_app:number",
            "cli_app:number: target: expected a WSGI application, got 'cli_app:number', which is of type int.",
        ),
        (
            "cli_app:number()",
            "cli_app:number(): target: expected a function before the (), got 'cli_app:number()'.",
        ),
        (
            "app.in",
            (
                "app.in: target: expected a module that can be imported, got 'app.in': there is no module 'app'. "
                "Install it, or put its folder on PYTHONPATH."
            ),
        ),
        (
            "ap.ini",
            "ap.ini: expected an ini file that can be read, got: No such file or directory. Did you mean 'app.ini'?",
        ),
        (
            "not a target",
            "not a target: target: expected a dotted name (package.module:attribute), got 'not a target'.",
        ),
    ],
)
def test_a_target_that_is_none_is_told_in_one_line(target, text, run):
    status, output, errors = run("show", target)
    assert (status, output, errors) == (1, "", f"wsgikit: {text}\n")


def test_modules_beside_an_ini_file_are_found_from_elsewhere(folder, monkeypatch):
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert load_target("../app.ini#app").app is sys.modules["cli_app"].app


def test_settings_are_for_ini_files(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ConfigurationError) as raised:
        load_target("cli_app:app", {"a": "b"})
    assert str(raised.value) == "cli_app:app: --set: expected an ini file, got a module. Leave --set out."


def test_the_files_of_a_target_are_its_ini_files(folder):
    assert target_files("app.ini#app") == [str(folder / "app.ini")]
    assert target_files("cli_app:app") == []


# ---------------------------------------------------------------------- show, routes, secret


def test_show_draws_the_onion(run):
    assert run("show", "app.ini", *SET) == (
        0,
        (
            "→ ErrorPagesMiddleware  debug=False\n"
            "  → ContextMiddleware\n"
            "    → RouterMiddleware  router=<Router 'cli_app'>\n"
            "      ● cli_app.app\n"
        ),
        "",
    )


def test_show_masks_secrets(run, folder, monkeypatch):
    monkeypatch.setenv("CLI_SECRET", SECRET)
    (folder / "s.ini").write_text(PIPELINE + "use = egg:wsgikit#session\nsecret_key = env:CLI_SECRET\n")
    assert run("show", "s.ini") == (0, "→ SessionMiddleware  secret_key=***\n  ● cli_app.app\n", "")


def test_show_names_the_module_of_layers_of_others(run, folder):
    (folder / "b.ini").write_text(PIPELINE + "use = egg:Beaker#beaker_session\nsession.type = memory\n")
    assert run("show", "b.ini")[1] == "→ beaker.middleware.SessionMiddleware\n  ● cli_app.app\n"


def test_show_names_a_router(run):
    assert run("show", "cli_app:router")[1] == "● <Router 'cli_app'>\n"


def test_show_draws_each_mounted_onion(run, folder):
    (folder / "m.ini").write_text(
        "[composite:main]\nuse = egg:wsgikit#mount\n/ = app\n/piped = piped\n"
        + PIPELINE.replace("pipeline:main", "pipeline:piped")
        + "use = egg:wsgikit#error_pages\n"
    )
    status, output, _ = run("show", "m.ini")
    assert status == 0
    assert output.splitlines() == [
        "● <PrefixMounts of /, /piped>",
        "",
        "/",
        "  ● cli_app.app",
        "",
        "/piped",
        "  → ErrorPagesMiddleware",
        "    ● cli_app.app",
    ]


def test_routes_lists_the_rules_of_the_router(run):
    status, output, _ = run("routes", "app.ini", *SET)
    assert status == 0
    assert output.splitlines() == [
        "METHODS                RULE                     ENDPOINT",
        "GET,HEAD,OPTIONS       /static/<path:filename>  static",
        "GET,HEAD,OPTIONS       /                        index",
        "GET,HEAD,OPTIONS,POST  /posts/<int:post_id>     post",
        "GET,HEAD,OPTIONS       /broken                  broken",
    ]


def test_routes_of_a_bare_router_are_its_own(run):
    assert "/posts/<int:post_id>" in run("routes", "cli_app:router")[1]


def test_routes_of_mounted_apps_have_their_prefix(run, folder):
    (folder / "m.ini").write_text(
        "[composite:main]\nuse = egg:wsgikit#mount\n/site = app\n"
        "[app:app]\nuse = egg:wsgikit#app\napp = cli_app:router\n"
    )
    assert "/site/posts/<int:post_id>" in run("routes", "m.ini")[1]


MOUNTS = """
import re
from wsgikit import ContextMiddleware, ErrorPagesMiddleware, Router, build_stack, use
from cli_app import app

blog, router, hosts = Router("blog"), Router("main"), Router("hosts", host_matching=True)
blog.add_url_rule("/<int:number>", "entry", lambda number: "")
router.add_url_rule("/", "index", lambda: "")
router.mount("/blog", build_stack(blog, use(ContextMiddleware)))
router.mount("/old", ErrorPagesMiddleware(app), host="old.example.org")
router.mount("/kept", blog, "kept", keep_path=True)
router.mount(re.compile(r"/v[0-9]"), blog)
router.mount("/again", router)
hosts.add_url_rule("/x", "x", lambda: "", host="x.example.org")
subdomains = Router("subdomains", server_name="example.org")
subdomains.add_url_rule("/x", "x", lambda: "", subdomain="api")
stack = build_stack(build_stack(router, use(ContextMiddleware)), use(ErrorPagesMiddleware))
"""


def test_routes_lists_what_is_mounted_with_its_prefix_and_its_routes(run, folder):
    (folder / "cli_mounts.py").write_text(MOUNTS)
    assert run("routes", "cli_mounts:stack")[1].splitlines() == [
        "METHODS           RULE                  ENDPOINT",
        "GET,HEAD,OPTIONS  /                     index",
        "mount             /blog                 <Router 'blog'>",
        "GET,HEAD,OPTIONS  /blog/<int:number>    blog.entry",
        "mount             old.example.org/old   cli_app.app",
        "mount             /kept                 <Router 'blog'>",
        "GET,HEAD,OPTIONS  /<int:number>         kept.entry",
        "mount             /v[0-9]               <Router 'blog'>",
        "GET,HEAD,OPTIONS  /v[0-9]/<int:number>  blog.entry",
        "mount             /again                <Router 'main'>",
    ]


def test_show_draws_what_is_mounted_in_a_router_and_itself_once(run, folder):
    (folder / "cli_mounts.py").write_text(MOUNTS)
    assert run("show", "cli_mounts:router")[1].splitlines() == [
        "● <Router 'main'>",
        "",
        "/blog",
        "  → ContextMiddleware",
        "    ● <Router 'blog'>",
        "",
        "old.example.org/old",
        "  → ErrorPagesMiddleware",
        "    ● cli_app.app",
        "",
        "/kept",
        "  ● <Router 'blog'>",
        "",
        "/v[0-9]",
        "  ● <Router 'blog'>",
        "",
        "/again",
        "  ● <Router 'main'>",
    ]


def test_show_draws_the_mounts_of_a_stack_in_a_stack(run, folder):
    (folder / "cli_mounts.py").write_text(MOUNTS)
    assert run("show", "cli_mounts:stack")[1].splitlines()[:6] == [
        "→ ErrorPagesMiddleware",
        "  → ContextMiddleware",
        "    ● <Router 'main'>",
        "",
        "  /blog",
        "    → ContextMiddleware",
    ]


@pytest.mark.parametrize(
    ("name", "row"),
    [("hosts", "x.example.org/x      x"), ("subdomains", "api.example.org/x  x")],
)
def test_routes_names_the_host_of_a_rule(run, folder, name, row):
    (folder / "cli_mounts.py").write_text(MOUNTS)
    assert run("routes", f"cli_mounts:{name}")[1].splitlines()[1].split()[1:] == row.split()


def test_routes_of_an_onion_without_a_router_says_so(run):
    assert run("routes", "cli_app:app") == (0, "There are no routes: the onion has no router.\n", "")


def test_a_secret_is_new_each_time_and_long_enough(run):
    first, second = run("secret")[1].strip(), run("secret")[1].strip()
    assert first != second
    assert len(bytes.fromhex(first)) == 32
    assert len(bytes.fromhex(run("secret", "--bytes", "64")[1].strip())) == 64


def test_a_secret_that_can_be_guessed_is_not_made(run):
    status, _, errors = run("secret", "--bytes", "8")
    assert status == 2
    assert "8 is not in the range x>=16" in errors


# ---------------------------------------------------------------------- shell


def test_the_shell_has_the_application_at_hand(run):
    status, output, _ = run("shell", "app.ini", *SET, stdin="g.name = 'kept'\nprint('name', g.name, app, stack)\n")
    assert status == 0
    assert "name kept <function app" in output
    assert "<Stack ErrorPagesMiddleware" in output


def test_the_shell_of_a_bare_app_has_no_locals(run):
    status, output, _ = run("shell", "cli_app:app", stdin="print(sorted(k for k in dir() if k[0] != '_'))\n")
    assert status == 0
    assert "['app', 'stack']" in output


# ---------------------------------------------------------------------- the command line itself


def test_help_lists_the_commands_that_are_installed(run):
    status, output, _ = run("--help")
    assert status == 0
    for name in ("serve", "show", "check", "routes", "shell", "secret"):
        assert f"\n  {name} " in output


def test_a_command_whose_module_is_missing_is_left_out(run, monkeypatch):
    monkeypatch.setitem(COMMANDS, "later", "wsgikit.cli.later:group")
    assert "later" not in run("--help")[1]
    status, _, errors = run("later")
    assert status == 2
    assert "No such command 'later'." in errors


def test_a_misspelt_command_names_the_nearest(run):
    status, _, errors = run("chekc", "app.ini")
    assert status == 2
    assert "No such command 'chekc'. Did you mean 'check'" in errors


def test_a_command_is_imported_when_it_is_asked_for():
    import subprocess

    code = (
        "import sys; from wsgikit.cli import main; main(['secret'], standalone_mode=False);"
        "heavy = ('paste.deploy', 'werkzeug', 'webob', 'sqlalchemy', 'wsgikit.cli.serve');"
        "print([name for name in heavy if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[1] == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--traceback", "show", "cli_app:nothing"),
        ("show", "--traceback", "cli_app:nothing"),
        ("show", "cli_app:nothing", "--traceback"),
    ],
    ids=["before", "between", "after"],
)
def test_the_traceback_of_an_error_is_shown_where_it_is_asked_for(arguments, run):
    with pytest.raises(ConfigurationError):
        run(*arguments)


def test_a_module_that_fails_is_told_in_one_line(run, folder):
    (folder / "cli_broken.py").write_text("raise RuntimeError('two\\nlines')\n")
    status, _, errors = run("show", "cli_broken:app")
    assert status == 1
    assert errors == (
        "wsgikit: cli_broken:app: target: expected a module that can be imported, got 'cli_broken:app': "
        "RuntimeError: two lines (at cli_broken.py:1). Add --traceback to see all of it.\n"
    )


def test_an_error_at_import_names_the_line_of_ones_own_code(run, folder):
    (folder / "cli_inner.py").write_text("import json\n\n\ndef load():\n    return json.loads('')\n\nload()\n")
    (folder / "cli_outer.py").write_text("\nimport cli_inner\n")
    errors = run("show", "cli_outer:app")[2]
    assert "JSONDecodeError: Expecting value: line 1 column 1 (char 0) (at cli_inner.py:5)." in errors


def test_a_syntax_error_names_its_own_line(run, folder):
    (folder / "cli_wrong.py").write_text("x = 1\nthis is no Python\n")
    assert "SyntaxError: invalid syntax (cli_wrong.py, line 2)." in run("show", "cli_wrong:app")[2]


def test_an_error_of_the_ini_file_alone_has_no_more_to_show(run, folder):
    (folder / "s.ini").write_text(PIPELINE + "use = egg:wsgikit#session\nsecret_key = file:nowhere\n")
    assert "--traceback" not in run("show", "s.ini")[2]


def test_a_reader_that_has_seen_enough_is_no_error(folder):
    import subprocess

    code = "import sys; from wsgikit.cli import main; main(prog_name='wsgikit')"
    command = [sys.executable, "-c", code, "options", "session"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()  # before anything is written
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=30)
    assert errors == ""


@pytest.mark.parametrize("setting", ["novalue", "=x"])
def test_a_setting_without_a_name_or_value_is_a_usage_error(setting, run):
    status, _, errors = run("show", "app.ini", "--set", setting)
    assert status == 2
    assert f"expected NAME=VALUE, got '{setting}'." in errors


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ("--server", "waitress", "--reload"),
            "--reload and --debugger are for the development server, not for waitre",
        ),
        (("--server", "gunicorn", "--debugger"), "--reload and --debugger are for the development server, not for gun"),
        (("--server", "apache"), "'apache' is not one of 'dev', 'waitress', 'gunicorn'"),
        (("--port", "70000"), "70000 is not in the range 0<=x<=65535"),
        (("--logging",), "--logging takes the setup from an ini file, and the target is a module."),
    ],
)
def test_serve_refuses_what_does_not_go_together(arguments, text, run):
    status, _, errors = run("serve", "cli_app:app", *arguments)
    assert status == 2
    assert text in errors


def test_serve_refuses_a_debugger_that_others_could_reach(run):
    status, _, errors = run("serve", "cli_app:app", "--host", "0.0.0.0", "--debugger", "--no-reload")
    assert status == 1
    assert errors == (
        "wsgikit: serve: --debugger: expected an address of this machine only, got '0.0.0.0': "
        "it lets a visitor run code. Leave --host 127.0.0.1.\n"
    )


def test_serve_sets_up_logging_only_where_it_is_asked_to(run):
    status, _, errors = run("serve", "app.ini", "--logging", *SET)
    assert status == 1
    assert errors == "wsgikit: app.ini: loggers: expected a section [loggers] to set up logging by, got none.\n"


def test_the_main_command_is_the_console_script():
    import importlib.metadata

    (script,) = importlib.metadata.entry_points(group="console_scripts", name="wsgikit")
    assert script.load() is main


# ---------------------------------------------------------------------- options


def test_options_lists_what_may_be_written(run):
    status, output, _ = run("options", "router")
    assert status == 0
    assert output.splitlines()[0].startswith("Answers the requests that a router has a rule for")
    assert "\n\n[filter:router]\nuse = egg:wsgikit#router\n\n" in output
    assert "\nrouter: a dotted name (package.module:attribute) (required)\n    the router, or " in output
    assert "\npass_method_not_allowed: yes, no, true, false, on, off, 1 or 0 (default: False)\n    also pass" in output


@pytest.mark.parametrize("name", [*layer_names(), "layer", "app", "mount", "server"])
def test_options_says_of_each_option_what_it_does(name, run):
    status, output, _ = run("options", name)
    assert status == 0
    _, _, *listed = output.splitlines()
    listed = listed[listed.index(f"use = egg:wsgikit#{name}") + 2 :]
    heads = [number for number, line in enumerate(listed) if not line.startswith(" ")]
    ends = [*heads[1:], len(listed)]
    for head, end in zip(heads, ends, strict=True):
        is_described = any(line.startswith("    ") for line in listed[head:end])
        assert is_described or listed[head].endswith("has no options."), listed[head]


def test_options_of_sections_that_are_no_layers_says_what_they_are(run):
    assert run("options", "app")[1] == (
        "Names the application in the middle: a `Router`, or any WSGI application.\n\n"
        "[app:app]\nuse = egg:wsgikit#app\n\n"
        "app: text (required)\n"
        "    `module:app`, `module:make_app()`, or `module` alone, in which `stack`, `application` and `app`\n"
        "    are looked for, in this order.\n"
    )


def test_of_a_module_that_wraps_its_app_the_wrapped_one_is_taken(run, folder):
    (folder / "cli_wraps.py").write_text("from cli_app import app\nfrom cli_app import onion as application\n")
    assert run("show", "cli_wraps")[1].startswith("→ ErrorPagesMiddleware\n")


def test_options_without_a_layer_lists_the_layers(run):
    output = run("options")[1]
    assert "egg:wsgikit#error_pages  ErrorPagesMiddleware\n" in output
    assert "egg:wsgikit#mount  Puts several applications side by side.\n" in output


def test_options_of_a_layer_without_any_says_so(run):
    status, output, _ = run("options", "context")
    assert (status, output.splitlines()[-1]) == (0, "ContextMiddleware has no options.")


def test_options_of_an_unknown_layer_names_the_nearest(run):
    status, _, errors = run("options", "sesion")
    assert status == 2
    assert "There is no layer 'sesion'. Did you mean 'session'" in errors


# ---------------------------------------------------------------------- secret --out, options module:Class


def test_secret_writes_a_file_that_only_its_owner_reads_and_replaces_none(run, folder):
    assert run("secret", "--out", "secret.txt") == (0, "", "")
    written = folder / "secret.txt"
    assert len(written.read_text().strip()) == 64
    assert written.stat().st_mode & 0o777 == 0o600
    before = written.read_text()
    code, _, text = run("secret", "--out", "secret.txt")
    assert (code, written.read_text()) == (1, before)
    assert text.startswith("wsgikit: secret: --out: expected a file that doesn't exist yet, got 'secret.txt'.")


def test_options_of_a_layer_of_your_own(run):
    code, text, _ = run("options", "cli_app:Signed")
    assert code == 0
    assert text.startswith("[filter:signed]\nuse = egg:wsgikit#layer\nfactory = cli_app:Signed\n\nsecret_key: ")
    code, _, text = run("options", "cli_app:number")
    assert (code, text) == (
        1,
        "wsgikit: cli_app:number: layer: expected a class or function that takes an app, got an int.\n",
    )


# ---------------------------------------------------------------------- the working folder


def test_modules_of_the_working_folder_do_not_replace_the_standard_library(run, folder):
    (folder / "tabnanny.py").write_text("raise RuntimeError('replaced')\n")
    (folder / "cli_tab.py").write_text("import tabnanny\nfrom cli_app import app\n")
    assert run("check", "cli_tab:app")[0] == 0
