"""`sources.yml` for the recorded sites: three formats of files and a Prometheus."""

from __future__ import annotations

from connectors.sandbox.places import env_prefix
from connectors.sandbox.replay.recorded import (
    CSV_SITE,
    FEED_SITE,
    LOG_SITE,
    PROMETHEUS_SITE,
    Recorded,
)

METRIC = "ipmi_power_watts"


def sources_of(recorded: Recorded) -> dict[str, dict[str, object]]:
    """By site the entry of `sources.yml`; only sensors that may be billed are asked for."""
    return {
        CSV_SITE: _files(
            CSV_SITE,
            {
                "pattern": "*.csv.gz",
                "format": {"type": "csv"},
                "map": {
                    "meter_id": {"template": "{node}/{sensor}"},
                    "metric": {"fixed": "power"},
                    "kind": {"fixed": "gauge"},
                    "unit": {"field": "unit", "map": {"Watts": "W"}},
                    "value": "value",
                    "start": {
                        "field": "timestamp_utc",
                        "format": "%Y-%m-%d %H:%M:%S UTC",
                        "timezone": "UTC",
                    },
                    "records": {"only": {"sensor": _sensors(recorded, CSV_SITE), "status": ["ok"]}},
                },
            },
        ),
        LOG_SITE: _files(
            LOG_SITE,
            {
                "pattern": "*.txt.xz",
                "format": {
                    "type": "ipmitool",
                    "sensors": _sensors(recorded, LOG_SITE),
                    "file_name": r"(?P<node>[^/]+)-\d{4}-\d{2}-\d{2}",
                    "meter_id": "{node}/{sensor}",
                },
            },
        ),
        FEED_SITE: _files(
            FEED_SITE,
            {
                "pattern": "*.xml",
                "format": {"type": "green_button", "meter_id": "{usage_point}"},
            },
        ),
        PROMETHEUS_SITE: {
            "kind": "prometheus",
            "config": {
                "url": f"${{{env_prefix(PROMETHEUS_SITE)}_URL:-http://127.0.0.1:9090}}",
                "tls": "plain",
                "readings": [
                    {
                        "series": f'{METRIC}{{name="{sensor}"}}',
                        "meter_id": "{instance}/{name}",
                        "metric": "power",
                        "kind": "gauge",
                        "unit": "W",
                    }
                    for sensor in _sensors(recorded, PROMETHEUS_SITE)
                ],
            },
            "secrets": {},
        },
    }


def _files(site_id: str, files: dict[str, object]) -> dict[str, object]:
    folder = f"${{{env_prefix(site_id)}_DROPS:-drops/{site_id}}}"
    return {"kind": "files", "config": {"folder": folder, "readings": [files]}, "secrets": {}}


def _sensors(recorded: Recorded, site_id: str) -> list[str]:
    return sorted({accepted.sensor for accepted in recorded.accepted_at(site_id)})
