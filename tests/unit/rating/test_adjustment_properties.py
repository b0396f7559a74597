"""Whatever changes after issue, what is issued and what is adjusted add up to what is right now.

Random books and landed rows change after their months were issued, part after part, and some of the
adjustments are issued in turn, so that later corrections meet earlier ones. After every change, for
every line that this build can rate whole: all that was ever asked for under its key and all that is
about to be asked for is what the line is rated at. Issuing that and building again asks for
nothing more. The cause of every adjustment is the one that it can have.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from tests.unit.rating.nights import LANDED_LATE, OF_THE_BOOK, Change, NightlyWarehouse, changed
from tests.unit.rating.random_books import random_pack

BOOKS = 4
CORRECTIONS = int(os.environ.get("M2C_CORRECTIONS", "4"))
CHANGES = 15

# Everything asked for or about to be, by key, payer, currency and tax code, against what is rated.
ADDS_UP = """
    with asked as (
        select
            case when adjusts_period is null then line_key
                else array_to_string(string_split(line_key, '/')[3:8], '/') end as line_key,
            payer_id, currency, tax_code,
            sum(amount) as amount, sum(tax_amount) as tax, sum(quantity) as quantity
        from statement_lines where charge_code != 'credit' group by all
    ),
    kept as (
        select s.contract_id, s.period from int_billing__segments s
        join book__plan_versions v on s.plan_id = v.plan_id and s.plan_version = v.version
        where not v.adjust
    ),
    whole as (
        select * from int_billing__charge_lines
        where amount is not null and tax_code is not null
    ),
    not_whole as (
        select line_key from int_billing__charge_lines where amount is null or tax_code is null
    ),
    compared as (
        select coalesce(whole.line_key, asked.line_key) as line_key,
            coalesce(asked.amount, 0) as asked, coalesce(whole.amount, 0) as rated,
            coalesce(asked.tax, 0) as asked_tax, coalesce(whole.tax_amount, 0) as rated_tax
        from whole full join asked
            on whole.line_key = asked.line_key and whole.payer_id = asked.payer_id
            and whole.currency = asked.currency and whole.tax_code = asked.tax_code
    )
    select * from compared
    where (asked != rated or asked_tax != rated_tax)
        and line_key not in (from not_whole)
        and (split_part(line_key, '/', 1), split_part(line_key, '/', 2)) not in (from kept)
"""
# Where an adjustment was written, quantities add up as well.
QUANTITIES = """
    with asked as (
        select a.original_key, l.payer_id, l.currency, l.tax_code
        from adjustments a join statement_lines l using (line_key)
        where not exists (
            select 1 from ledger__issued_lines i where i.line_key = a.line_key
        )
    ),
    totals as (
        select case when adjusts_period is null then line_key
                else array_to_string(string_split(line_key, '/')[3:8], '/') end as original_key,
            payer_id, currency, tax_code, sum(quantity) as quantity
        from statement_lines where charge_code != 'credit' group by all
    )
    select original_key, totals.quantity, rated.quantity
    from asked join totals using (original_key, payer_id, currency, tax_code)
    left join int_billing__charge_lines rated
        on rated.line_key = asked.original_key and rated.payer_id = asked.payer_id
        and rated.currency = asked.currency and rated.tax_code = asked.tax_code
    where totals.quantity != coalesce(rated.quantity, 0)
"""
PENDING = """
    select a.original_key, a.cause, l.statement_id
    from adjustments a join statement_lines l using (line_key)
    where not exists (select 1 from ledger__issued_lines i where i.line_key = a.line_key)
"""


class BilledWarehouse(NightlyWarehouse):
    """A warehouse whose statements are issued, by writing into the tables of the ledger."""

    issued = 0

    def issue(self, statement_ids: Sequence[str]) -> None:
        """Freeze these statements as the models have them now."""
        for statement_id in statement_ids:
            self.issued += 1
            number = f"N-{self.issued:06d}"
            self._fill(
                "ledger__issued_statements",
                f"""select first(l.statement_id) as statement_id, '{number}' as statement_number,
                first(l.period) as period, first(l.payer_id) as payer_id,
                first(l.statement_kind) as statement_kind, first(l.currency) as currency,
                first(l.book_version) as book_version, 'test' as code_version,
                to_timestamp({self.issued}) as issued_at
                from statement_lines l where l.statement_id = '{statement_id}'""",
            )
            self._fill(
                "ledger__issued_lines",
                f"""select l.*, a.cause, '{number}' as statement_number,
                row_number() over (order by l.line_key) as line_no
                from statement_lines l left join adjustments a using (line_key)
                where l.statement_id = '{statement_id}'""",
            )
            self._fill(
                "ledger__issued_inputs",
                f"""select * exclude (statement_id), '{number}' as statement_number
                from statement_inputs where statement_id = '{statement_id}'""",
            )
        self._warehouse.execute(
            "update context__build_context set last_issued_period = "
            "(select max(period) from ledger__issued_statements)"
        )

    def _fill(self, table: str, select: str) -> None:
        self._warehouse.execute(f"insert into {table} by name {select}")

    def open_statements(self, *, until: str) -> list[str]:
        """Statements up to a month that can be issued: taxed, and of nothing that is blocked."""
        return [
            row[0]
            for row in self.rows(
                f"""select statement_id from int_billing__statement_lines
                where period <= '{until}' group by statement_id
                having not bool_or(is_issued) and bool_and(tax_code is not null)
                order by statement_id"""
            )
        ]

    def last_period(self) -> str:
        ((period,),) = self.rows("select max(period) from int_billing__segments")
        return str(period)


def _assert_adds_up(warehouse: BilledWarehouse, after: str) -> None:
    assert warehouse.rows(ADDS_UP) == [], f"after {after}"
    assert warehouse.rows(QUANTITIES) == [], f"after {after}"


@pytest.mark.parametrize(
    ("seed", "kinds", "causes"),
    [
        (11, LANDED_LATE, {"readings"}),
        (12, OF_THE_BOOK, {"book"}),
        (13, OF_THE_BOOK + LANDED_LATE, {"book", "readings"}),
    ],
    ids=["late", "book", "both"],
)
def test_issued_and_adjusted_is_what_is_right_now(
    seed: int, kinds: Sequence[Change], causes: set[str], tmp_path: Path
) -> None:
    dice = Random(seed)
    warehouse = BilledWarehouse(tmp_path / "ledger")
    (tmp_path / "books").mkdir()
    pack = random_pack(seed, BOOKS, tmp_path / "book")
    book = tmp_path / "book"
    warehouse.night(book, pack)
    _assert_adds_up(warehouse, "the first build")
    # Half of the statements, so that others still wait when the first corrections come.
    everything = warehouse.open_statements(until=warehouse.last_period())
    warehouse.issue(dice.sample(everything, len(everything) // 2))
    warehouse.night(book, pack)
    _assert_adds_up(warehouse, "half of the statements were issued")
    warehouse.issue(warehouse.open_statements(until=warehouse.last_period()))
    warehouse.night(book, pack)
    assert warehouse.rows(PENDING) == []

    adjusted: set[str] = set()
    again = 0
    for correction in range(CORRECTIONS):
        pack, changes = changed(pack, dice, tmp_path / "books", kinds=kinds, count=CHANGES)
        book = tmp_path / f"book-{correction}"
        pack.write(book)
        warehouse.night(book, pack)
        after = f"seed {seed}, correction {correction}: {', '.join(changes)}"
        _assert_adds_up(warehouse, after)
        pending = warehouse.rows(PENDING)
        assert {cause for _, cause, _ in pending} <= causes, f"{after}: {pending}"
        originals = {key for key, _, _ in pending}
        again += len(adjusted & originals)
        adjusted |= originals
        waiting = warehouse.open_statements(until="9999-12")
        if correction % 2:  # some corrections meet others that are not issued yet
            warehouse.issue(waiting)
            warehouse.night(book, pack)
            # What stands on a statement that cannot be issued stays with it.
            held = {key for key, _, statement_id in pending if statement_id not in waiting}
            left = [row for row in warehouse.rows(PENDING) if row[0] not in held]
            assert left == [], f"{after}: asked for again: {left}"
            assert {cause for _, cause, _ in warehouse.rows(PENDING)} <= causes
            _assert_adds_up(warehouse, f"{after}, then issued")
    assert len(adjusted) >= 12, "hardly anything was adjusted"
    assert again >= 5, "hardly anything was adjusted twice"
