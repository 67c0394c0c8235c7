"""dulwich's git server, a WSGI application written with no framework, in five layers."""

from __future__ import annotations

from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain
from onion import data, wrap

repositories = data / "repositories"
repositories.mkdir(parents=True, exist_ok=True)
backend = DictBackend({f"/{path.name}": Repo(str(path)) for path in sorted(repositories.iterdir())})
application = wrap(make_wsgi_chain(backend))
