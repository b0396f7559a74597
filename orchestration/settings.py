"""Where things are and what the environment says: the data dir's layout, the clock, the version of
the program.

Nothing here opens a file of the pipeline; the other modules of this package do, at the paths named
here.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
DBT_PROJECT = PROJECT_ROOT / "dbt_project"

STAND_IN_SOURCES = "M2C_STAND_IN_SOURCES"  # JSON: site_id to an entry of sources.yml

Clock = Callable[[], datetime]


class SettingsError(ValueError):
    """The environment or the command line says something that cannot be used."""


@dataclass(frozen=True)
class DataDir:
    """The layout of one data dir. `book` and `landing` may be filled by hand; everything else is
    made at run time."""

    root: Path

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> DataDir:
        return cls(Path(env.get("M2C_DATA_DIR") or "data").resolve())

    @property
    def book(self) -> Path:
        return self.root / "book"

    @property
    def mail_texts(self) -> Path:
        """Texts of mails that the book changes or adds, a file a language."""
        return self.book / "mail"

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    @property
    def rejected(self) -> Path:
        return self.root / "rejected"

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse"

    @property
    def compiled_book(self) -> Path:
        return self.warehouse / "book"

    @property
    def manifest(self) -> Path:
        return self.warehouse / "manifest"

    @property
    def ledger_extract(self) -> Path:
        return self.warehouse / "ledger"

    @property
    def context(self) -> Path:
        return self.warehouse / "context"

    @property
    def xero_wakes(self) -> Path:
        return self.root / "xero" / "wakes"

    @property
    def marts(self) -> Path:
        return self.root / "published" / "marts.duckdb"

    @property
    def next_marts(self) -> Path:
        """What a dbt run that passed leaves behind; renamed over `marts`. The name is the publish
        macro's."""
        return self.root / "published" / ".marts.next.duckdb"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def bank_inbox(self) -> Path:
        """Where files of the bank are dropped; taken ones go to `bank_taken`."""
        return self.root / "bank" / "inbox"

    @property
    def bank_taken(self) -> Path:
        return self.root / "bank" / "taken"

    @property
    def bounces_inbox(self) -> Path:
        """Where mails that came back are dropped; taken ones go to `bounces_taken`."""
        return self.root / "bounces" / "inbox"

    @property
    def bounces_taken(self) -> Path:
        return self.root / "bounces" / "taken"

    @property
    def outbox(self) -> Path:
        return self.root / "outbox"

    @property
    def sandbox(self) -> Path:
        return self.root / "sandbox"

    @property
    def backups(self) -> Path:
        """`M2C_BACKUP_DIR`, else a folder of the data dir, which is better than nothing."""
        named = os.environ.get("M2C_BACKUP_DIR")
        return Path(named).resolve() if named else self.root / "backups"

    @property
    def restoring(self) -> Path:
        """Where a restore works until everything is in place."""
        return self.root / ".restoring"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def dagster_home(self) -> Path:
        return self.root / "dagster"

    @property
    def ledger_url(self) -> str:
        """`M2C_LEDGER_URL`, else a SQLite file of the data dir."""
        return os.environ.get("M2C_LEDGER_URL") or f"sqlite:///{self.ledger_file}"

    @property
    def ledger_file(self) -> Path:
        return self.root / "ledger" / "ledger.sqlite"

    def has_ledger(self) -> bool:
        return bool(os.environ.get("M2C_LEDGER_URL")) or self.ledger_file.exists()


def clock_from_env(env: Mapping[str, str] = os.environ) -> Clock:
    """The clock of this process: fixed at `M2C_NOW` (an ISO instant with offset) when that is set.

    Raises SettingsError when `M2C_NOW` is not an instant with an offset.
    """
    text = env.get("M2C_NOW")
    if not text:
        return lambda: datetime.now(UTC)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"M2C_NOW={text!r} is not an ISO instant such as 2026-11-04T06:00:00Z"
        ) from error
    if instant.tzinfo is None:
        raise SettingsError(f"M2C_NOW={text!r} has no offset; write for example {text}Z")
    fixed = instant.astimezone(UTC)
    return lambda: fixed


def is_rehearsal(env: Mapping[str, str] = os.environ) -> bool:
    """Whether the clock is replaced, in which case nothing but loopback hosts may be acted on."""
    return bool(env.get("M2C_NOW"))


@cache
def code_version() -> str:
    """The git commit of the program, with `-dirty` when files differ from it; the package's
    version without git."""
    try:
        described = subprocess.run(
            ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        described = ""
    return described or f"v{version('meter-to-cash')}"


_PERIOD = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def parse_period(text: str) -> str:
    """A period, `YYYY-MM`. Raises SettingsError for anything else."""
    if not _PERIOD.fullmatch(text):
        raise SettingsError(f"{text!r} is not a period; write a month such as 2026-10")
    return text


def parse_day(text: str) -> date:
    """A UTC day, `YYYY-MM-DD`. Raises SettingsError for anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"{text!r} is not a day; write for example 2026-10-31") from error
