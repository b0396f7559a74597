"""Dagster's executor, which shows that the process of a run lives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from orchestration.instance import process_tags
from orchestration.liveness import alive_until_exit
from orchestration.settings import DataDir

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan
    from dagster._core.execution.retries import RetryMode
    from dagster._core.execution.step_dependency_config import StepDependencyConfig

_DAGSTERS = dg.multi_or_in_process_executor


class _Marking(dg.Executor):
    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> RetryMode:
        return self._inner.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        return self._inner.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        run_id = plan_context.run_id
        # Dagster writes that the run succeeded after this: the process shows it to its end.
        alive_until_exit(DataDir.from_env().locks, run_id)
        plan_context.instance.add_run_tags(run_id, process_tags())
        yield from self._inner.execute(plan_context, execution_plan)


def _make(context: dg.InitExecutorContext) -> dg.Executor:
    create = _DAGSTERS.executor_creation_fn
    assert create is not None  # it is Dagster's own
    return _Marking(create(context))


marking_executor = dg.ExecutorDefinition(
    name=_DAGSTERS.name,
    config_schema=_DAGSTERS.config_schema.as_field(),
    requirements=_DAGSTERS._requirements_fn,
    executor_creation_fn=_make,
    description=_DAGSTERS.description,
)
