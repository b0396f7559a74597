"""The dunning rules of the plan, one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from exporters.collections.model import (
    PENDING,
    UNKNOWN,
    Fired,
    Hold,
    Promise,
    Receivable,
    Situation,
)
from exporters.collections.plan import plan

World = Callable[..., Situation]
Invoices = Callable[..., Receivable]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fired(stage: str, day: str, *, state: str = "sent", number: str = "NORDIC-0001") -> Fired:
    return Fired(
        statement_number=number, stage=stage, at=at(day), state=state, message_id=f"id-{stage}"
    )


def stages_of(situation: Situation) -> list[str]:
    return [
        i.stage.stage for message in plan(situation).messages for i in message.firing if i.stage
    ]


def codes_of(situation: Situation) -> list[str]:
    return [held.code for held in plan(situation).held]


ALL_BUT_SUSPEND = (
    fired("friendly_reminder", "2026-11-05T12:00"),
    fired("second_reminder", "2026-11-12T12:00"),
    fired("final_notice", "2026-11-23T12:00"),
)


# The invoice is due on Monday 2026-11-02 in Norway.
@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        ("2026-11-02T12:00", (), []),
        ("2026-11-03T12:00", (), []),
        ("2026-11-04T12:00", (), []),
        ("2026-11-05T12:00", (), ["friendly_reminder"]),
        # 22:59 UTC on the 4th is still the 4th in Oslo, 23:00 is the 5th.
        ("2026-11-04T22:59", (), []),
        ("2026-11-04T23:00", (), ["friendly_reminder"]),
        # Once, ever.
        ("2026-11-06T12:00", ALL_BUT_SUSPEND[:1], []),
        ("2026-11-11T12:00", ALL_BUT_SUSPEND[:1], []),
        ("2026-11-12T12:00", ALL_BUT_SUSPEND[:1], ["second_reminder"]),
        ("2026-11-23T12:00", ALL_BUT_SUSPEND[:2], ["final_notice"]),
        ("2026-11-24T12:00", ALL_BUT_SUSPEND, []),
        # After an outage: from the first stage on, one a day, the configured gap apart.
        ("2026-11-27T12:00", (), ["friendly_reminder"]),
        ("2026-11-27T15:00", (fired("friendly_reminder", "2026-11-27T12:00"),), []),
        ("2026-11-30T12:00", (fired("friendly_reminder", "2026-11-27T12:00"),), []),
        ("2026-12-03T12:00", (fired("friendly_reminder", "2026-11-27T12:00"),), []),
        ("2026-12-04T12:00", (fired("friendly_reminder", "2026-11-27T12:00"),),
         ["second_reminder"]),
        # A later stage does not stand in for a missing earlier one.
        ("2026-12-04T12:00", (fired("second_reminder", "2026-11-12T12:00"),),
         ["friendly_reminder"]),
        # Perhaps sent counts as done; certainly not sent does not.
        ("2026-11-12T12:00", (fired("friendly_reminder", "2026-11-05T12:00", state=UNKNOWN),),
         ["second_reminder"]),
        ("2026-11-06T12:00", (fired("friendly_reminder", "2026-11-05T12:00", state=UNKNOWN),), []),
        ("2026-11-06T12:00", (fired("friendly_reminder", "2026-11-05T12:00", state=PENDING),),
         ["friendly_reminder"]),
    ],
)  # fmt: skip
def test_stages_fire_in_order_once_and_apart(
    world: World, now: str, before: tuple[Fired, ...], expected: list[str]
) -> None:
    assert stages_of(world(at(now), fired=before)) == expected


@pytest.mark.parametrize(
    ("now", "country", "fires"),
    [
        # Friday 2026-11-06 23:30 UTC is Saturday in Oslo and Jakarta, still Friday in New York.
        ("2026-11-06T23:30", "NO", False),
        ("2026-11-06T23:30", "ID", False),
        ("2026-11-06T23:30", "US", True),
        # Friday is weekend in Saudi Arabia, Sunday is not.
        ("2026-11-06T12:00", "SA", False),
        ("2026-11-08T12:00", "SA", True),
        ("2026-11-08T12:00", "NO", False),
    ],
)
def test_only_business_days_of_the_payers_country(
    world: World, now: str, country: str, fires: bool
) -> None:
    situation = world(at(now))
    payer = replace(situation.payers["NORDIC"], country=country)
    situation = replace(situation, payers={"NORDIC": payer})
    assert bool(stages_of(situation)) is fires
    if not fires:
        assert codes_of(situation) == ["no_business_day"]


def test_public_holidays_of_the_payers_country_only(world: World) -> None:
    day = date(2026, 11, 13)
    assert stages_of(world(holidays=frozenset({("NO", day)}))) == []
    assert stages_of(world(holidays=frozenset({("FI", day)}))) == ["friendly_reminder"]


def test_a_policy_may_ignore_business_days(world: World) -> None:
    situation = world(at("2026-11-08T12:00"))
    policy = replace(situation.policies["standard"], business_days_only=False)
    assert stages_of(replace(situation, policies={"standard": policy})) == ["friendly_reminder"]


@pytest.mark.parametrize(
    ("due", "fires"), [("24.99", False), ("25.00", False), ("25.01", True), ("0.00", False)]
)
def test_only_above_a_balance(world: World, invoice: Invoices, due: str, fires: bool) -> None:
    situation = world(receivables=(invoice(amount_due=Decimal(due)),))
    assert bool(stages_of(situation)) is fires
    if not fires:
        assert codes_of(situation) == ([] if due == "0.00" else ["balance"])


def test_the_balance_is_the_payers_over_all_overdue_invoices(
    world: World, invoice: Invoices
) -> None:
    small = Decimal("20.00")
    two = (invoice(amount_due=small), invoice("NORDIC-0002", amount_due=small))
    assert len(stages_of(world(receivables=two))) == 2
    not_overdue = invoice("NORDIC-0002", amount_due=small, due_date=date(2026, 12, 1))
    assert stages_of(world(receivables=(two[0], not_overdue))) == []


def test_unused_credit_counts_against_the_balance(world: World) -> None:
    credit = {("NORDIC", "EUR"): Decimal("980.00")}
    assert codes_of(world(credits=credit)) == ["balance"]
    credit = {("NORDIC", "EUR"): Decimal("600.00")}
    (message,) = plan(world(credits=credit)).messages
    assert (message.overdue, message.credit, message.to_pay) == (
        Decimal("1000.00"),
        Decimal("600.00"),
        Decimal("400.00"),
    )


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"disputed": {"NORDIC-0001": "wrong meter"}}, "disputed", "wrong meter"),
        ({"holds": (Hold(scope="payer", subject="NORDIC", reason="merger"),)}, "hold", "merger"),
        ({"holds": (Hold(scope="statement", subject="NORDIC-0001", reason="asked"),)},
         "hold", "asked"),
        ({"holds": (Hold(scope="statement", subject="NORDIC/2026-10/NORDIC-0001", reason="x"),)},
         "hold", "x"),
        ({"promises": (Promise(payer_id="NORDIC", until_date=date(2026, 11, 13), reason="call"),)},
         "promise", "2026-11-13"),
        ({"in_flight": {"NORDIC-0001": "1000.00 EUR (pending)"}}, "in_flight", "pending"),
        ({"unreachable": {"NORDIC": "mail to ap@nordic.example bounced"}}, "bounced", "bounced"),
        ({"policies": {}}, "no_policy", "standard"),
        ({"payers": {}}, "no_payer", "NORDIC"),
        ({"messages": {"NORDIC": datetime(2026, 11, 13, 6, tzinfo=UTC)}}, "said_today", "already"),
        ({"wordless": {("NORDIC", "friendly_reminder"): "mail/en.yml is no YAML"}},
         "policy", "mail/en.yml"),
        ({"payments_read_at": datetime(2026, 11, 13, 5, 59, tzinfo=UTC)},
         "stale_payments", "m2c payments"),
        ({"payments_read_at": None}, "stale_payments", "never read"),
    ],
)  # fmt: skip
def test_held_back_with_the_reason(
    world: World, changes: dict[str, object], code: str, words: str
) -> None:
    decided = plan(world(**changes))
    assert decided.messages == ()
    (held,) = decided.held
    assert held.code == code
    assert words in held.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"promises": (Promise(payer_id="NORDIC", until_date=date(2026, 11, 12), reason="call"),)},
        {"holds": (Hold(scope="payer", subject="OTHER", reason="x"),)},
        {"holds": (Hold(scope="statement", subject="NORDIC-0009", reason="x"),)},
        {"disputed": {"NORDIC-0009": "x"}},
        {"payments_read_at": datetime(2026, 11, 13, 6, 0, tzinfo=UTC)},
        {"messages": {"NORDIC": datetime(2026, 11, 12, 22, 59, tzinfo=UTC)}},
    ],
)
def test_not_held_back_by_what_is_over_or_about_others(
    world: World, changes: dict[str, object]
) -> None:
    assert stages_of(world(**changes)) == ["friendly_reminder"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"status": None}, "not_in_xero"),
        ({"status": "DRAFT"}, "document"),
        ({"problem": "edited by hand"}, "document"),
        ({"status": "PAID"}, None),
        ({"status": "VOIDED"}, None),
        ({"status": "DELETED"}, None),
        ({"document_type": "ACCRECCREDIT"}, None),
        ({"amount_due": Decimal("0.00")}, None),
    ],
)
def test_only_open_invoices_in_xero_are_chased(
    world: World, invoice: Invoices, changes: dict[str, object], code: str | None
) -> None:
    situation = world(receivables=(invoice(**changes),))
    assert stages_of(situation) == []
    assert codes_of(situation) == ([code] if code else [])


def test_stale_payments_alert_only_when_something_would_have_happened(
    world: World, invoice: Invoices
) -> None:
    stale = {"payments_read_at": None}
    assert any("Nothing is sent" in alert for alert in plan(world(**stale)).alerts)
    later = (invoice(due_date=date(2026, 12, 1)),)
    assert plan(world(receivables=later, **stale)).alerts == ()


def test_a_partly_paid_invoice_is_chased_for_the_rest(world: World, invoice: Invoices) -> None:
    rest = invoice(amount_due=Decimal("400.00"))
    (message,) = plan(world(receivables=(rest,))).messages
    assert message.overdue == Decimal("400.00")


def test_one_message_lists_all_overdue_invoices(world: World, invoice: Invoices) -> None:
    receivables = (
        invoice("NORDIC-0003", due_date=date(2026, 11, 12)),  # a day overdue: listed only
        invoice("NORDIC-0001", due_date=date(2026, 10, 20)),
        invoice("NORDIC-0002", due_date=date(2026, 11, 2)),
        invoice("NORDIC-0004", due_date=date(2026, 11, 2)),
        invoice("NORDIC-0005", due_date=date(2026, 12, 2)),
    )
    before = (
        fired("friendly_reminder", "2026-10-23T12:00", number="NORDIC-0001"),
        fired("second_reminder", "2026-10-30T12:00", number="NORDIC-0001"),
    )
    situation = world(
        receivables=receivables, fired=before, disputed={"NORDIC-0004": "wrong price"}
    )
    (message,) = plan(situation).messages
    shown = [
        (i.receivable.statement_number, i.stage.stage if i.stage else None, i.days_overdue)
        for i in message.invoices
    ]
    assert shown == [
        ("NORDIC-0001", "final_notice", 24),
        ("NORDIC-0002", "friendly_reminder", 11),
        ("NORDIC-0003", None, 1),
    ]
    assert message.stage.stage == "final_notice"
    assert message.overdue == Decimal("3000.00")
    assert {h.statement_number: h.code for h in plan(situation).held} == {
        "NORDIC-0003": "not_yet",
        "NORDIC-0004": "disputed",
    }


def test_suspension_needs_the_notice_delivered_long_enough_ago(world: World) -> None:
    late = (*ALL_BUT_SUSPEND[:2], fired("final_notice", "2026-11-27T12:00"))
    early = at("2026-12-02T12:00")
    # 30 days overdue on December 2nd; the gap after a late notice of November 27th is 10 days.
    assert plan(world(early, fired=ALL_BUT_SUSPEND)).suspensions == ()
    ten_days_on = at("2026-12-03T12:00")
    (suspension,) = plan(world(ten_days_on, fired=ALL_BUT_SUSPEND)).suspensions
    assert (suspension.stage.stage, suspension.days_overdue) == ("suspend", 31)
    assert plan(world(ten_days_on, fired=late)).suspensions == ()
    unsure = (*ALL_BUT_SUSPEND[:2], fired("final_notice", "2026-11-23T12:00", state=UNKNOWN))
    assert codes_of(world(ten_days_on, fired=unsure)) == ["notice"]
    assert plan(world(ten_days_on, fired=ALL_BUT_SUSPEND)).messages == ()


def test_notice_days_longer_than_the_gap(world: World) -> None:
    situation = world(at("2026-12-03T12:00"), fired=ALL_BUT_SUSPEND)
    policy = situation.policies["standard"]
    slow = replace(policy.stages[3], notice_days=14)
    policy = replace(policy, stages=(*policy.stages[:3], slow))
    situation = replace(situation, policies={"standard": policy})
    assert codes_of(situation) == ["notice"]
    assert codes_of(replace(situation, now=at("2026-12-07T12:00"),
                            payments_read_at=at("2026-12-07T12:00"))) == []  # fmt: skip


def test_an_unreachable_payer_is_escalated_to_the_responsible_person(world: World) -> None:
    decided = plan(world(unreachable={"NORDIC": "mail to ap@nordic.example bounced"}))
    (escalation,) = decided.escalations
    assert escalation.responsible == "billing"
    assert len(decided.alerts) == 1


def test_an_unknown_action_is_said_and_nothing_fires(world: World) -> None:
    situation = world()
    policy = situation.policies["standard"]
    odd = replace(policy.stages[0], action="sms")
    policy = replace(policy, stages=(odd, *policy.stages[1:]))
    decided = plan(replace(situation, policies={"standard": policy}))
    assert decided.messages == ()
    assert "sms" in decided.alerts[0]


def test_days_count_from_the_due_date_that_xero_shows_last(world: World, invoice: Invoices) -> None:
    moved = invoice(due_date=date(2026, 11, 11))
    assert codes_of(world(receivables=(moved,))) == ["not_yet"]


def test_the_same_situation_gives_the_same_plan(world: World, invoice: Invoices) -> None:
    some = tuple(invoice(f"NORDIC-{n:04d}", due_date=date(2026, 10, n)) for n in range(1, 9))
    assert plan(world(receivables=some)) == plan(world(receivables=some[::-1]))


def test_gap_is_counted_in_local_days(world: World) -> None:
    # Fired at 23:30 UTC on the 4th: that is the 5th in Oslo.
    before = (fired("friendly_reminder", "2026-11-04T23:30"),)
    assert stages_of(world(at("2026-11-11T22:00"), fired=before)) == []
    assert stages_of(world(at("2026-11-12T06:00"), fired=before)) == ["second_reminder"]
    assert timedelta(days=7) == at("2026-11-12T00:00") - at("2026-11-05T00:00")
