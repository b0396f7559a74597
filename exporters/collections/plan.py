"""What collections would do right now, and what it would not do and why: one pure function.

`plan` takes a `Situation` (everything known about receivables, payers, policies and what was done
before) and returns a `DunningPlan`. It reads nothing and changes nothing, so every rule can be
tested with a table of dates. Reading the situation is `situation`, acting on the plan is `remind`.

The rules: a stage fires once per invoice, ever, after all earlier ones, at most one stage a day per
invoice and at least the configured gap after the one before; days count from the due date in the
payer's country's local date; one message per payer and day lists all that is overdue. Nothing fires
unless payments are known as of `payments_fresh_hours` ago or later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal

from exporters.collections import local_days
from exporters.collections.model import (
    OPEN_STATUS,
    PENDING,
    SENT,
    DunningPlan,
    Escalation,
    Fired,
    HeldBack,
    Message,
    OverdueInvoice,
    Payer,
    Receivable,
    Situation,
    Suspension,
)
from exporters.collections.policy import EMAIL, SUSPEND_MACHINES, Policy, Stage


@dataclass(frozen=True, kw_only=True)
class _Due:
    invoice: OverdueInvoice
    policy: Policy
    stage: Stage


def plan(situation: Situation) -> DunningPlan:
    """Decide every overdue invoice: a message, a suspension, or held back with the reason."""
    held: list[HeldBack] = []
    alerts: list[str] = []
    messages: list[Message] = []
    suspensions: list[Suspension] = []
    escalations: list[Escalation] = []
    by_payer: dict[str, list[Receivable]] = defaultdict(list)
    for receivable in situation.receivables:
        if receivable.is_outstanding:
            by_payer[receivable.payer_id].append(receivable)
    for payer_id in sorted(by_payer):
        outcome = _plan_payer(situation, payer_id, by_payer[payer_id])
        held += outcome.held
        alerts += outcome.alerts
        messages += outcome.messages
        suspensions += outcome.suspensions
        escalations += outcome.escalations
    if stale := why_stale(situation):
        if messages or suspensions or escalations:
            alerts.insert(0, f"Nothing is sent: {stale}")
        held += _held_by_staleness(messages, suspensions, escalations, stale)
        messages, suspensions, escalations = [], [], []
    return DunningPlan(
        now=situation.now,
        messages=tuple(messages),
        suspensions=tuple(suspensions),
        escalations=tuple(escalations),
        held=tuple(sorted(held, key=lambda h: (h.payer_id, h.statement_number))),
        alerts=tuple(alerts),
    )


def why_stale(situation: Situation) -> str | None:
    """Why what is known about payments is too old to act on, in words; None if it is fresh."""
    limit = situation.payments_fresh_hours
    if situation.payments_read_at is None:
        return "payments were never read from Xero; run `m2c payments` first"
    age = situation.now - situation.payments_read_at
    if age <= timedelta(hours=limit):
        return None
    hours = int(age.total_seconds() // 3600)
    return (
        f"payments were last read from Xero at {situation.payments_read_at:%Y-%m-%d %H:%M} UTC,"
        f" {hours} hours ago; at most {limit} are allowed (payments_fresh_hours)."
        " Run `m2c payments` first"
    )


def _held_by_staleness(
    messages: Iterable[Message],
    suspensions: Iterable[Suspension],
    escalations: Iterable[Escalation],
    why: str,
) -> list[HeldBack]:
    held = [
        HeldBack(
            statement_number=s.statement_number,
            payer_id=s.payer_id,
            days_overdue=s.days_overdue,
            stage=s.stage.stage,
            code="stale_payments",
            reason=why,
        )
        for s in suspensions
    ]
    for message in messages:
        held += [_held(i, i.stage, "stale_payments", why) for i in message.invoices if i.stage]
    for escalation in escalations:
        held += [_held(i, i.stage, "stale_payments", why) for i in escalation.invoices]
    return held


def _held(invoice: OverdueInvoice, stage: Stage | None, code: str, reason: str) -> HeldBack:
    return HeldBack(
        statement_number=invoice.receivable.statement_number,
        payer_id=invoice.receivable.payer_id,
        days_overdue=invoice.days_overdue,
        stage=stage.stage if stage else None,
        code=code,
        reason=reason,
    )


@dataclass(kw_only=True)
class _Outcome:
    held: list[HeldBack] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    suspensions: list[Suspension] = field(default_factory=list)
    escalations: list[Escalation] = field(default_factory=list)


def _plan_payer(situation: Situation, payer_id: str, open_: list[Receivable]) -> _Outcome:
    outcome = _Outcome()
    payer = situation.payers.get(payer_id)
    if payer is None:
        today = situation.now.date()
        for receivable in overdue_invoices(open_, today):
            outcome.held.append(
                _held(receivable, None, "no_payer", f"payer {payer_id} is not in the book")
            )
        if outcome.held:
            outcome.alerts.append(
                f"Payer {payer_id} has overdue invoices and is not in the book (payers.csv)"
            )
        return outcome
    today = local_days.local_date(situation.now, country=payer.country)
    overdue = overdue_invoices(open_, today)
    if not overdue:
        return outcome

    policy = situation.policies.get(payer.dunning_policy or "")
    if policy is None:
        named = payer.dunning_policy
        reason = (
            f"dunning policy {named} is not in the book (dunning.yml)"
            if named
            else f"payer {payer_id} has no dunning policy (payers.csv, dunning_policy)"
        )
        outcome.held += [_held(i, None, "no_policy", reason) for i in overdue]
        if named:
            outcome.alerts.append(f"Payer {payer_id}: {reason}")
        return outcome

    chaseable: list[OverdueInvoice] = []
    for invoice in overdue:
        code_and_reason = why_not_chased(situation, payer, invoice.receivable, today)
        if code_and_reason:
            outcome.held.append(_held(invoice, None, *code_and_reason))
        else:
            chaseable.append(invoice)

    due: list[_Due] = []
    listed: list[OverdueInvoice] = []
    waiting: list[HeldBack] = []
    for invoice in chaseable:
        fired = _fired_for(situation, invoice.receivable.statement_number)
        step = _next_stage(policy, invoice, fired, today, payer.country)
        invoice = replace(invoice, last_stage=fired[-1].stage if fired else None)
        if isinstance(step, HeldBack):
            listed.append(invoice)
            waiting.append(step)
        else:
            stage, carried_over = step
            fires = replace(invoice, stage=stage, carried_over=carried_over)
            due.append(_Due(invoice=fires, policy=policy, stage=stage))
    outcome.held += waiting
    if not due:
        return outcome

    why = _why_payer_waits(situation, payer, policy, chaseable, today)
    if why:
        outcome.held += [_held(d.invoice, d.stage, *why) for d in due]
        return outcome

    mails = [d for d in due if d.stage.action == EMAIL]
    for item in due:
        if item.stage.action != EMAIL:
            _plan_suspension(situation, payer, item, today, outcome)
            listed.append(replace(item.invoice, stage=None))
    _plan_mail(situation, payer, policy, mails, listed, today, outcome)
    return outcome


def overdue_invoices(open_: Iterable[Receivable], today: date) -> list[OverdueInvoice]:
    """Those of `open_` that are past due on the payer's day `today`, the oldest first."""
    found = [
        OverdueInvoice(receivable=r, days_overdue=(today - r.due_date).days, stage=None)
        for r in open_
        if today > r.due_date
    ]
    return sorted(found, key=lambda i: (i.receivable.due_date, i.receivable.statement_number))


def _fired_for(situation: Situation, number: str) -> list[Fired]:
    return sorted((f for f in situation.fired if f.statement_number == number), key=lambda f: f.at)


def why_not_chased(
    situation: Situation, payer: Payer, receivable: Receivable, today: date
) -> tuple[str, str] | None:
    """What holds an invoice back on its payer's day `today`, as (code, words); None if nothing."""
    number = receivable.statement_number
    if number in situation.disputed:
        return "disputed", f"{number} is disputed: {situation.disputed[number]}"
    for hold in situation.holds:
        if hold.scope == "statement" and hold.subject in (number, receivable.statement_id):
            return "hold", f"{number} is on hold: {hold.reason}"
        if hold.scope == "payer" and hold.subject == payer.payer_id:
            return "hold", f"payer {payer.payer_id} is on hold: {hold.reason}"
    for promise in situation.promises:
        if promise.payer_id == payer.payer_id and today <= promise.until_date:
            return (
                "promise",
                f"payer {payer.payer_id} promised to pay by {promise.until_date}: {promise.reason}",
            )
    if number in situation.in_flight:
        return "in_flight", f"a payment is on its way: {situation.in_flight[number]}"
    if receivable.status is None:
        return "not_in_xero", f"{number} has no invoice in Xero yet; run `m2c publish`"
    if receivable.status != OPEN_STATUS:
        return "document", f"{number} is {receivable.status} in Xero, not {OPEN_STATUS}"
    if receivable.problem:
        return "document", f"{number} has a problem in Xero: {receivable.problem}"
    return None


def _why_payer_waits(
    situation: Situation,
    payer: Payer,
    policy: Policy,
    chaseable: Sequence[OverdueInvoice],
    today: date,
) -> tuple[str, str] | None:
    overdue, credit = _balance(situation, payer, payer.currency, chaseable)
    others = any(i.receivable.currency != payer.currency for i in chaseable)
    if not others and overdue - credit <= policy.only_above:
        less = f" ({_shown(overdue)} less {_shown(credit)} of credit)" if credit else ""
        return (
            "balance",
            f"payer {payer.payer_id} has {_shown(overdue - credit)} {payer.currency} overdue{less};"
            f" policy {policy.policy_id} chases only above {_shown(policy.only_above)}",
        )
    if policy.business_days_only:
        why = local_days.why_no_business_day(
            today, country=payer.country, holidays=situation.holidays
        )
        if why:
            return "no_business_day", why
    return None


def _shown(value: Decimal) -> str:
    """An amount without the zeros that its storage adds."""
    decimals = max(2, -int(value.normalize().as_tuple().exponent))
    return f"{value:.{decimals}f}"


def _balance(
    situation: Situation, payer: Payer, currency: str, invoices: Iterable[OverdueInvoice]
) -> tuple[Decimal, Decimal]:
    overdue = sum(
        (i.receivable.amount_due for i in invoices if i.receivable.currency == currency),
        Decimal(0),
    )
    return overdue, situation.credits.get((payer.payer_id, currency), Decimal(0))


def _next_stage(
    policy: Policy,
    invoice: OverdueInvoice,
    fired: Sequence[Fired],
    today: date,
    country: str,
) -> HeldBack | tuple[Stage, bool]:
    """The stage that fires for the invoice today and whether it was claimed before, or why none."""
    by_name = {f.stage: f for f in fired}
    claimed = [s for s in policy.stages if s.stage in by_name]
    if claimed and by_name[claimed[-1].stage].state == PENDING:
        return claimed[-1], True
    stage = next((s for s in policy.stages if s.stage not in by_name), None)
    if stage is None:
        return _held(invoice, None, "done", "every stage of the policy has been done")
    if invoice.days_overdue < stage.days_overdue:
        on = invoice.receivable.due_date + timedelta(days=stage.days_overdue)
        return _held(
            invoice, stage, "not_yet", f"{stage.stage} comes on {on}, {stage.days_overdue} days"
            " after the due date",
        )  # fmt: skip
    if fired:
        last = max(fired, key=lambda f: f.at)
        last_day = local_days.local_date(last.at, country=country)
        earliest = last_day + timedelta(days=max(1, policy.gap_days(stage)))
        if today < earliest:
            return _held(
                invoice, stage, "not_yet", f"{stage.stage} comes on {earliest}: {last.stage} was"
                f" done on {last_day}, and stages keep their distance",
            )  # fmt: skip
    return stage, False


def _plan_suspension(
    situation: Situation, payer: Payer, item: _Due, today: date, outcome: _Outcome
) -> None:
    number = item.invoice.receivable.statement_number
    if item.stage.action != SUSPEND_MACHINES:
        reason = f"policy {item.policy.policy_id} has an unknown action {item.stage.action!r}"
        outcome.held.append(_held(item.invoice, item.stage, "policy", reason))
        outcome.alerts.append(f"{number}: {reason} (dunning.yml, stage {item.stage.stage})")
        return
    delivered = {f.stage: f for f in _fired_for(situation, number) if f.state == SENT}
    for required in item.stage.requires:
        if required not in delivered:
            reason = f"{item.stage.stage} needs {required}, which is not known to be delivered"
            outcome.held.append(_held(item.invoice, item.stage, "notice", reason))
            return
        on = local_days.local_date(delivered[required].at, country=payer.country)
        earliest = on + timedelta(days=item.stage.notice_days)
        if today < earliest:
            reason = (
                f"{item.stage.stage} may come on {earliest}: {required} was delivered on {on} and"
                f" {item.stage.notice_days} days of notice are due"
            )
            outcome.held.append(_held(item.invoice, item.stage, "notice", reason))
            return
    outcome.suspensions.append(
        Suspension(
            payer_id=payer.payer_id,
            statement_number=number,
            stage=item.stage,
            policy_id=item.policy.policy_id,
            days_overdue=item.invoice.days_overdue,
            amount_due=item.invoice.receivable.amount_due,
            currency=item.invoice.receivable.currency,
        )
    )


def _plan_mail(
    situation: Situation,
    payer: Payer,
    policy: Policy,
    mails: Sequence[_Due],
    listed: Sequence[OverdueInvoice],
    today: date,
    outcome: _Outcome,
) -> None:
    if not mails:
        return
    for item in mails:
        template = item.stage.template or item.stage.stage
        if reason := situation.wordless.get((payer.payer_id, template)):
            outcome.held += [_held(d.invoice, d.stage, "policy", reason) for d in mails]
            outcome.alerts.append(
                f"Payer {payer.payer_id}, policy {policy.policy_id}, stage {item.stage.stage}:"
                f" {reason}"
            )
            return
    last = situation.messages.get(payer.payer_id)
    if last is not None and local_days.local_date(last, country=payer.country) >= today:
        reason = f"payer {payer.payer_id} had its message of {today} already"
        outcome.held += [_held(d.invoice, d.stage, "said_today", reason) for d in mails]
        return
    if payer.payer_id in situation.unreachable:
        furthest = max(mails, key=lambda d: d.stage.stage_no).stage
        responsible = furthest.responsible or "billing"
        reason = (
            f"{situation.unreachable[payer.payer_id]}; {responsible} is asked to correct the"
            f" address of payer {payer.payer_id} (payers.csv)"
        )
        outcome.held += [_held(d.invoice, d.stage, "bounced", reason) for d in mails]
        outcome.alerts.append(f"Payer {payer.payer_id}: {reason}")
        outcome.escalations.append(
            Escalation(
                payer=payer,
                address=payer.email,
                responsible=responsible,
                invoices=tuple(d.invoice for d in mails),
            )
        )
        return
    # A message speaks one currency; a payer whose currency changed gets the other one tomorrow.
    currencies = sorted(
        {d.invoice.receivable.currency for d in mails}, key=lambda c: (c != payer.currency, c)
    )
    currency = currencies[0]
    for item in mails:
        if item.invoice.receivable.currency != currency:
            reason = f"today's message is about {currency}; this one is in another currency"
            outcome.held.append(_held(item.invoice, item.stage, "said_today", reason))
    firing = [d for d in mails if d.invoice.receivable.currency == currency]
    invoices = tuple(
        sorted(
            [d.invoice for d in firing] + [i for i in listed if i.receivable.currency == currency],
            key=lambda i: (i.receivable.due_date, i.receivable.statement_number),
        )
    )
    overdue, credit = _balance(situation, payer, currency, invoices)
    if overdue <= credit:
        reason = f"payer {payer.payer_id} has enough credit: {_shown(credit)} {currency}"
        outcome.held += [_held(d.invoice, d.stage, "balance", reason) for d in firing]
        return
    outcome.messages.append(
        Message(
            payer=payer,
            policy_id=policy.policy_id,
            local_day=today,
            stage=max((d.stage for d in firing), key=lambda s: s.stage_no),
            currency=currency,
            invoices=invoices,
            overdue=overdue,
            credit=credit,
            previous_message_id=_previous_message(situation, firing),
            thread=_thread(situation, firing),
        )
    )


def _previous_message(situation: Situation, firing: Sequence[_Due]) -> str | None:
    """The id of the message that first claimed what fires again, unless it reached the payer about
    other invoices: mail programs drop a second message of one id."""
    carried = {
        (d.invoice.receivable.statement_number, d.stage.stage)
        for d in firing
        if d.invoice.carried_over
    }
    used = {f.message_id for f in situation.fired if f.state != PENDING}
    ids = [
        f
        for f in situation.fired
        if (f.statement_number, f.stage) in carried and f.message_id and f.message_id not in used
    ]
    return max(ids, key=lambda f: f.at).message_id if ids else None


def _thread(situation: Situation, firing: Sequence[_Due]) -> tuple[str, ...]:
    """The first message about each invoice that reached its payer, as far as is known."""
    firsts: dict[str, Fired] = {}
    for item in firing:
        number = item.invoice.receivable.statement_number
        for fired in _fired_for(situation, number):
            if fired.message_id and fired.state != PENDING:
                firsts.setdefault(number, fired)
    found = sorted(firsts.values(), key=lambda f: (f.at, f.message_id or ""))
    return tuple(dict.fromkeys(f.message_id for f in found if f.message_id))
