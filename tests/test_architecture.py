"""The direction of imports, and what is loaded when."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import pytest

import wsgikit

PACKAGE = Path(wsgikit.__file__).parent
CORE = ["flask_hints", "exceptions", "wsgi", "signals", "options", "crypto", "http", "onion"]
ROOMS = ["context", "sessions", "database", "routing", "error_pages", "middleware"]
UPPER = ["views", "templating"]
TOP = ["sijax", "serverless", "presets", "ini", "cli", "testing"]
# A group imports from those to its left. Members of ROOMS never import each other; those of the other groups may, from
# left to right, but for the last: cli shows what ini loads.
LEVEL = {
    **{name: number for number, name in enumerate(CORE)},
    **dict.fromkeys(ROOMS, 10),
    **{name: 20 + number for number, name in enumerate(UPPER)},
    **{name: 30 + number for number, name in enumerate(TOP)},
}


def modules():
    """Each module of the package: its dotted name and its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(modules())


def part_of(module):
    """The member of the layout that a module belongs to: ``wsgikit.sessions.stores.sql`` to ``sessions``."""
    return module.split(".")[1] if "." in module else ""


def imports_of(module, source):
    """Each module that the source names in an import, wherever that stands, or loads by name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: a relative import"
            for alias in node.names:
                if f"{node.module}.{alias.name}" in MODULES:  # `from wsgikit import sessions`
                    yield node.lineno, f"{node.module}.{alias.name}"
                elif alias.name != "__version__":
                    yield node.lineno, node.module
        elif isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if name in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
                yield node.lineno, node.args[0].value


def violations(module, source):
    """What `module` imports that it may not."""
    part = part_of(module)
    for line, name in imports_of(module, source):
        if name.split(".")[0] != "wsgikit":
            continue
        other = part_of(name)
        if not other:
            if name in MODULES and part not in TOP:
                yield f"{module}:{line}: imports {name} itself; import from the module where the name lives"
        elif other != part and (part not in LEVEL or LEVEL.get(other, 99) >= LEVEL[part]):
            yield f"{module}:{line}: {part} may not import {name}"


@pytest.mark.parametrize("module", [name for name in MODULES if name != "wsgikit"])
def test_a_module_imports_only_from_its_left(module):
    """``TYPE_CHECKING`` and imports inside functions included."""
    assert list(violations(module, MODULES[module].read_text())) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from wsgikit.sessions.session import Session", ["context may not import wsgikit.sessions.session"]),
        ("if TYPE_CHECKING:\n    import wsgikit.database", ["context may not import wsgikit.database"]),
        ("def f():\n    from wsgikit.ini import x", ["context may not import wsgikit.ini"]),
        ("import_module('wsgikit.views')", ["context may not import wsgikit.views"]),
        ("from wsgikit import g", ["imports wsgikit itself; import from the module where the name lives"]),
        ("from wsgikit.onion.stack import Stack\nfrom wsgikit.context.proxies import make_proxy\nimport json", []),
    ],
    ids=["another room", "type checking", "inside a function", "by name", "lazy table", "right"],
)
def test_the_check_of_imports_sees(source, expected):
    found = [text.partition(": ")[2] for text in violations("wsgikit.context.locals", source)]
    assert found == expected


def test_every_part_of_the_package_has_its_place_in_the_layout():
    assert {part_of(module) for module in MODULES} - {""} <= set(LEVEL)


def test_no_module_is_a_grab_bag():
    names = {module.rpartition(".")[2] for module in MODULES}
    assert names.isdisjoint({"utils", "util", "helpers", "common", "misc", "compat"})


# Packages of others are loaded once: it is our own modules that each child loads again.
_IMPORT_EACH = """
import importlib, os, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
failed = []
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        for loaded in [name for name in sys.modules if name.partition(".")[0] == "wsgikit"]:
            del sys.modules[loaded]
        try:
            importlib.import_module(name)
        except BaseException as error:
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        failed.append(name)
sys.exit(bool(failed))
"""


def test_each_module_can_be_imported_first_in_a_fresh_process():
    names = [name for name in MODULES if not name.endswith("__main__")]
    run = subprocess.run([sys.executable, "-c", _IMPORT_EACH, *names], capture_output=True, text=True, timeout=110)
    assert run.stdout == ""
    assert run.returncode == 0, run.stderr


_BUILD = """
import sys
present = set(sys.modules)  # a .pth file may have loaded something
import wsgikit
stack = wsgikit.build_stack(
    lambda environ, start_response: [],
    wsgikit.use(wsgikit.ContextMiddleware),
    wsgikit.use(type("Mine", (wsgikit.Middleware,), {"after_request": lambda self, exchange: None})),
)
print(*sorted(set(sys.modules) - present))
"""


def test_building_a_stack_loads_no_more_than_it_needs():
    run = subprocess.run([sys.executable, "-c", _BUILD], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    heavy = {"webob", "werkzeug", "sqlalchemy", "jinja2", "itsdangerous", "paste", "click", "inspect", "logging"}
    assert loaded & heavy == set()


def test_importing_the_package_loads_none_of_its_modules():
    code = "import sys, wsgikit; print(*[name for name in sys.modules if name.startswith('wsgikit.')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == ""


def test_every_package_of_the_repository_is_found_by_its_walk():
    walked = {info.name for info in pkgutil.walk_packages([str(PACKAGE)], "wsgikit.", onerror=lambda name: None)}
    assert walked == set(MODULES) - {"wsgikit"}


@pytest.mark.parametrize("module", [name for name in MODULES if not name.endswith("__main__")])
def test_a_module_says_what_it_offers_and_each_of_it_is_documented(module):
    loaded = importlib.import_module(module)
    assert (loaded.__doc__ or "").strip(), "the module has no docstring"
    for name in getattr(loaded, "__all__", ()):
        value = getattr(loaded, name)
        if isinstance(value, (type, FunctionType)):
            assert (value.__doc__ or "").strip(), f"{name} has no docstring"


@pytest.mark.parametrize("module", [name for name in MODULES if part_of(name) in (*ROOMS, *UPPER)])
def test_no_room_reaches_into_the_private_attributes_of_an_exchange(module):
    """A layer meets others in environ and in what the exchange offers."""
    private = {"_onion", "_outer", "_g", "_request", "_state", "_stage", "_record", "_finished"}
    reached = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in private
        and isinstance(node.value, ast.Name)
        and node.value.id in ("exchange", "current", "within", "around", "outer")
    ]
    assert reached == []


def test_layers_that_read_bytes_sent_declare_it():
    modules = sorted((PACKAGE / "middleware").rglob("*.py"))
    readers = [path for path in modules if ".bytes_sent" in path.read_text(encoding="utf-8")]
    assert readers
    for path in readers:
        assert "counts_bytes = True" in path.read_text(encoding="utf-8"), f"{path}: declare counts_bytes = True"
