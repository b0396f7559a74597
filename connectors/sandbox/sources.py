"""How the book's `sources.yml` reaches the stand-ins: one entry a site, secrets by name only.

The entries are what a person would write for such a site in the field; the addresses are
environment variables, so the same book serves the demo and, with other values, the real sites.
"""

from __future__ import annotations

from connectors.sandbox import prometheus, sql
from connectors.sandbox.places import env_prefix
from connectors.sandbox.recordings import Recording


def source_of(recording: Recording, kind: str) -> dict[str, object]:
    """The entry of `sources.yml` for this site as it is served: kind, config and secrets."""
    prefix = env_prefix(recording.place.site_id)
    if kind == "rest_json":
        return _rest_json(prefix)
    if kind == "prometheus":
        return _prometheus(prefix, recording)
    if kind == "files":
        return _files(prefix, recording)
    return _sql(prefix)


def _rest_json(prefix: str) -> dict[str, object]:
    return {"kind": "rest_json", "config": {}, "secrets": {}}


def _prometheus(prefix: str, recording: Recording) -> dict[str, object]:
    return {"kind": "prometheus", "config": {}, "secrets": {}}


def _files(prefix: str, recording: Recording) -> dict[str, object]:
    return {"kind": "files", "config": {}, "secrets": {}}


def _sql(prefix: str) -> dict[str, object]:
    return {"kind": "sql", "config": {}, "secrets": {}}
