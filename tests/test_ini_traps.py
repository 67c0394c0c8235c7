"""Where PasteDeploy's own behaviour is a trap, our loader is right or says so; where it is right, so are we."""

from __future__ import annotations

import logging
import sys

import pytest
from paste.deploy import loadapp

from wsgikit import ErrorPagesMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.ini import config_files, has_logging, load_app, load_stack, setup_logging

APP = """
[app:app]
use = egg:wsgikit#app
app = wsgiref.simple_server:demo_app
"""

MODULE = """
from wsgikit import Middleware

class Layer(Middleware):
    def __init__(self, app, *, text: str = "", debug: bool = False):
        super().__init__(app)
        self.text = text
        self.debug = debug

made = {}

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"it is made"]

def make_app(global_conf, **local):
    made["global"], made["local"] = dict(global_conf), local
    return app

def make_filter(global_conf, name="filter"):
    def wrap(inner):
        made.setdefault("order", []).append((name, getattr(inner, "name", "app")))
        def wrapped(environ, start_response):
            return inner(environ, start_response)
        wrapped.name = name
        return wrapped
    return wrap
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder: it holds the module ``made_here``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made_here.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "made_here", raising=False)
    yield tmp_path
    sys.modules.pop("made_here", None)


@pytest.fixture
def made(folder):
    """What the factories of ``made_here`` were called with."""
    import made_here  # type: ignore[import-not-found]

    return made_here.made


def write(folder, text, name="app.ini"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def stock(path, **more):
    return loadapp(f"config:{path}", **more)


BOTH = pytest.mark.parametrize("load", [load_app, stock], ids=["ours", "stock"])


# ---------------------------------------------------------------------- B120


@BOTH
def test_a_key_that_default_has_too_is_refused_instead_of_lost(load, folder):
    path = write(
        folder,
        """[DEFAULT]
debug = true
[pipeline:main]
pipeline = errors app
[filter:errors]
use = egg:wsgikit#error_pages
debug = false
"""
        + APP,
    )
    with pytest.raises(ConfigurationError) as raised:
        load(path)
    assert str(raised.value) == (
        "app.ini:7 [filter:errors]: debug: expected a key that neither [DEFAULT] nor a setting from outside has, "
        "got one that they have: PasteDeploy then leaves it out of the section. "
        "Rename the other one, and fetch it by 'get debug = <its new name>'."
    )


@BOTH
def test_a_shared_value_is_fetched_from_default_by_get(load, folder):
    text = """[DEFAULT]
shared_debug = true
[pipeline:main]
pipeline = errors app
[filter:errors]
use = egg:wsgikit#error_pages
get debug = shared_debug
"""
    assert load(write(folder, text + APP)).debug is True


@BOTH
def test_keys_of_default_are_no_unknown_options(load, folder):
    text = """[DEFAULT]
anything = at all
x-note = hm
[pipeline:main]
pipeline = errors app
[filter:errors]
use = egg:wsgikit#error_pages
x-owner = us
"""
    assert isinstance(load(write(folder, text + APP)), ErrorPagesMiddleware)


def test_what_set_sets_is_not_interpolated_and_that_is_said(folder):
    text = """[app:main]
use = egg:wsgikit#app
set package = wsgiref
app = %(package)s.simple_server:demo_app
"""
    with pytest.raises(ConfigurationError) as raised:
        load_app(write(folder, text))
    assert str(raised.value) == (
        "app.ini:4 [app:main]: app: expected a name that this section or [DEFAULT] has, got %(package)s. "
        "PasteDeploy doesn't interpolate what 'set package' sets. Put it into [DEFAULT]."
    )


def test_call_in_a_filter_app_is_refused_with_the_way_round(folder):
    text = """[filter-app:main]
use = call:made_here:make_filter
next = app
"""
    with pytest.raises(ConfigurationError) as raised:
        load_app(write(folder, text + APP))
    assert str(raised.value) == (
        "app.ini:2 [filter-app:main]: expected egg: or the name of a [filter:…] section, got "
        "'call:made_here:make_filter': PasteDeploy can't tell what kind of factory it is. "
        "Write [filter:x] with use = call:made_here:make_filter, and use = x here."
    )


@BOTH
def test_a_filter_app_around_a_named_filter_works(load, folder):
    text = """[filter-app:main]
use = egg:wsgikit#error_pages
next = app
debug = true
"""
    assert load(write(folder, text + APP)).debug is True


# ---------------------------------------------------------------------- B121


@BOTH
def test_keys_keep_their_case(load, folder):
    text = """[pipeline:main]
pipeline = errors app
[filter:errors]
use = egg:wsgikit#error_pages
Debug = true
"""
    with pytest.raises(ConfigurationError, match=r"app\.ini:5 \[filter:errors\]: Debug: unknown option: .*'debug'\?"):
        load(write(folder, text + APP))


@BOTH
def test_sections_may_have_blanks_and_values_several_lines(load, folder):
    text = """[composite:main]
use = egg:wsgikit#mount
/ = two
/my = my app
[app: my app]
use = egg:wsgikit#app
app =
    wsgiref.simple_server:demo_app
[pipeline:two]
pipeline =
    errors
    app
[filter:errors]
use = egg:wsgikit#error_pages
"""
    app = load(write(folder, text + APP))
    assert list(app.apps) == ["", "/my"]


def test_a_comment_at_the_end_of_a_line_is_part_of_the_value_and_that_is_said(folder):
    text = """[pipeline:main]
pipeline = errors app
[filter:errors]
use = egg:wsgikit#error_pages
debug = false ; never in production
"""
    with pytest.raises(ConfigurationError) as raised:
        load_app(write(folder, text + APP))
    assert str(raised.value).endswith("A comment stands on a line of its own: ';' within a line is part of the value.")


@BOTH
def test_two_percent_signs_are_one(load, folder, made):
    load(write(folder, "[app:main]\nuse = call:made_here:make_app\nformat = 100%%\n"))
    assert made["local"] == {"format": "100%"}


# ---------------------------------------------------------------------- B122


@BOTH
def test_an_included_file_lies_beside_the_file_that_includes_it(load, folder, made):
    path = write(folder, "[app:main]\nuse = config:parts/base.ini#web\nlevel = outer\n", "conf/app.ini")
    write(folder, "[app:web]\nuse = call:made_here:make_app\nwhere = %(here)s\nlevel = inner\n", "conf/parts/base.ini")
    load(path)
    assert made["local"] == {"where": str(folder / "conf" / "parts"), "level": "outer"}


def test_a_mistake_in_an_included_section_names_the_file_that_has_it(folder):
    path = write(folder, "[pipeline:main]\npipeline = e app\n[filter:e]\nuse = config:base.ini#errors\n" + APP)
    write(folder, "[filter:errors]\nuse = egg:wsgikit#error_pages\ndebgu = true\n", "base.ini")
    for load in (load_app, stock):
        with pytest.raises(ConfigurationError, match=r"^base\.ini:3 \[filter:errors\]: debgu: unknown option"):
            load(path)


def test_a_file_in_an_included_section_lies_beside_the_included_file(folder):
    path = write(folder, "[pipeline:main]\npipeline = e app\n[filter:e]\nuse = config:conf/base.ini#errors\n" + APP)
    write(folder, "[filter:errors]\nuse = egg:wsgikit#error_pages\neditor = file:editor.txt\n", "conf/base.ini")
    write(folder, "vscode\n", "conf/editor.txt")
    for load in (load_app, stock):
        assert load(path).editor == "vscode"


# ---------------------------------------------------------------------- B123

CHAIN = """
[app:main]
use = call:made_here:make_app
filter-with = A
[filter:A]
use = call:made_here:make_filter
name = A
filter-with = B
[filter:B]
use = call:made_here:make_filter
name = B
[pipeline:pipe]
pipeline = B2 A2 plain
[app:plain]
use = call:made_here:make_app
[filter:A2]
use = call:made_here:make_filter
name = A
[filter:B2]
use = call:made_here:make_filter
name = B
"""


@BOTH
def test_the_last_filter_with_is_outermost_and_the_first_of_a_pipeline(load, folder, made):
    path = write(folder, CHAIN)
    load(path)
    chained = made.pop("order")
    load(path, name="pipe")
    assert chained == made["order"] == [("A", "app"), ("B", "A")]


# ---------------------------------------------------------------------- B124


def test_a_folder_with_a_percent_sign_works(folder, made):
    path = write(folder, "[app:main]\nuse = call:made_here:make_app\nwhere = %(here)s/x\n", "100% us/app.ini")
    load_app(path)
    assert made["local"] == {"where": f"{folder}/100% us/x"}
    assert made["global"]["here"] == f"{folder}/100% us"


def test_an_include_from_a_folder_that_looks_quoted_works(folder, made):
    path = write(folder, "[app:main]\nuse = config:p%%20q/base.ini\n")
    write(folder, "[app:main]\nuse = call:made_here:make_app\n", "p%20q/base.ini")
    load_app(path)
    assert made["local"] == {}


def test_a_quoted_include_works_as_in_paste_deploy(folder, made):
    path = write(folder, "[app:main]\nuse = config:p%%20q/base.ini\n")
    write(folder, "[app:main]\nuse = call:made_here:make_app\n", "p q/base.ini")
    for load in (load_app, stock):
        load(path)
    assert made["local"] == {}


@pytest.mark.parametrize("value", ["100%", "50% of %s", "%d.%m.%Y", "a%", "%20", "% (x)"])
def test_a_bare_percent_sign_is_a_percent_sign(value, folder, made):
    load_app(write(folder, f"[app:main]\nuse = call:made_here:make_app\nvalue = {value}\n"))
    assert made["local"] == {"value": value}


def test_a_value_from_the_environment_is_never_interpolated(folder, monkeypatch):
    monkeypatch.setenv("SOME_TEXT", "x://%(here)s/%s%%")
    text = """[pipeline:main]
pipeline = layer app
[filter:layer]
use = egg:wsgikit#layer
factory = made_here:Layer
text = env:SOME_TEXT
"""
    path = write(folder, text + APP)
    assert load_app(path)._options == stock(path)._options == {"text": "x://%(here)s/%s%%"}


def test_logging_is_left_alone_unless_it_is_asked_for(folder):
    path = write(folder, "[app:main]\nuse = app\n" + APP + LOGGING)
    known = logging.getLogger("ini_traps_known")
    level = logging.getLogger().level
    load_stack(path)
    assert logging.getLogger().level == level
    assert has_logging(path)

    before = logging.getLogger("ini_traps").handlers[:]
    setup_logging(path)
    try:
        assert logging.getLogger("ini_traps").level == logging.ERROR
        assert not known.disabled
    finally:
        for handler in set(logging.getLogger("ini_traps").handlers) - set(before):
            handler.close()
            logging.getLogger("ini_traps").removeHandler(handler)


def test_logging_that_was_asked_for_and_is_not_there_is_an_error(folder):
    path = write(folder, "[app:main]\nuse = app\n" + APP)
    assert not has_logging(path)
    with pytest.raises(ConfigurationError) as raised:
        setup_logging(path)
    assert str(raised.value) == "app.ini: loggers: expected a section [loggers] to set up logging by, got none."


LOGGING = """
[loggers]
keys = root, mine
[handlers]
keys = file
[formatters]
keys = plain
[logger_root]
handlers =
[logger_mine]
qualname = ini_traps
level = ERROR
handlers = file
[handler_file]
class = FileHandler
args = ("%(here)s/app.log",)
formatter = plain
[formatter_plain]
format = %(asctime)s %(message)s
"""


# ---------------------------------------------------------------------- B125


def test_settings_from_outside_hold_everywhere(folder, made):
    path = write(
        folder, "[DEFAULT]\nport = 80\n[app:main]\nuse = call:made_here:make_app\nurl = http://localhost:%(port)s\n"
    )
    load_app(path, settings={"port": "8080"})
    assert made["local"] == {"url": "http://localhost:8080"}
    assert made["global"]["port"] == "8080"


def test_settings_from_outside_reach_included_files(folder, made):
    path = write(folder, "[app:main]\nuse = config:base.ini\n")
    write(folder, "[DEFAULT]\nport = 80\n[app:main]\nuse = call:made_here:make_app\nport_used = %(port)s\n", "base.ini")
    load_app(path, settings={"port": "8080"})
    assert made["local"] == {"port_used": "8080"}


def test_settings_from_outside_are_not_interpolated(folder, made):
    path = write(folder, "[app:main]\nuse = call:made_here:make_app\nsays = %(motto)s\n")
    load_app(path, settings={"motto": "100% %(here)s"})
    assert made["local"] == {"says": "100% %(here)s"}


# ---------------------------------------------------------------------- B126


def test_a_bad_entry_point_names_the_groups_that_were_searched(folder):
    with pytest.raises(ConfigurationError, match=r"paste\.app_factory or paste\.composite_factory or paste\.composit"):
        load_app(write(folder, "[app:main]\nuse = egg:wsgikit#ap\n"))


@BOTH
def test_a_mistake_in_a_layer_is_told_with_its_place_under_stock_paste_deploy_too(load, folder):
    text = """[pipeline:main]
pipeline = first second app
[filter:first]
use = egg:wsgikit#error_pages
debug = false
[filter:second]
use = egg:wsgikit#error_pages
debug = perhaps
"""
    with pytest.raises(ConfigurationError) as raised:
        load(write(folder, text + APP))
    assert str(raised.value) == (
        "app.ini:8 [filter:second]: debug: expected yes, no, true, false, on, off, 1 or 0, got 'perhaps'."
    )


def test_a_layer_of_ones_own_gets_typed_options(folder):
    (folder / "made_layers.py").write_text(
        "from wsgikit import Middleware\n"
        "class Limit(Middleware):\n"
        "    def __init__(self, app, *, max_body_bytes: int, hosts: list[str] = []):\n"
        "        super().__init__(app)\n"
        "        self.got = (max_body_bytes, hosts)\n"
    )
    text = """[pipeline:main]
pipeline = limit app
[filter:limit]
use = egg:wsgikit#layer
factory = made_layers:Limit
max_body_bytes = 2MB
hosts = a, b
"""
    path = write(folder, text + APP)
    try:
        assert load_app(path).got == stock(path).got == (2_000_000, ["a", "b"])
    finally:
        sys.modules.pop("made_layers", None)


def test_of_several_sections_with_one_factory_the_one_with_the_same_keys_is_named(folder):
    text = """[DEFAULT]
kind = html
[pipeline:main]
pipeline = first second third app
[filter:first]
use = egg:wsgikit#layer
factory = made_here:Layer
text = html
debug = false
[filter:second]
use = egg:wsgikit#layer
factory = made_here:Layer
text = %(kind)s
[filter:third]
use = egg:wsgikit#layer
factory = made_here:Layer
debug = perhaps
"""
    with pytest.raises(ConfigurationError, match=r"^app\.ini:17 \[filter:third\]: debug: expected yes"):
        stock(write(folder, text + APP))
    assert stock(write(folder, (text + APP).replace("perhaps", "no"))).debug is False


@BOTH
def test_whatever_a_layer_raises_is_told_with_its_place(load, folder):
    (folder / "made_layers.py").write_text(
        "class Limit:\n    def __init__(self, app, limit: int):\n        raise ValueError('limit is too small')\n"
    )
    text = """[pipeline:main]
pipeline = limit app
[filter:limit]
use = egg:wsgikit#layer
factory = made_layers:Limit
limit = 0
"""
    try:
        with pytest.raises(ConfigurationError) as raised:
            load(write(folder, text + APP))
    finally:
        sys.modules.pop("made_layers", None)
    assert str(raised.value) == "app.ini:6 [filter:limit]: Limit: ValueError: limit is too small (at made_layers.py:3)."


# ---------------------------------------------------------------------- B127


@pytest.mark.parametrize("word", ["t", "y", "enabled", "", "None", "2", "flase"])
def test_a_word_that_is_no_boolean_is_never_true(word, folder):
    text = f"""[pipeline:main]
pipeline = errors app
[filter:errors]
use = egg:wsgikit#error_pages
debug = {word}
"""
    with pytest.raises(ConfigurationError, match="debug: expected yes, no, true, false, on, off, 1 or 0, got "):
        load_app(write(folder, text + APP))


# ---------------------------------------------------------------------- files


def test_the_files_to_watch_are_the_ini_what_it_includes_and_its_secrets(folder):
    path = write(folder, "[pipeline:main]\npipeline = e app\n[filter:e]\nuse = config:conf/base.ini#errors\n" + APP)
    write(folder, "[filter:errors]\nuse = egg:wsgikit#error_pages\neditor = file:editor.txt\n", "conf/base.ini")
    write(folder, "vscode\n", "conf/editor.txt")
    assert config_files(path) == [path, str(folder / "conf/base.ini"), str(folder / "conf/editor.txt")]


def test_files_that_include_each_other_are_listed_once(folder):
    path = write(folder, "[app:main]\nuse = config:b.ini\n")
    other = write(folder, "[app:main]\nuse = config:app.ini\n", "b.ini")
    assert config_files(path) == [path, other]
