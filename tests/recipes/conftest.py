"""Starts what a recipe's reader would start, and stops it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def start_server() -> Iterator[Callable[..., str]]:
    """A function that runs a command with ``{port}`` in it, waits until it answers, and returns its URL."""
    running: list[tuple[subprocess.Popen[bytes], Path]] = []

    def start(command: list[str], folder: Path, log: Path, **environment: str) -> str:
        port = free_port()
        words = [word.format(port=port) for word in command]
        words[0] = str(BIN / words[0])
        # Tests read the log while the server runs.
        variables = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        with log.open("wb") as output:
            process = subprocess.Popen(words, cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=variables)
        running.append((process, log))
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return f"http://127.0.0.1:{port}"
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{words} did not start:\n{log.read_text()}")
                time.sleep(0.05)

    yield start
    for process, _ in running:
        process.terminate()
    for process, log in running:
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            pytest.fail(f"the server did not stop:\n{log.read_text()}")
