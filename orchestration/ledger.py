"""The ledger of a data dir, opened as somebody. Without Dagster: commands that only read or note
something start faster than those that run a job."""

from __future__ import annotations

import getpass
import os
import socket

from exporters.ledger import Actor, Ledger
from orchestration.settings import DataDir, clock_from_env


def actor_named(name: str) -> Actor:
    """Who acts: the name given, and the account and machine of this process."""
    return Actor(name=name, os_user=_os_user(), host=socket.gethostname())


def open_ledger(data_dir: DataDir, *, acting_as: str) -> Ledger:
    actor = actor_named(acting_as)
    if not os.environ.get("M2C_LEDGER_URL"):
        data_dir.ledger_file.parent.mkdir(parents=True, exist_ok=True)
    return Ledger.open(data_dir.ledger_url, clock=clock_from_env(), actor=actor)


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this user id, as in some containers
        return f"uid {os.getuid()}"
