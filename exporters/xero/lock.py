"""One publisher per organisation: an OS file lock that the kernel frees when its process dies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from exporters.xero.errors import PublisherBusyError


@contextmanager
def publisher_lock(locks_dir: Path, tenant: str) -> Iterator[None]:
    """Hold the organisation's lock, or raise PublisherBusyError at once."""
    locks_dir.mkdir(parents=True, exist_ok=True)
    path = locks_dir / f"xero-{re.sub(r'[^A-Za-z0-9-]', '_', tenant)}.lock"
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise PublisherBusyError(
            f"another process is publishing to Xero organisation {tenant} ({path}); nothing was "
            "sent by this one, try again when it has ended"
        ) from None
    try:
        yield
    finally:
        lock.release()
