"""Which site is late, and what a close says of missing readings, as Dagster shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner

from connectors.base import Window
from connectors.landing import LandingResult, SiteLanding
from exporters.close import CloseReport, Decision, IncompleteSite
from exporters.close.decide import AUTOMATIC
from exporters.marts import Marts, open_marts
from orchestration import cli, queries
from orchestration.defs.billing.assets import completeness_checks
from orchestration.defs.landing.assets import heard_from
from orchestration.defs.warehouse.assets import late_sites_check
from orchestration.settings import DataDir

NOON = datetime(2026, 11, 4, 12, tzinfo=UTC)
NIGHTLY = {"NO-OSL1", "FI-HEL1", "ET-ADD1"}

# NEW has machines and never told anything; GONE has no meter any more; HAND is filled by hand.
TABLES = """
create table sites as select unnest(
    ['NO-OSL1', 'FI-HEL1', 'ET-ADD1', 'HAND', 'GONE', 'BARE']) as site_id;
create table usage_reconciliation as select 'NO-OSL1' as site_id, date '2026-11-02' as usage_date,
    'energy' as metric, 12.5::decimal(38,9) as accepted;
create table usage_completeness(site_id varchar, usage_date date, meters bigint,
    expected_hours decimal(38,9), received_hours decimal(38,9), expected_intervals bigint,
    received_intervals bigint, last_reading_at timestamptz, status varchar);
insert into usage_completeness values
    ('NO-OSL1', '2026-11-01', 2, 48, 48, 192, 192, '2026-11-01 23:45:00+00', 'complete'),
    ('NO-OSL1', '2026-11-02', 2, 48, 31.5, 192, 126, '2026-11-02 23:59:59+00', 'partial'),
    ('NO-OSL1', '2026-11-03', 2, 48, 0, 192, 0, null, 'nothing'),
    ('FI-HEL1', '2026-11-03', 1, 24, 24, null, null, '2026-11-03 00:00:00+00', 'complete'),
    ('ET-ADD1', '2026-11-03', 1, 24, 0, 24, 0, null, 'nothing'),
    ('HAND', '2026-11-01', 1, 24, 12, 24, 12, '2026-11-01 12:00:00+00', 'partial'),
    ('HAND', '2026-11-03', 1, 24, 0, 24, 0, null, 'nothing'),
    ('GONE', '2026-10-01', 1, 24, 24, 24, 24, '2026-10-01 23:00:00+00', 'complete'),
    ('GONE', '2026-11-03', 0, 0, 0, 0, 0, null, 'complete');
create table build_info as select 'b-1' as book_version, 'v1' as code_version,
    timestamptz '2026-11-04 04:00:00+00' as built_at;
create table statements(statement_id varchar, period varchar, total decimal(18,2),
    net decimal(18,2), tax decimal(18,2), currency varchar, state varchar, decision varchar,
    decision_reason varchar, missing_or_estimated_share decimal(38,4),
    projected_total decimal(18,2), measured_until timestamptz);
create table alerts(period varchar, contract_id varchar, measure varchar, threshold decimal(24,9),
    is_reached boolean, detail varchar);
insert into statements (statement_id, period, missing_or_estimated_share)
    values ('A/2026-10/all', '2026-10', 0.0510), ('B/2026-10/all', '2026-10', 0.0500);
create table statement_lines(statement_id varchar, period varchar, contract_id varchar,
    site_id varchar);
insert into statement_lines values
    ('A/2026-10/all', '2026-10', 'K1', 'NO-OSL1'), ('B/2026-10/all', '2026-10', 'K2', 'NO-OSL1');
create table billing_exceptions(period varchar, kind varchar, severity varchar);
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = DataDir(tmp_path).marts
    made.parent.mkdir()
    with duckdb.connect(str(made)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(TABLES)
    return made


@pytest.fixture
def marts(path: Path) -> Iterator[Marts]:
    with open_marts(path) as opened:
        yield opened


def late(marts: Marts, now: datetime, nightly: set[str]) -> dict[str, int | None]:
    return {
        site["site_id"]: site["hours_late"]
        for site in queries.sites(marts, now=now, nightly=nightly)
        if site["is_late"]
    }


def test_nightly_sites_are_judged_by_the_clock_and_others_by_the_newest_reading(
    marts: Marts,
) -> None:
    # FI-HEL1 is exactly 36 hours old, the newest of all; HAND is 36 hours older than that.
    at_allowance = datetime(2026, 11, 4, 12, tzinfo=UTC)
    assert late(marts, at_allowance, NIGHTLY) == {"ET-ADD1": None, "NO-OSL1": 0}
    a_moment_later = at_allowance + timedelta(microseconds=1)
    assert late(marts, a_moment_later, NIGHTLY) == {"ET-ADD1": None, "NO-OSL1": 0, "FI-HEL1": 0}
    a_week_later = at_allowance + timedelta(days=7)
    assert late(marts, a_week_later, {"NO-OSL1"}) == {"ET-ADD1": None, "NO-OSL1": 168}


def test_a_site_filled_by_hand_is_late_behind_the_others(marts: Marts, path: Path) -> None:
    marts.close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            "insert into usage_completeness values ('BARE', '2026-11-03', 1, 24, 24, 24, 24,"
            " '2026-11-03 02:00:00+00', 'complete')"
        )
    with open_marts(path) as opened:
        assert late(opened, NOON, set()) == {"ET-ADD1": None, "HAND": 2}


def test_the_check_warns_and_says_which_site_since_when(marts: Marts) -> None:
    found = late_sites_check(marts, now=NOON + timedelta(hours=30), nightly={"NO-OSL1"})
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.metadata["late"].value == ["ET-ADD1", "NO-OSL1"]
    assert found.metadata["NO-OSL1: hours late"].value == 30
    assert found.description == (
        "ET-ADD1: nothing has landed yet; NO-OSL1: silent for 66 h, last reading 2026-11-02 23:59 "
        "UTC; 31.5 of 48.0 machine-hours of 2026-11-02 received (126 of 192 intervals)"
    )


def test_the_check_passes_where_everything_is_in_time(marts: Marts, path: Path) -> None:
    marts.close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("delete from usage_completeness where site_id != 'FI-HEL1'")
    with open_marts(path) as opened:
        assert late_sites_check(opened, now=NOON, nightly=NIGHTLY).passed


def test_status_says_which_site_is_late(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M2C_NOW", NOON.isoformat())
    monkeypatch.setenv("M2C_DATA_DIR", "")
    monkeypatch.setattr(cli, "sites_read_nightly", lambda _: {"NO-OSL1"})
    given = ["--data-dir", str(path.parents[1]), "status"]
    told = CliRunner().invoke(cli.cli, given, catch_exceptions=False).output
    assert "late: ET-ADD1: nothing has landed yet" in told
    answer = json.loads(CliRunner().invoke(cli.cli, [*given, "--json"]).stdout)
    sites = {site["site_id"]: site for site in answer["sites"]}
    assert {name for name, site in sites.items() if site["is_late"]} == {"ET-ADD1", "NO-OSL1"}
    assert sites["NO-OSL1"]["last_reading_at"].startswith("2026-11-02")
    assert sites["NO-OSL1"]["hours_silent"] == 36
    assert sites["BARE"]["last_reading_at"] is None


def landed(table: str, rows: int, *, last: datetime) -> SiteLanding:
    window = Window(start=last - timedelta(days=3), end=last)
    result = LandingResult(
        site_id="NO-OSL1",
        table=table,
        window=window,
        rows_fetched=rows,
        rows_landed=rows,
        rows_rejected=0,
        rows_unchanged=0,
        rows_duplicate=0,
        rows_outside=0,
        rows_skipped=0,
        batches=(),
        files=(),
        rejected_file=None,
    )
    return SiteLanding(site_id="NO-OSL1", window=window, results=(result,))


def test_a_site_is_heard_from_when_new_readings_of_late_land() -> None:
    heard = heard_from(landed("readings", 7, last=NOON - timedelta(hours=36)), now=NOON)
    assert heard is not None
    assert heard.asset_key == dg.AssetKey(["sites", "NO-OSL1"])
    assert heard.metadata["readings landed"].value == 7


@pytest.mark.parametrize(
    "result",
    [
        landed("readings", 0, last=NOON),
        landed("charge_events", 7, last=NOON),
        landed("readings", 7, last=NOON - timedelta(hours=37)),
    ],
    ids=["nothing new", "no readings", "an old day again"],
)
def test_a_site_is_not_heard_from_by(result: SiteLanding) -> None:
    assert heard_from(result, now=NOON) is None


def test_each_site_has_a_freshness_of_its_own(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    told = {
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if graph.get(key).freshness_policy is not None
    }
    assert told == {
        "published_marts",
        *(f"sites/{site}" for site in ("ET-ADD1", "FI-HEL1", "ID-JKT1", "NO-OSL1")),
    }


def report(*, approved_by: tuple[str, ...], sites: tuple[IncompleteSite, ...]) -> CloseReport:
    decision = Decision(
        statement_id="A/2026-10/all",
        payer_id="A",
        state="approved",
        decision="auto",
        reason="within the limit",
        lines=1,
        net=Decimal(1),
        tax=Decimal(0),
        total=Decimal(1),
        currency="EUR",
        content_hash="h",
        blocking_exceptions=0,
        warnings=0,
        approved_by=approved_by,
        projected_total=Decimal(1),
        measured_until=None,
    )
    other = replace(decision, statement_id="B/2026-10/all", approved_by=(AUTOMATIC,))
    return CloseReport("2026-10", False, (decision, other), 0, 0, sites)


def test_a_late_site_warns_at_a_close_and_stops_it_only_for_what_went_out_unseen(
    marts: Marts,
) -> None:
    oslo = IncompleteSite(
        site_id="NO-OSL1",
        expected_hours=Decimal(744),
        received_hours=Decimal(720),
        missing_percent=Decimal("3.2"),
        expected_intervals=None,
        received_intervals=None,
        unmeasured_days=(date(2026, 10, 12),),
        partial_days=0,
        last_reading_at=None,
        statement_ids=("A/2026-10/all", "B/2026-10/all"),
    )
    complete, poor = completeness_checks(marts, report(approved_by=("anna",), sites=(oslo,)))
    assert (complete.passed, complete.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert complete.metadata["sites"].value == ["NO-OSL1"]
    assert "3.2 % missing; nothing on 2026-10-12" in str(complete.metadata["incomplete"].value)
    assert poor.passed

    complete, poor = completeness_checks(marts, report(approved_by=(AUTOMATIC,), sites=()))
    assert complete.passed
    assert (poor.passed, poor.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert poor.metadata["statements"].value == ["A/2026-10/all: 5.1%"]
