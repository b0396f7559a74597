"""The local stand-ins of a demo data dir: its sites and a Xero, started and stopped together."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from types import TracebackType
from typing import Self

from connectors.sandbox import Sandbox
from exporters.xero.sandbox import XeroSandbox, seed_from_book
from orchestration.settings import STAND_IN_SOURCES, DataDir, clock_from_env

XERO_PORT = 8790
_MINUTE_LIMIT = 1000  # the real 60 a minute would make a demo wait


@dataclass(frozen=True)
class Span:
    """The days the sites have readings of, `[first, end)`, and what their clock says first."""

    first: date
    end: date
    as_of: datetime
    seed: int = 1


class Sandboxes:
    """Local sites and a local Xero for one data dir; `env` points the pipeline at them."""

    def __init__(
        self,
        data_dir: DataDir,
        *,
        span: Span | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._clock = clock or _environment_clock
        self._span = span
        self._stack = ExitStack()
        self.sites: Sandbox | None = None
        self.env: dict[str, str] = {}

    @staticmethod
    def belong_to(data_dir: DataDir) -> bool:
        """Whether this data dir was made by a demo."""
        return (data_dir.sandbox / "xero.sqlite").exists()

    def __enter__(self) -> Self:
        with self._stack:
            if self._span is not None:
                self.sites = self._stack.enter_context(
                    Sandbox(
                        book_dir=self._data_dir.book,
                        state_dir=self._data_dir.sandbox / "sites",
                        seed=self._span.seed,
                        start=self._span.first,
                        end=self._span.end,
                        as_of=self._span.as_of,
                    )
                )
                self.env |= self.sites.env
                self.env[STAND_IN_SOURCES] = json.dumps(self.sites.sources)
            self.env |= self._start_xero()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _start_xero(self) -> Mapping[str, str]:
        self._data_dir.sandbox.mkdir(parents=True, exist_ok=True)
        self.xero = self._stack.enter_context(
            XeroSandbox(
                state=self._data_dir.sandbox / "xero.sqlite",
                port=_free(XERO_PORT),
                clock=self._clock,
                minute_limit=_MINUTE_LIMIT,
            )
        )
        return self.xero.environment()

    def shape_organisation(self) -> None:
        """Give the local Xero the accounts, tax rates and tracking that the book asks for."""
        self.xero.admin.seed(seed_from_book(self._data_dir.compiled_book))


def _environment_clock() -> datetime:
    """The clock as the environment says at this moment: a demo moves it while Xero runs."""
    return clock_from_env()()


def _free(port: int) -> int:
    """The port, or 0 (any) when something else listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


def point_at(env: Mapping[str, str]) -> None:
    """Let this process's configuration name the stand-ins."""
    os.environ.update(env)
