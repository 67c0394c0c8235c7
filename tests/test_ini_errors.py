"""Each mistake in an ini file is told in one line: file, line, section, key, what was expected, what to do."""

from __future__ import annotations

import pytest

from wsgikit.exceptions import ConfigurationError
from wsgikit.ini import load_app, load_stack

APP = """
[app:app]
use = egg:wsgikit#app
app = wsgiref.simple_server:demo_app
"""


@pytest.fixture
def ini(tmp_path, monkeypatch):
    """A function that writes app.ini (and others) into an empty folder, which is the working folder."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, **others: str) -> str:
        for name, content in {"app": text, **others}.items():
            (tmp_path / f"{name}.ini").write_text(content)
        return "app.ini"

    return write


def complaint_of(path: str, load=load_app) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load(path)
    return str(raised.value)


MISTAKES = {
    "unknown key": (
        """[filter:errors]
use = egg:wsgikit#error_pages
# a comment

debgu = true
[pipeline:main]
pipeline = errors app
""",
        (
            "app.ini:5 [filter:errors]: debgu: unknown option: expected a known one, got 'debgu'. "
            "Did you mean 'debug'? All options: {error_pages}."
        ),
    ),
    "key of another section": (
        """[pipeline:main]
pipeline = errors database app
[filter:errors]
use = egg:wsgikit#error_pages
url = sqlite://
[filter:database]
use = egg:wsgikit#database
url = sqlite://
""",
        (
            "app.ini:5 [filter:errors]: url: unknown option: expected a known one, got 'url'. "
            "It is a key of app.ini:8 [filter:database]."
        ),
    ),
    "bad value": (
        """[pipeline:main]
pipeline = errors app
[filter:errors]
use = egg:wsgikit#error_pages
debug = flase
""",
        "app.ini:5 [filter:errors]: debug: expected yes, no, true, false, on, off, 1 or 0, got 'flase'.",
    ),
    "bad value on more than one line": (
        """[pipeline:main]
pipeline = errors app
[filter:errors]
use = egg:wsgikit#error_pages
debug =
    true
    false
""",
        "app.ini:5 [filter:errors]: debug: expected yes, no, true, false, on, off, 1 or 0, got 'true\\nfalse'.",
    ),
    "a constructor's own check": (
        """[pipeline:main]
pipeline = errors app
[filter:errors]
use = egg:wsgikit#error_pages
debug = no
console = yes
""",
        (
            "app.ini:5 [filter:errors]: ErrorPagesMiddleware: console: expected debug=True beside it, got True. "
            "The console shows tracebacks and more."
        ),
    ),
    "missing required key": (
        """[pipeline:main]
pipeline = routes app
[filter:routes]
use = egg:wsgikit#router
""",
        (
            "app.ini:3 [filter:routes]: router: expected a dotted name (package.module:attribute), got nothing. "
            "Add router = … to the section."
        ),
    ),
    "missing section": (
        """[pipeline:main]
pipeline = eror app
[filter:error]
use = egg:wsgikit#error_pages
""",
        (
            "app.ini:2 [pipeline:main]: pipeline: expected a section [filter:eror], got none of that name. "
            "Did you mean 'error'?"
        ),
    ),
    "missing section, other case": (
        """[pipeline:main]
pipeline = Error app
[filter:error]
use = egg:wsgikit#error_pages
""",
        (
            "app.ini:2 [pipeline:main]: pipeline: expected a section [filter:Error], got none of that name. "
            "Did you mean 'error'?"
        ),
    ),
    "missing main": (
        "[filter:error]\nuse = egg:wsgikit#error_pages\n",
        "app.ini: expected a section [app:main], got none of that name. Name another: app.ini#app.",
    ),
    "main by another name": (
        "[app:web]\nuse = egg:wsgikit#app\napp = wsgiref.simple_server:demo_app\n",
        ("app.ini: expected a section [app:main], got none of that name. Name another: app.ini#web, app.ini#app."),
    ),
    "missing main, which is a filter": (
        "[filter:main]\nuse = egg:wsgikit#error_pages\n",
        (
            "app.ini: expected a section [app:main], got none of that name. "
            "There is [filter:main], but an application is wanted here."
        ),
    ),
    "ambiguous section": (
        "[app:main]\nuse = app\n[pipeline:main]\npipeline = app\n",
        "app.ini: expected one section of the name 'main', got [app:main] and [pipeline:main]. Rename one of them.",
    ),
    "filter at the end of a pipeline": (
        """[pipeline:main]
pipeline = app error
[filter:error]
use = egg:wsgikit#error_pages
""",
        (
            "app.ini:2 [pipeline:main]: pipeline: expected a filter before the end, got 'app', which is an application "
            "([app:app]). Put it at the end, after the filters."
        ),
    ),
    "no application at the end of a pipeline": (
        """[pipeline:main]
pipeline = error
[filter:error]
use = egg:wsgikit#error_pages
""",
        (
            "app.ini:2 [pipeline:main]: pipeline: expected the application at the end, got 'error', which is a filter "
            "([filter:error]). Put the application after it."
        ),
    ),
    "empty pipeline": (
        "[pipeline:main]\npipeline =\n",
        (
            "app.ini:2 [pipeline:main]: pipeline: expected the filters' names and at last the application's, "
            "got nothing. Write pipeline = filter1 filter2 app."
        ),
    ),
    "key in a pipeline": (
        "[pipeline:main]\npipeline = app\ndebug = true\n",
        (
            "app.ini:3 [pipeline:main]: debug: expected no key but pipeline in a pipeline, got 'debug'. "
            "Put it into the section of the filter it belongs to."
        ),
    ),
    "circular use": (
        "[app:main]\nuse = b\n[app:b]\nuse = c\n[app:c]\nuse = b\n",
        (
            "app.ini:6 [app:c]: use: expected sections that don't lead back to themselves, "
            "got [app:b] → [app:c] → [app:b]."
        ),
    ),
    "circular includes": (
        "[app:main]\nuse = config:other.ini\n",
        (
            "other.ini:2 [app:main]: use: expected sections that don't lead back to themselves, got [app:main] → "
            "[app:main] of other.ini → [app:main]."
        ),
    ),
    "circular composite": (
        "[composite:main]\nuse = egg:wsgikit#mount\n/ = main\n",
        (
            "app.ini:2 [composite:main]: use: expected sections that don't lead back to themselves, "
            "got [composite:main] → "
            "[composite:main]."
        ),
    ),
    "missing include": (
        "[app:main]\nuse = config:othr.ini\n",
        (
            "app.ini:2 [app:main]: use: othr.ini: expected an ini file that can be read, "
            "got: No such file or directory. Did you mean 'other.ini'?"
        ),
    ),
    "no use": (
        "[app:main]\ndebug = true\n",
        (
            "app.ini:1 [app:main]: use: expected what the section is made by, got nothing. "
            "Add use = egg:wsgikit#name, or use = call:module:factory."
        ),
    ),
    "unknown distribution": (
        "[app:main]\nuse = egg:wsgikitt#app\n",
        (
            "app.ini:2 [app:main]: use: expected an installed distribution, got 'egg:wsgikitt#app': "
            "there is no 'wsgikitt'. Did you mean 'wsgikit'?"
        ),
    ),
    "unknown entry point": (
        "[pipeline:main]\npipeline = s app\n[filter:s]\nuse = egg:wsgikit#sesion\n",
        (
            "app.ini:4 [filter:s]: use: expected a filter (paste.filter_factory or paste.filter_app_factory), "
            "got 'egg:wsgikit#sesion': the distribution has one of {filters}. Did you mean 'session'?"
        ),
    ),
    "entry point of another kind": (
        "[app:main]\nuse = egg:wsgikit#context\n",
        (
            "app.ini:2 [app:main]: use: expected an application (paste.app_factory or paste.composite_factory or "
            "paste.composit_factory), got 'egg:wsgikit#context', which is of the group paste.filter_app_factory. "
            "Use it in a section of that kind."
        ),
    ),
    "unknown scheme": (
        "[app:main]\nuse = eg:wsgikit#app\n",
        "app.ini:2 [app:main]: use: expected egg:, call:, config: or the name of a section, got 'eg:wsgikit#app'.",
    ),
    "bad module of call": (
        "[app:main]\nuse = call:nosuchmodule:make\n",
        (
            "app.ini:2 [app:main]: use: expected a module that can be imported, got 'nosuchmodule:make': "
            "there is no module 'nosuchmodule'. Install it, or put its folder on PYTHONPATH."
        ),
    ),
    "bad attribute of paste.app_factory": (
        "[app:main]\npaste.app_factory = wsgiref.simple_server:demo_ap\n",
        (
            "app.ini:2 [app:main]: paste.app_factory: expected an attribute of wsgiref.simple_server, "
            "got 'wsgiref.simple_server:demo_ap': it has no 'demo_ap'. Did you mean 'demo_app'?"
        ),
    ),
    "bad module of app": (
        "[app:main]\nuse = egg:wsgikit#app\napp = wsgiref.nothing:app\n",
        (
            "app.ini:3 [app:main]: app: expected a module that can be imported, got 'wsgiref.nothing:app': "
            "there is no module 'wsgiref.nothing'. Install it, or put its folder on PYTHONPATH."
        ),
    ),
    "app that is none": (
        "[app:main]\nuse = egg:wsgikit#app\napp = wsgiref.simple_server:__version__\n",
        (
            "app.ini:3 [app:main]: app: expected a WSGI application, got 'wsgiref.simple_server:__version__', "
            "which is of type str."
        ),
    ),
    "module without an app": (
        "[app:main]\nuse = egg:wsgikit#app\napp = wsgiref.util\n",
        (
            "app.ini:3 [app:main]: app: expected a module that has one of stack, application, app, got 'wsgiref.util'. "
            "Write wsgiref.util:<the application's name>."
        ),
    ),
    "router that is none": (
        (
            "[pipeline:main]\npipeline = r app\n[filter:r]\nuse = egg:wsgikit#router\n"
            "router = wsgiref.simple_server:demo_app\n"
        ),
        (
            "app.ini:5 [filter:r]: router: expected the dotted name of an instance of Router, "
            "got 'wsgiref.simple_server:demo_app'."
        ),
    ),
    "layer without factory": (
        "[pipeline:main]\npipeline = mine app\n[filter:mine]\nuse = egg:wsgikit#layer\n",
        (
            "app.ini:3 [filter:mine]: factory: expected a dotted name (package.module:attribute), got nothing. "
            "Add factory = … to the section."
        ),
    ),
    "factory of others that refuses a key": (
        (
            "[pipeline:main]\npipeline = p app\n[filter:p]\npaste.filter_app_factory = wsgiref.util:shift_path_info\n"
            "x_for = 1\n"
        ),
        ("app.ini:5 [filter:p]: x_for: unknown option: expected no option, got 'x_for'."),
    ),
    "mount without a slash": (
        "[composite:main]\nuse = egg:wsgikit#mount\nadmin = app\n",
        (
            "app.ini:3 [composite:main]: admin: expected a prefix that begins with '/', got 'admin'. "
            "Write / = name of an app, /admin = name of another."
        ),
    ),
    "mount of nothing": (
        "[composite:main]\nuse = egg:wsgikit#mount\n",
        "app.ini:1 [composite:main]: expected at least one prefix, got none. Add / = name of an app.",
    ),
    "mount of a missing app": (
        "[composite:main]\nuse = egg:wsgikit#mount\n/ = ap\n",
        "app.ini:3 [composite:main]: /: expected a section [app:ap], got none of that name. Did you mean 'app'?",
    ),
    "name that interpolation doesn't know": (
        "[app:main]\nuse = egg:wsgikit#app\napp = %(modul)s:app\nmodule = x\n",
        (
            "app.ini:3 [app:main]: app: expected a name that this section or [DEFAULT] has, got %(modul)s. "
            "Did you mean 'module'?"
        ),
    ),
    "interpolation that isn't closed": (
        "[app:main]\nuse = egg:wsgikit#app\napp = %(module:app\n",
        "app.ini:3 [app:main]: app: expected %(name)s, got a '%(' without its ')s'. Write %% for a percent sign.",
    ),
    "interpolation in a circle": (
        "[app:main]\nuse = egg:wsgikit#app\napp = %(a)s\na = %(b)s\nb = %(a)s\n",
        (
            "app.ini:3 [app:main]: app: expected values that don't name each other in a circle, got %(app)s, which "
            "leads back to itself."
        ),
    ),
    "get of nothing": (
        "[app:main]\nuse = egg:wsgikit#app\nget app = shared_app\n",
        "app.ini:3 [app:main]: get app: expected a key of [DEFAULT], got 'shared_app'.",
    ),
    "required distribution": (
        "[app:main]\nuse = egg:wsgikit#app\nrequire = nosuchdistribution\napp = wsgiref.simple_server:demo_app\n",
        "app.ini:3 [app:main]: require: expected an installed distribution, got 'nosuchdistribution'.",
    ),
    "key twice": (
        "[app:main]\nuse = a\nuse = b\n",
        "app.ini:3 [app:main]: use: expected each key once, got it twice. Remove one of them.",
    ),
    "section twice": (
        "[app:x]\nuse = a\n[app:x]\nuse = b\n",
        "app.ini:3 [app:x]: expected each section once, got it twice. Put them together.",
    ),
    "key before a section": (
        "debug = true\n[app:main]\n",
        "app.ini:1: expected a [section] before the first key, got 'debug' and a value.",
    ),
    "line that is nothing": (
        "[app:main]\nuse egg\n",
        "app.ini:2: expected key = value, a [section] or a comment, got a line of 7 characters without '='.",
    ),
}


@pytest.mark.parametrize(("text", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place(text, expected, ini):
    from wsgikit import ErrorPagesMiddleware
    from wsgikit.ini import layer_names
    from wsgikit.options import describe_options

    expected = expected.replace("{error_pages}", ", ".join(o.name for o in describe_options(ErrorPagesMiddleware)))
    expected = expected.replace("{filters}", ", ".join(sorted([*layer_names(), "production", "delivery", "layer"])))
    message = complaint_of(ini(text + APP, other="[app:main]\nuse = config:app.ini\n"))
    assert message == expected
    assert "\n" not in message


def test_a_file_without_an_application_is_told_to_have_one(ini):
    assert complaint_of(ini("")) == (
        "app.ini: expected a section [app:main], got none of that name. Add it, or [pipeline:main]."
    )


def test_a_missing_file_names_one_that_is_there(ini):
    ini(APP)
    assert complaint_of("ap.ini") == (
        "ap.ini: expected an ini file that can be read, got: No such file or directory. Did you mean 'app.ini'?"
    )


def test_a_file_that_is_not_utf_8_is_refused(ini, tmp_path):
    (tmp_path / "latin.ini").write_bytes("[app:main]\n# gr\u00fcn\n".encode("latin-1"))
    assert complaint_of("latin.ini") == "latin.ini: expected UTF-8 text, got byte 15 that isn't."


def test_layers_in_a_wrong_order_are_told_with_the_pipeline(ini):
    text = """[pipeline:main]
pipeline = needs context app
[filter:needs]
use = egg:wsgikit#layer
factory = ini_needs:Needs
[filter:context]
use = egg:wsgikit#context
"""
    with open("ini_needs.py", "w") as module:
        module.write(
            "from wsgikit import Middleware\nclass Needs(Middleware):\n    inside_of = ('ContextMiddleware',)\n"
        )
    import sys

    sys.path.insert(0, "")
    try:
        message = complaint_of(ini(text + APP), load_stack)
    finally:
        sys.path.remove("")
        sys.modules.pop("ini_needs", None)
    assert message == (
        "app.ini:2 [pipeline:main]: stack: Needs must stand inside ContextMiddleware. "
        "The order that works, outermost first: [ContextMiddleware, Needs]."
    )


def test_a_secret_in_the_file_is_not_in_the_error(ini):
    text = """[pipeline:main]
pipeline = mine app
[filter:mine]
use = egg:wsgikit#layer
factory = wsgiref.util:shift_path_info
secret_key = hunter2
"""
    assert "hunter2" not in complaint_of(ini(text + APP))


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (
            "use = egg:wsgikit#session\nsecret_key = env:APP_EMPTY",
            "secret_key: expected a secret, got none. Make one with: wsgikit secret. env:APP_EMPTY is empty.",
        ),
        (
            "use = egg:wsgikit#database\nurl = file:empty.ini",
            "got a text of another form. Try 'sqlite:///app.db'. file:empty.ini is empty.",
        ),
    ],
    ids=["variable", "file"],
)
def test_a_source_that_is_there_and_empty_is_named(option, told, ini, monkeypatch):
    monkeypatch.setenv("APP_EMPTY", "")
    text = f"[pipeline:main]\npipeline = mine app\n[filter:mine]\n{option}\n"
    message = complaint_of(ini(text + APP, empty=""))
    assert message.startswith("app.ini:5 [filter:mine]: ")
    assert message.endswith(told)


def test_a_path_outside_the_working_folder_is_shown_whole(ini, tmp_path, monkeypatch):
    ini("[app:main]\n" + APP)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert complaint_of("../app.ini").startswith(f"{tmp_path}/app.ini:1 [app:main]: use: ")
