"""What `dagster.yaml` says: our part, where the storage is, and what the operator adds.

The environment says both: `M2C_DAGSTER_URL` is the PostgreSQL database of runs, events and
schedules, named in the file and never written into it; `M2C_DAGSTER_CONFIG` is a file of parts of a
`dagster.yaml` that are laid over ours, such as a run launcher. It is checked against Dagster's own
schema, and the configuration of each class that it names against that class.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from dagster._config import validate_config
from dagster._core.errors import DagsterInvalidConfigError
from dagster._core.instance.config import (
    dagster_instance_config_schema,
    validate_concurrency_config,
)

from connectors.book.faults import Fault, Findings
from connectors.book.textfiles import YamlFile, plain, read_yaml
from connectors.files import write_atomically
from orchestration.postgres import with_driver
from orchestration.queues import TAG_LIMITS
from orchestration.settings import DAGSTER_CONFIG, DAGSTER_URL, SettingsError

Env = Mapping[str, str]

_SQLITE = {
    "event_log_storage": {
        "module": "orchestration.event_log",
        "class": "EventLog",
        "config": {"home": {"env": "DAGSTER_HOME"}},  # not its path: a data dir can be moved
    }
}
_POSTGRESQL = {
    "storage": {
        "custom": {
            "module": "orchestration.postgres",
            "class": "Storage",
            "config": {"url": {"env": DAGSTER_URL}},
        }
    }
}
_OURS = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},  # no newsletter dialog over the asset graph
    "concurrency": {
        "runs": {"max_concurrent_runs": 4, "tag_concurrency_limits": TAG_LIMITS},
        "pools": {"granularity": "op", "default_limit": 1},
    },
    "run_monitoring": {
        "enabled": True,
        "poll_interval_seconds": 30,
        "start_timeout_seconds": 180,
        "free_slots_after_run_end_seconds": 60,
    },
    "retention": {"sensor": {"purge_after_days": {"skipped": 7, "success": 30}}},
}
_NOT_THEIRS = ("storage", "run_storage", "event_log_storage", "schedule_storage")
_CLASSES = (
    "run_launcher",
    "run_coordinator",
    "compute_logs",
    "local_artifact_storage",
    "scheduler",
)
_MADE_WITH = "# made with"


def compose(env: Env = os.environ) -> dict[str, Any]:
    """The whole configuration by what the environment says. Raises SettingsError naming file, line
    and key."""
    config: dict[str, Any] = {**(_POSTGRESQL if env.get(DAGSTER_URL) else _SQLITE), **_OURS}
    if url := env.get(DAGSTER_URL):
        with_driver(url)
    if named := env.get(DAGSTER_CONFIG):
        config = _laid_over(config, _read_parts(Path(named), config))
    if "run_launcher" in config:
        config["run_launcher"] = {
            "module": "orchestration.launcher",
            "class": "Launcher",
            "config": config["run_launcher"],
        }
    return config


def as_text(env: Env = os.environ) -> str:
    """`dagster.yaml`, which begins with the variables that it was made with."""
    names = [name for name in (DAGSTER_URL, DAGSTER_CONFIG) if env.get(name)]
    head = f"{_MADE_WITH} {' '.join(names)}\n" if names else ""
    return head + yaml.safe_dump(compose(env), sort_keys=False)


def write(home: Path, env: Env = os.environ) -> None:
    """Write the configuration of an instance's home. Raises SettingsError, also where another
    environment made it: two histories of one data dir would know nothing of each other."""
    file = home / "dagster.yaml"
    text = as_text(env)
    if file.exists():
        present = file.read_text()
        if present == text:
            return
        first = present.partition("\n")[0]
        if first.startswith(_MADE_WITH):
            lost = [n for n in first.removeprefix(_MADE_WITH).split() if not env.get(n)]
            if lost:
                raise SettingsError(
                    f"{file} was made with {' and '.join(lost)}, which this environment lacks: set "
                    "it as for the other processes of this data dir, or remove that file to go on "
                    "without"
                )
    write_atomically(file, text.encode())


def _read_parts(path: Path, ours: Mapping[str, Any]) -> dict[str, Any]:
    findings = Findings()
    try:
        read = read_yaml(path, str(path), findings)
    except OSError as error:
        raise SettingsError(f"{DAGSTER_CONFIG} names {path}: {error.strerror}") from error
    if read is None:
        _refuse(findings.faults)
    assert read is not None
    parts = plain(read.data)
    if parts is None:
        return {}
    if not isinstance(parts, dict):
        _refuse([Fault(str(path), 1, None, None, "expected keys of a dagster.yaml")])
    _refuse(_faults(read, parts, ours))
    return dict(parts)


def _faults(read: YamlFile, parts: dict[str, Any], ours: Mapping[str, Any]) -> Iterator[Fault]:
    def fault(path: tuple[str, ...], message: str) -> Fault:
        return Fault(read.name, read.line(path), ".".join(path) or None, None, message)

    for key in _NOT_THEIRS:
        if key in parts:
            yield fault((key,), f"where Dagster's storage is says {DAGSTER_URL}")
            return
    result = validate_config(dagster_instance_config_schema(), parts)
    wrong = [fault(*said) for error in result.errors or () for said in _said(error)]
    if wrong:
        yield from wrong
        return
    try:
        validate_concurrency_config(_laid_over(ours, parts))
    except DagsterInvalidConfigError as error:
        yield fault(("concurrency",), str(error))
    if {"run_queue", "run_coordinator"} <= set(parts):
        yield fault(("run_queue",), "goes without run_coordinator only")
    for key in _CLASSES:
        if key in parts:
            for path, message in _faults_of_class(parts[key]):
                yield fault((key, *path), message)


def _faults_of_class(named: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    try:
        module = importlib.import_module(named["module"])
    except ImportError as error:
        yield ("module",), f"{named['module']} cannot be loaded here: {error}"
        return
    kind = getattr(module, named["class"], None)
    if kind is None:
        yield ("class",), f"{named['module']} has no {named['class']}"
        return
    result = validate_config(kind.config_type(), named.get("config") or {})
    for wrong in result.errors or ():
        for path, message in _said(wrong):
            yield ("config", *path), message


def _said(error: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """Path and words of an error of Dagster's; an unknown key is the last step of its path."""
    levels = tuple(error.stack.levels)
    data = error.error_data
    if error.reason.name in {"FIELD_NOT_DEFINED", "FIELDS_NOT_DEFINED"}:
        names = getattr(data, "field_names", None) or [data.field_name]
        for name in names:
            yield (*levels, name), "Dagster knows no such key here"
    else:
        yield levels, error.message


def _laid_over(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged key by key, everything else is replaced."""
    merged = dict(ours)
    for key, value in theirs.items():
        known = merged.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            merged[key] = _laid_over(known, value)
        else:
            merged[key] = value
    return merged


def _refuse(faults: Iterable[Fault]) -> None:
    told = [str(fault) for fault in faults]
    if told:
        raise SettingsError("\n".join(told))
