"""The product's own power control switches what the stand-ins serve, in every site's own way."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import PowerConnector, ReadingsSource, SourceSpec, Window
from connectors.errors import SourceRefused, SourceUnavailable
from connectors.registry import build_connector, build_power, power_hosts
from connectors.sandbox import Sandbox

START, END = date(2026, 10, 1), date(2026, 10, 11)
# In the middle of the days served: what a machine used before and after it was switched shows.
PAUSED = datetime(2026, 10, 5, 12, tzinfo=UTC)
RESUMED = datetime(2026, 10, 8, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("power")


@pytest.fixture(scope="module")
def sandbox(small_book: Path, state_dir: Path) -> Iterator[Sandbox]:
    with Sandbox(
        book_dir=small_book,
        state_dir=state_dir / "sites",
        seed=1,
        start=START,
        end=END,
        as_of=PAUSED,
        kinds={"ID-JKT1": "files"},
    ) as sandbox:
        yield sandbox


def control(sandbox: Sandbox, site_id: str, data_dir: Path) -> PowerConnector:
    zone = sandbox.recordings[site_id].place.zone.key
    spec = SourceSpec.of(sandbox.sources[site_id])
    return build_power(site_id, zone, spec, sandbox.env, lambda: sandbox.now, data_dir=data_dir)


@pytest.mark.parametrize("site_id", ["NO-OSL1", "FI-HEL1"])
def test_a_machine_is_paused_and_resumed(sandbox: Sandbox, state_dir: Path, site_id: str) -> None:
    one, other = sandbox.recordings[site_id].place.meter_ids[:2]
    with closing(control(sandbox, site_id, state_dir)) as switch:
        for state in ("off", "off", "on", "off"):
            switch.power(one, state)  # type: ignore[arg-type]
            assert switch.power_state(one) == state
        assert switch.power_state(other) == "on"
        with pytest.raises(SourceRefused):
            switch.power("nobody's", "off")
    mine = [order[1:] for order in sandbox.power_orders() if order[0] == site_id]
    assert mine == [(one, "off"), (one, "on"), (one, "off")], "looked at before it is ordered"
    spec = SourceSpec.of(sandbox.sources[site_id])
    assert all(host.startswith("http://127.0.0.1:") for host in power_hosts(spec, sandbox.env))


@pytest.mark.parametrize("site_id", ["ET-ADD1", "ID-JKT1"])
def test_people_are_asked_where_no_software_switches(
    sandbox: Sandbox, state_dir: Path, site_id: str
) -> None:
    meter_id = sandbox.recordings[site_id].place.meter_ids[0]
    with closing(control(sandbox, site_id, state_dir)) as switch:
        switch.power(meter_id, "off")
        assert switch.power_state(meter_id) == "unknown"
    with (state_dir / "power" / site_id / "orders.csv").open(newline="") as stream:
        assert [row["meter_id"] for row in csv.DictReader(stream)] == [meter_id]


@pytest.mark.parametrize("site_id", ["NO-OSL1", "FI-HEL1"])
def test_a_site_that_is_down_takes_no_order(sandbox: Sandbox, site_id: str) -> None:
    entry = sandbox.sources[site_id]
    switched = entry.get("power") or entry
    assert isinstance(switched, dict)
    switched["config"]["max_attempts"] = 2
    spec = SourceSpec.of(entry)
    meter_id = sandbox.recordings[site_id].place.meter_ids[1]
    before = sandbox.power_orders()
    sandbox.set_outage(site_id, is_down=True)
    with (
        closing(build_power(site_id, "UTC", spec, sandbox.env, lambda: sandbox.now)) as switch,
        pytest.raises(SourceUnavailable),
    ):
        switch.power(meter_id, "off")
    sandbox.set_outage(site_id, is_down=False)
    assert sandbox.power_orders() == before


def used(sandbox: Sandbox, site_id: str, meter_id: str, start: datetime, end: datetime) -> Decimal:
    """What a meter counted in the span: intervals added up, of a counter the difference."""
    connector = build_connector(
        site_id,
        "UTC",
        SourceSpec.of(sandbox.sources[site_id]),
        sandbox.env,
        lambda: sandbox.now,
    )
    assert isinstance(connector, ReadingsSource)
    values: list[Decimal] = []
    kinds: set[str] = set()
    with closing(connector):
        for batch in connector.readings(Window.of_days(START, END)):
            rows = batch.frame.select("meter_id", "interval_start", "value", "kind")
            for meter, at, value, kind in rows.sort("interval_start").iter_rows():
                if meter == meter_id and start <= at < end:
                    values.append(value)
                    kinds.add(kind)
    return values[-1] - values[0] if kinds == {"register"} else sum(values, Decimal(0))


def test_a_paused_machine_uses_nothing_and_stays_paused(sandbox: Sandbox, state_dir: Path) -> None:
    sites = {s: sandbox.recordings[s].place.meter_ids[1:3] for s in ("NO-OSL1", "FI-HEL1")}
    for site_id, (one, _) in sites.items():
        with closing(control(sandbox, site_id, state_dir)) as switch:
            switch.power(one, "off")
            assert switch.power_state(one) == "off"
    sandbox.stop()
    sandbox.start()
    sandbox.advance(RESUMED)
    for site_id, (one, _) in sites.items():
        with closing(control(sandbox, site_id, state_dir)) as switch:
            assert switch.power_state(one) == "off"
            switch.power(one, "on")
    sandbox.advance(datetime(2026, 10, 14, tzinfo=UTC))
    first, end = (datetime.combine(day, time(), UTC) for day in (START, END))
    for site_id, (one, other) in sites.items():
        assert used(sandbox, site_id, one, first, PAUSED) > 0
        assert used(sandbox, site_id, one, PAUSED, RESUMED) == 0
        assert used(sandbox, site_id, one, RESUMED, end) > 0
        assert used(sandbox, site_id, other, PAUSED, RESUMED) > 0
