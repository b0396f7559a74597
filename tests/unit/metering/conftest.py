"""The metering models of the dbt project, run on rows that a test makes up, without dbt.

A model is a Jinja template of SQL over other models and sources. Here the templates are rendered
with the project's own macros, every ``ref`` and ``source`` being a table of an in-memory DuckDB, so
that a test of a rule takes milliseconds. What dbt itself does (contracts, tests, publishing) is
tested elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import jinja2
import pytest

PROJECT = Path(__file__).parents[3] / "dbt_project"
FOLDERS = ("intermediate/metering", "intermediate/billing", "marts/billing")

SOURCES = {
    "stg_landing__readings": "site_id varchar, source varchar, meter_id varchar, metric varchar,"
    " kind varchar, unit varchar, interval_start timestamptz, interval_end timestamptz,"
    " value decimal(24,9), quality varchar, batch_id varchar, ingested_at timestamptz",
    "book__sites": "site_id varchar, timezone varchar, default_rated_kw decimal(24,9),"
    " estimation varchar",
    "book__placements": "machine_id varchar, site_id varchar, meter_id varchar,"
    " valid_from_at timestamptz, valid_to_at timestamptz, rated_kw decimal(24,9)",
    "book__placement_metrics": "site_id varchar, meter_id varchar, machine_id varchar,"
    " valid_from_at timestamptz, metric varchar",
    "book__assignments": "machine_id varchar, contract_id varchar, valid_from_at timestamptz,"
    " valid_to_at timestamptz",
    "book__contract_terms": "contract_id varchar, term_no integer, customer_id varchar,"
    " payer_id varchar, plan_id varchar, billing_timezone varchar, valid_from_at timestamptz,"
    " valid_to_at timestamptz, po_number varchar, first_month varchar",
    "book__reading_edits": "site_id varchar, meter_id varchar, metric varchar,"
    " from_at timestamptz, to_at timestamptz, action varchar, quantity decimal(24,9),"
    " reason varchar",
    "book__plans": "plan_id varchar, currency varchar, minor_units integer",
    "book__plan_versions": "plan_id varchar, version integer, valid_from_month varchar,"
    " valid_to_month varchar",
    "book__zone_spans": "timezone varchar, from_at timestamptz, to_at timestamptz,"
    " utc_offset_seconds integer",
    "book__zone_months": "timezone varchar, period varchar, start_at timestamptz,"
    " end_at timestamptz",
    "context__build_context": "also_period varchar",
    "ledger__exception_actions": "exception_id varchar, action varchar, recorded_at timestamptz",
    "int_rating__exceptions": "kind varchar, severity varchar, period varchar, site_id varchar,"
    " meter_id varchar, machine_id varchar, contract_id varchar, event_id varchar,"
    " payer_id varchar, statement_id varchar, day date, occurrences bigint,"
    " quantity decimal(38,9), detail varchar",
}

WANTED = (
    "int_billing__periods",
    "int_billing__segments",
    "int_metering__pieces",
    "int_metering__fates",
    "int_metering__exceptions",
    "usage_reconciliation",
    "usage_daily",
    "billing_exceptions",
)


def months_of(timezone: str, years: Iterable[int]) -> list[tuple[str, str, datetime, datetime]]:
    """Return rows of ``zone_months``; the timezones of these tests all have a midnight then."""
    zone = ZoneInfo(timezone)
    rows = []
    for year in years:
        for month in range(1, 13):
            following = (year + 1, 1) if month == 12 else (year, month + 1)
            rows.append(
                (
                    timezone,
                    f"{year}-{month:02}",
                    datetime(year, month, 1, tzinfo=zone).astimezone(UTC),
                    datetime(*following, 1, tzinfo=zone).astimezone(UTC),
                )
            )
    return rows


def spans_of(timezone: str, years: Sequence[int]) -> list[tuple[str, datetime, datetime, int]]:
    """Return rows of ``zone_spans``: the offsets of the years, to the second."""
    zone = ZoneInfo(timezone)

    def offset(second: int) -> int:
        delta = datetime.fromtimestamp(second, UTC).astimezone(zone).utcoffset()
        assert delta is not None
        return int(delta.total_seconds())

    begin = int(datetime(min(years), 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(max(years) + 1, 1, 1, tzinfo=UTC).timestamp())
    cuts = [begin]
    for day in range(begin, end, 86400):
        low, high = day, min(day + 86400, end)
        if offset(low) == offset(high - 1):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if offset(middle) == offset(day):
                low = middle
            else:
                high = middle
        cuts.append(high)
    return [
        (
            timezone,
            datetime.fromtimestamp(start, UTC),
            datetime.fromtimestamp(stop, UTC),
            offset(start),
        )
        for start, stop in zip(cuts, [*cuts[1:], end], strict=True)
        if start < stop
    ]


def _rendered_models() -> list[tuple[str, str]]:
    """Render every model that the wanted ones need, each after those that it reads."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do"])
    macros = "".join(
        path.read_text(encoding="utf-8")
        for name in ("exact/exact", "time/time", "engine/landing_files", "words/words",
                     "words/instants")
        for path in [PROJECT / "macros" / f"{name}.sql"]
    )  # fmt: skip
    paths = {
        path.stem: path
        for folder in FOLDERS
        for path in (PROJECT / "models" / folder).glob("*.sql")
    }
    done: dict[str, str] = {}

    def render(name: str) -> None:
        if name in done or name in SOURCES or name == "units":
            return
        needed: list[str] = []

        def ref(other: str) -> str:
            needed.append(other)
            return other

        sql = environment.from_string(macros + paths[name].read_text(encoding="utf-8")).render(
            ref=ref, source=lambda source, table: f"{source}__{table}", config=lambda **_: ""
        )
        for other in needed:
            render(other)
        done[name] = re.sub(r"\n\s*\n+", "\n", sql)

    for name in WANTED:
        render(name)
    return list(done.items())


class Metering:
    """A warehouse with the sources of metering and its models."""

    def __init__(self, models: list[tuple[str, str]]) -> None:
        self._models = models
        self._warehouse = duckdb.connect(config={"threads": 2})
        self._warehouse.execute("set TimeZone = 'UTC'")
        for name, columns in SOURCES.items():
            self._warehouse.execute(f"create table {name} ({columns})")
        units = PROJECT / "seeds" / "units.csv"
        self._warehouse.execute(f"create table units as from read_csv('{units}')")
        self._zones: set[str] = set()

    def run(
        self, tables: Mapping[str, Sequence[Mapping[str, Any]]], *, years: Sequence[int] = (2026,)
    ) -> None:
        """Replace the rows of all sources by those given and compute every model.

        Columns that a row does not name are null. The months and offsets of the timezones that
        sites and contracts name come by themselves.
        """
        zones = {row["timezone"] for row in tables.get("book__sites", ())}
        zones |= {row["billing_timezone"] for row in tables.get("book__contract_terms", ())}
        for zone in sorted(zones - self._zones):
            self._insert("book__zone_months", months_of(zone, years))
            self._insert("book__zone_spans", spans_of(zone, years))
        self._zones |= zones
        for name in SOURCES:
            if name.startswith("book__zone_"):
                continue
            self._warehouse.execute(f"delete from {name}")
            rows = tables.get(name, [{}] if name == "context__build_context" else [])
            columns = [part.split()[0] for part in re.sub(r"\(.*?\)", "", SOURCES[name]).split(",")]
            unknown = {column for row in rows for column in row} - set(columns)
            assert not unknown, f"{name} has no column {unknown}"
            self._insert(name, [tuple(row.get(column) for column in columns) for row in rows])
        for name, sql in self._models:
            self._warehouse.execute(f"create or replace table {name} as {sql}")

    def _insert(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self._warehouse.executemany(f"insert into {table} values ({marks})", rows)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self._warehouse.execute(query).fetchall()


@pytest.fixture(scope="session")
def metering() -> Metering:
    """Models on one warehouse, whose rows each ``run`` replaces."""
    return Metering(_rendered_models())
