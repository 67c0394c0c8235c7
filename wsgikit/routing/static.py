"""The view of a router's static files."""

from __future__ import annotations

__all__ = ["StaticView", "is_missing"]

from pathlib import Path
from typing import Any

from werkzeug.exceptions import NotFound

from wsgikit.http.files import send_from_folder
from wsgikit.http.manifests import YEAR_SECONDS, is_fingerprinted, load_manifest, versioned
from wsgikit.wsgi import WSGIApplication


class StaticView:
    """Serves the files of a folder, which may come into being later: until then each of them is a 404.

    Args:
        folder: the folder, an absolute path.
        max_age_seconds: for how long files may be cached; None leaves it to revalidation.
    """

    __name__ = "static"

    def __init__(self, folder: Path, max_age_seconds: int | None = None) -> None:
        self.folder = folder
        self.max_age_seconds = max_age_seconds

    @property
    def has_folder(self) -> bool:
        """Whether the folder exists."""
        return self.folder.is_dir()

    def __call__(self, filename: str) -> WSGIApplication:
        if not self.has_folder:
            raise NotFound()
        is_immutable = is_fingerprinted(filename) or filename in load_manifest(str(self.folder)).values()
        max_age = f"{YEAR_SECONDS}, immutable" if is_immutable else self.max_age_seconds
        return send_from_folder(self.folder, filename, max_age=max_age, precompressed=True)

    def add_version(self, endpoint: str, values: dict[str, Any]) -> None:
        """Replace ``v="auto"`` in the values of a URL: the URL then changes with the content of the file."""
        if values.get("v") != "auto":
            return
        known = versioned(str(self.folder), str(values.get("filename")))
        if known is not None:
            values["filename"], values["v"] = known
        else:
            del values["v"]


def is_missing(view: Any) -> bool:
    """Return whether a view serves static files of a folder that doesn't exist."""
    return type(view) is StaticView and not view.has_folder
