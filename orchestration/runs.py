"""Runs started from the terminal: the same jobs as in Dagster's UI, executed in this process and
recorded in the same instance."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.liveness import alive
from orchestration.locks import hold
from orchestration.queues import QUEUE_OF_JOB
from orchestration.settings import DataDir, SettingsError

if TYPE_CHECKING:
    import dagster as dg

Report = dict[str, Any]


@dataclass(frozen=True)
class CheckFailure:
    """An asset check that did not pass; a blocking one has failed its run already."""

    asset: str
    check: str
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class RunOutcome:
    """What a run that succeeded reported, by asset, with the checks that warn."""

    run_id: str
    reports: Mapping[str, Report]
    warnings: tuple[CheckFailure, ...]


class RunFailedError(RuntimeError):
    """A run failed for a reason that is no fault of what it was given."""


class Runner:
    """Runs jobs against the Dagster instance of one data dir. Loading Dagster takes seconds, so it
    happens on first use."""

    def __init__(
        self,
        data_dir: DataDir,
        *,
        command: str,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._command = command
        self._on_wait = on_wait
        # Definitions are of one data dir, and dbt is told by the environment.
        os.environ["M2C_DATA_DIR"] = str(data_dir.root)
        os.environ.setdefault("M2C_LOG_LEVEL", "CRITICAL")

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        from orchestration.instance import open_instance

        return open_instance(self._data_dir)

    @cached_property
    def _definitions(self) -> dg.Definitions:
        from orchestration.definitions import defs

        return defs

    def add_sites(self, site_ids: list[str]) -> None:
        from orchestration.partitions import SITES

        self.instance.add_dynamic_partitions(str(SITES.name), site_ids)

    def run(
        self,
        job_name: str,
        *,
        partition: str | None = None,
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> RunOutcome:
        """Execute a job. What its assets raise is raised here as it was.

        `config` maps an asset's name to its configuration. Raises SettingsError when the data dir
        has no book.
        """
        if not self._data_dir.book.is_dir():
            raise SettingsError(
                f"{self._data_dir.root} is no data dir: it has no folder book (see --data-dir)"
            )
        from orchestration.instance import FROM_TERMINAL_TAG, end_dead_runs, process_tags

        job = self._definitions.resolve_job_def(job_name)
        ops = {name: {"config": dict(values)} for name, values in (config or {}).items()}
        run_id = str(uuid.uuid4())
        with self._alone(job_name), self._output_to_log():
            # Whoever held the lock may have been killed.
            end_dead_runs(self.instance, self._data_dir)
            with alive(self._data_dir.locks, run_id):
                result = job.execute_in_process(
                    run_id=run_id,
                    instance=self.instance,
                    partition_key=partition,
                    tags={FROM_TERMINAL_TAG: self._command, **process_tags(), **(tags or {})},
                    run_config={"ops": ops, "loggers": {"console": {}}},
                    raise_on_error=True,
                )
        if not result.success:
            raise RunFailedError(
                f"The run {result.run_id} of {job_name} failed; see its log in the UI."
            )
        return RunOutcome(
            run_id=result.run_id,
            reports={
                "/".join(event.asset_key.path): report
                for event in result.get_asset_materialization_events()
                if event.asset_key is not None and (report := _report_of(event)) is not None
            },
            warnings=tuple(
                CheckFailure(
                    asset="/".join(evaluation.asset_key.path),
                    check=evaluation.check_name,
                    metadata={key: str(value.value) for key, value in evaluation.metadata.items()},
                )
                for evaluation in result.get_asset_check_evaluations()
                if not evaluation.passed
            ),
        )

    @contextlib.contextmanager
    def _alone(self, job_name: str) -> Iterator[None]:
        # Jobs of one queue run one after the other, also when they are started at the same moment:
        # what a close asks of a build must be what it then decides on. Whoever waits does so
        # outside of Dagster, whose pools would keep it waiting for a run that was killed.
        name = QUEUE_OF_JOB.get(job_name)
        if name is None:
            yield
            return
        with hold(self._data_dir.locks, name, purpose=self._command, on_wait=self._on_wait):
            yield

    @contextlib.contextmanager
    def _output_to_log(self) -> Iterator[None]:
        """dbt's lines and Dagster's go to a file, so that stdout holds the answer and nothing
        else."""
        log = self._data_dir.warehouse / "logs" / "runs.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file, contextlib.redirect_stdout(file):
            yield


def _report_of(event: dg.DagsterEvent) -> Report | None:
    value = event.step_materialization_data.materialization.metadata.get("report")
    if value is None:
        return None
    data = value.value
    return data if isinstance(data, dict) else json.loads(str(data))


def log_path(data_dir: DataDir) -> Path:
    return data_dir.warehouse / "logs" / "runs.log"
