"""Confirmed payments are made in Xero once, whatever fails; never where the bank's lines are."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from shutil import copy
from typing import Any

import duckdb
import pytest
from sqlalchemy import select

from exporters.ledger import tables
from exporters.ledger.banking import in_flight, matches
from exporters.ledger.errors import NotReconciledError
from exporters.ledger.story import story
from exporters.xero.posting import PostReport, post_payments
from tests.integration.xero.bench import Bench

OURS = "NO8099990000029"
CHILD = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from exporters.ledger import Actor, Ledger
from exporters.xero import XeroConfig
from exporters.xero.posting import post_payments
now = lambda: datetime.now(UTC)
ledger = Ledger.open(sys.argv[1], clock=now, actor=Actor("c", "c", "c"))
config = XeroConfig.from_environment(os.environ, data_dir=Path(sys.argv[3]))
report = post_payments(Path(sys.argv[2]), ledger, config=config, clock=now, apply=True)
sys.stdout.write("\\n".join(report.describe()))
sys.exit(report.exit_code)
"""


@pytest.fixture
def book(xero_marts: Path, tmp_path: Path) -> Callable[..., Path]:
    """Marts with our bank account."""

    def make(
        *, on: bool = True, code: str = "090", checked: str | None = "Kari, 2026-11-02"
    ) -> Path:
        path = Path(copy(xero_marts, tmp_path / f"marts-{time.monotonic_ns()}.duckdb"))
        with duckdb.connect(str(path)) as connection:
            connection.execute(
                "create or replace table seller_bank_accounts as select 'main' as seller_id, "
                "'EUR' as currency, $1 as iban, null::varchar as account, "
                "$2::boolean as post_payments, $3 as xero_account, $4::varchar as no_bank_feed",
                [OURS, on, code, checked],
            )
        return path

    return make


def confirmed(bench: Bench, number: str, amount: str, line_id: str = "bl-aaaaaaaaaaaa") -> str:
    """A bank line that a person confirmed for a statement."""
    with bench.ledger.transaction() as tx:
        tx.record(
            tables.bank_lines,
            line_id=line_id,
            account=OURS,
            currency="EUR",
            booked_on=date(2026, 11, 12),
            amount=Decimal(amount),
            reversal=False,
            form="camt.053",
            file_name="a.xml",
        )
        tx.record(
            tables.bank_matches,
            line_id=line_id,
            statement_number=number,
            amount=Decimal(amount),
            currency="EUR",
            state="confirmed",
            line_words="2026-11-12",
            by="Kari",
            reason="seen",
        )
    return line_id


def post(bench: Bench, marts: Path, *, apply: bool = True, **config: Any) -> PostReport:
    return post_payments(
        marts,
        bench.ledger,
        config=replace(bench.config, **config),
        clock=bench.clock,
        apply=apply,
        sleep=bench.sleep,
        timer=lambda: bench.clock().timestamp(),
    )


def payments(bench: Bench) -> list[tuple[Decimal, str]]:
    return [
        (Decimal(p["Amount"]), p["Reference"])
        for p in bench.admin.state()["payments"]
        if p["Status"] == "AUTHORISED"
    ]


def assert_once(bench: Bench, marts: Path, amount: str, line_id: str = "bl-aaaaaaaaaaaa") -> None:
    """The payment is in Xero once and recorded so; another run has nothing to do."""
    bench.admin.call("clear-faults")
    assert payments(bench) == [(Decimal(amount), f"Bank line {line_id}")]
    rows = bench.ledger.query(select(tables.bank_payments))
    assert [row["line_id"] for row in rows] == [line_id]
    bench.writes()
    facts = bench.facts()
    assert post(bench, marts).lines == []
    assert (bench.writes(), bench.facts()) == ([], facts)
    assert bench.ledger.open_intents("xero.payment") == []


@pytest.fixture
def number(bench: Bench) -> str:
    """A published invoice of 124.21 EUR."""
    number = bench.issue()
    assert bench.publish().exit_code == 0
    return number


def test_off_by_default_and_no_call_is_made(bench: Bench, book: Any, number: str) -> None:
    confirmed(bench, number, "124.21")
    bench.admin.requests(clear=True)
    report = post(bench, book(on=False))
    assert (report.exit_code, report.off, report.calls) == (0, {OURS: 1}, 0)
    assert "posting is off" in "\n".join(report.describe())
    assert payments(bench) == []


def test_a_confirmed_payment_is_planned_made_once_and_told(
    bench: Bench, book: Any, number: str
) -> None:
    line_id = confirmed(bench, number, "100.00")
    marts = book()
    plan = post(bench, marts, apply=False)
    assert [(line.action, plan.writes) for line in plan.lines] == [("post", 0)]
    assert payments(bench) == []
    report = post(bench, marts)
    assert report.exit_code == 0, report.describe()
    assert_once(bench, marts, "100.00")
    (sent,) = [p for p in bench.admin.state()["payments"] if p["Reference"].endswith(line_id)]
    assert sent["Account"]["Code"] == "090"
    assert not sent["IsReconciled"]
    with bench.ledger.snapshot() as reader:
        assert number in in_flight(reader)
    bench.poll()
    with bench.ledger.snapshot() as reader:
        assert in_flight(reader) == {}
    words = [event.words for event in story(bench.ledger, number).events]
    assert any(line_id in one and "confirmed by Kari" in one for one in words)
    assert any(f"about to do: xero.payment for {number}/{line_id}" in one for one in words)
    assert any("done: xero.payment" in one for one in words)


@pytest.mark.parametrize(
    ("kind", "when"),
    [
        ("hang", "before"),
        ("hang", "after"),
        ("truncate", "after"),
        ("status", "before"),
        ("status", "after"),
        ("html", "after"),
    ],
)
def test_an_answer_that_is_lost(bench: Bench, book: Any, number: str, kind: str, when: str) -> None:
    confirmed(bench, number, "124.21")
    bench.admin.fault(kind, method="PUT", path="^/Payments$", when=when, seconds=2.0, status=500)
    marts = book()
    report = post(bench, marts, read_seconds=0.5)
    assert report.exit_code == 0, report.describe()
    assert_once(bench, marts, "124.21")


def test_an_outcome_that_stays_unknown_is_looked_up_by_the_next_run(
    bench: Bench, book: Any, number: str
) -> None:
    confirmed(bench, number, "124.21")
    marts = book()
    bench.admin.fault("status", method="PUT", path="^/Payments$", status=500, times=9)
    report = post(bench, marts)
    assert report.exit_code == 3
    assert number in str(report.failure)
    bench.admin.call("clear-faults")
    bench.admin.call("advance", seconds=3600)
    assert post(bench, marts).exit_code == 0
    assert_once(bench, marts, "124.21")


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_sending(bench: Bench, book: Any, number: str, when: str) -> None:
    confirmed(bench, number, "124.21")
    marts = book()
    bench.admin.fault("hang", method="PUT", path="^/Payments$", when=when, seconds=4.0)
    bench.admin.requests(clear=True)
    child = subprocess.Popen(
        [
            *(sys.executable, "-c", CHILD),
            *(f"sqlite:///{bench.ledger.path}", str(marts), str(bench.config.data_dir)),
        ],
        env={**os.environ, **bench.sandbox.environment()},
    )
    try:
        end = time.monotonic() + 30
        while not any(r["method"] == "PUT" for r in bench.admin.requests()):
            assert time.monotonic() < end
            assert child.poll() is None
            time.sleep(0.05)
        if when == "after":
            while not payments(bench):
                assert time.monotonic() < end
                time.sleep(0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGKILL)
        child.wait()
    assert len(bench.ledger.open_intents("xero.payment")) == 1
    bench.admin.call("clear-faults")
    assert post(bench, marts).exit_code == 0
    time.sleep(0 if when == "after" else 4.0)  # the request that hung is let through or dropped
    assert_once(bench, marts, "124.21")


def refused(bench: Bench, marts: Path) -> str:
    """Why nothing was sent."""
    bench.writes()
    report = post(bench, marts)
    assert report.exit_code == 1, report.describe()
    assert bench.writes() == []
    (line,) = report.lines
    return line.detail


def test_never_more_than_is_due(bench: Bench, book: Any, number: str) -> None:
    confirmed(bench, number, "124.21")
    bench.admin.pay(number, amount=Decimal("24.21"))
    assert "only 100.00 is due in Xero" in refused(bench, book())


def test_two_lines_together_never_more_than_is_due(bench: Bench, book: Any, number: str) -> None:
    confirmed(bench, number, "100.00")
    confirmed(bench, number, "24.22", "bl-bbbbbbbbbbbb")
    report = post(bench, book())
    assert [line.action for line in report.lines] == ["post", "refused"]
    assert "only 24.21 is due" in report.lines[1].detail
    assert payments(bench) == [(Decimal("100.00"), "Bank line bl-aaaaaaaaaaaa")]


def test_a_payment_that_a_person_entered_is_not_made_again(
    bench: Bench, book: Any, number: str
) -> None:
    confirmed(bench, number, "60.00")
    bench.admin.pay(number, amount=Decimal("60.00"), on=date(2026, 11, 14))
    assert "Xero has a payment of this amount on 2026-11-14" in refused(bench, book())


@pytest.mark.parametrize("what", ["void", "edit"])
def test_a_document_that_drifted_gets_nothing(
    bench: Bench, book: Any, number: str, what: str
) -> None:
    confirmed(bench, number, "124.21")
    if what == "void":
        bench.admin.void(number)
    else:
        bench.admin.edit(number, {"Reference": "changed"})
    assert ("voided" if what == "void" else "a person changed") in refused(bench, book())


def test_a_document_that_is_not_published_gets_nothing(bench: Bench, book: Any) -> None:
    confirmed(bench, bench.issue(), "124.21")
    assert "not there in Xero, not published" in refused(bench, book())


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ({"Status": "ARCHIVED"}, "not there, or not active"),
        ({"CurrencyCode": "NOK"}, "is in NOK, the bank account in EUR"),
        ({"BankAccountType": "PAYPAL"}, "by itself"),
        ({"Type": "CURRENT", "EnablePaymentsToAccount": False}, "takes no payments"),
    ],
)
def test_an_account_that_cannot_be_posted_to(
    bench: Bench, book: Any, number: str, account: dict[str, Any], words: str
) -> None:
    confirmed(bench, number, "124.21")
    bench.admin.call("account", code="091", **account)
    assert words in refused(bench, book(code="091"))


def test_an_account_that_nobody_looked_at_is_refused(bench: Bench, book: Any, number: str) -> None:
    confirmed(bench, number, "124.21")
    assert "Xero tells no program" in refused(bench, book(checked=None))


def test_an_account_without_lines_by_its_kind_needs_no_looking(
    bench: Bench, book: Any, number: str
) -> None:
    confirmed(bench, number, "124.21")
    bench.admin.call("account", code="091", Type="CURRENT", EnablePaymentsToAccount=True)
    marts = book(code="091", checked=None)
    assert post(bench, marts).exit_code == 0
    assert_once(bench, marts, "124.21")


@pytest.mark.parametrize("what", ["payment", "transaction"])
def test_an_account_with_statement_lines_is_refused(
    bench: Bench, book: Any, number: str, what: str
) -> None:
    confirmed(bench, number, "60.00")
    payment_id = None
    if what == "payment":
        payment_id = bench.admin.pay(number, amount=Decimal("10.00"))["PaymentID"]
    bench.admin.call("import-bank-line", code="090", payment_id=payment_id)
    assert f"({what} " in refused(bench, book())


def test_nothing_is_posted_from_a_ledger_that_was_put_back(
    bench: Bench, book: Any, number: str
) -> None:
    confirmed(bench, number, "124.21")
    bench.ledger.record(tables.restores, source="a copy", copy_facts=1, copy_head="h")
    with pytest.raises(NotReconciledError):
        post(bench, book())
    assert payments(bench) == []


def test_a_payment_whose_posting_the_ledger_lost_is_found_again(
    bench: Bench, book: Any, number: str
) -> None:
    line_id = confirmed(bench, number, "124.21")
    marts = book()
    bench.admin.pay(number, amount=Decimal("124.21"), reference=f"Bank line {line_id}")
    report = post(bench, marts)
    assert [line.action for line in report.lines] == ["adopt"]
    assert_once(bench, marts, "124.21")


def test_a_payment_that_xero_refuses_is_told(bench: Bench, book: Any, number: str) -> None:
    confirmed(bench, number, "124.21")
    bench.admin.fault("status", method="PUT", path="^/Payments$", status=400)
    report = post(bench, book())
    assert report.exit_code == 1
    assert "Xero refused it" in report.lines[0].detail
    assert bench.ledger.open_intents("xero.payment") == []


def test_a_payment_taken_back_in_xero_is_not_made_again(
    bench: Bench, book: Any, number: str
) -> None:
    confirmed(bench, number, "124.21")
    marts = book()
    post(bench, marts)
    bench.poll()
    (made,) = bench.admin.state()["payments"]
    bench.admin.reverse_payment(made["PaymentID"])
    assert post(bench, marts).lines == []
    bench.poll()
    with bench.ledger.snapshot() as reader:
        (match,) = matches(reader)
    assert (match.taken_back, match.in_flight) == (True, False)
    assert payments(bench) == []
