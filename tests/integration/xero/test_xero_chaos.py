"""Faults and kills drawn at random, run after run: in the end each document is there once, to the
cent. `M2C_XERO_FAULTS` draws more sequences than the usual few."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest

from exporters.ledger import Ledger, Transaction

SEQUENCES = int(os.environ.get("M2C_XERO_FAULTS", "12"))

KINDS = ("hang", "truncate", "status", "html")
PLACES = (
    ("PUT", "^/Contacts$"),
    ("PUT", "^/Invoices$"),
    ("POST", "^/Invoices$"),
    ("PUT", "^/CreditNotes$"),
    ("POST", "^/CreditNotes$"),
    ("PUT", "Allocations"),
    ("PUT", "Attachments"),
    ("GET", ".*"),
)


class KilledError(BaseException):
    """The process ends here; nothing may catch it."""


class Mortal(httpx.Client):
    """Ends the process before a request is sent, or when its answer is there and nobody read it."""

    def __init__(self, lives: int, *, answered: bool) -> None:
        super().__init__(timeout=0.3)
        self._lives, self._answered = lives, answered

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        self._lives -= 1
        if self._lives == 0 and not self._answered:
            raise KilledError
        response = super().send(request, **options)
        if self._lives == 0:
            raise KilledError
        return response


@contextmanager
def mortal_ledger(ledger: Ledger, lives: int, *, written: bool) -> Iterator[None]:
    """Ends the process before something is written down, or right after."""
    left = [lives]
    real = ledger.transaction

    @contextmanager
    def transaction() -> Iterator[Transaction]:
        left[0] -= 1
        if left[0] == 0 and not written:
            raise KilledError
        with real() as tx:
            yield tx
        if left[0] == 0:
            raise KilledError

    ledger.transaction = transaction  # type: ignore[method-assign]
    try:
        yield
    finally:
        del ledger.transaction  # type: ignore[method-assign]


def publish_and_perhaps_die(bench: Any, chance: random.Random) -> str:
    """One run; how it was to end, in words."""
    way, lives = chance.choice(("", "send", "write")), chance.randint(1, 25)
    after = chance.random() < 0.5
    try:
        if way == "send":
            with Mortal(lives, answered=after) as http:
                bench.publish(read_seconds=0.3, http=http)
        elif way == "write":
            with mortal_ledger(bench.ledger, lives, written=after):
                bench.publish(read_seconds=0.3)
        else:
            bench.publish(read_seconds=0.3)
    except KilledError:
        return f"killed at {way} {lives}, {after=}"
    return "not killed"


@pytest.mark.parametrize("seed", range(SEQUENCES))
def test_exactly_once_whatever_fails(bench: Any, make_line: Any, seed: int) -> None:
    chance = random.Random(seed)
    bench.admin.call("limits", minute=5000)
    numbers = [bench.issue(payer=f"payer{i}", period="2026-10") for i in (1, 1, 2, 3)]
    note = bench.issue(
        make_line(quantity=Decimal("-24.5"), amount=Decimal("-2.02"), tax_amount=Decimal("-0.51")),
        payer="payer1",
    )
    folder = bench.config.data_dir / "reports" / "2026-10"
    folder.mkdir(parents=True)
    (folder / f"{numbers[0]}.pdf").write_bytes(b"%PDF-1.7 statement")
    drawn = []
    for _ in range(4):
        for _ in range(chance.randint(1, 4)):
            method, path = chance.choice(PLACES)
            fault = {
                "method": method,
                "path": path,
                "when": chance.choice(("before", "after")),
                "seconds": 0.6,
                "status": chance.choice((500, 503, 429, 401)),
                "times": chance.randint(1, 3),
                "skip": chance.randint(0, 1),
            }
            kind = chance.choice(KINDS)
            if fault["status"] in (401, 429):
                # Xero gives these before it does anything.
                fault["when"] = "before"
            drawn.append((kind, fault))
            bench.admin.fault(kind, **fault)
        drawn.append((publish_and_perhaps_die(bench, chance), {}))
        if chance.random() < 0.5:
            bench.poll()
        if chance.random() < 0.3:
            bench.admin.advance(400)
        bench.admin.call("clear-faults")
    report = bench.publish()
    assert report.exit_code == 0, (report.describe(), drawn)
    state = bench.admin.state()
    found = Counter(i["InvoiceNumber"] for i in state["invoices"])
    assert found == dict.fromkeys(numbers, 1), drawn
    assert {i["Status"] for i in state["invoices"]} == {"AUTHORISED"}
    assert {i["Total"] for i in state["invoices"]} == {Decimal("124.21")}
    assert Counter(c["ContactNumber"] for c in state["contacts"]) == {
        "payer1": 1,
        "payer2": 1,
        "payer3": 1,
    }
    assert [f["FileName"] for f in state["attachments"]] == [f"{numbers[0]}.pdf"], drawn
    (credit,) = state["credit_notes"]
    assert (credit["CreditNoteNumber"], credit["Total"]) == (note, Decimal("2.53"))
    assert [a["Amount"] for a in credit["Allocations"]] == [Decimal("2.53")], drawn
    for number in (*numbers, note):
        assert bench.document(number)["publish_state"] == "published"
    with bench.ledger.snapshot() as reader:
        assert reader.open_intents() == []
    bench.writes()
    assert {x.action for x in bench.publish().lines} == {"already there"}
    assert bench.writes() == []
