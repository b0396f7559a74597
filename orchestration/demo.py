"""The demo: the main job end to end on this machine, with a month that has what the field has.

The chain is the product's own, command by command; only the sites, Xero and the people who pay are
stand-ins. Running it again gives the same statements and not one more document.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from exporters.marts import open_marts
from orchestration import queries
from orchestration.sandboxes import Sandboxes, Span, point_at

if TYPE_CHECKING:
    from orchestration.cli import App

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
    from orchestration import cli

    calendar = OCTOBER
    terminal = app.terminal
    is_first_time = not app.data_dir.landing.exists()
    span = Span(
        first=calendar.first_day,
        end=calendar.last_day + timedelta(days=1),
        as_of=calendar.first_landing if is_first_time else calendar.close,
    )
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
            cli.land_sites(app, sites, first=calendar.first_day, last=calendar.last_day)
            sandboxes.sites.advance(calendar.close)
            first_day = calendar.nights_before_close
        else:
            first_day = calendar.first_day
        _at(calendar.close)
        landed = cli.land_sites(app, sites, first=first_day, last=calendar.last_day)
        cli.show_landed(app, landed)
        code = _month(app, calendar, sandboxes)
    _where_next(app, calendar)
    return code


def replay(app: App, realdata: Path) -> int:
    """Bill recorded real readings through the same connectors and the same chain."""
    from connectors.sandbox.replay import derive_book

    raise NotImplementedError(derive_book, realdata)


def _month(app: App, calendar: Calendar, sandboxes: Sandboxes) -> int:
    """Close to reminders of one period, as people and schedules would do it."""
    from orchestration import cli

    terminal = app.terminal
    close, _ = cli.close_period(app, calendar.period)
    terminal.lines(close["words"])
    _approve_waiting(app, calendar.period)
    _show_statements(app, calendar.period)
    issued = cli.issue_period(app, calendar.period)
    terminal.lines(issued["words"])

    sandboxes.shape_organisation()
    published = cli.publish_period(app, calendar.period, apply=True)
    terminal.lines(published["words"])
    _pay_some(app, calendar, sandboxes)
    _at(calendar.reminders)
    received = cli.read_payments(app)
    terminal.lines(received["words"])
    reminded = cli.send_reminders(app, apply=True)
    terminal.lines(reminded["words"])
    _show_invoices(app, calendar.period)
    steps = (issued, published, received, reminded)
    return max(int(step["exit_code"]) for step in steps)


def _approve_waiting(app: App, period: str) -> None:
    """Play finance: approve what the rules left for a person, blocked statements apart."""
    from orchestration import cli

    with open_marts(app.data_dir.marts) as marts:
        waiting = [
            row
            for row in queries.statements(marts, period=period)
            if row["state"] == "review" and row["decision"] == "needs_approval"
        ]
    for row in waiting:
        app.terminal.note(f"finance looks at {row['statement_id']}: {row['decision_reason']}")
        cli.record_approval(
            app, row["statement_id"], by=_APPROVER, reason="Checked in the demo's review sheet"
        )
    if waiting:
        cli.refresh_marts(app)


def _pay_some(app: App, calendar: Calendar, sandboxes: Sandboxes) -> None:
    """Play the customers: every other invoice is paid in full, and one of the rest in part."""
    with open_marts(app.data_dir.marts) as marts:
        invoices = [
            row
            for row in queries.invoices(marts, period=calendar.period)
            if row["xero_status"] == "AUTHORISED" and row["amount_paid"] == 0
        ]
    with app.terminal.step("customers pay some of the invoices"):
        for position, invoice in enumerate(invoices):
            if position % 2 == 0:
                sandboxes.xero.admin.pay(invoice["statement_number"], on=calendar.paid_on)
            elif position == 1:
                part = (invoice["amount_due"] / 2).quantize(Decimal("0.01"))
                sandboxes.xero.admin.pay(
                    invoice["statement_number"], amount=part, on=calendar.paid_on
                )


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
                r["reminders"],
            ]
            for r in rows
        ],
    )


def _where_next(app: App, calendar: Calendar) -> None:
    data = app.data_dir
    app.terminal.heading("Where to look next")
    app.terminal.table(
        ["what", "where"],
        [
            ["the asset graph and every run", "make ui, then http://127.0.0.1:3000"],
            ["the marts", f"{data.marts} (open with duckdb, for example statement_lines)"],
            ["statements for customers", f"{data.reports / calendar.period} (PDF, HTML, XLSX)"],
            ["the review sheet for finance", f"{data.reports / calendar.period}/review.html"],
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
