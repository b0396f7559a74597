"""Which kinds of source there are, and how a connector is built from what the book says.

The only place that knows all kinds. A kind is one module in ``connectors.sources`` with ``Config``
(a ``ConfigModel``) and ``build(config, context)``; naming it here is all there is to adding it.
Kinds that are read and kinds that switch machines are two lists; a kind may be in both.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol, cast
from zoneinfo import available_timezones

from pydantic import SecretStr, ValidationError

from connectors.base import (
    Clock,
    ConfigModel,
    Connector,
    PowerConnector,
    SourceContext,
    SourceSpec,
)
from connectors.errors import ConfigError, ConfigFault
from connectors.placeholders import expand, unset

__all__ = [
    "KINDS",
    "POWER_KINDS",
    "SourceSpec",
    "build_connector",
    "build_power",
    "check_source",
    "power_hosts",
]

KINDS: Final[Mapping[str, str]] = {
    "files": "connectors.sources.files",
    "prometheus": "connectors.sources.prometheus",
    "rest_json": "connectors.sources.rest_json",
    "sql": "connectors.sources.sql",
}
POWER_KINDS: Final[Mapping[str, str]] = {
    "command_file": "connectors.sources.command_file",
    "redfish": "connectors.sources.redfish",
}
BY_HAND: Final = "command_file"
"""How machines are switched where the book says nothing: people do it, told by a file."""

_ENVIRONMENT_NAME: Final = "[A-Z_][A-Z0-9_]*"
# A secret pasted into the book by mistake must not be repeated in an error message.
_SOUNDS_SECRET: Final = re.compile(
    r"secret|password|passwd|token|api_?key|credential|dsn|conninfo|community", re.I
)


class _SourceModule(Protocol):
    Config: type[ConfigModel]

    def build(self, config: Any, context: SourceContext) -> Connector: ...


def check_source(spec: SourceSpec) -> list[tuple[str, str, str]]:
    """Return the faults of a source as (field, value, message); none needs a secret's value.

    Faults of how its machines are switched have fields that begin with ``power.``.
    """
    faults = [] if spec.power is not None and not spec.kind else _checked(spec, KINDS)[1]
    if spec.power is not None:
        faults += _below_power(_checked(spec.power, POWER_KINDS)[1])
    return [(fault.field, fault.value, fault.message) for fault in faults]


def build_connector(
    site_id: str,
    timezone: str,
    spec: SourceSpec,
    env: Mapping[str, str],
    clock: Clock,
    *,
    data_dir: Path | None = None,
) -> Connector:
    """Build the connector of a site; its secrets come from ``env``.

    Raises ``ConfigError`` with all faults at once, missing environment variables among them.
    """
    built = _built(site_id, timezone, spec, env, clock, kinds=KINDS, data_dir=data_dir)
    return cast(Connector, built)


def build_power(
    site_id: str,
    timezone: str,
    spec: SourceSpec | None,
    env: Mapping[str, str],
    clock: Clock,
    *,
    data_dir: Path | None = None,
) -> PowerConnector:
    """Build what switches a site's machines; close it after use.

    ``spec`` is the site's entry of sources.yml, None if it has none. Its ``power`` comes first,
    then its own connector if that offers power; otherwise people are asked by a file.
    Raises ``ConfigError`` with all faults at once, missing environment variables among them.
    """
    chosen, is_power = _power_spec(site_id, spec, env)
    kinds = POWER_KINDS if is_power else KINDS
    built = _built(
        site_id, timezone, chosen, env, clock, kinds=kinds, data_dir=data_dir, is_power=is_power
    )
    return cast(PowerConnector, built)


def power_hosts(
    spec: SourceSpec | None, env: Mapping[str, str], *, site_id: str = "(not named)"
) -> tuple[str, ...]:
    """Return the addresses that orders of ``build_power`` would go to; none for a command file.

    Each is a URL with scheme and host. ``site_id`` is only for the message of a ``ConfigError``,
    raised where the configuration is so wrong that its addresses cannot be told.
    """
    chosen, is_power = _power_spec(site_id, spec, env)
    config, faults = _checked(
        replace(chosen, config=expand(chosen.config, env)), POWER_KINDS if is_power else KINDS
    )
    if config is None:
        raise ConfigError(site_id, tuple(_below_power(faults) if is_power else faults))
    return config.power_hosts() or ()


def power_kind(
    spec: SourceSpec | None, env: Mapping[str, str], *, site_id: str = "(not named)"
) -> str:
    """Return the kind of what ``build_power`` would build. Raises ``ConfigError`` as it does."""
    return _power_spec(site_id, spec, env)[0].kind


def _power_spec(
    site_id: str, spec: SourceSpec | None, env: Mapping[str, str]
) -> tuple[SourceSpec, bool]:
    """Return what switches the site's machines, and whether that is an entry for power alone."""
    if spec is None:
        return SourceSpec(BY_HAND), True
    if spec.power is not None:
        return spec.power, True
    if not spec.kind:
        raise ConfigError(
            site_id, (ConfigFault("kind", "empty", f"expected one of {', '.join(sorted(KINDS))}"),)
        )
    config, faults = _checked(replace(spec, config=expand(spec.config, env)), KINDS)
    if config is None:
        # Whether it would have offered power is not known, and guessing might ask the wrong ones.
        raise ConfigError(site_id, tuple(faults))
    return (SourceSpec(BY_HAND), True) if config.power_hosts() is None else (spec, False)


def _built(
    site_id: str,
    timezone: str,
    spec: SourceSpec,
    env: Mapping[str, str],
    clock: Clock,
    *,
    kinds: Mapping[str, str],
    data_dir: Path | None,
    is_power: bool = False,
) -> object:
    missing = sorted(set(unset(spec.config, env)))
    spec = replace(spec, config=expand(spec.config, env))
    config, faults = _checked(spec, kinds)
    faults += [
        ConfigFault("config", f"${{{name}}}", "is not set in the environment") for name in missing
    ]
    faults += [
        ConfigFault(
            f"secrets.{name}", variable, "is not set in the environment; it holds the secret"
        )
        for name, variable in spec.secrets.items()
        if _names_variable(variable) and not env.get(variable)
    ]
    if is_power:
        faults = _below_power(faults)
    if timezone not in available_timezones():
        faults.append(ConfigFault("timezone", repr(timezone), "expected an IANA name"))
    if faults or config is None:
        raise ConfigError(site_id, tuple(faults))
    context = SourceContext(
        site_id=site_id,
        timezone=timezone,
        secrets={name: SecretStr(env[variable]) for name, variable in spec.secrets.items()},
        clock=clock,
        data_dir=data_dir,
    )
    return _module(spec.kind, kinds).build(config, context)


def _below_power(faults: list[ConfigFault]) -> list[ConfigFault]:
    return [replace(fault, field=f"power.{fault.field}") for fault in faults]


def _names_variable(variable: object) -> bool:
    return isinstance(variable, str) and re.fullmatch(_ENVIRONMENT_NAME, variable) is not None


def _module(kind: str, kinds: Mapping[str, str]) -> _SourceModule:
    return cast(_SourceModule, importlib.import_module(kinds[kind]))


def _checked(
    spec: SourceSpec, kinds: Mapping[str, str]
) -> tuple[ConfigModel | None, list[ConfigFault]]:
    if spec.kind not in kinds:
        return None, [
            ConfigFault("kind", repr(spec.kind), f"expected one of {', '.join(sorted(kinds))}")
        ]
    faults = [
        ConfigFault(
            f"secrets.{name}",
            "(not shown)",
            "expected the name of an environment variable such as SITE_API_KEY, never the "
            "secret itself",
        )
        for name, variable in spec.secrets.items()
        if not _names_variable(variable)
    ]
    try:
        config = _module(spec.kind, kinds).Config.model_validate(dict(spec.config))
    except ValidationError as error:
        return None, [*faults, *_config_faults(error, spec)]
    used = dict.fromkeys(name for _, name in config.secret_names())
    faults += [
        ConfigFault(f"config.{field}", repr(name), f"names no secret; add it under secrets: {name}")
        for field, name in config.secret_names()
        if name not in spec.secrets
    ]
    faults += [
        ConfigFault(f"secrets.{name}", spec.secrets[name], "is not used by the config")
        for name in spec.secrets
        if name not in used
    ]
    if kinds is POWER_KINDS and config.power_hosts() is None:
        faults.append(ConfigFault("config.power", "empty", "is required to switch machines"))
    return config, faults


def _config_faults(error: ValidationError, spec: SourceSpec) -> list[ConfigFault]:
    faults = []
    for found in error.errors(include_url=False, include_context=False):
        field = ".".join(("config", *_steps(found["loc"], spec.config)))
        message = found["msg"].removeprefix("Value error, ")
        if found["type"] == "extra_forbidden":
            message = "is not a key of this configuration"
        elif found["type"] == "missing":
            message = "is required"
        faults.append(ConfigFault(field, _shown(field, found.get("input")), message))
    return faults


def _steps(location: tuple[int | str, ...], config: object) -> list[str]:
    """Return where a fault is as it is written in the book, without the names of our models."""
    steps = []
    for number, step in enumerate(location):
        if isinstance(config, Mapping):
            if step not in config and number + 1 < len(location):
                continue
            config = config.get(step)
        elif isinstance(config, list) and isinstance(step, int) and step < len(config):
            config = config[step]
        elif not isinstance(config, list):
            # Below a shorthand, or at a model's name behind it: the book has no such step.
            continue
        steps.append(str(step))
    return steps


def _shown(field: str, value: object) -> str:
    if value is None:
        return "empty"
    if _SOUNDS_SECRET.search(field) or isinstance(value, (Mapping, list)):
        return "(not shown)"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
