"""gunicorn with several workers: what prometheus-client needs to know of them."""

from __future__ import annotations

from typing import Any

workers = 4


def child_exit(server: Any, worker: Any) -> None:
    """Forget the requests in progress of a worker that is gone."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)
