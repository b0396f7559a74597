"""Resources: configuration on Dagster's side, one plain object each on ours.

An asset asks a resource for the plain object and hands that on; no domain code sees a Dagster
type.
"""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path

import dagster as dg

from exporters.ledger import Actor, Ledger
from orchestration.settings import Clock, DataDir, clock_from_env


class DataDirResource(dg.ConfigurableResource):
    """The data dir of this deployment and the clock of this process."""

    root: str

    def layout(self) -> DataDir:
        return DataDir(Path(self.root))

    def clock(self) -> Clock:
        return clock_from_env()

    def open_ledger(self, *, acting_as: str) -> Ledger:
        """The ledger, migrated to this version of the program; facts name the actor given here."""
        return open_ledger(self.layout(), acting_as=acting_as)


def open_ledger(data_dir: DataDir, *, acting_as: str) -> Ledger:
    actor = Actor(name=acting_as, os_user=_os_user(), host=socket.gethostname())
    if not os.environ.get("M2C_LEDGER_URL"):
        data_dir.ledger_file.parent.mkdir(parents=True, exist_ok=True)
    return Ledger.open(data_dir.ledger_url, clock=clock_from_env(), actor=actor)


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this user id, as in some containers
        return f"uid {os.getuid()}"
