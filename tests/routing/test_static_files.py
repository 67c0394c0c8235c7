"""The `static` endpoint of a router: also when its folder comes later, or never."""

from __future__ import annotations

import sys
import types

import pytest

from wsgikit import ContextMiddleware, Router, RouterMiddleware, build_stack, render_template_string, url_for, use
from wsgikit.exceptions import ConfigurationError


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module in an empty folder."""
    module = types.ModuleType("somewhere")
    module.__file__ = str(tmp_path / "__init__.py")
    monkeypatch.setitem(sys.modules, "somewhere", module)
    return "somewhere"


def write(folder, name="a.css", text="x"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)


def legacy(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"legacy"]


# ---------------------------------------------------------------------- a folder that is missing

PLACES = {
    "by default": ({}, "static", "/static/a.css"),
    "another folder": ({"static_folder": "assets"}, "assets", "/assets/a.css"),
    "another folder with a slash": ({"static_folder": "assets/"}, "assets", "/assets/a.css"),
    "another URL": ({"static_url_path": "/files"}, "static", "/files/a.css"),
    "the module's own folder": ({"static_folder": ""}, ".", "/a.css"),
    "the root": ({"static_url_path": ""}, "static", "/a.css"),
    "no URL": ({"static_url_path": None}, "static", "/static/a.css"),
}


@pytest.mark.parametrize(("options", "folder", "url"), PLACES.values(), ids=PLACES.keys())
def test_files_are_served_as_soon_as_the_folder_exists(client, module, tmp_path, options, folder, url):
    router = Router(module, **options)
    router.add_url_rule("/page", "page", lambda: render_template_string("{{ url_for('static', filename='a.css') }}"))
    app = client(build_stack(router, use(ContextMiddleware)))
    assert app.get("/page").text == url
    assert app.get_any(url).status_int == 404
    write(tmp_path / folder)
    assert app.get(url).text == "x"


def test_an_included_router_has_files_of_its_own(client, module, tmp_path):
    site = Router(module)
    blog = Router(module, name="blog", static_folder="blog_files", static_url_path="/static")
    blog.add_url_rule(
        "/", "index", lambda: f"{url_for('.static', filename='b.css')} {url_for('static', filename='a.css')}"
    )
    site.include(blog, "/blog")
    app = client(build_stack(site, use(ContextMiddleware)))
    assert app.get("/blog/").text == "/blog/static/b.css /static/a.css"
    assert app.get_any("/blog/static/b.css").status_int == 404
    write(tmp_path / "blog_files", "b.css", "blog")
    assert app.get("/blog/static/b.css").text == "blog"


@pytest.mark.parametrize("exists", ["the first", "the second", "none"])
def test_a_missing_folder_gives_way_to_one_under_the_same_url(client, module, tmp_path, exists):
    if exists != "none":
        write(tmp_path / ("first" if exists == "the first" else "second"), text=exists)
    site = Router(module, static_folder="first", static_url_path="/static")
    site.include(Router(module, name="blog", static_folder="second", static_url_path="/static"))
    app = client(site)
    assert app.get_any("/static/a.css").status_int == (404 if exists == "none" else 200)
    assert site.url_for("static", filename="a") == site.url_for("blog.static", filename="a") == "/static/a"


def test_a_rule_of_ones_own_goes_before_a_missing_folder(client, module):
    router = Router(module)
    router.add_url_rule("/static/<path:name>", "mine", lambda name: name)
    assert client(router).get("/static/a.css").text == "a.css"


def test_two_folders_that_exist_under_one_url_are_refused(module, tmp_path):
    write(tmp_path / "static")
    site = Router(module)
    with pytest.raises(ConfigurationError, match=r"of endpoint 'blog\.static': its path"):
        site.include(Router(module, name="blog"))


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_an_application_behind_keeps_its_files_while_the_folder_is_missing(client, module, tmp_path, method):
    router = Router(module)
    app = client(build_stack(legacy, use(ContextMiddleware), use(RouterMiddleware, router=router)))
    response = getattr(app, f"{method.lower()}_any")("/static/a.css")
    assert (response.status_int, response.text) == (200, "legacy")
    write(tmp_path / "static")
    assert getattr(app, f"{method.lower()}_any")("/static/a.css").status_int == (405 if method == "POST" else 200)


def test_no_folder_means_no_endpoint(module):
    router = Router(module, static_folder=None)
    assert not router.has_endpoint("static")
    assert router.static_url_path == "/static"
    assert not Router().has_endpoint("static")


# ---------------------------------------------------------------------- options

AGES = {"none": (None, "no-cache"), "an hour": (3600, "max-age=3600"), "zero": (0, "max-age=0")}


@pytest.mark.parametrize(("seconds", "directive"), AGES.values(), ids=AGES.keys())
def test_static_files_may_be_cached(client, module, tmp_path, seconds, directive):
    write(tmp_path / "static")
    app = client(Router(module, static_max_age_seconds=seconds))
    assert directive in app.get("/static/a.css").headers["Cache-Control"]


def test_static_files_on_a_host(client, module, tmp_path):
    write(tmp_path / "static")
    router = Router(module, host_matching=True, static_host="files.example.org")
    router.add_url_rule("/", "home", lambda: "home", host="example.org")
    app = client(build_stack(router, use(ContextMiddleware)))
    assert app.get("/static/a.css", headers={"Host": "files.example.org"}).text == "x"
    assert app.get_any("/static/a.css", headers={"Host": "example.org"}).status_int == 404
    assert router.url_for("static", filename="a.css", _external=True) == "http://files.example.org/static/a.css"


BAD = {
    "a host without matching": ({"static_host": "x"}, r"^Router: static_host: expected a router that matches hosts"),
    "a URL that is no text": ({"static_url_path": 7}, r"^Router: static_url_path: expected a path, got 7"),
    "an age that is no number": ({"static_max_age_seconds": "1h"}, r"^Router: static_max_age_seconds: expected"),
    "a negative age": ({"static_max_age_seconds": -1}, r"^Router: static_max_age_seconds: expected"),
}


@pytest.mark.parametrize(("options", "text"), BAD.values(), ids=BAD.keys())
def test_wrong_options_are_refused(module, options, text):
    with pytest.raises(ConfigurationError, match=text):
        Router(module, **options)
