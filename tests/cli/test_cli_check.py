"""``wsgikit check``: what it finds, and the exit status that CI goes by."""

from __future__ import annotations

import os
import sys

import pytest

SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef"

FILE = """[pipeline:main]
pipeline = layer app
[app:app]
use = egg:wsgikit#app
app = cli_app:app
[filter:layer]
"""


@pytest.fixture
def check(run, folder, monkeypatch):
    """A function that checks an onion of one layer, given by the lines of its section."""
    monkeypatch.setenv("CLI_SECRET", SECRET)

    def check(*lines: str) -> tuple[int, list[str], str]:
        (folder / "one.ini").write_text(FILE + "\n".join(lines) + "\n")
        status, output, errors = run("check", "one.ini")
        return status, output.splitlines(), errors

    return check


SESSION = ("use = egg:wsgikit#session", "secret_key = env:CLI_SECRET")


def test_an_onion_in_order_exits_with_0(check):
    assert check(*SESSION) == (0, ["one.ini: 1 layer, no problem."], "")


def test_an_option_of_a_few_words_is_no_weak_secret(check):
    """`tokens` of `CsrfMiddleware` is named like a secret."""
    assert check("use = egg:wsgikit#csrf", "tokens = never", "only = POST")[0] == 0


SESSION_LIKE = ("use = egg:wsgikit#layer", "factory = cli_app:Signed", "secret_key = env:CLI_SECRET")
SIGNED = ("use = egg:wsgikit#layer", "factory = cli_app:Signed")

PROBLEMS = {
    "debug": (
        ("use = egg:wsgikit#error_pages", "debug = yes"),
        (
            "ErrorPagesMiddleware: debug is on: loopback peers and debug_hosts see tracebacks with source. "
            "Behind a proxy on the same machine that may be every visitor. Write debug = false."
        ),
    ),
    "insecure cookie": (
        (*SESSION, "cookie_secure = no"),
        "SessionMiddleware: cookie_secure is off: the cookie is sent in the clear. Write cookie_secure = true or auto.",
    ),
    "cookie for scripts": (
        (*SESSION, "cookie_httponly = no"),
        "SessionMiddleware: cookie_httponly is off: scripts of the page can read the cookie. Leave the option out.",
    ),
    "console": (
        ("use = egg:wsgikit#layer", "factory = cli_app:Consoled", "console = yes"),
        "Consoled: console is on: who reaches it can run code. Write console = false.",
    ),
    "SameSite=None over plain HTTP": (
        (*SESSION_LIKE, "cookie_samesite = None"),
        "Signed: cookie_samesite is None without cookie_secure = true: browsers refuse the cookie.",
    ),
    "short bytes": (
        ("use = egg:wsgikit#layer", "factory = cli_app:Keyed", "signing_key = env:CLI_SHORT"),
        "Keyed: signing_key works, but at least 32 characters are recommended, got 16. Make one: wsgikit secret.",
    ),
    "short secret": (
        (*SIGNED, "secret_key = env:CLI_SHORT"),
        "Signed: secret_key works, but at least 32 characters are recommended, got 16. Make one: wsgikit secret.",
    ),
    "well-known secret": (
        (*SIGNED, "secret_key = env:CLI_KNOWN"),
        "Signed: secret_key looks like one from an example. Make one: wsgikit secret.",
    ),
    "one of several secrets": (
        (*SIGNED, "secret_key =", "  env:CLI_SECRET", "  env:CLI_SHORT"),
        "Signed: secret_key works, but at least 32 characters are recommended, got 16. Make one: wsgikit secret.",
    ),
}


@pytest.mark.parametrize(("lines", "text"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_is_unsafe_is_a_problem_and_exits_with_1(lines, text, check, monkeypatch):
    monkeypatch.setenv("CLI_SHORT", "0123456789abcdef")
    monkeypatch.setenv("CLI_KNOWN", "change-me-change-me-change-me-change-me")
    assert check(*lines) == (1, [f"problem: {text}", "one.ini: 1 problem."], "")


def test_several_problems_are_all_told(check):
    status, lines, _ = check(*SESSION, "cookie_secure = no", "cookie_httponly = no")
    assert status == 1
    assert lines[-1] == "one.ini: 2 problems."
    assert len(lines) == 3


def test_a_cookie_for_other_sites_is_a_note(check):
    status, lines, _ = check(*SESSION_LIKE, "cookie_samesite = None", "cookie_secure = yes")
    assert (status, lines[0]) == (0, "note: Signed: cookie_samesite is None: other sites' pages send the cookie too.")


def test_a_secret_in_the_file_is_a_note(check):
    assert check("use = egg:wsgikit#session", f"secret_key = {SECRET}") == (
        0,
        [
            (
                "note: one.ini:8 [filter:layer]: secret_key: the secret stands in the file itself. "
                "Write env:NAME or file:PATH."
            ),
            "one.ini: 1 layer, no problem.",
        ],
        "",
    )


def test_a_password_in_a_url_in_the_file_is_a_note(check):
    status, lines, _ = check("use = egg:wsgikit#database", "url = postgresql+psycopg://me:hunter2@127.0.0.1/x")
    assert (status, lines[0]) == (
        0,
        "note: one.ini:8 [filter:layer]: url: the secret stands in the file itself. Write env:NAME or file:PATH.",
    )


def test_a_bare_percent_sign_is_a_note(check):
    assert check(*SIGNED, "secret_key = env:CLI_SECRET", "cookie_samesite = 5%") == (
        0,
        [
            (
                "note: one.ini:10 [filter:layer]: cookie_samesite: stock PasteDeploy (gunicorn --paste, pserve) "
                "refuses a bare '%'. Write %% for it there."
            ),
            "one.ini: 1 layer, no problem.",
        ],
        "",
    )


def test_what_cannot_be_loaded_exits_with_1_and_one_line(check):
    status, lines, errors = check("use = egg:wsgikit#error_pages", "debgu = yes")
    assert (status, lines) == (1, [])
    assert errors.startswith(
        "wsgikit: one.ini:8 [filter:layer]: debgu: unknown option: expected a known one, got 'debgu'. Did you mean 'deb"
    )
    assert errors.count("\n") == 1


def test_a_missing_environment_variable_exits_with_1(check, monkeypatch):
    monkeypatch.delenv("CLI_SECRET")
    status, _, errors = check(*SESSION)
    assert status == 1
    assert errors == (
        "wsgikit: one.ini:8 [filter:layer]: secret_key: expected the environment variable CLI_SECRET to be set, "
        "got nothing. Make one before the server starts: export CLI_SECRET=$(wsgikit secret)\n"
    )


def test_a_wrong_use_of_the_command_exits_with_2(run):
    assert run("check")[0] == 2
    assert run("check", "app.ini", "--nonsense")[0] == 2


def test_an_onion_from_python_is_checked_too(run):
    assert run("check", "cli_app:onion") == (0, "cli_app:onion: 2 layers, no problem.\n", "")


def test_problems_of_mounted_apps_are_found(run, folder):
    (folder / "m.ini").write_text(
        "[composite:main]\nuse = egg:wsgikit#mount\n/piped = piped\n"
        + FILE.replace("pipeline:main", "pipeline:piped")
        + "use = egg:wsgikit#error_pages\ndebug = yes\n"
    )
    status, output, _ = run("check", "m.ini")
    assert status == 1
    assert output.startswith("problem: ErrorPagesMiddleware: debug is on")


def test_the_layers_of_mounted_apps_are_counted(run, folder):
    (folder / "m.ini").write_text(
        "[composite:main]\nuse = egg:wsgikit#mount\n/ = app\n/piped = piped\nx-note = none\n"
        + FILE.replace("pipeline:main", "pipeline:piped").replace("layer app", "layer layer2 app")
        + "use = egg:wsgikit#context\n[filter:layer2]\nuse = egg:wsgikit#error_pages\n"
    )
    assert run("check", "m.ini")[1] == "m.ini: 2 layers, no problem.\n"


def test_the_name_of_beakers_cookie_is_no_secret(check):
    lines = ("use = egg:Beaker#beaker_session", "session.key = my_cookie", "session.type = cookie")
    secret = "session.validate_key = hush-hush"
    assert check(*lines, secret)[1] == [
        (
            "note: one.ini:10 [filter:layer]: session.validate_key: the secret stands in the file itself. "
            "Write env:NAME or file:PATH."
        ),
        "one.ini: 1 layer, no problem.",
    ]


VIEWS = """
from wsgikit import ContextMiddleware, ErrorPagesMiddleware, Router, build_stack, use

router, blog = Router("main"), Router("blog")

@blog.get("/<int:number>")
def entry(name):
    return ""

router.add_url_rule("/later", "later")
router.add_url_rule("/moved", "moved", redirect_to="/")
router.add_url_rule("/file/<name>", "file", build_only=True)
router.mount("/blog", build_stack(blog, use(ErrorPagesMiddleware, debug=True)))
router.mount("/news", build_stack(blog, use(ContextMiddleware)))
router.mount("/again", router)
stack = build_stack(router, use(ContextMiddleware))
"""


def test_views_that_cannot_be_called_are_told_also_in_what_is_mounted(run, folder):
    (folder / "cli_views.py").write_text(VIEWS)
    status, output, _ = run("check", "cli_views:stack")
    lines = output.splitlines()
    assert (status, len(lines)) == (1, 4)
    assert lines[0].startswith("problem: ErrorPagesMiddleware: debug is on")
    assert lines[1] == (
        "problem: <Router 'main'>: rule '/later': endpoint 'later': expected a view, got None. Add one with endpoint()."
    )
    assert lines[2].startswith(
        f"problem: <Router 'blog'>: rule '/<int:number>': view cli_views.entry, {folder / 'cli_views.py'}:"
    )
    assert "expected the parameters (number), got (name). " in lines[2]
    assert lines[3] == "cli_views:stack: 3 problems."


def test_layers_of_what_is_mounted_are_counted_once(run, folder):
    (folder / "cli_views.py").write_text(
        VIEWS + "blog = Router('x')\nrouter = Router('y')\n"
        "inner = build_stack(blog, use(ContextMiddleware))\n"
        "router.mount('/a', inner)\nrouter.mount('/b', inner)\n"
        "stack = build_stack(router, use(ErrorPagesMiddleware))\n"
    )
    assert run("check", "cli_views:stack") == (0, "cli_views:stack: 2 layers, no problem.\n", "")


@pytest.mark.skipif(os.name == "nt", reason="permissions are kept elsewhere")
@pytest.mark.parametrize(
    ("ini_mode", "secret_mode", "code", "text"),
    [
        (0o600, 0o600, 0, "no problem"),
        (0o644, 0o600, 0, "no problem"),
        (0o666, 0o600, 1, "problem: app.ini: every user may change the file (mode 0666). Run: chmod go-w app.ini"),
        (0o664, 0o600, 0, "note: app.ini: its group may change the file (mode 0664). Run: chmod go-w app.ini"),
        (0o600, 0o666, 1, "problem: key.txt: every user may change the file (mode 0666). Run: chmod go-w key.txt"),
        (0o600, 0o644, 0, "note: key.txt: every user may read the secret (mode 0644). Run: chmod 600 key.txt"),
    ],
    ids=str,
)
def test_files_that_others_may_change_or_read_are_reported(run, folder, ini_mode, secret_mode, code, text):
    key = folder / "key.txt"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    ini = folder / "app.ini"
    ini.write_text(
        "[pipeline:main]\npipeline = s a\n[filter:s]\nuse = egg:wsgikit#layer\nfactory = cli_app:Signed\n"
        "secret_key = file:key.txt\n[app:a]\nuse = egg:wsgikit#app\napp = cli_app:app\n"
    )
    ini.chmod(ini_mode)
    key.chmod(secret_mode)
    got, output, _ = run("check", "app.ini")
    assert (got, text in output) == (code, True), output


def test_a_value_with_a_comment_in_it_is_noted(run, folder, monkeypatch):
    monkeypatch.setenv("CLI_KEY", "0123456789abcdef0123456789abcdef")
    (folder / "app.ini").write_text(
        "[pipeline:main]\npipeline = s a\n[filter:s]\nuse = egg:wsgikit#layer\nfactory = cli_app:Signed\n"
        "cookie_samesite = Lax ; as browsers do\nsecret_key = env:CLI_KEY\n"
        "[app:a]\nuse = egg:wsgikit#app\napp = cli_app:app\n"
    )
    assert "cookie_samesite: A comment stands on a line of its own" in run("check", "app.ini")[1]


def test_a_router_with_templates_needs_jinja2(run, folder, monkeypatch):
    (folder / "templates").mkdir()
    assert run("check", "cli_app:router")[0] == 0
    monkeypatch.setitem(sys.modules, "jinja2", None)
    code, output, _ = run("check", "cli_app:router")
    assert code == 1
    assert "it has a folder of templates, and Jinja2 isn't installed. Run: pip install 'wsgikit[templates]'" in output
