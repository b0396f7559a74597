"""The demo: the main job end to end on this machine, with a month that has what the field has.

The chain is the product's own, command by command; only the sites, Xero and the people who pay are
stand-ins. Running it again gives the same statements and not one more document.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from exporters.marts import open_marts
from orchestration import queries, steps
from orchestration.sandboxes import Sandboxes, Span, point_at
from orchestration.settings import DataDir
from orchestration.steps import App

if TYPE_CHECKING:
    from connectors.sandbox.replay import DerivedBook
    from connectors.sandbox.replay.sensors import Refused
    from orchestration.runs import Report

_APPROVER = "demo@local"


@dataclass(frozen=True)
class Calendar:
    """When what happens: the sites' days, and the clock of each step."""

    period: str
    first_day: date
    last_day: date
    first_landing: datetime
    close: datetime
    paid_on: date
    reminders: datetime

    @property
    def nights_before_close(self) -> date:
        """The first day that the landing before the close reads again."""
        return self.last_day - timedelta(days=3)


OCTOBER = Calendar(
    period="2026-10",
    # Local Octobers from Jakarta to Oslo, and a day on either side.
    first_day=date(2026, 9, 30),
    last_day=date(2026, 11, 1),
    first_landing=datetime(2026, 11, 2, 2, 0, tzinfo=UTC),
    close=datetime(2026, 11, 4, 6, 15, tzinfo=UTC),
    paid_on=date(2026, 11, 16),
    reminders=datetime(2026, 12, 9, 9, 0, tzinfo=UTC),
)


def run(app: App) -> int:
    """Four sites, a month, statements, invoices, payments, reminders; the exit code."""
    from orchestration.instance import begin_partitions_at

    calendar = OCTOBER
    terminal = app.terminal
    is_first_time = not app.data_dir.landing.exists()
    span = Span(
        first=calendar.first_day,
        end=calendar.last_day + timedelta(days=1),
        as_of=calendar.first_landing if is_first_time else calendar.close,
    )
    begin_partitions_at(app.data_dir, calendar.first_day)
    terminal.heading(f"Meter to cash, {calendar.period}: four sites on this machine")
    with _rehearsal(), Sandboxes(app.data_dir, span=span) as sandboxes:
        point_at(sandboxes.env)
        assert sandboxes.sites is not None
        for note in sandboxes.sites.notes:
            terminal.note(note)
        sites = sorted(sandboxes.sites.kinds)
        terminal.note(", ".join(f"{site} over {sandboxes.sites.kinds[site]}" for site in sites))
        if is_first_time:
            _at(calendar.first_landing)
            steps.land_sites(app, sites, first=calendar.first_day, last=calendar.last_day)
            sandboxes.sites.advance(calendar.close)
            first_day = calendar.nights_before_close
        else:
            first_day = calendar.first_day
        _at(calendar.close)
        landed = steps.land_sites(app, sites, first=first_day, last=calendar.last_day)
        steps.show_landed(app, landed)
        code = _month(app, calendar, sandboxes)
    _where_next(app, calendar)
    return code


def replay(app: App, realdata: Path) -> int:
    """Bill recorded real readings through the same connectors and the same chain; the exit code.

    Everything goes to a data dir of its own below the one given.
    """
    from connectors.sandbox.replay import Replay, derive_book

    data_dir = DataDir(app.data_dir.root / "replay")
    app = replace(app, data_dir=data_dir)
    terminal = app.terminal
    with terminal.step("deriving a book from the recordings"):
        derived = derive_book(realdata, data_dir.book)
    _show_derived(app, derived)
    state_dir = data_dir.sandbox / "sites"
    with (
        _rehearsal(),
        Replay(realdata_dir=realdata, state_dir=state_dir) as served,
        Sandboxes(data_dir) as sandboxes,
    ):
        point_at({**served.env, **sandboxes.env})
        landed: dict[str, Report] = {}
        for site, (first, last) in derived.days.items():
            landed |= steps.land_sites(app, [site], first=first, last=last)
        steps.show_landed(app, landed)
        codes = [int(any("problem" in result for result in landed.values()))]
        for period in derived.periods:
            codes += _bill(app, period, sandboxes)
        steps.refresh_marts(app)
        for period in derived.periods:
            _show_exceptions(app, period)
            _show_invoices(app, period)
    terminal.heading("Where to look next")
    terminal.lines([f"marts: {data_dir.marts}", f"statements: {data_dir.reports}"])
    return max(codes)


def _show_derived(app: App, derived: DerivedBook) -> None:
    terminal = app.terminal
    terminal.heading("Sensors of the recordings that may be billed")
    accepted = Counter(sensor.sensor for sensor in derived.accepted)
    terminal.table(["sensor", "accepted"], sorted(accepted.items()))
    terminal.heading("Refused, with the reason")
    by_sensor: dict[str, list[Refused]] = {}
    for refused in derived.refused:
        by_sensor.setdefault(refused.sensor or "(none)", []).append(refused)
    terminal.table(
        ["sensor", "refused", "for example"],
        [
            [sensor, len(found), f"{found[0].node}: {found[0].reason}"]
            for sensor, found in sorted(by_sensor.items())
        ],
    )
    listing = app.data_dir.reports / "refused_sensors.csv"
    listing.parent.mkdir(parents=True, exist_ok=True)
    with listing.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["node", "sensor", "reason"])
        writer.writerows([r.node, r.sensor, r.reason] for r in derived.refused)
    terminal.note(f"all of them: {listing}")


def _show_exceptions(app: App, period: str) -> None:
    with open_marts(app.data_dir.marts) as marts:
        rows = marts.rows(
            """
            select kind, severity, count(*) as rows, sum(quantity) as quantity
            from billing_exceptions where period = ? group by kind, severity order by kind
            """,
            [period],
        )
    app.terminal.heading(f"Exceptions of {period}")
    columns = ["kind", "severity", "rows", "quantity"]
    app.terminal.table(columns, [[row[column] for column in columns] for row in rows])


def _month(app: App, calendar: Calendar, sandboxes: Sandboxes) -> int:
    """Close to reminders of one period, as people and schedules would do it."""
    terminal = app.terminal
    codes = _bill(app, calendar.period, sandboxes)
    _pay_some(app, calendar, sandboxes)
    _at(calendar.reminders)
    received = steps.read_payments(app, refresh=False)
    terminal.lines(received["words"])
    reminded = steps.send_reminders(app, apply=True)
    terminal.lines(reminded["words"])
    steps.render_reports(app, calendar.period)
    _show_invoices(app, calendar.period)
    return max(*codes, int(received["exit_code"]), int(reminded["exit_code"]))


def _bill(app: App, period: str, sandboxes: Sandboxes) -> list[int]:
    """Close, approve what waits, issue, publish; the exit codes.

    The marts are brought up to date once, after issue, for no step between reads from them what
    the steps before wrote.
    """
    terminal = app.terminal
    close, refused = steps.close_period(app, period, refresh=False)
    terminal.lines(close["words"])
    _approve_waiting(app, period, close)
    issued = steps.issue_period(app, period)
    _show_statements(app, period)
    sandboxes.shape_organisation()
    published = steps.publish_period(app, period, apply=True, refresh=False)
    terminal.lines(published["words"])
    return [int(bool(refused)), issued["exit_code"], published["exit_code"]]


def _approve_waiting(app: App, period: str, close: Report) -> None:
    """Play finance: approve what the rules left for a person, blocked statements apart."""
    for statement in close["statements"]:
        if statement["state"] != "needs_approval":
            continue
        statement_id = statement["statement_id"]
        app.terminal.note(f"finance looks at {statement_id} of {period} and approves it")
        steps.record_approval(
            app, statement_id, by=_APPROVER, reason="Checked in the demo's review sheet"
        )


def _pay_some(app: App, calendar: Calendar, sandboxes: Sandboxes) -> None:
    """Play the customers: every other invoice is paid in full, and one of the rest in part."""
    admin = sandboxes.xero.admin
    invoices = sorted(
        (i for i in admin.state()["invoices"] if i["Type"] == "ACCREC"),
        key=lambda invoice: str(invoice["InvoiceNumber"]),
    )
    with app.terminal.step("customers pay some of the invoices"):
        for position, invoice in enumerate(invoices):
            due, paid = Decimal(invoice["AmountDue"]), Decimal(invoice["AmountPaid"])
            if not due or paid or not (position == 1 or position % 2 == 0):
                continue
            part = (due / 2).quantize(Decimal("0.01")) if position == 1 else due
            admin.pay(invoice["InvoiceNumber"], amount=part, on=calendar.paid_on)


def _show_statements(app: App, period: str) -> None:
    with open_marts(app.data_dir.marts) as marts:
        rows = queries.statements(marts, period=period)
    app.terminal.heading(f"Statements of {period}")
    app.terminal.table(
        ["statement", "lines", "net", "tax", "total", "currency", "state"],
        [
            [
                r["statement_id"],
                r["lines"],
                r["net"],
                r["tax"],
                r["total"],
                r["currency"],
                r["state"],
            ]
            for r in rows
        ],
    )


def _show_invoices(app: App, period: str) -> None:
    with open_marts(app.data_dir.marts) as marts:
        rows = queries.invoices(marts, period=period)
    app.terminal.heading(f"Invoices of {period} in Xero")
    app.terminal.table(
        ["invoice", "payer", "total", "paid", "due", "currency", "status", "due on", "reminded"],
        [
            [
                r["statement_number"],
                r["payer_id"],
                r["total"],
                r["amount_paid"],
                r["amount_due"],
                r["currency"],
                r["xero_status"],
                r["due_date"],
                r["reminded"],
            ]
            for r in rows
        ],
    )


def _where_next(app: App, calendar: Calendar) -> None:
    data = app.data_dir
    with open_marts(app.data_dir.marts) as marts:
        links = [
            f"  {row['statement_number']}: {row['online_url']}"
            for row in queries.invoices(marts, period=calendar.period)
            if row["online_url"] and row["amount_due"]
        ]
    app.terminal.heading("Payment links of what is still due (they answer while `make ui` runs)")
    app.terminal.lines(links)
    app.terminal.heading("Where to look next")
    app.terminal.table(
        ["what", "where"],
        [
            ["the asset graph and every run", "make ui, then http://127.0.0.1:3000"],
            ["the marts", f"{data.marts} (open with duckdb, for example statement_lines)"],
            ["statements for customers", f"{data.reports / calendar.period} (PDF, HTML, XLSX)"],
            [
                "the review sheet for finance",
                str(data.reports / calendar.period / f"review-{calendar.period}.html"),
            ],
            ["reminders", f"{data.outbox} (.eml)"],
            ["invoices as a customer sees them", "the payment links above, while make ui runs"],
            ["how things stand", "m2c status, m2c exceptions, m2c story STATEMENT"],
        ],
    )


@contextmanager
def _rehearsal() -> Iterator[None]:
    """The demo moves the clock; what the environment said before is put back."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _at(instant: datetime) -> None:
    os.environ["M2C_NOW"] = instant.isoformat()
