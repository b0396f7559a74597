"""A year of payers who pay late, partly, twice, never, take payments back and dispute, while Xero,
sites and the process itself fail at random; what happened is judged by rules written here anew.

`M2C_YEAR_PAYERS` and `M2C_YEAR_DAYS` say how many and how long (200 payers and 365 days take half
an hour), `M2C_TEST_SEED` which year.
"""

from __future__ import annotations

import json
import logging
import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from exporters.collections import transport
from exporters.ledger import tables
from exporters.suspension import SwitchReport, approve_suspension, switching
from exporters.suspension.telling import NOTICE_MAIL
from tests.integration.suspension.conftest import FLEET, MARTS, Board, Place

PAYERS: Final = int(os.environ.get("M2C_YEAR_PAYERS", "16"))
DAYS: Final = int(os.environ.get("M2C_YEAR_DAYS", "150"))
SEED: Final = int(os.environ.get("M2C_TEST_SEED", "200741"))
START: Final = date(2026, 1, 5)
ZONES: Final = {"NO": "Europe/Oslo", "DE": "Europe/Berlin", "FI": "Europe/Helsinki",
                "ID": "Asia/Jakarta", "ET": "Africa/Addis_Ababa"}  # fmt: skip
SITES: Final = ("OSL", "HEL", "ADD", "JKT")
STAGES: Final = {"friendly_reminder": 3, "second_reminder": 10, "final_notice": 20, "suspend": 30}
HABITS: Final = ("prompt", "late", "very late", "partly", "twice", "reversed", "disputes", "never")


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Bill:
    number: str
    payer: str
    due: date
    total: Decimal
    paid: Decimal = Decimal(0)
    disputed: bool = False
    returned_on: date | None = None

    @property
    def open(self) -> Decimal:
        return max(self.total - self.paid, Decimal(0))


@dataclass
class Customer:
    payer_id: str
    country: str
    habit: str
    bills: list[Bill] = field(default_factory=list)
    credit: Decimal = Decimal(0)

    def today(self, now: datetime) -> date:
        return now.astimezone(ZoneInfo(ZONES[self.country])).date()

    def overdue(self, now: datetime) -> Decimal:
        """What it owes past due and undisputed, credit taken off."""
        day = self.today(now)
        owed = sum((b.open for b in self.bills if b.due < day and not b.disputed), Decimal(0))
        return owed - self.credit


class Year:
    """The world, and what it knows for itself of who owes what."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.chance = random.Random(SEED)
        self.customers = [
            Customer(f"P{no:03}", self.chance.choice(list(ZONES)), HABITS[no % len(HABITS)])
            for no in range(PAYERS)
        ]
        self.kills = self.faults = self.approvals = 0
        self.owed_at: dict[str, Decimal] = {}
        self._until_kill: int | None = None
        self._said: dict[str, tuple[Any, ...]] = {}
        self._furnish()

    def _furnish(self) -> None:
        rows = ", ".join(
            f"('{c.payer_id}', 'Payer {c.payer_id}', '{c.country}', 'EUR',"
            f" '{c.payer_id.lower()}@example.com', null, 'standard', 'main')"
            for c in self.customers
        )
        self.place.sql(
            "delete from payers; delete from contracts; delete from assignments;"
            f" delete from machines; insert into payers values {rows};"
            " update settings set max_machines_per_run = 1000"
        )
        for c in self.customers:
            self.place.sql(
                f"insert into contracts values ('C-{c.payer_id}', 1, '{c.payer_id}',"
                " '2025-01-01', null)"
            )
            for no in range(1 + self.chance.randrange(3)):
                machine, site = f"{c.payer_id}-{no}", self.chance.choice(SITES)
                self.place.sql(
                    f"insert into assignments values ('{machine}', 'C-{c.payer_id}',"
                    " '2025-01-01', null);"
                    f"insert into machines values ('{machine}', '{site}', 'out-{machine}',"
                    " '2025-01-01', null, 'energy', false)"
                )

    # the world goes on

    def live(self, day: date) -> None:
        """What payers do on a day; unknown to the program until it reads payments."""
        for customer in self.customers:
            if day.day == 1 or (not customer.bills and day == START):
                number = f"{customer.payer_id}-{len(customer.bills) + 1:04}"
                bill = Bill(number, customer.payer_id, day + timedelta(days=14),
                            Decimal(self.chance.randrange(3000, 900000)) / 100)  # fmt: skip
                customer.bills.append(bill)
                self._issue(bill)
            for bill in customer.bills:
                self._behave(customer, bill, (day - bill.due).days, day)

    def _behave(self, customer: Customer, bill: Bill, late: int, day: date) -> None:
        chance = self.chance.random()
        match customer.habit:
            case "prompt" if late == -2:
                bill.paid = bill.total
            case "late" if late > 5 and chance < 0.15:
                bill.paid = bill.total
            case "very late" if late > 35 and chance < 0.08:
                bill.paid = bill.total
            case "partly" if late > 0 and bill.open and chance < 0.06:
                bill.paid += min(bill.open, (bill.total / 2).quantize(Decimal("0.01")))
            case "twice" if late == 12 and bill.open:
                bill.paid = bill.total
                customer.credit += bill.total
            case "twice" if late > 12 and bill.open and customer.credit:
                used = min(bill.open, customer.credit)
                bill.paid += used
                customer.credit -= used
            case "reversed" if late == 4 and bill.returned_on is None:
                bill.paid = bill.total
                bill.returned_on = day + timedelta(days=self.chance.randrange(5, 40))
            case "reversed" if bill.returned_on == day:
                bill.paid = Decimal(0)
            case "reversed" if bill.returned_on and day > bill.returned_on and chance < 0.04:
                bill.paid = bill.total
            case "disputes" if late > 8 and bill.open and chance < 0.05:
                if bill.disputed:
                    bill.paid = bill.total
                self._dispute(bill, not bill.disputed)
            case _:
                pass

    def _issue(self, bill: Bill) -> None:
        self.place.issue(bill.number, due=bill.due, total=str(bill.total), payer=bill.payer)

    def _dispute(self, bill: Bill, disputed: bool) -> None:
        bill.disputed = disputed
        self.place.ledger.record(
            tables.disputes, subject=bill.number, state="open" if disputed else "resolved",
            by="finance", reason="r",
        )  # fmt: skip

    def read_payments(self) -> None:
        """What the poll would write down."""
        for customer in self.customers:
            for bill in customer.bills:
                known = (bill.paid,)
                if self._said.get(bill.number) != known:
                    self._said[bill.number] = known
                    self.place.observe(
                        bill.number, due=bill.due, total=str(bill.total),
                        amount_due=str(bill.open) if bill.open else "0.00",
                        status="AUTHORISED" if bill.open else "PAID",
                    )  # fmt: skip
            if self._said.get(customer.payer_id) != (customer.credit,):
                self._said[customer.payer_id] = (customer.credit,)
                self.place.ledger.record(
                    tables.payer_credits, credit_id=customer.payer_id, kind="overpayment",
                    payer_id=customer.payer_id, currency="EUR", date=START,
                    total=customer.credit, remaining=customer.credit, status="AUTHORISED",
                )  # fmt: skip
        self.place.poll()

    def approve(self, report: SwitchReport) -> None:
        """A person lets suspensions go on that may not without, not all of them and not at once."""
        for plan in report.planned:
            if plan.waits and self.chance.random() < 0.3:
                approve_suspension(
                    self.place.ledger, list(report.planned), plan.payer_id,
                    by="Eva", reason="looked at",
                )  # fmt: skip
                self.approvals += 1

    # what fails

    def may_die(self) -> None:
        if self._until_kill is not None:
            self._until_kill -= 1
            if self._until_kill < 0:
                self._until_kill = None
                self.kills += 1
                raise Killed

    def run(self, name: str) -> Any:
        """One run, killed at random now and then; whoever is killed is started again."""
        while True:
            self._until_kill = self.chance.randrange(12) if self.chance.random() < 0.06 else None
            try:
                result = getattr(self.place, name)(poll=False)
            except Killed:
                continue
            self._until_kill = None
            return result


@pytest.fixture
def year(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Year]:
    place = Place(folder=tmp_path)
    place.sql(MARTS + FLEET)
    made = Year(place)

    def dying(target: Any, name: str) -> None:
        original = getattr(target, name)

        def call(*given: Any, **named: Any) -> Any:
            made.may_die()
            result = original(*given, **named)
            made.may_die()
            return result

        monkeypatch.setattr(target, name, call)

    dying(transport.Outbox, "send")
    dying(Board, "switch")
    dying(switching._Run, "note")
    yield made
    place.ledger.close()


def test_a_year(year: Year) -> None:
    place, chance = year.place, year.chance
    unread_days = 0
    for no in range(DAYS):
        day = START + timedelta(days=no)
        place.now = datetime(day.year, day.month, day.day, chance.randrange(6, 20), tzinfo=UTC)
        year.live(day)
        place.board.silent = {s for s in SITES if chance.random() < 0.05}
        year.faults += len(place.board.silent)
        if chance.random() < 0.04:  # Xero does not answer, for a day
            unread_days += 1
            before = place.ledger.head()
            for name in ("remind", "suspend"):
                getattr(place, name)(poll=False)
            assert place.ledger.head() == before, f"acted on old knowledge on {day}"
            continue
        if chance.random() < 0.01:  # nothing runs for ten days
            continue
        year.read_payments()
        _watch(year)
        year.run("remind")
        year.approve(year.run("suspend"))
        year.run("resume")
        _assert_who_paid_runs(year, day)
    logging.getLogger(__name__).info(_judged(year, unread_days))


def _watch(year: Year) -> None:
    """Whoever is suspended in this moment owes so much by our own books."""
    year.owed_at = {c.payer_id: c.overdue(year.place.now) for c in year.customers}
    board = year.place.board

    def on_order(_: str, meter: str, state: str) -> None:
        payer = meter.split("-")[1]
        if state == "off":
            assert year.owed_at[payer] > 0, f"{meter} was paused, {payer} owes nothing"

    board.on_order = on_order


def _assert_who_paid_runs(year: Year, day: date) -> None:
    board = year.place.board
    for (site, meter), state in board.states.items():
        payer = meter.split("-")[1]
        if state == "off" and site not in board.silent:
            assert year.owed_at[payer] > 0, f"{meter} does not run on {day}, {payer} paid"


def _judged(year: Year, unread_days: int) -> str:
    ledger = year.place.ledger
    zone = {c.payer_id: ZoneInfo(ZONES[c.country]) for c in year.customers}
    bills = {b.number: b for c in year.customers for b in c.bills}
    fired: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
    for row in ledger.query(select(tables.reminders).order_by(tables.reminders.c.id)):
        fired[row["statement_number"]].append((row["stage"], row["at"]))

    # Each stage once, in order, none skipped, not before its day, a day and the gap apart.
    gaps = dict(zip(list(STAGES)[1:], (7, 10, 10), strict=True))
    for number, stages in fired.items():
        names = [stage for stage, _ in stages]
        assert names == list(STAGES)[: len(names)], (number, names)
        local = [at.astimezone(zone[bills[number].payer]).date() for _, at in stages]
        for stage, on in zip(names, local, strict=True):
            assert (on - bills[number].due).days >= STAGES[stage], (number, stage)
            assert on.weekday() < 5, (number, stage)
        for (stage, before), after in zip(
            zip(names[1:], local, strict=False), local[1:], strict=True
        ):
            assert (after - before).days >= gaps[stage], (number, stage)

    # One mail a payer and day, and no mail of a stage that another mail brought.
    told = select(tables.intents.c.idempotency_key).where(tables.intents.c.kind == NOTICE_MAIL)
    notices = {row["idempotency_key"] for row in ledger.query(told)}
    delivered = ledger.query(select(tables.deliveries).where(tables.deliveries.c.status == "sent"))
    sent = [row for row in delivered if row["message_id"] not in notices]
    mails = list(year.place.mails())
    assert len(mails) == len({m.name for m in mails}) == len(delivered)
    assert len(delivered) == len({row["message_id"] for row in delivered})
    days = Counter(
        (row["recipient"], row["at"].astimezone(zone[row["recipient"][:4].upper()]).date())
        for row in sent
    )
    assert max(days.values(), default=0) <= 1, days.most_common(3)

    # Nobody is suspended without the notice, a week before.
    suspensions = ledger.query(select(tables.suspensions))
    for row in suspensions:
        for number in json.loads(row["statement_numbers"]):
            by_stage = dict(fired[number])
            waited = row["at"].astimezone(zone[row["payer_id"]]).date() - (
                by_stage["final_notice"].astimezone(zone[row["payer_id"]]).date()
            )
            assert waited.days >= 7, number
    # Who never pays and never disputes is suspended in the end.
    for customer in year.customers:
        if customer.habit == "never" and DAYS >= 100:
            assert any(row["payer_id"] == customer.payer_id for row in suspensions)
    assert all(c.habit not in ("prompt", "twice") for c in year.customers
               if any(row["payer_id"] == c.payer_id for row in suspensions))  # fmt: skip
    assert ledger.open_intents("power") == [] or year.place.board.silent
    assert ledger.verify() == ()
    resumed = ledger.query(select(tables.resumptions))
    return (
        f"seed {SEED}: {PAYERS} payers, {DAYS} days, {len(bills)} invoices, "
        f"{sum(map(len, fired.values()))} stages, {len(sent)} mails, "
        f"{len(suspensions)} suspensions ({year.approvals} approvals of a person), "
        f"{len(resumed)} resumptions, "
        f"{len(year.place.board.orders)} orders, {year.kills} kills, "
        f"{year.faults} days of silent sites, {unread_days} days without Xero"
    )
