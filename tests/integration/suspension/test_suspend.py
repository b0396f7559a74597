"""Pausing and resuming against a real ledger and marts file; the sites are in memory."""

from __future__ import annotations

import email
import email.policy
import threading
import time
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from filelock import FileLock
from sqlalchemy import select

from exporters.ledger import Ledger, tables
from exporters.ledger.errors import NotReconciledError
from exporters.ledger.events import events_of
from exporters.suspension import ApprovalError, approve_suspension, planned_suspensions
from exporters.suspension.fleet import Fleet
from exporters.suspension.planning import machines_cap

Place = Any  # the conftest's


def paid(place: Place, number: str = "NORDIC-0001") -> None:
    place.observe(number, status="PAID", amount_due="0.00")


def test_a_dry_run_names_every_machine_and_touches_nothing(due: Place) -> None:
    due.poll()
    before = due.ledger.head()
    report = due.suspend(apply=False, poll=False)
    (plan,) = report.planned
    assert [m.machine_id for m in plan.machines] == ["m3", "m1", "m2"]
    assert [m.machine_id for m in plan.spared] == ["m4"]
    assert plan.statement_numbers == ("NORDIC-0001",)
    assert not plan.waits
    words = report.describe()
    assert "Would suspend: NORDIC, 3 machines: 1000.00 EUR of NORDIC-0001, 38 days overdue" in words
    assert "m1 at OSL (outlets of OSL, a, b), contract C-NORDIC" in words
    assert "m4 at HEL is never suspended (machines.csv, never_suspend)" in words
    assert words.endswith("Nothing was switched; add --apply to switch.")
    assert due.ledger.head() == before
    assert not due.board.looked
    assert not report.needs_person
    (shown,) = report.as_dict()["suspensions"]  # type: ignore[misc]
    assert shown["machines"][1]["connector"] == "outlets of OSL"


def test_machines_are_paused_and_run_again_when_all_is_paid(due: Place) -> None:
    report = due.suspend()
    assert not report.needs_person
    assert due.board.off() == ["a", "b", "c", "d"]
    assert due.ledger.query(select(tables.reminders))[-1]["stage"] == "suspend"
    due.later(days=1)
    again = due.suspend()
    assert (again.planned, len(due.board.orders)) == ((), 4)
    assert "as wanted" in again.describe()

    paid(due)
    report = due.resume()
    assert due.board.off() == []
    (resumption,) = report.resumptions
    assert resumption.reason == "NORDIC owes nothing overdue any more"
    assert len(due.board.orders) == 8
    assert due.resume().describe() == "Nobody's machines are due to be paused or resumed."
    with due.ledger.snapshot() as reader:
        words = [e.words for e in events_of(reader, "NORDIC-0001")]
    assert any("3 machines of NORDIC to be paused, 1000.00 EUR" in w for w in words)
    assert any("is over: NORDIC owes nothing overdue any more (automatic)" in w for w in words)
    assert "machine m1 at OSL is off" in words
    assert "machine m1 at OSL is on" in words
    assert sum("done: power" in w for w in words) == 8


def test_a_payment_between_plan_and_apply_stops_it(due: Place) -> None:
    assert due.suspend(apply=False).planned
    paid(due)
    report = due.suspend()
    assert report.planned == ()
    assert due.board.orders == []


def test_a_payment_while_it_is_being_decided_stops_it(due: Place, monkeypatch: Any) -> None:
    from exporters.suspension import run

    began = run._Run._begin_all

    def pays_first(self: Any, known: Any) -> Any:
        paid(due)
        return began(self, known)

    monkeypatch.setattr(run._Run, "_begin_all", pays_first)
    report = due.suspend()
    assert due.board.orders == []
    assert "NORDIC is not suspended: what was planned does not hold any more" in report.notes


def test_nothing_is_done_on_stale_knowledge(due: Place) -> None:
    due.poll()
    due.later(hours=7)
    report = due.suspend(poll=False)
    assert report.planned == ()
    assert report.held[0].code == "stale_payments"
    assert due.board.orders == []

    due.suspend()
    paid(due)
    due.later(hours=7)
    report = due.resume(poll=False)
    assert due.board.off() == ["a", "b", "c", "d"]
    assert report.needs_person
    assert "Nobody's machines are resumed (NORDIC would be): payments were last read" in (
        report.describe()
    )


def test_an_unfinished_suspension_waits_for_fresh_payments_too(due: Place) -> None:
    due.board.silent = {"HEL"}
    due.suspend()
    due.later(hours=7)
    due.board.silent = set()
    report = due.suspend(poll=False)
    assert "d" not in due.board.off()
    assert "NORDIC: 1 machines are not paused further: payments were last read" in report.describe()


@pytest.mark.parametrize(
    ("what", "code"), [("hold", "hold"), ("promise", "promise"), ("dispute", "disputed")]
)
def test_what_holds_a_reminder_holds_a_suspension(due: Place, what: str, code: str) -> None:
    write = due.ledger.record
    if what == "hold":
        write("holds", scope="payer", subject="NORDIC", active=True, reason="r", by="b")
    elif what == "promise":
        write("promises", payer_id="NORDIC", until_date=date(2026, 12, 24), reason="r", by="b")
    else:
        write("disputes", subject="NORDIC-0001", state="open", reason="r", by="b")
    report = due.suspend()
    assert [h.code for h in report.held] == [code]
    assert due.board.orders == []


def test_no_suspension_before_the_notice_is_over_or_without_it(place: Place) -> None:
    place.issue()
    for at in ("2026-11-13", "2026-11-20", "2026-11-30"):
        place.now = datetime.fromisoformat(f"{at}T12:00+00:00").astimezone(UTC)
        place.remind()
    place.sql("update dunning_stages set notice_days = 12 where stage = 'suspend'")
    place.now = datetime(2026, 12, 11, 12, tzinfo=UTC)
    (held,) = place.suspend().held
    assert "12 days of notice are due" in held.reason
    place.now = datetime(2026, 12, 12, 12, tzinfo=UTC)
    assert "Saturday" in place.suspend().held[0].reason
    final = place.ledger.query(select(tables.deliveries))[-1]
    place.ledger.record(
        tables.deliveries,
        message_id=final["message_id"],
        channel="smtp",
        recipient=final["recipient"],
        status="bounced",
    )
    place.now = datetime(2026, 12, 14, 12, tzinfo=UTC)
    assert place.suspend().planned == ()
    assert place.board.orders == []


def test_a_silent_site_is_tried_again_and_the_others_go_on(due: Place) -> None:
    due.board.silent = {"HEL"}
    report = due.suspend()
    assert due.board.off() == ["a", "b", "c"]
    assert report.needs_person
    assert "m3 at HEL (outlets of HEL): unknown: site HEL: no answer" in report.describe()
    due.board.silent = set()
    due.later(days=1)
    assert not due.suspend().needs_person
    assert due.board.off() == ["a", "b", "c", "d"]
    assert len(due.ledger.query(select(tables.suspensions))) == 1


def test_a_refused_order_is_told_and_the_rest_goes_on(due: Place) -> None:
    due.board.refusing = {"c"}
    report = due.suspend()
    assert "m2 at OSL (outlets of OSL): unknown: site OSL: c cannot be switched" in (
        report.describe()
    )
    assert due.board.off() == ["a", "b", "d"]
    assert report.needs_person


def test_a_slow_shutdown_is_waited_for_or_seen_by_the_next_run(due: Place) -> None:
    due.board.slow = 1
    due.verify_seconds = 2
    assert not due.suspend().needs_person
    assert len(due.board.orders) == 4

    paid(due)
    due.board.slow = 100
    due.verify_seconds = 0
    report = due.resume()
    assert "ordered on and is still off" in report.describe()
    due.board.slow = 0
    due.board._coming.clear()
    assert not due.resume().needs_person
    assert due.board.off() == []


def test_a_site_whose_people_switch_by_hand_is_asked_once_a_day(due: Place) -> None:
    due.board.mute = {"HEL"}
    report = due.suspend()
    assert "ordered off, the site does not say the state yet" in report.describe()
    due.later(hours=3)
    due.suspend()
    assert due.board.orders.count(("HEL", "d", "off")) == 1
    due.later(hours=22)
    due.suspend()
    assert due.board.orders.count(("HEL", "d", "off")) == 2
    due.board.mute = set()
    assert not due.suspend().needs_person


def test_who_was_off_before_is_not_switched_on(due: Place) -> None:
    due.board.states["OSL", "c"] = "off"
    due.suspend()
    paid(due)
    report = due.resume()
    assert due.board.off() == ["c"]
    assert not report.needs_person


def test_who_switches_on_meanwhile_is_paused_again(due: Place) -> None:
    due.suspend()
    due.board.states["OSL", "c"] = "on"
    due.later(days=1)
    due.suspend()
    assert "c" in due.board.off()
    states = [
        (r["machine_id"], r["state"])
        for r in due.ledger.query(select(tables.machine_states))
        if r["machine_id"] == "m2"
    ]
    assert states == [("m2", "off")]


def test_machines_that_went_to_somebody_else_are_left_alone(due: Place) -> None:
    due.suspend()
    due.sql(
        "update assignments set valid_to_at = '2026-12-11' where machine_id = 'm2';"
        "insert into assignments values ('m2', 'C-JKT', '2026-12-11', null)"
    )
    due.later(days=2)
    paid(due)
    report = due.resume()
    assert due.board.off() == ["c"]
    assert "Machine m2 at OSL is left as it is" in report.describe()
    assert report.needs_person
    assert not due.resume().needs_person


def test_a_part_payment_does_not_resume_but_credit_does(due: Place) -> None:
    due.suspend()
    due.observe(amount_due="100.00")
    assert due.resume().resumptions == ()
    due.ledger.record(
        "payer_credits",
        credit_id="c",
        kind="overpayment",
        payer_id="NORDIC",
        currency="EUR",
        date=date(2026, 12, 10),
        total=Decimal("100.00"),
        remaining=Decimal("100.00"),
        status="AUTHORISED",
    )
    assert len(due.resume().resumptions) == 1
    assert due.board.off() == []


def test_a_person_orders_machines_to_run(due: Place) -> None:
    due.suspend()
    report = due.resume(payer_id="NORDIC", by="Eva", reason="agreed on the phone", apply=False)
    assert "Would resume: NORDIC, suspended since 2026-12-10: agreed on the phone (Eva)" in (
        report.describe()
    )
    assert due.board.off() == ["a", "b", "c", "d"]
    due.resume(payer_id="NORDIC", by="Eva", reason="agreed on the phone", poll=False)
    assert due.board.off() == []
    due.later(days=1)
    assert due.suspend().planned == ()  # the stage fires once, ever
    assert due.resume(payer_id="JKT", by="Eva", reason="r").alerts == (
        "no machine of JKT is paused",
    )


def test_above_the_cap_a_person_must_approve(due: Place) -> None:
    due.sql("update settings set max_machines_per_run = 2")
    report = due.suspend()
    assert report.needs_person
    assert due.board.orders == []
    assert "3 machines would be paused in this run, and 2 may be without a person" in (
        report.describe()
    )
    planned = planned_suspensions(due.marts, due.ledger, clock=lambda: due.now)
    with pytest.raises(ApprovalError, match="no suspension of JKT is due; due is that NORDIC"):
        approve_suspension(due.ledger, planned, "JKT", by="Eva", reason="ok")
    approve_suspension(due.ledger, planned, "NORDIC", by="Eva", reason="talked to them")
    report = due.suspend()
    assert due.board.off() == ["a", "b", "c", "d"]
    assert "approved by Eva: talked to them" in report.describe()


def test_an_approval_is_for_that_plan_alone(due: Place) -> None:
    due.sql("update dunning_stages set approval = 'manual' where stage = 'suspend'")
    planned = planned_suspensions(due.marts, due.ledger, clock=lambda: due.now)
    assert planned[0].waits == "policy standard asks a person (approval: manual)"
    approve_suspension(due.ledger, planned, "NORDIC", by="Eva", reason="ok")
    due.sql("insert into assignments values ('left', 'C-NORDIC', '2026-12-01', null)")
    report = due.suspend()
    assert due.board.orders == []
    assert "Waits for approval: NORDIC, 4 machines" in report.describe()


@pytest.mark.parametrize(
    ("size", "setting", "cap"), [(12, 100, 20), (1000, 100, 50), (50_000, 100, 100), (1000, 5, 5)]
)
def test_the_cap(size: int, setting: int, cap: int) -> None:
    assert (
        machines_cap(Fleet(size=size, by_payer={}, max_machines_per_run=setting, sites={})) == cap
    )


def test_a_second_invoice_finds_the_machines_paused(due: Place) -> None:
    due.suspend()
    due.issue("NORDIC-0002", due=date(2026, 11, 3))
    for at in ("2026-12-11", "2026-12-18", "2026-12-28", "2027-01-07"):
        due.now = datetime.fromisoformat(f"{at}T12:00+00:00").astimezone(UTC)
        due.remind()
    due.suspend()
    assert len(due.ledger.query(select(tables.suspensions))) == 1
    stages = [
        r["statement_number"]
        for r in due.ledger.query(select(tables.reminders))
        if r["stage"] == "suspend"
    ]
    assert stages == ["NORDIC-0001", "NORDIC-0002"]
    paid(due)
    assert due.resume().resumptions == ()
    paid(due, "NORDIC-0002")
    assert len(due.resume().resumptions) == 1


def test_two_runs_at_once_one_goes_without_doing_anything(due: Place) -> None:
    due.lock.parent.mkdir()
    with FileLock(due.lock):
        report = due.suspend()
    assert "another run is switching machines right now" in report.describe()
    assert report.needs_person
    assert due.board.orders == []


def test_after_a_restore_nothing_is_switched(due: Place) -> None:
    due.ledger.record("restores", source="s", copy_facts=1, copy_head="h")
    with pytest.raises(NotReconciledError):
        due.suspend()


def many(due: Place, count: int) -> None:
    """More machines of the payer, each behind an address of its own."""
    for number in range(count):
        due.sql(
            f"insert into assignments values ('x{number}', 'C-NORDIC', '2026-01-01', null);"
            f"insert into machines values ('x{number}', 'OSL', 'x{number}', '2026-01-01', null, "
            "'energy', false)"
        )


def test_machines_whose_off_takes_long_are_switched_at_once(due: Place) -> None:
    many(due, 17)  # with the three that there are
    due.sql("update settings set max_machines_per_run = 100")
    due.board.on_order = lambda *_: time.sleep(1)
    started = time.monotonic()
    report = due.suspend()
    seconds = time.monotonic() - started
    assert not report.needs_person
    assert len(due.board.off()) == 21  # one has two meters
    assert seconds < 5, f"{seconds:.1f} s"


def test_an_address_gets_one_order_at_a_time(due: Place) -> None:
    many(due, 12)
    lock = threading.Lock()
    under_way: Counter[str] = Counter()
    most: Counter[str] = Counter()

    def lane(_site: str, meter: str) -> str:
        return f"pdu-{ord(meter[-1]) % 3}"

    def order(site: str, meter: str, _state: str) -> None:
        with lock:
            under_way.update([lane(site, meter), "all"])
            for name, count in under_way.items():
                most[name] = max(most[name], count)
        time.sleep(0.05)
        with lock:
            under_way.subtract([lane(site, meter), "all"])

    due.board.lane = lane
    due.board.on_order = order
    due.suspend()
    assert len(due.board.orders) == 16
    assert {most[f"pdu-{n}"] for n in range(3)} == {1}
    assert most["all"] == 3


def test_the_intent_of_every_order_is_in_the_ledger_before_it(due: Place) -> None:
    many(due, 12)
    seen: list[tuple[str, bool]] = []

    def order(site: str, meter: str, state: str) -> None:
        url = f"sqlite:///{due.folder / 'ledger.sqlite'}"
        with Ledger.open(url, clock=lambda: due.now) as other:
            open_now = {i.intent_id for i in other.open_intents("power")}
        seen.append((meter, any(f"/{site}/{meter}/{state}/" in i for i in open_now)))

    due.board.on_order = order
    due.suspend()
    assert len(seen) == 16
    assert all(there for _, there in seen)
    assert due.ledger.open_intents("power") == []


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(4))
def test_a_run_killed_at_an_order_is_taken_up(due: Place, when: str, nth: int) -> None:
    count = iter(range(100))
    switch = due.board.switch

    def dying(site: str, meter: str, state: Any) -> None:
        dies = next(count) == nth
        if dies and when == "before":
            raise Killed
        switch(site, meter, state)
        if dies:
            raise Killed

    due.board.switch = dying
    with pytest.raises(Killed):
        due.suspend()
    due.board.switch = switch
    report = due.suspend()
    assert not report.needs_person
    assert sorted(due.board.orders) == [
        ("HEL", "d", "off"), ("OSL", "a", "off"), ("OSL", "b", "off"), ("OSL", "c", "off"),
    ]  # fmt: skip
    assert due.ledger.open_intents("power") == []
    paid(due)
    due.resume()
    assert due.board.off() == []


def mails_of(place: Place) -> list[str]:
    return [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)["Subject"]
        for path in place.mails()
        if "NORDIC" in path.name
    ][3:]


def test_the_payer_is_told_once_of_the_pause_and_of_its_end(due: Place) -> None:
    report = due.suspend()
    assert any("Told NORDIC <ap@nordic.example> that its machines are suspended" in n
               for n in report.notes)  # fmt: skip
    due.later(days=1)
    due.suspend()
    assert len(mails_of(due)) == 1
    (path,) = (p for p in due.mails() if "2026-12-10" in p.name)
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    text = mail.get_body(("plain",)).get_content()
    for expected in ("NORDIC-0001", "Oslo 1", "Helsinki", "1,000.00"):
        assert expected in text
    paid(due)
    due.resume()
    due.resume()
    assert len(mails_of(due)) == 2


def test_a_mail_that_did_not_get_out_is_sent_by_the_next_run(due: Place) -> None:
    due.smtp_url = "smtp://127.0.0.1:9"
    report = due.suspend()
    assert due.board.off() == ["a", "b", "c", "d"]
    assert "is not told that its machines are suspended: not sent" in report.describe()
    due.smtp_url = None
    due.suspend()
    assert len(mails_of(due)) == 1


def test_a_mail_server_that_is_none_is_told_before_anything_is_switched(due: Place) -> None:
    due.smtp_url = "http://127.0.0.1"
    with pytest.raises(ValueError, match="M2C_SMTP_URL must look like"):
        due.suspend()
    assert due.board.orders == []
