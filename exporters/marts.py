"""Reading the published marts: open the file read-only for a moment, take rows with exact types,
close it. Every reader of money goes through here, so that a session in another timezone or a file
that is not there is met with the same words everywhere. No rule of billing lives here.

    with open_marts(data_dir / "published" / "marts.duckdb") as marts:
        for statement in marts.statements("2026-10"):
            lines = marts.lines(statement["statement_id"])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import duckdb

BUILD_FIRST: Final = "run m2c build first"
Row = dict[str, Any]


class MartsError(Exception):
    """The published marts are missing, unreadable, or older than what was asked of them."""


class Marts:
    """The published marts as they were when opened. DECIMAL columns come as Decimal, TIMESTAMPTZ as
    aware UTC datetimes, DATE as date, NULL as None.

    Keep it short: within one process DuckDB goes on reading the old file, also for whoever opens it
    anew, until the last connection to it is closed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise MartsError(f"there are no published marts at {path}: {BUILD_FIRST}")
        try:
            self.connection = duckdb.connect(str(path), read_only=True)
        except duckdb.Error as error:
            raise MartsError(f"cannot read the published marts at {path}: {error}") from error
        self.connection.execute("SET TimeZone = 'UTC'")
        # A slow query would draw its progress into what a command prints.
        self.connection.execute("SET enable_progress_bar = false")

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """The rows of a query as dicts by column name.

        Raises MartsError when a table or column is not there.
        """
        try:
            cursor = self.connection.execute(sql, list(parameters))
            names = [column[0] for column in cursor.description or ()]
            fetched = cursor.fetchall()
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise MartsError(
                f"the marts at {self.path} are not those of this version ({error}): {BUILD_FIRST}"
            ) from error
        return [
            {name: _exact(value) for name, value in zip(names, row, strict=True)} for row in fetched
        ]

    def table(self, name: str) -> list[Row]:
        """All rows of a small mart (payers, sellers, settings …) in the order of its first
        column."""
        quoted = '"' + name.replace('"', '""') + '"'
        return self.rows(f"SELECT * FROM {quoted} ORDER BY 1")

    def statements(self, period: str | None = None) -> list[Row]:
        """Statements of one period or of all, by period and statement_id."""
        where, given = ("WHERE period = ?", [period]) if period else ("", [])
        return self.rows(f"SELECT * FROM statements {where} ORDER BY period, statement_id", given)

    def statement(self, statement_id: str) -> Row | None:
        """One statement, None if there is none of that id."""
        found = self.rows("SELECT * FROM statements WHERE statement_id = ?", [statement_id])
        return found[0] if found else None

    def lines(self, statement_id: str) -> list[Row]:
        """The lines of a statement, in bytewise order of line_key, adjustments with their cause.

        A unit price of 10^9 and more does not fit the mart's column; it is what the amount comes to
        for one unit, to 9 decimals; the amount itself where a correction has no quantity.
        """
        found = self.rows(
            "SELECT l.*, a.cause FROM statement_lines l "
            "LEFT JOIN adjustments a ON l.line_key = a.line_key WHERE l.statement_id = ?",
            [statement_id],
        )
        for line in found:
            if line["unit_price"] is None:
                line["unit_price"] = price_of_one(line["amount"], line["quantity"])
        return sorted(found, key=lambda line: str(line["line_key"]))

    def inputs(self, statement_id: str) -> list[Row]:
        """What a statement takes account of that no earlier one did: contract_id, period,
        book_digest, readings_digest."""
        return self.rows(
            "SELECT contract_id, period, book_digest, readings_digest FROM statement_inputs "
            "WHERE statement_id = ? ORDER BY contract_id, period",
            [statement_id],
        )

    def blocking(self, period: str) -> dict[str, list[str]]:
        """Why statements of a period are blocked: `kind: detail` by statement_id."""
        found: dict[str, list[str]] = {}
        for row in self.rows(
            "SELECT statement_id, kind, detail FROM billing_exceptions "
            "WHERE period = ? AND severity = 'blocking' AND status != 'resolved' "
            "AND statement_id IS NOT NULL "
            "ORDER BY statement_id, kind, detail, exception_id",
            [period],
        ):
            detail = f": {row['detail']}" if row["detail"] else ""
            found.setdefault(row["statement_id"], []).append(f"{row['kind']}{detail}")
        return found

    def payers(self) -> dict[str, Row]:
        """The book's payers by payer_id."""
        return {row["payer_id"]: row for row in self.table("payers")}

    def sellers(self) -> dict[str, Row]:
        """The book's sellers by seller_id; empty without a seller.yml."""
        return {row["seller_id"]: row for row in self.table("sellers")}

    def settings(self) -> Row:
        """The one row of settings."""
        return self._only("settings")

    def build_info(self) -> Row:
        """What made these marts: book_version, code_version, built_at, ledger_head."""
        return self._only("build_info")

    def require_built_since(self, instant: datetime) -> None:
        """Raise MartsError if the marts were built before `instant`."""
        built_at = self.build_info()["built_at"]
        if built_at < instant:
            raise MartsError(
                f"the marts at {self.path} were built at {built_at:%Y-%m-%d %H:%M:%S} UTC, "
                f"before {instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC: {BUILD_FIRST}"
            )

    def _only(self, name: str) -> Row:
        found = self.table(name)
        if len(found) != 1:
            raise MartsError(
                f"the mart {name} at {self.path} has {len(found)} rows, not one: {BUILD_FIRST}"
            )
        return found[0]


def open_marts(path: Path) -> Marts:
    """Open the published marts read-only; use as a context manager.

    Raises MartsError, saying what to do, if they are missing or unreadable.
    """
    return Marts(path)


@contextmanager
def reading(marts: Marts | Path) -> Iterator[Marts]:
    """The marts as given, or opened for the length of the block if a path was given."""
    if isinstance(marts, Marts):
        yield marts
        return
    with open_marts(marts) as opened:
        yield opened


def _exact(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


def price_of_one(amount: Decimal, quantity: Decimal) -> Decimal:
    """What one unit comes to, to 9 decimals, where a unit price does not fit the mart's column; the
    amount itself where there is no quantity."""
    if not quantity:
        return amount
    with localcontext() as exact:
        exact.prec = 60
        return (amount / quantity).quantize(Decimal("1e-9"), rounding=ROUND_HALF_UP)
