"""Applications that nobody here wrote, wrapped and used by their own clients through two servers."""

from __future__ import annotations

import secrets
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

FOLDER = Path(__file__).parents[2] / "recipes" / "wrap_an_existing_app"
SERVERS = {
    "gunicorn": ["gunicorn", "--workers=2", "--threads=2", "--bind=127.0.0.1:{port}"],
    "waitress": ["waitress-serve", "--listen=127.0.0.1:{port}"],
}
pytestmark = pytest.mark.server


@pytest.fixture(params=SERVERS)
def serve(request, start_server, tmp_path) -> Callable[..., str]:
    """A function that serves one of the recipe's modules and returns its URL."""

    def start(module: str, **environment: str) -> str:
        command = [*SERVERS[request.param], f"{module}:application"]
        environment |= {"WRAP_DATA": str(tmp_path), "WRAP_SECRET": secrets.token_hex(32)}
        return start_server(command, FOLDER, tmp_path / "server.log", **environment)

    return start


def check_route_in_front(url: str) -> None:
    """The route of ours counts in a session and in a database, and the application inside sees nothing of it."""
    with httpx.Client(base_url=url, timeout=60) as client:
        first = client.get("/-/visits")
        assert first.json() == {"yours": 1, "all": 1}
        assert "HttpOnly" in first.headers["set-cookie"]
        assert client.get("/-/visits").json() == {"yours": 2, "all": 2}
    with httpx.Client(base_url=url, timeout=60) as another:
        assert another.get("/-/visits").json() == {"yours": 1, "all": 3}


def make_wheel(folder: Path, name: str, version: str) -> Path:
    """Write the smallest wheel that pip installs."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"version = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


def test_pip_downloads_from_the_wrapped_package_index(serve, tmp_path):
    packages = tmp_path / "packages"
    packages.mkdir()
    wheel = make_wheel(packages, "onionpeel", "1.2.3")
    url = serve("package_index")
    target = tmp_path / "downloaded"
    pip = [sys.executable, "-m", "pip", "--isolated", "--no-cache-dir", "download", "--no-deps", "--no-build-isolation"]
    index = ["--index-url", f"{url}/simple/", "--trusted-host", "127.0.0.1", "--dest", str(target), "onionpeel"]
    done = subprocess.run(
        [*pip, *index], capture_output=True, text=True, timeout=100, env={"PIP_CONFIG_FILE": "/dev/null"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (target / wheel.name).read_bytes() == wheel.read_bytes()
    missing = httpx.get(f"{url}/simple/no-such-package/", timeout=60)
    assert missing.status_code == 404
    assert "no-such-package" in missing.text, "the application's own error body is passed on"
    check_route_in_front(url)


def test_git_clones_from_and_pushes_to_the_wrapped_git_server(serve, tmp_path):
    def git(*words: str) -> str:
        identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=main"]
        done = subprocess.run(["git", *identity, *words], capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    bare = tmp_path / "repositories" / "onion.git"
    git("init", "--bare", str(bare))
    git("-C", str(bare), "config", "http.receivepack", "true")
    git("init", "work")
    (tmp_path / "work" / "big.txt").write_text("a line of text\n" * 100_000)
    git("-C", "work", "add", ".")
    git("-C", "work", "commit", "-m", "Grow the onion")
    url = serve("git_server")
    git("-C", "work", "push", f"{url}/onion.git", "HEAD:refs/heads/main")
    git("clone", f"{url}/onion.git", "cloned", "--branch", "main")
    assert (tmp_path / "cloned" / "big.txt").read_text() == (tmp_path / "work" / "big.txt").read_text()
    assert git("-C", "cloned", "log", "--format=%s").strip() == "Grow the onion"
    check_route_in_front(url)


def test_a_paste_goes_into_the_wrapped_pastebin_and_comes_out(serve, tmp_path):
    storage = tmp_path / "pastes"
    storage.mkdir()
    config = tmp_path / "bepasty.conf"
    config.write_text(
        f"SECRET_KEY = {secrets.token_hex(32)!r}\n"
        f"STORAGE_FILESYSTEM_DIRECTORY = {str(storage)!r}\n"
        "DEFAULT_PERMISSIONS = 'create,read,list,delete'\n"
    )
    url = serve("pastebin", BEPASTY_CONFIG=str(config))
    text = "what a pastebin is for\n" * 5000
    with httpx.Client(base_url=url, timeout=60, follow_redirects=True) as client:
        front = client.get("/")
        assert front.status_code == 200
        page = client.post("/+upload", data={"text": text, "filename": "note.txt", "contenttype": "text/plain"})
        assert page.status_code == 200, page.text
        raw = client.get(f"{page.url.path.rstrip('/')}/+download")
        assert raw.status_code == 200
        assert raw.text.replace("\r\n", "\n") == text
        ranged = client.get(f"{page.url.path.rstrip('/')}/+inline", headers={"Range": "bytes=0-3"})
        assert ranged.text[:4] == "what"
        missing = client.get("/nosuchid")
        assert missing.status_code == 404
        assert "bepasty" in missing.text, "the application's own error page is passed on"
    check_route_in_front(url)
