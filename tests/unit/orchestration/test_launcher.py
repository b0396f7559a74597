"""Run launchers of production: the README's excerpts against Dagster's own classes, and what run
monitoring does about runs that a launcher did not launch. No cluster is asked."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    op,
)
from dagster import job as dagster_job
from dagster._core.launcher.base import (
    CheckRunHealthResult,
    LaunchRunContext,
    RunLauncher,
    WorkerStatus,
)
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.monitoring.run_monitoring import monitor_started_run
from dagster._serdes import ConfigurableClass

from orchestration import instance_config
from orchestration.instance import FROM_TERMINAL_TAG
from orchestration.launcher import Launcher

README = Path(__file__).resolve().parents[3] / "README.md"


def excerpt(name: str) -> str:
    """The README's block that begins with this file name."""
    blocks = re.findall(r"^```yaml\n(# .*?)^```", README.read_text(), flags=re.M | re.S)
    (found,) = (block for block in blocks if re.match(rf"# {re.escape(name)}\b", block))
    return str(found)


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The instance that an excerpt makes, through the file that an operator would write."""

    def made(name: str) -> DagsterInstance:
        parts = tmp_path / name
        parts.write_text(excerpt(name))
        home = tmp_path / "home"
        home.mkdir()
        monkeypatch.setenv("DAGSTER_HOME", str(home))
        instance_config.write(home, {"M2C_DAGSTER_CONFIG": str(parts)})
        return DagsterInstance.from_config(str(home))

    return made


@op
def nothing() -> None: ...


@dagster_job
def idle() -> None:
    nothing()


# --- Kubernetes -----------------------------------------------------------------------------------


class Cluster:
    """What of the Kubernetes API a launch uses: takes jobs and tells how they are."""

    def __init__(self) -> None:
        self.jobs: dict[str, Any] = {}
        self.failed: set[str] = set()

    def create_namespaced_job_with_retries(self, *, body: Any, namespace: str) -> None:
        assert namespace == "billing"
        self.jobs[body.metadata.name] = body


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    from dagster_k8s import launcher

    made = Cluster()
    monkeypatch.setattr(launcher, "load_kubernetes_config", lambda **_: None)
    monkeypatch.setattr(
        launcher.DagsterKubernetesClient, "production_client", staticmethod(lambda **_: made)
    )
    return made


def test_the_job_that_the_kubernetes_launcher_makes_of_a_run(
    configured: Any, cluster: Cluster
) -> None:
    from dagster._core.code_pointer import ModuleCodePointer
    from dagster._core.origin import (
        DEFAULT_DAGSTER_ENTRY_POINT,
        JobPythonOrigin,
        RepositoryPythonOrigin,
    )
    from dagster_k8s import K8sRunLauncher

    with configured("launcher-k8s.yaml") as instance:
        launcher = instance.run_launcher
        assert isinstance(launcher, Launcher)
        assert isinstance(launcher.inner, K8sRunLauncher)
        assert launcher.supports_check_run_worker_health
        assert instance.run_monitoring_max_resume_run_attempts == 0
        assert instance.run_coordinator.__class__.__name__ == "QueuedRunCoordinator"
        origin = JobPythonOrigin(
            "build",
            RepositoryPythonOrigin(
                executable_path="python",
                code_pointer=ModuleCodePointer("orchestration.definitions", "defs"),
                entry_point=DEFAULT_DAGSTER_ENTRY_POINT,
            ),
        )
        run = create_run_for_test(instance, job_name="build", job_code_origin=origin)
        launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))

    ((name, made),) = cluster.jobs.items()
    assert name == f"dagster-run-{run.run_id}"
    pod = made.spec.template.spec
    (container,) = pod.containers
    assert container.image == "registry.example.com/m2c:2026-11-27"
    assert container.args[:3] == ["dagster", "api", "execute_run"]
    assert {m.name: m.mount_path for m in container.volume_mounts} == {"data": "/data"}
    assert {e.name: e.value for e in container.env}["DAGSTER_HOME"] == "/opt/m2c/dagster"
    claims = {v.name: v.persistent_volume_claim for v in pod.volumes}
    assert claims["data"].claim_name == "m2c-data"
    assert [e.secret_ref.name for e in container.env_from if e.secret_ref] == ["m2c-secrets"]
    assert [e.config_map_ref.name for e in container.env_from if e.config_map_ref] == ["m2c-env"]
    (near,) = pod.affinity.pod_affinity.required_during_scheduling_ignored_during_execution
    assert near.label_selector.match_labels == {"app": "m2c-code"}
    assert near.topology_key == "kubernetes.io/hostname"
    assert container.resources.requests == {"cpu": "2", "memory": "4Gi"}
    assert made.spec.ttl_seconds_after_finished == 86400
    assert pod.restart_policy == "Never"
    assert made.spec.backoff_limit == 0


# --- ECS ------------------------------------------------------------------------------------------


def test_the_ecs_launcher_is_made_of_the_excerpt(
    configured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_aws.ecs import EcsRunLauncher
    from dagster_aws.ecs.container_context import EcsContainerContext

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    with configured("launcher-ecs.yaml") as instance:
        launcher = instance.run_launcher
        assert isinstance(launcher, Launcher)
        inner = launcher.inner
        assert isinstance(inner, EcsRunLauncher)
        assert launcher.supports_check_run_worker_health
        run = create_run_for_test(instance, job_name="build")
        context = EcsContainerContext.create_for_run(run, inner)
    (mount,) = context.mount_points
    (volume,) = context.volumes
    assert (mount["sourceVolume"], mount["containerPath"]) == (volume["name"], "/data")
    assert context.run_resources == {"cpu": "2048", "memory": "8192"}
    assert {s["name"] for s in context.secrets} == {"M2C_DAGSTER_URL", "M2C_LEDGER_URL"}


def test_the_workspace_of_the_readme_is_read(tmp_path: Path) -> None:
    path = tmp_path / "workspace.yaml"
    path.write_text(excerpt("workspace.yaml"))
    (origin,) = WorkspaceFileTarget(paths=[str(path)]).create_origins()
    assert origin.location_name == "meter-to-cash"
    assert (origin.host, origin.port) == ("127.0.0.1", 4000)


# --- runs that a launcher does not know -----------------------------------------------------------


class Unknowing(RunLauncher[DagsterInstance], ConfigurableClass):
    """A launcher that supports health checks, and knows none of the runs."""

    terminated: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.terminated = []

    @property
    def inst_data(self) -> Any:
        return None

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Unknowing:  # noqa: ARG003
        return cls()

    def launch_run(self, context: LaunchRunContext) -> None:  # noqa: ARG002
        raise AssertionError

    def terminate(self, run_id: str) -> bool:
        self.terminated.append(run_id)
        return True

    supports_check_run_worker_health = True  # type: ignore[assignment]

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:  # noqa: ARG002
        return CheckRunHealthResult(WorkerStatus.UNKNOWN, "never heard of it")


@pytest.fixture
def unknowing(tmp_path: Path) -> Iterator[DagsterInstance]:
    config = {
        "run_launcher": {
            "module": "orchestration.launcher",
            "class": "Launcher",
            "config": {"module": __name__, "class": "Unknowing", "config": {}},
        },
        "run_monitoring": {"enabled": True},
        "telemetry": {"enabled": False},
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config))
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def _started(instance: DagsterInstance, tags: dict[str, str]) -> str:
    run = instance.create_run_for_job(idle, tags=tags)
    begun = DagsterEvent(DagsterEventType.RUN_START.value, job_name="idle")
    instance.report_dagster_event(begun, run.run_id)
    return run.run_id


def _monitored(instance: DagsterInstance, run_id: str) -> DagsterRunStatus:
    record = instance.get_run_record_by_id(run_id)
    assert record is not None
    monitor_started_run(instance, None, record, logging.getLogger("monitoring"))  # type: ignore[arg-type]
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_run_monitoring_ends_what_the_launcher_lost(unknowing: DagsterInstance) -> None:
    lost = _started(unknowing, {})
    assert _monitored(unknowing, lost) == DagsterRunStatus.FAILURE


def test_run_monitoring_does_not_end_what_m2c_executes(unknowing: DagsterInstance) -> None:
    ours = _started(unknowing, {FROM_TERMINAL_TAG: "m2c close"})
    assert _monitored(unknowing, ours) == DagsterRunStatus.STARTED


def test_a_run_of_m2c_is_not_terminated_by_the_launcher(unknowing: DagsterInstance) -> None:
    ours = _started(unknowing, {FROM_TERMINAL_TAG: "m2c close", "m2c/host": "pod-7"})
    theirs = _started(unknowing, {})
    launcher = unknowing.run_launcher
    assert isinstance(launcher, Launcher)
    assert launcher.terminate(ours) is False
    assert launcher.terminate(theirs) is True
    assert isinstance(launcher.inner, Unknowing)
    assert launcher.inner.terminated == [theirs]
    assert any("on pod-7" in (e.message or "") for e in unknowing.all_logs(ours))
