"""The metering models of the dbt project, run on rows that a test makes up, without dbt.

The sources are tables of an in-memory database that the models are rendered on
(tests.unit.warehouse.templates), so that a test of a rule takes a fraction of a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from tests.unit.warehouse.templates import DAYS, Warehouse

SOURCES = {
    "landed": "site_id varchar, source varchar, meter_id varchar, metric varchar,"
    " kind varchar, unit varchar, interval_start timestamptz, interval_end timestamptz,"
    " value decimal(24,9), quality varchar, batch_id varchar, ingested_at timestamptz",
    "manifest__readings": "partition_key varchar, date date, path varchar, rows bigint,"
    " rows_digest varchar, refused boolean",
    "book__sites": "site_id varchar, timezone varchar, default_rated_kw decimal(24,9),"
    " estimation varchar, expected_interval_minutes integer",
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
    "book__payers": "payer_id varchar, auto_approve_limit decimal(24,9), minor_units integer,"
    " seller_id varchar",
    "book__settings": "tolerance_percent decimal(18,4)",
    "book__book_info": "book_version varchar",
    "context__build_context": "also_period varchar, now_at timestamptz",
    "ledger__issued_statements": "statement_id varchar, statement_number varchar,"
    " series_no integer, period varchar, statement_kind varchar, payer_id varchar,"
    " seller_id varchar, total decimal(18,2), content_hash varchar, book_version varchar,"
    " issue_date date, due_date date, issued_at timestamptz",
    "ledger__approvals": "statement_id varchar, content_hash varchar, approved_by varchar,"
    " approved_at timestamptz",
    "int_billing__statements": "statement_id varchar, period varchar, statement_kind varchar,"
    " payer_id varchar, currency varchar, lines integer, net decimal(18,2), tax decimal(18,2),"
    " total decimal(18,2), content_hash varchar, has_code_adjustments boolean",
    "int_billing__statement_lines": "statement_id varchar, period varchar, contract_id varchar,"
    " site_id varchar",
    "int_billing__statement_projections": "statement_id varchar, projected_net decimal(18,2),"
    " projected_tax decimal(18,2)",
    "int_billing__alerts": "period varchar, contract_id varchar, measure varchar,"
    " value decimal(38,9), detail varchar, period_start timestamptz, alert_key varchar,"
    " is_reached boolean",
    "int_billing__disputed_lines": "line_key varchar, state varchar, period varchar,"
    " statement_id varchar, payer_id varchar, contract_id varchar, site_id varchar,"
    " event_id varchar, detail varchar, recorded_at timestamptz",
    "int_billing__document_exceptions": "exception_id varchar, kind varchar, period varchar,"
    " payer_id varchar, statement_id varchar, detail varchar, first_seen timestamptz,"
    " status varchar",
    "int_billing__bank_exceptions": "exception_id varchar, kind varchar, period varchar,"
    " day date, detail varchar, first_seen timestamptz, status varchar",
    "int_billing__suspension_exceptions": "exception_id varchar, kind varchar, period varchar,"
    " site_id varchar, machine_id varchar, contract_id varchar, payer_id varchar, day date,"
    " quantity decimal(38,9), detail varchar, first_seen timestamptz, status varchar",
    "ledger__exception_actions": "exception_id varchar, action varchar, recorded_at timestamptz",
    "int_rating__exceptions": "kind varchar, severity varchar, period varchar, site_id varchar,"
    " meter_id varchar, machine_id varchar, contract_id varchar, event_id varchar,"
    " payer_id varchar, statement_id varchar, day date, occurrences bigint,"
    " quantity decimal(38,9), detail varchar",
}

_TYPES = {
    "varchar": pa.string(),
    "bigint": pa.int64(),
    "integer": pa.int32(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "decimal(18,2)": pa.decimal128(18, 2),
    "decimal(18,4)": pa.decimal128(18, 4),
    "decimal(24,9)": pa.decimal128(24, 9),
    "decimal(38,9)": pa.decimal128(38, 9),
}
_COLUMNS = {
    table: {
        column: _TYPES[kind]
        for column, kind in (part.split() for part in re.split(r", +", columns))
    }
    for table, columns in SOURCES.items()
}

WANTED = (
    "int_billing__periods",
    "int_billing__segments",
    "int_metering__exceptions",
    "usage_reconciliation",
    "billing_exceptions",
    "usage_completeness",
    "statements",
)
# What is remembered of how it came about, and what a rebuild from nothing cannot know.
MEMORIES = ("int_metering__touched_dates", "int_metering__runs_done", "usage_revisions")


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


class Metering(Warehouse):
    """A warehouse with the sources of metering and its models."""

    def __init__(self) -> None:
        super().__init__(SOURCES, WANTED, threads=1)
        for name, columns in SOURCES.items():
            self._warehouse.execute(f"create table {name} ({columns})")
        self._zones: set[str] = set()

    def run(
        self, tables: Mapping[str, Sequence[Mapping[str, Any]]], *, years: Sequence[int] = (2026,)
    ) -> None:
        """Forget everything, take these rows as the sources and compute every model."""
        self._forget()
        self.arrive(tables, years=years)

    def arrive(
        self, tables: Mapping[str, Sequence[Mapping[str, Any]]], *, years: Sequence[int] = (2026,)
    ) -> None:
        """Replace the rows of all sources by those given and compute what they change.

        Columns that a row does not name are null. The months and offsets of the timezones that
        sites and contracts name come by themselves.
        """
        self._take(tables, years)
        self._compute()

    def _take(
        self, tables: Mapping[str, Sequence[Mapping[str, Any]]], years: Sequence[int]
    ) -> None:
        zones = {row["timezone"] for row in tables.get("book__sites", ())}
        zones |= {row["billing_timezone"] for row in tables.get("book__contract_terms", ())}
        for zone in sorted(zones - self._zones):
            self._insert("book__zone_months", _COLUMNS["book__zone_months"], months_of(zone, years))
            self._insert("book__zone_spans", _COLUMNS["book__zone_spans"], spans_of(zone, years))
        self._zones |= zones
        for name in SOURCES:
            if name.startswith("book__zone_"):
                continue
            self._warehouse.execute(f"delete from {name}")
            rows = tables.get(name, [{}] if name == "context__build_context" else [])
            columns = _COLUMNS[name]
            unknown = {column for row in rows for column in row} - set(columns)
            assert not unknown, f"{name} has no column {unknown}"
            self._insert(name, columns, [tuple(map(row.get, columns)) for row in rows])

    def _insert(
        self, table: str, columns: Mapping[str, pa.DataType], rows: Sequence[tuple[Any, ...]]
    ) -> None:
        if not rows:
            return
        arrays = [
            pa.array(
                [
                    Decimal(value) if pa.types.is_decimal(kind) and value is not None else value
                    for value in values
                ],
                kind,
            )
            for kind, values in zip(columns.values(), zip(*rows, strict=True), strict=True)
        ]
        self._warehouse.register("given", pa.table(arrays, names=list(columns)))
        self._warehouse.execute(f"insert into {table} from given")
        self._warehouse.unregister("given")

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of what is kept and of what is told, but for memories of how it came about."""
        found = {}
        for model in self._models:
            if model.materialized in ("kept", "table") and model.name not in MEMORIES:
                found[model.name] = self.rows(f"select * from {model.name} order by all")
        found[DAYS] = self.rows(
            f"select site_id, usage_date, rows_digest, rows_listed, state from {DAYS} order by all"
        )
        return found


@pytest.fixture(scope="session")
def metering() -> Metering:
    """Models on one warehouse, whose rows each ``run`` replaces."""
    return Metering()


@pytest.fixture(scope="session")
def rebuilt() -> Metering:
    """A second warehouse, to compare with."""
    return Metering()
