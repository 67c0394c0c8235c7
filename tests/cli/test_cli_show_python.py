"""``wsgikit show --python``: the code that builds the layers of a target."""

from __future__ import annotations

SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef"

INI = f"""[pipeline:main]
pipeline = site routes other app
[filter:site]
use = egg:wsgikit#production
secret_key = {SECRET}
hosts = example.com
csrf.unless = /hooks/*
[filter:routes]
use = egg:wsgikit#router
router = cli_app:router
[filter:other]
use = egg:wsgikit#layer
factory = cli_other:Other
[app:app]
use = egg:wsgikit#app
app = cli_app:app
"""
OTHER = """
class Other:
    def __init__(self, app):
        self.app = app
    def __call__(self, environ, start_response):
        return self.app(environ, start_response)
"""


def test_the_code_builds_the_stack_that_the_ini_file_describes(run, folder):
    (folder / "site.ini").write_text(INI.replace(" routes other", ""))
    status, code, errors = run("show", "--python", "site.ini")
    assert (status, errors) == (0, "")
    assert SECRET not in code
    assert "    use(CsrfMiddleware, unless=['/hooks/*']),\n" in code
    namespace: dict[str, object] = {}
    exec(code.replace('"***"', repr(SECRET)), namespace)
    assert f"{namespace['stack'].describe()}\n" == run("show", "site.ini")[1]


def test_what_code_cannot_be_written_for_is_a_comment(run, folder):
    (folder / "cli_other.py").write_text(OTHER)
    (folder / "site.ini").write_text(INI)
    lines = run("show", "--python", "site.ini")[1].splitlines()
    (router,) = [line for line in lines if "RouterMiddleware, " in line and "use(" in line]
    assert router.startswith("    use(RouterMiddleware, router=...),  # router: <Router 'cli_app'")
    assert "    # cli_other.Other: a layer that isn't wsgikit's. Its options aren't known." in lines


def test_layers_of_one_class_keep_their_names(run, folder):
    (folder / "cli_named.py").write_text(
        "from wsgikit import AccessListMiddleware, build_stack, use\n"
        "def app(environ, start_response): ...\n"
        "stack = build_stack(app, use(AccessListMiddleware, deny=['10.0.0.1'], name='a'),\n"
        "    use(AccessListMiddleware, deny=['10.0.0.2'], name='b'))\n"
    )
    code = run("show", "--python", "cli_named:stack")[1]
    namespace: dict[str, object] = {}
    exec(code, namespace)
    assert [name for name, _ in namespace["stack"].named_layers] == [
        "AccessListMiddleware 'a'",
        "AccessListMiddleware 'b'",
    ]
