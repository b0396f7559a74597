"""What somebody types becomes a fact about the right subject, and a statement is chased again only
when nothing on it is disputed any more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import select

from exporters.disputes import open_dispute, resolve_dispute
from exporters.ledger import Actor, Ledger, tables
from exporters.ledger.actions import ActionError
from exporters.marts import Marts, open_marts

NUMBER = "acme-0001"
ENERGY = "K/2026-10/1/energy/OSL/-"
HANDS = "K/2026-10/1/hands/OSL/ev-1"
OPEN_LINE = "K/2026-11/1/energy/OSL/-"
WHO = {"by": "anna", "reason": "phone"}


@pytest.fixture
def marts(tmp_path: Path) -> Iterator[Marts]:
    path = tmp_path / "marts.duckdb"
    with duckdb.connect(path) as con:
        con.execute(
            f"""
            create table statement_lines as
                select line_key, charge_model, band, adjusts_period from (values
                    ('{ENERGY}', 'per_unit', null, null),
                    ('{HANDS}', 'pass_through', 'ev-1', null),
                    ('adj/2026-11/{HANDS}', 'pass_through', 'ev-1', '2026-10'),
                    ('{OPEN_LINE}', 'per_unit', null, null)
                ) as lines (line_key, charge_model, band, adjusts_period);
            create table line_events as select 'ev-2' as event_id;
            create table billing_exceptions as select 'ev-3' as event_id;
            create table disputes (scope varchar, subject varchar, event_id varchar);
            """
        )
    with open_marts(path) as opened:
        yield opened


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger.open(
        f"sqlite:///{tmp_path / 'ledger.sqlite'}",
        clock=lambda: datetime(2026, 11, 10, tzinfo=UTC),
        actor=Actor("tester", "t", "h"),
    )
    with made as opened:
        with opened.transaction() as tx:
            tx.record(
                tables.issued_statements,
                statement_id="acme/2026-10/all",
                statement_number=NUMBER,
                series="acme",
                series_no=1,
                period="2026-10",
                statement_kind="consolidated",
                payer_id="acme",
                seller_id="s",
                currency="EUR",
                net=Decimal("3.00"),
                tax=Decimal("0.00"),
                total=Decimal("3.00"),
                content_hash="h",
                book_version="b-1",
                code_version="v1",
                issue_date=date(2026, 11, 4),
                due_date=date(2026, 12, 4),
            )
            for line_no, (key, model) in enumerate(
                [(ENERGY, "per_unit"), (HANDS, "pass_through")], start=1
            ):
                tx.record(
                    tables.issued_lines,
                    statement_number=NUMBER,
                    line_no=line_no,
                    period="2026-10",
                    statement_id="acme/2026-10/all",
                    statement_kind="consolidated",
                    payer_id="acme",
                    contract_id="K",
                    book_version="b-1",
                    charge_code="c",
                    charge_model=model,
                    classification="variable",
                    quantity=Decimal(1),
                    unit="flat",
                    unit_price=Decimal(1),
                    amount=Decimal("1.50"),
                    currency="EUR",
                    tax_code="T",
                    tax_rate_percent=Decimal(0),
                    tax_amount=Decimal(0),
                    line_key=key,
                )
        yield opened


def chased(ledger: Ledger) -> bool:
    return ledger.query(select(tables.open_disputes)) == []


def said(ledger: Ledger) -> dict[tuple[str, str], str]:
    rows = ledger.query(select(tables.current_charge_disputes))
    return {(row["scope"], row["subject"]): row["state"] for row in rows}


def test_a_whole_statement_is_disputed_and_released(ledger: Ledger, marts: Marts) -> None:
    with pytest.raises(ActionError, match=f"no dispute about statement {NUMBER}"):
        resolve_dispute(ledger, marts=marts, subject=NUMBER, outcome=None, **WHO)
    assert open_dispute(ledger, marts=marts, subject="acme/2026-10/all", **WHO).recorded
    assert not open_dispute(ledger, marts=marts, subject=NUMBER, **WHO).recorded
    assert not chased(ledger)
    with pytest.raises(ActionError, match=r"a whole statement: .*lines that are not owed"):
        resolve_dispute(ledger, marts=marts, subject=NUMBER, outcome="upheld", **WHO)
    resolve_dispute(ledger, marts=marts, subject=NUMBER, outcome=None, **WHO)
    assert chased(ledger)


def test_a_statement_waits_for_the_last_of_its_disputed_lines(ledger: Ledger, marts: Marts) -> None:
    open_dispute(ledger, marts=marts, subject=ENERGY, **WHO)
    # An event that has a line of its own is disputed as that line.
    assert open_dispute(ledger, marts=marts, subject="ev-1", **WHO).subject == HANDS
    assert said(ledger) == {("line", ENERGY): "open", ("line", HANDS): "open"}
    resolve_dispute(ledger, marts=marts, subject=ENERGY, outcome="upheld", **WHO)
    assert not chased(ledger)
    resolve_dispute(ledger, marts=marts, subject="ev-1", outcome="rejected", **WHO)
    assert chased(ledger)
    assert said(ledger) == {("line", ENERGY): "upheld", ("line", HANDS): "rejected"}


def test_a_dispute_of_the_whole_outlives_that_of_a_line(ledger: Ledger, marts: Marts) -> None:
    open_dispute(ledger, marts=marts, subject=NUMBER, **WHO)
    open_dispute(ledger, marts=marts, subject=ENERGY, **WHO)
    resolve_dispute(ledger, marts=marts, subject=ENERGY, outcome="rejected", **WHO)
    assert not chased(ledger)


def test_a_line_that_is_not_issued_concerns_no_statement(ledger: Ledger, marts: Marts) -> None:
    open_dispute(ledger, marts=marts, subject=OPEN_LINE, **WHO)
    assert chased(ledger)
    with pytest.raises(ActionError, match=r"--upheld .* or --rejected"):
        resolve_dispute(ledger, marts=marts, subject=OPEN_LINE, outcome=None, **WHO)


@pytest.mark.parametrize("event", ["ev-2", "ev-3"])
def test_an_event_without_a_line_is_decided_as_an_event(
    ledger: Ledger, marts: Marts, event: str
) -> None:
    # A site may have told that it is disputed: nobody opened that here.
    resolve_dispute(ledger, marts=marts, subject=event, outcome="rejected", **WHO)
    assert said(ledger) == {("event", event): "rejected"}


def test_an_adjustment_is_not_upheld_by_itself(ledger: Ledger, marts: Marts) -> None:
    named = f"adj/2026-11/{HANDS}"
    open_dispute(ledger, marts=marts, subject=named, **WHO)
    with pytest.raises(ActionError, match="uphold the dispute of the line it adjusts"):
        resolve_dispute(ledger, marts=marts, subject=named, outcome="upheld", **WHO)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"subject": "K/2026-10/1/energy/OSL/x"}, f"did you mean {ENERGY}"),
        ({"subject": "nothing like it"}, "no issued statement, line or charge event"),
        ({"by": " "}, "say who"),
        ({"reason": ""}, "and why"),
    ],
)
def test_wrong_use(ledger: Ledger, marts: Marts, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ActionError, match=words):
        open_dispute(ledger, marts=marts, **{"subject": ENERGY, **WHO, **change})
    assert said(ledger) == {}
