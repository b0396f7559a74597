"""The metering models of the dbt project, run on rows that a test makes up, without dbt.

A model is a Jinja template of SQL over other models and sources. Here the templates are rendered
with the project's own macros, every ``ref`` and ``source`` being a table of an in-memory DuckDB,
and the project's own loop over days fills them, so that a test of a rule takes a fraction of a
second. What dbt itself does (contracts, tests, publishing) is tested elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import duckdb
import jinja2
import pyarrow as pa
import pytest

PROJECT = Path(__file__).parents[3] / "dbt_project"
FOLDERS = (
    "intermediate/metering",
    "intermediate/rating",
    "intermediate/billing",
    "marts/billing",
)
DAYS = "int_metering__days"

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
    DAYS,
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


@dataclass(frozen=True)
class Model:
    """A rendered model: its SQL, what it is made into, and what the loop is told about it."""

    name: str
    sql: str
    materialized: str
    meta: Mapping[str, Any]


class Project:
    """The project's templates, rendered on one warehouse."""

    def __init__(self, query: Any) -> None:
        self._environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined,
            extensions=["jinja2.ext.do"],
        )
        self._environment.globals.update(
            source=lambda source, table: f"{source}__{table}",
            env_var=lambda _, default="": default,
            run_query=query,
            run_started_at="2026-06-01 00:00:00+00:00",
            exceptions=_Complaints,
            target={"database": "warehouse"},
        )
        names = ("exact/exact", "time/time", "engine/landing_files", "engine/day_by_day",
                 "engine/compute_days", "words/words", "words/instants")  # fmt: skip
        texts = [(PROJECT / "macros" / f"{name}.sql").read_text(encoding="utf-8") for name in names]
        # A materialization is dbt's own block.
        texts = [re.sub(r"(?s){% materialization.*?{% endmaterialization %}", "", t) for t in texts]
        # The staging view of these tests follows the days in hand by itself.
        texts.append("{% macro take_readings_in_hand(days) %}{% endmacro %}")
        self.macros: Any = self._environment.from_string("".join(texts)).module
        # Models see macros as globals: to compile them into every model would take seconds.
        self._environment.globals.update(
            {name: macro for name, macro in vars(self.macros).items() if callable(macro)}
        )

    def models(self) -> list[Model]:
        """Render every model that the wanted ones need, each after those that it reads."""
        paths = {
            path.stem: path
            for folder in FOLDERS
            for path in (PROJECT / "models" / folder).glob("*.sql")
        }
        done: dict[str, Model] = {}

        def render(name: str) -> None:
            if name in done or name in SOURCES or name in ("units", "stg_landing__readings"):
                return
            needed: list[str] = []
            config: dict[str, Any] = {}

            def ref(other: str) -> str:
                needed.append(other)
                return other

            def configure(**options: Any) -> str:
                config.update(options)
                return ""

            sql = self._environment.from_string(paths[name].read_text(encoding="utf-8")).render(
                ref=ref, config=configure, this=name
            )
            for other in needed:
                render(other)
            told = not name.startswith("int_metering__")
            done[name] = Model(
                name,
                re.sub(r"\n\s*\n+", "\n", sql),
                config.get("materialized", "table" if told else "view"),
                config.get("meta", {}),
            )

        for name in WANTED:
            render(name)
        return list(done.values())


class _Complaints:
    @staticmethod
    def raise_compiler_error(text: str) -> NoReturn:
        raise AssertionError(text)


@dataclass(frozen=True)
class _Answer:
    rows: Sequence[tuple[Any, ...]]


class Metering:
    """A warehouse with the sources of metering and its models."""

    def __init__(self) -> None:
        self._warehouse = duckdb.connect(config={"threads": 1})
        self._warehouse.execute("set TimeZone = 'UTC'")
        for name, columns in SOURCES.items():
            self._warehouse.execute(f"create table {name} ({columns})")
        units = PROJECT / "seeds" / "units.csv"
        self._warehouse.execute(f"create table units as from read_csv('{units}')")
        self._zones: set[str] = set()
        self._project = Project(self._query)
        self._models = self._project.models()
        self._plan = [
            {
                "name": model.name,
                "relation": model.name,
                "now": f"{model.name}__now",
                "kept": model.materialized == "kept",
                "meta": model.meta,
            }
            for model in self._models
            if model.materialized in ("in_hand", "kept")
        ]
        self._made = False

    def _query(self, sql: str) -> _Answer:
        answer = self._warehouse.execute(sql)
        return _Answer(answer.fetchall() if answer.description else [])

    def run(
        self, tables: Mapping[str, Sequence[Mapping[str, Any]]], *, years: Sequence[int] = (2026,)
    ) -> None:
        """Forget everything, take these rows as the sources and compute every model."""
        if self._made:
            for model in self._models:
                if model.materialized == "kept":
                    self._warehouse.execute(f"delete from {model.name}")
            self._warehouse.execute(f"drop table if exists {DAYS}")
        self.arrive(tables, years=years)

    def arrive(
        self, tables: Mapping[str, Sequence[Mapping[str, Any]]], *, years: Sequence[int] = (2026,)
    ) -> None:
        """Replace the rows of all sources by those given and compute what they change.

        Columns that a row does not name are null. The months and offsets of the timezones that
        sites and contracts name come by themselves.
        """
        self._take(tables, years)
        if not self._made:
            self._make()
        for model in self._models:
            if model.materialized == "in_hand":
                self._warehouse.execute(f"delete from {model.name}")
        wanted = next(model.sql for model in self._models if model.name == DAYS)
        self._project.macros.compute_days(DAYS, wanted, self._plan, "these rules")
        for model in self._models:
            if model.materialized == "table":
                self._warehouse.execute(f"create or replace table {model.name} as {model.sql}")

    def _make(self) -> None:
        self._warehouse.execute(
            "create table int_metering__days_in_hand(site_id varchar, usage_date date)"
        )
        self._warehouse.execute(
            "create view stg_landing__readings as select landed.* from landed"
            " semi join int_metering__days_in_hand as days on landed.site_id = days.site_id"
            " and cast(landed.interval_start at time zone 'UTC' as date) = days.usage_date"
        )
        for model in self._models:
            if model.materialized == "view":
                self._warehouse.execute(f"create view {model.name} as {model.sql}")
            elif model.materialized in ("in_hand", "kept"):
                self._warehouse.execute(f"create view {model.name}__now as {model.sql}")
                self._warehouse.execute(
                    f"create table if not exists {model.name} as from {model.name}__now limit 0"
                )
        self._made = True

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
        self._warehouse.execute(
            """
            insert into manifest__readings
            select
                site_id, date, 'a file', count(*),
                cast(sum(cast(hash(said) as hugeint)) % 18446744073709551616 as varchar), false
            from (
                select site_id, cast(interval_start at time zone 'UTC' as date) as date,
                    cast(landed as varchar) as said
                from landed
            )
            group by site_id, date
            """
        )

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

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self._warehouse.execute(query).fetchall()

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
