"""``wsgikit check``: whether an onion can be built, and whether it may be put on the network."""

from __future__ import annotations

__all__ = ["command", "find_problems"]

import importlib.util
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any

import click

from wsgikit.cli import PROBLEM
from wsgikit.cli.deploy import find_risks
from wsgikit.cli.finding import Finding
from wsgikit.cli.inside import all_stacks, routers_of
from wsgikit.cli.report import make_report, report_json, report_table
from wsgikit.cli.target import is_ini, load_target, split_ini, with_settings
from wsgikit.ini.interpolation import find_bare_percents
from wsgikit.ini.loading import config_files
from wsgikit.ini.locate import read_with_includes
from wsgikit.onion.stack import Stack
from wsgikit.options import describe_options, is_secret
from wsgikit.options.masking import hide_credentials
from wsgikit.options.words import comment_hint
from wsgikit.routing.fitting import misfits, viewless

RECOMMENDED_SECRET = 32  # characters: 128 bits, written in hexadecimal; layers refuse only what is far below it
# What stands in examples, and is found by anyone who tries.
_WELL_KNOWN = ("secret", "change", "changeme", "password", "example", "development", "dev", "test", "default", "todo")


@click.command("check")
@click.argument("target")
@click.option("--deploy", is_flag=True, help="Report all that a security review asks, topic by topic.")
@click.option("--json", "is_json", is_flag=True, help="Print the report as JSON, with --deploy.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="How many processes will serve it: stores in memory are not shared by several. With --deploy.",
)
@with_settings
def command(target: str, deploy: bool, is_json: bool, workers: int, settings: dict[str, str]) -> None:
    """Load TARGET, and check its options, its order and its security settings.

    Exit status: 0 if all is well, 1 if there is a problem, 2 if the command line is wrong. Notes are no problems.
    """
    if is_json and not deploy:
        raise click.UsageError("--json is for the report of --deploy.")
    with load_target(target, settings) as stack:
        findings = [*find_problems(stack), *(_findings_in_file(target) if is_ini(target) else ())]
        layers = sum(len(each.layers) for each in all_stacks(stack))
        if deploy:
            findings += find_risks(stack, workers)
    if deploy:
        report = make_report(target, findings)
        click.echo(report_json(report) if is_json else report_table(report))
        raise SystemExit(PROBLEM if report.problems else 0)
    for finding in findings:
        click.echo(str(finding))
    problems = sum(not finding.is_note for finding in findings)
    if problems:
        click.echo(f"{target}: {problems} problem{'s' if problems > 1 else ''}.")
        raise SystemExit(PROBLEM)
    click.echo(f"{target}: {layers} layer{'' if layers == 1 else 's'}, no problem.")


def find_problems(stack: Stack) -> Iterator[Finding]:
    """Go through what is unsafe or can't work in a stack, and in those inside it."""
    routers: dict[int, Any] = {}
    for each in all_stacks(stack):
        yield from _unsafe_options(each)
        routers.update((id(router), router) for router in routers_of(each))
    for router in routers.values():
        if any(os.path.isdir(folder) for folder in router.template_folders) and not _is_installed("jinja2"):
            text = "it has a folder of templates, and Jinja2 isn't installed. Run: pip install 'wsgikit[templates]'"
            yield Finding(repr(router), text)
        for text in (*misfits(router), *viewless(router)):
            yield Finding(repr(router), text)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # sys.modules says that it is not
        return False


def _unsafe_options(stack: Stack) -> Iterator[Finding]:
    for layer in stack.layers:
        name = type(layer).__name__
        described = describe_options(type(layer))
        public = {option.name for option in described if not option.is_secret}
        options = {option.name: option.default for option in described if not option.is_required}
        options |= getattr(layer, "_options", {})
        yield from _unsafe_switches(name, options)
        yield from _unsafe_cookie(name, options)
        if name == "InspectorMiddleware":
            yield _inspector(options)
        for key, value in options.items():
            if is_secret(key) and key not in public:
                yield from _weak_secrets(name, key, value)


def _unsafe_switches(name: str, options: Mapping[str, Any]) -> Iterator[Finding]:
    if options.get("debug") is True:
        danger = "it is for development."
        if "debug_hosts" in options:
            danger = (
                "loopback peers and debug_hosts see tracebacks with source. Behind a proxy on the same machine that "
                "may be every visitor."
            )
        yield Finding(name, f"debug is on: {danger} Write debug = false.", topic="debug")
    if options.get("console") is True:
        yield Finding(name, "console is on: who reaches it can run code. Write console = false.", topic="debug")


def _inspector(options: Mapping[str, Any]) -> Finding:
    """Report an inspector: as a problem, if others than this machine may open it without a token."""
    is_open = options.get("allow") != "local" and options.get("token") is None
    text = "it shows requests of all visitors to the clients in allow"
    remedy = "Add token, or leave the layer out." if is_open else "Leave the layer out of a public site."
    return Finding("InspectorMiddleware", f"{text}. {remedy}", is_note=not is_open, topic="debug")


def _unsafe_cookie(name: str, options: Mapping[str, Any]) -> Iterator[Finding]:
    secure = options.get("cookie_secure")
    if secure is False:
        yield Finding(
            name,
            "cookie_secure is off: the cookie is sent in the clear. Write cookie_secure = true or auto.",
            topic="cookies",
        )
    if options.get("cookie_httponly") is False:
        yield Finding(
            name,
            "cookie_httponly is off: scripts of the page can read the cookie. Leave the option out.",
            topic="cookies",
        )
    samesite = options.get("cookie_samesite", "Lax")
    if samesite is None or str(samesite).lower() == "none":
        if secure is not True:
            yield Finding(
                name,
                "cookie_samesite is None without cookie_secure = true: browsers refuse the cookie.",
                topic="cookies",
            )
        else:
            yield Finding(
                name, "cookie_samesite is None: other sites' pages send the cookie too.", is_note=True, topic="cookies"
            )


def _weak_secrets(name: str, key: str, value: Any) -> Iterator[Finding]:
    for secret in value if isinstance(value, (list, tuple, set, frozenset)) else (value,):
        if not isinstance(secret, (str, bytes)):
            continue
        text = secret.decode("latin-1") if isinstance(secret, bytes) else secret
        if len(text) < RECOMMENDED_SECRET:
            found = f"{key} works, but at least {RECOMMENDED_SECRET} characters are recommended, got {len(text)}."
            yield Finding(name, f"{found} Make one: wsgikit secret.", topic="secrets")
        elif len(set(text)) < 8 or any(text.lower().startswith(word) for word in _WELL_KNOWN):
            yield Finding(name, f"{key} looks like one from an example. Make one: wsgikit secret.", topic="secrets")


def _findings_in_file(target: str) -> Iterator[Finding]:
    """Go through what can only be seen in the text of the file, and in who may change it."""
    path, _ = split_ini(target)
    for shown in dict.fromkeys(os.path.relpath(each) for each in config_files(path)):
        yield from _open_to_others(shown)
    for file in read_with_includes(path):
        for section, key in find_bare_percents(file):
            yield Finding(
                f"{file.where(section, key)}",
                f"{key}: stock PasteDeploy (gunicorn --paste, pserve) refuses a bare '%'. Write %% for it there.",
                is_note=True,
            )
        for section in file.sections:
            for key, entry in file.options_of(section).items():
                if hint := comment_hint(entry.text):
                    yield Finding(f"{file.where(section, key)}", f"{key}: {hint}", is_note=True)
                if section.startswith("filter:") and _is_secret_text(key, entry.text):
                    yield Finding(
                        f"{file.where(section, key)}",
                        f"{key}: the secret stands in the file itself. Write env:NAME or file:PATH.",
                        is_note=True,
                        topic="secrets",
                    )


def _open_to_others(path: str) -> Iterator[Finding]:
    """Find a file that others may change: they can name a module to be imported, or set the key."""
    if os.name == "nt" or not os.path.exists(path):  # Windows keeps permissions elsewhere
        return
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        whom = "every user" if mode & stat.S_IWOTH else "its group"
        text = f"{whom} may change the file (mode {mode:04o}). Run: chmod go-w {path}"
        yield Finding(path, text, is_note=not mode & stat.S_IWOTH, topic="files")
    elif mode & stat.S_IROTH and not path.endswith((".ini", ".cfg", ".conf")):  # a secret that file: names
        yield Finding(
            path,
            f"every user may read the secret (mode {mode:04o}). Run: chmod 600 {path}",
            is_note=True,
            topic="files",
        )


def _is_secret_text(key: str, text: str) -> bool:
    """Return whether a secret, or a URL with a password in it, stands here in clear."""
    is_elsewhere = all(line.startswith(("env:", "file:", "%(")) for line in text.split("\n") if line)
    return not is_elsewhere and (is_secret(key) or hide_credentials(text) != text)
