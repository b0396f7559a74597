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


def _sensors(recorded: Recorded, site_id: str) -> list[str]:
    return sorted({accepted.sensor for accepted in recorded.accepted_at(site_id)})
