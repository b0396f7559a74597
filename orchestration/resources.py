"""Resources: configuration on Dagster's side, one plain object each on ours.

An asset asks a resource for the plain object and hands that on; no domain code sees a Dagster
type.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from exporters.ledger import Ledger
from orchestration.ledger import open_ledger
from orchestration.locks import require_whole
from orchestration.settings import Clock, DataDir, clock_from_env


class DataDirResource(dg.ConfigurableResource):
    """The data dir of this deployment and the clock of this process."""

    root: str

    def layout(self) -> DataDir:
        """Raises LockBusyError where a restore was cut short."""
        require_whole(Path(self.root))
        return DataDir(Path(self.root))

    def clock(self) -> Clock:
        return clock_from_env()

    def open_ledger(self, *, acting_as: str) -> Ledger:
        """The ledger, migrated to this version of the program; facts name the actor given here."""
        return open_ledger(self.layout(), acting_as=acting_as)
