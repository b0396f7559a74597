"""A run launcher of an operator's choice, which is not asked about runs that it did not launch.

Run monitoring asks the launcher for the health of every started run and fails those that it does
not know; a Kubernetes or ECS launcher knows nothing of a run that `m2c` executes in its own
process. Whether those live is seen by their mark in the data dir (`liveness`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from dagster import DagsterInstance, DagsterRun
from dagster._core.launcher.base import (
    CheckRunHealthResult,
    LaunchRunContext,
    ResumeRunContext,
    RunLauncher,
    WorkerStatus,
)
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from orchestration.instance import FROM_TERMINAL_TAG, HOST_TAG, PID_TAG


class Launcher(RunLauncher[DagsterInstance], ConfigurableClass):
    """Named in `dagster.yaml`; its config names the launcher that launches."""

    def __init__(
        self, inner: RunLauncher[Any], inst_data: ConfigurableClassData | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inner = inner
        self._inst_data = inst_data

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> Any:
        return {"module": str, "class": str, "config": dict}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Launcher:
        named = ConfigurableClassData(
            module_name=config_value["module"],
            class_name=config_value["class"],
            config_yaml=yaml.safe_dump(config_value.get("config") or {}),
        )
        return cls(named.rehydrate(as_type=RunLauncher), inst_data)  # type: ignore[type-abstract]

    @property
    def inner(self) -> RunLauncher[Any]:
        """The launcher that launches."""
        return self._inner

    def register_instance(self, instance: DagsterInstance) -> None:
        super().register_instance(instance)
        self._inner.register_instance(instance)

    def launch_run(self, context: LaunchRunContext) -> None:
        self._inner.launch_run(context)

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is not None and FROM_TERMINAL_TAG in run.tags:
            where = f"process {run.tags.get(PID_TAG)} on {run.tags.get(HOST_TAG)}"
            self._instance.report_engine_event(
                f"m2c executes this run itself ({where}); end it there, with Ctrl-C.", run
            )
            return False
        return self._inner.terminate(run_id)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return self._inner.supports_check_run_worker_health

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        if FROM_TERMINAL_TAG in run.tags:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "executed by m2c")
        return self._inner.check_run_worker_health(run)

    def get_run_worker_debug_info(
        self, run: DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        if FROM_TERMINAL_TAG in run.tags:
            return None
        return self._inner.get_run_worker_debug_info(run, include_container_logs)

    @property
    def supports_resume_run(self) -> bool:
        return self._inner.supports_resume_run

    def resume_run(self, context: ResumeRunContext) -> None:
        self._inner.resume_run(context)

    def join(self, timeout: int = 30) -> None:
        self._inner.join(timeout)

    def dispose(self) -> None:
        self._inner.dispose()
