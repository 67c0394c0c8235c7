"""Coroutine views under gevent, where many requests share one thread."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("gevent")

PROGRAM = """
from gevent import monkey
monkey.patch_all()
import asyncio
import gevent
from werkzeug.test import Client
from wsgikit import ContextMiddleware, Router, build_stack, g, use

router = Router("app")

@router.before_request
async def before():
    g.seen = "hook"

@router.get("/<name>")
async def view(name):
    await asyncio.sleep(0.01)
    return f"{name} {g.seen}"

@router.get("/bug")
async def bug():
    raise KeyError("a bug")

app = build_stack(router, use(ContextMiddleware))
texts = []

def one(number):
    texts.append(Client(app).get(f"/{number}").text)

gevent.joinall([gevent.spawn(one, number) for number in range(5)], raise_error=True, timeout=20)
print(sorted(texts))
try:
    Client(app).get("/bug")
except KeyError as error:
    print(error)
"""


def test_coroutine_views_run_side_by_side_under_gevent():
    env = {**os.environ, "PYTHONWARNINGS": "ignore"}
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, env=env)
    assert result.stdout.splitlines() == [str([f"{number} hook" for number in range(5)]), "'a bug'"], result.stderr
