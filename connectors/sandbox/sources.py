"""How the book's `sources.yml` reaches the stand-ins: one entry a site, secrets by name only.

The entries are what a person would write for such a site in the field; the addresses are
environment variables, so the same book serves the demo and, with other values, the real sites.
"""

from __future__ import annotations

from connectors.sandbox import prometheus, sql
from connectors.sandbox.files import is_steady
from connectors.sandbox.places import env_prefix
from connectors.sandbox.recordings import Recording


def source_of(recording: Recording, kind: str) -> dict[str, object]:
    """The entry of `sources.yml` for this site as it is served: kind, config and secrets."""
    prefix = env_prefix(recording.place.site_id)
    if kind == "rest_json":
        return _rest_json(prefix)
    if kind == "prometheus":
        return _prometheus(prefix, recording.place.site_id)
    if kind == "files":
        return _files(prefix, recording)
    return _sql(prefix)


def _rest_json(prefix: str) -> dict[str, object]:
    return {
        "kind": "rest_json",
        "config": {
            "url": f"${{{prefix}_URL:-http://127.0.0.1:8801}}",
            "tls": "plain",
            "auth": {"type": "oauth2", "token_url": "oauth/token"},
            "readings": [
                {
                    "path": "v1/readings",
                    "params": {"from": "{start}", "to": "{end}"},
                    "items": "data[]",
                    "paging": {"type": "cursor", "next": "next_cursor"},
                    "map": {
                        "meter_id": "meter",
                        "metric": {"fixed": "energy"},
                        "kind": {"fixed": "interval"},
                        "unit": {"fixed": "kWh"},
                        "value": "kwh",
                        "start": "from",
                        "end": "to",
                        "quality": {"field": "status", "map": {"measured": "good"}},
                    },
                }
            ],
            "machines": [
                {
                    "path": "v1/meters",
                    "items": "data[]",
                    "meter_id": "meter",
                    "name": "asset",
                }
            ],
        },
        "secrets": {
            "client_id": f"{prefix}_CLIENT_ID",
            "client_secret": f"{prefix}_CLIENT_SECRET",
        },
    }


def _prometheus(prefix: str, site_id: str) -> dict[str, object]:
    return {
        "kind": "prometheus",
        "config": {
            "url": f"${{{prefix}_URL:-http://127.0.0.1:9090}}",
            "tls": "plain",
            "piece_hours": 24,
            "readings": [
                {
                    "series": f'{prometheus.METRIC}{{site="{site_id}"}}',
                    "meter_id": "{outlet}",
                    "metric": "energy",
                    "kind": "register",
                    "unit": "J",
                }
            ],
        },
        "secrets": {},
    }


def _files(prefix: str, recording: Recording) -> dict[str, object]:
    place = recording.place
    return {"kind": "files", "config": {}, "secrets": {}}


def _sql(prefix: str) -> dict[str, object]:
    return {"kind": "sql", "config": {}, "secrets": {}}
