"""Serving several HTTP interfaces from one process until it is told, or has reason, to stop.

Each interface gets a port of its own on loopback, as sites have hosts of their own. When all are
up, an endpoints file (mode 0600, for it may hold throw-away secrets) says where they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

ENDPOINTS_FILE = "endpoints.json"


def serve(
    apps: Mapping[str, Starlette],
    *,
    on_ready: Callable[[Mapping[str, str]], None],
    is_stopped_by_stdin: bool,
) -> None:
    """Serves each app on a port of its own; `on_ready` gets their addresses by name.

    Ends on SIGINT, SIGTERM, SIGHUP and, if asked, when standard input or the parent is gone.
    """
    asyncio.run(_serve(apps, on_ready, is_stopped_by_stdin=is_stopped_by_stdin))


def write_endpoints(state_dir: Path, content: Mapping[str, object]) -> None:
    """Puts the endpoints file in place at once, readable for its owner only, and says so."""
    path = state_dir / ENDPOINTS_FILE
    temporary = path.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"pid": os.getpid(), **content}, file, indent=2)
    temporary.replace(path)
    sys.stdout.write(f"ready; addresses and secrets are in {path}\n")
    sys.stdout.flush()


class _Server(uvicorn.Server):
    """A server that leaves signals to the process: there are several of it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(
    apps: Mapping[str, Starlette],
    on_ready: Callable[[Mapping[str, str]], None],
    *,
    is_stopped_by_stdin: bool,
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set)
    urls: dict[str, str] = {}
    servers: list[_Server] = []
    tasks: list[asyncio.Task[None]] = []
    for name, app in apps.items():
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        urls[name] = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False)
        servers.append(_Server(config))
        tasks.append(loop.create_task(servers[-1].serve(sockets=[listener])))
    while not all(server.started for server in servers):
        await asyncio.sleep(0.01)
    on_ready(urls)
    watch = loop.create_task(_parent_gone(stopping)) if is_stopped_by_stdin else None
    await stopping.wait()
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*tasks)
    if watch is not None:
        watch.cancel()


async def _parent_gone(stopping: asyncio.Event) -> None:
    """Sets `stopping` when standard input ends or our parent is another: it has died."""
    loop = asyncio.get_running_loop()
    parent = os.getppid()
    ended = asyncio.Event()
    descriptor = sys.stdin.fileno()

    def readable() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            ended.set()

    loop.add_reader(descriptor, readable)
    while not ended.is_set() and os.getppid() == parent:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), timeout=0.5)
    stopping.set()
