"""How the book's `sources.yml` reaches the stand-ins: one entry a site, secrets by name only.

The entries are what a person would write for such a site in the field; the addresses are
environment variables, so the same book serves the demo and, with other values, the real sites.
"""

from __future__ import annotations

from connectors.sandbox import prometheus, sql
from connectors.sandbox.files import is_steady
from connectors.sandbox.places import env_prefix
from connectors.sandbox.recordings import Recording

BMC_USER = "billing"


def source_of(recording: Recording, kind: str) -> dict[str, object]:
    """The entry of `sources.yml` for this site as it is served: kind, config, secrets, power."""
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
            "power": {
                "request": {"method": "PUT", "path": "v1/meters/{meter_id}/power"},
                "power_on": {"body": {"state": "on"}},
                "power_off": {"body": {"state": "off"}},
                "state": {
                    "path": "v1/meters/{meter_id}/power",
                    "field": "state",
                    "on_values": ["on"],
                    "off_values": ["off"],
                },
            },
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
        "power": {
            "kind": "redfish",
            "config": {
                "url": f"${{{prefix}_BMC_URL:-http://127.0.0.1:8802}}",
                "tls": "plain",
                "system": "{meter_id}",
                "auth": {"type": "session", "username": BMC_USER, "secret": "bmc_password"},
                "poll_seconds": 1,
            },
            "secrets": {"bmc_password": f"{prefix}_BMC_PASSWORD"},
        },
    }


def _files(prefix: str, recording: Recording) -> dict[str, object]:
    place, is_gauge = recording.place, recording.profile.shape == "gauge"
    # A zone that changes its clocks has the offset in the file; any other needs the site's zone.
    time: dict[str, object] = {"format": "%Y-%m-%d %H:%M", "timezone": "site"}
    if not is_steady(place.zone, recording.start, recording.end):
        time = {"format": "iso"}
    columns: dict[str, object] = {
        "metric": {"fixed": "power"},
        "kind": {"fixed": "gauge"},
        "value": "watts",
        "start": {"field": "sampled_at", **time},
    }
    if not is_gauge:
        columns = {
            "metric": {"fixed": "energy"},
            "kind": {"fixed": "interval"},
            "value": "energy_wh",
            "start": {"field": "interval_start", **time},
            "end": {"field": "interval_end", **time},
        }
    date = r"_(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})[_.]"
    return {
        "kind": "files",
        "config": {
            "folder": f"${{{prefix}_DROPS:-drops/{place.site_id}}}",
            "readings": [
                {
                    "pattern": f"{place.site_id}_*.csv",
                    "name_date": {"pattern": date},
                    "format": {"type": "csv", "ignore_lines": ["^# rows: "]},
                    "map": {
                        "meter_id": "meter_id",
                        "unit": {"fixed": recording.profile.unit},
                        **columns,
                        "quality": {"field": "status", "map": {"A": "good"}},
                    },
                }
            ],
        },
        "secrets": {},
    }


def _sql(prefix: str) -> dict[str, object]:
    return {
        "kind": "sql",
        "config": {
            "host": f"${{{prefix}_HOST:-127.0.0.1}}",
            "port": f"${{{prefix}_PORT:-5432}}",
            "database": sql.DATABASE,
            "user": sql.READER,
            "password": "password",
            "tls": "plain",
            "readings": [
                {
                    "query": (
                        f"select meter_id, sampled_at, watts, status from {sql.TABLE} "
                        "where sampled_at >= %(start)s and sampled_at < %(end)s "
                        "order by sampled_at, meter_id"
                    ),
                    "map": {
                        "meter_id": "meter_id",
                        "metric": {"fixed": "power"},
                        "kind": {"fixed": "gauge"},
                        "unit": {"fixed": "W"},
                        "value": "watts",
                        "start": "sampled_at",
                        "quality": {"field": "status", "map": {"ok": "good"}},
                    },
                }
            ],
            "machines": [
                {
                    "query": (
                        "select distinct on (meter_id) meter_id, asset_tag as name, "
                        "removed_at is null as is_active from meters "
                        "order by meter_id, installed_at desc"
                    )
                }
            ],
        },
        "secrets": {"password": f"{prefix}_PASSWORD"},
    }
