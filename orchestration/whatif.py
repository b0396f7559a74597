"""What another plan would have brought: past usage rated again in a room of its own.

The book with the plan in it, the metered usage of the asked months and nothing issued are laid out
as a data dir that lives as long as the question. There dbt runs the same rating models as every
night; what they say is compared with what the last build rated. Nothing of the real data dir is
written. Not here: a rule of rating, or a rule of the book.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from connectors.book import Book, BookError, PlanVariant, compile_book, load_book, write_variant
from exporters.ledger.extract import write_extract
from exporters.marts import BUILD_FIRST, MartsError
from orchestration.dbt_runs import run_models
from orchestration.engines import Engine, engine_from_env
from orchestration.locks import hold
from orchestration.settings import DataDir, SettingsError
from orchestration.warehouse import write_context

# What rating reads of metering by contract and month.
_USAGE = ("int_metering__month_usage", "int_metering__usage_quarters", "int_metering__pieces")
_LINES = "int_billing__charge_lines"
# The plan's own tables differ, and those that carry the version of the book or its words.
_PLAN_TABLES = frozenset({"plans", "plan_versions", "book_info"})
# Of the ledger rating needs when machines were paused.
_PAUSES = ("machine_states.parquet", "resumptions.parquet")
_BEFORE_RATING = (
    "path:models/intermediate/metering",
    "path:models/marts",
    "int_rating__scope",
    "int_rating__input_parts",
    "int_rating__fingerprints",
    "int_rating__places",
    "int_rating__plan_digests",
    "stg_landing__readings",
)


@dataclass(frozen=True)
class Question:
    """A plan file, the months `first` to `last` (inclusive), and the contracts put on the plan.

    No contracts: those that are on it. `by_date`: every version of the file counts from when it
    says, not the last one all the time.
    """

    plan_file: Path
    first: str
    last: str
    contracts: tuple[str, ...] = ()
    by_date: bool = False


@dataclass(frozen=True)
class Answer:
    """Old and new in payers' currencies, before tax and credits.

    `customers`: customer_id, currency, old, new, difference. `lines`: those that differ, with
    line_key, contract_id, customer_id, period, charge_code, site_id, currency, old and new (None:
    no such line) and difference. `not_rated`: what could not be rated, in words. `changed_tables`:
    tables of the book, the plan's aside, that changed since the last build, so that the difference
    holds their changes too.
    """

    variant: PlanVariant
    contracts: tuple[str, ...]
    first: str
    last: str
    customers: list[dict[str, Any]]
    lines: list[dict[str, Any]]
    not_rated: list[str]
    changed_tables: tuple[str, ...]


def what_if(data_dir: DataDir, question: Question, *, now: datetime) -> Answer:
    """Rate the months of the question with its plan.

    Raises BookError for faults of the plan or the book, SettingsError for a contract or a month
    that there is not, MartsError before the first build.
    """
    if engine_from_env() is not Engine.DUCKDB:
        raise SettingsError("a what-if reads a warehouse on DuckDB: build one with --engine duckdb")
    warehouse = data_dir.warehouse / "warehouse.duckdb"
    if not warehouse.is_file():
        raise MartsError(f"nothing is rated in {data_dir.root} yet: {BUILD_FIRST}")
    with _room(data_dir) as room:
        variant, book = _variant(data_dir, room, question)
        contracts = _contracts(book, variant, question)
        compile_book(book, room.compiled_book)
        with hold(data_dir.locks, "warehouse", purpose="copying usage for a what-if"):
            changed = _changed_tables(data_dir.compiled_book, room.compiled_book)
            shutil.copytree(data_dir.manifest, room.manifest)
            _copy_usage(warehouse, room.warehouse / "warehouse.duckdb", contracts, question)
            write_extract(None, room.ledger_extract)
            for name in _PAUSES:
                if (known := data_dir.ledger_extract / name).is_file():
                    shutil.copy(known, room.ledger_extract / name)
        write_context(room, now=now, also_period=None)
        run_models(room.root, select=f"+{_LINES}", exclude=_BEFORE_RATING)
        return Answer(
            variant=variant,
            contracts=contracts,
            first=question.first,
            last=question.last,
            changed_tables=changed,
            **_compared(room.warehouse / "warehouse.duckdb"),
        )


@contextmanager
def _room(data_dir: DataDir) -> Iterator[DataDir]:
    """A data dir of its own, gone afterwards; what a killed question left goes first."""
    rooms = data_dir.warehouse / "whatif"
    with hold(data_dir.locks, "whatif", purpose="a what-if"):
        shutil.rmtree(rooms, ignore_errors=True)
        rooms.mkdir(parents=True)
        try:
            room = DataDir(Path(tempfile.mkdtemp(dir=rooms)))
            room.warehouse.mkdir()
            yield room
        finally:
            shutil.rmtree(rooms, ignore_errors=True)


def _variant(data_dir: DataDir, room: DataDir, question: Question) -> tuple[PlanVariant, Book]:
    if not question.plan_file.is_file():
        raise SettingsError(f"there is no file {question.plan_file}")
    variant = write_variant(
        data_dir.book,
        question.plan_file,
        room.book,
        contracts=question.contracts,
        by_date=question.by_date,
    )
    try:
        return variant, load_book(room.book)
    except BookError as error:
        # Rows of the plan are those of the copy, which nobody sees; its place in the plan is named.
        raise BookError(
            replace(fault, row=None) if fault.file.startswith("plans/") else fault
            for fault in error.faults
        ) from error


def _contracts(book: Book, variant: PlanVariant, question: Question) -> tuple[str, ...]:
    known = {term.contract_id for term in book.terms}
    unknown = sorted(set(question.contracts) - known)
    if unknown:
        raise SettingsError(f"there is no contract {', '.join(unknown)} in contracts.csv")
    if question.contracts:
        return tuple(sorted(set(question.contracts)))
    on_plan = sorted({term.contract_id for term in book.terms if term.plan_id == variant.plan_id})
    if not on_plan:
        raise SettingsError(
            f"no contract is on plan {variant.plan_id}; name those to put on it with --contract"
        )
    return tuple(on_plan)


def _changed_tables(built: Path, asked: Path) -> tuple[str, ...]:
    changed = []
    for path in sorted(asked.glob("*.parquet")):
        name = path.stem
        if name in _PLAN_TABLES or name.startswith("charge"):
            continue
        before = built / path.name
        if not before.is_file() or before.read_bytes() != path.read_bytes():
            changed.append(name)
    return tuple(changed)


def _copy_usage(
    warehouse: Path, scratch: Path, contracts: Sequence[str], question: Question
) -> None:
    asked = {"contracts": list(contracts), "first": question.first, "last": question.last}
    where = "list_contains($contracts, contract_id) and period between $first and $last"
    with duckdb.connect(str(scratch)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach {_quoted(warehouse)} as built (read_only)")
        if not connection.execute(
            "select 1 from duckdb_tables() where database_name = 'built' and table_name = $name",
            {"name": _LINES},
        ).fetchone():
            raise MartsError(f"nothing is rated in {warehouse.parent.parent} yet: {BUILD_FIRST}")
        connection.execute("create schema intermediate")
        for table in _USAGE:
            connection.execute(
                f"create table intermediate.{table} as "
                f"select * from built.intermediate.{table} where {where}",
                asked,
            )
        connection.execute(
            "create table intermediate.int_metering__range as "
            "from built.intermediate.int_metering__range"
        )
        connection.execute(
            "create table intermediate.int_rating__scope as "
            "select contract_id, period, true as is_due "
            f"from built.intermediate.int_billing__segments where {where} group by all",
            asked,
        )
        if connection.execute("select 1 from intermediate.int_rating__scope").fetchone() is None:
            raise SettingsError(
                f"none of these contracts has a month from {question.first} to {question.last} "
                f"with readings: {', '.join(contracts[:5])}{' …' if len(contracts) > 5 else ''}"
            )
        connection.execute(
            f"create table main.before as select * from built.intermediate.{_LINES} where {where}",
            asked,
        )


def _compared(scratch: Path) -> dict[str, Any]:
    with duckdb.connect(str(scratch), read_only=True) as connection:
        lines = _rows(
            connection,
            f"""
            select
                coalesce(later.line_key, earlier.line_key) as line_key,
                coalesce(later.period, earlier.period) as period,
                coalesce(later.customer_id, earlier.customer_id) as customer_id,
                coalesce(later.contract_id, earlier.contract_id) as contract_id,
                coalesce(later.charge_code, earlier.charge_code) as charge_code,
                coalesce(later.site_id, earlier.site_id) as site_id,
                coalesce(later.currency, earlier.currency) as currency,
                earlier.amount as old,
                later.amount as new,
                coalesce(later.amount, 0) - coalesce(earlier.amount, 0) as difference
            from (from main.before where amount is not null) as earlier
            full join (from intermediate.{_LINES} where amount is not null) as later
                on earlier.line_key = later.line_key and earlier.currency = later.currency
            order by abs(difference) desc, line_key
            """,
        )
        not_rated = _rows(
            connection,
            f"select line_key, problem_detail from intermediate.{_LINES} "
            "where amount is null order by line_key",
        )
    customers: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lines:
        key = (line["customer_id"], line["currency"])
        total = customers.setdefault(
            key,
            {
                "customer_id": key[0],
                "currency": key[1],
                "old": Decimal(0),
                "new": Decimal(0),
                "difference": Decimal(0),
            },
        )
        for column in ("old", "new", "difference"):
            total[column] += line[column] or 0
    return {
        "customers": [customers[key] for key in sorted(customers)],
        "lines": [
            line
            for line in lines
            if line["difference"] or line["old"] is None or line["new"] is None
        ],
        "not_rated": [
            f"{row['line_key'] or 'an event'}: {row['problem_detail']}" for row in not_rated
        ],
    }


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    found = connection.execute(sql)
    columns = [column[0] for column in found.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
