"""The steps of a month as a terminal runs them: each a job, then marts brought up to date.

`m2c` and the demo are made of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

from connectors.book import load_book
from connectors.errors import ConnectorError
from exporters.close import ApprovalReport, approve
from exporters.marts import open_marts
from orchestration.ledger import open_ledger
from orchestration.locks import hold
from orchestration.queries import Rows
from orchestration.runs import Report, Runner
from orchestration.settings import DataDir, parse_day
from orchestration.terminal import Terminal

if TYPE_CHECKING:
    from exporters.statements import RenderedStatement
    from orchestration.whatif import Answer


@dataclass(frozen=True)
class App:
    """What every command works with."""

    data_dir: DataDir
    terminal: Terminal
    command: str

    @cached_property
    def runner(self) -> Runner:
        return Runner(self.data_dir, command=self.command, on_wait=self.terminal.note)

    def answer(self, report: Report) -> int:
        """Print a job's report and tell the exit code it means."""
        if self.terminal.as_json:
            self.terminal.json(report)
        else:
            self.terminal.lines(report["words"])
        return int(report["exit_code"])


def show_landed(app: App, results: dict[str, Report]) -> None:
    """A line per site and table that it offers."""
    columns = ["fetched", "landed", "unchanged", "rejected"]
    app.terminal.table(
        ["site", "what", *columns, "problem"],
        [
            [site, table["table"], *(table[f"rows_{column}"] for column in columns), None]
            for site, result in results.items()
            for table in result.get("results", [])
        ]
        + [
            [site, None, *(None for _ in columns), result["problem"]]
            for site, result in results.items()
            if "problem" in result
        ],
    )


_LINES_SHOWN = 15


def show_what_if(app: App, answer: Answer, *, with_all: bool) -> None:
    """What another plan would have brought: a row per customer, then the lines that move."""
    variant = answer.variant
    dated = f", dated {variant.valid_from_month}" if variant.valid_from_month else ""
    count = "1 contract" if len(answer.contracts) == 1 else f"{len(answer.contracts)} contracts"
    months = answer.first if answer.first == answer.last else f"{answer.first} to {answer.last}"
    app.terminal.lines(
        [
            f"{'New plan' if variant.is_new else 'Plan'} {variant.plan_id}, version "
            f"{variant.version}{dated}, on the usage of {months}, {count}. Nothing was changed."
        ]
    )
    app.terminal.heading("Per customer, before tax and credits")
    columns = ["old", "new", "difference"]
    totals: dict[str, list[Decimal]] = {}
    for row in answer.customers:
        total = totals.setdefault(row["currency"], [Decimal(0)] * len(columns))
        totals[row["currency"]] = [
            have + row[column] for have, column in zip(total, columns, strict=True)
        ]
    app.terminal.table(
        ["customer", *columns, "currency"],
        [
            [row["customer_id"], *(row[column] for column in columns), row["currency"]]
            for row in answer.customers
        ]
        + [["all", *total, currency] for currency, total in sorted(totals.items())],
    )
    shown = answer.lines if with_all else answer.lines[:_LINES_SHOWN]
    app.terminal.heading(f"Lines that move: {len(answer.lines)}, the largest first")
    app.terminal.table(
        ["line", *columns, "currency"],
        [
            [line["line_key"], *(line[column] for column in columns), line["currency"]]
            for line in shown
        ],
    )
    if len(shown) < len(answer.lines):
        app.terminal.lines([f"… and {len(answer.lines) - len(shown)} more; --all shows them"])
    app.terminal.lines(f"cannot be rated: {words}" for words in answer.not_rated)
    if answer.changed_tables:
        app.terminal.note(
            "the book has changed since the last build besides the plan: "
            f"{', '.join(answer.changed_tables)}; the difference holds that too"
        )


def land_sites(app: App, sites: list[str], *, first: date, last: date) -> dict[str, Report]:
    """One run a site; a site that cannot be read gets a `problem` in words."""
    from orchestration.defs.jobs import landing_range_tags
    from orchestration.instance import extend_partitions_to

    extend_partitions_to(app.data_dir, first)
    app.runner.add_sites(sites)
    results: dict[str, Report] = {}
    for site in sites:
        try:
            with app.terminal.step(f"landing {site}, {first} to {last}"):
                outcome = app.runner.run(
                    "land",
                    tags=landing_range_tags(site_id=site, first=str(first), last=str(last)),
                )
        except ConnectorError as error:
            results[site] = {"problem": str(error)}
            app.terminal.note(str(error))
        else:
            results[site] = outcome.reports["landing/readings"]
    return results


def compact_days(app: App, *, before: date | None, dry_run: bool) -> Report:
    """Merge the landed files of days that are over, or show which would be."""
    config = {"before": before.isoformat() if before else "", "dry_run": dry_run}
    with app.terminal.step("merging landed files" + (" (dry run)" if dry_run else "")):
        outcome = app.runner.run("compact", config={"compacted_days": config})
    return outcome.reports["compacted_days"]


def close_period(
    app: App, period: str, *, dry_run: bool = False, refresh: bool = True
) -> tuple[Report, list[dict[str, str]]]:
    """Run the close; its report and the batches refused on the way."""
    _extend_partitions(app, period)
    with app.terminal.step(f"closing {period}" + (" (dry run)" if dry_run else "")):
        outcome = app.runner.run(
            "close", partition=period, config={"close_decisions": {"dry_run": dry_run}}
        )
    if refresh and not dry_run:
        refresh_marts(app)
    return outcome.reports["close_decisions"], outcome.reports["landed_batches"]["refused"]


def refresh_marts(app: App) -> None:
    with app.terminal.step("bringing the marts up to date"):
        app.runner.run("refresh")


def _extend_partitions(app: App, period: str) -> None:
    from orchestration.instance import extend_partitions_to

    extend_partitions_to(app.data_dir, parse_day(f"{period}-01"))


def record_approval(
    app: App, statement: str, *, by: str, reason: str, content_hash: str | None = None
) -> ApprovalReport:
    from orchestration.papers import review_period

    with (
        hold(app.data_dir.locks, "warehouse", purpose="approving", on_wait=app.terminal.note),
        open_ledger(app.data_dir, acting_as=by) as ledger,
    ):
        approval = approve(
            app.data_dir.marts, ledger, statement, by=by, reason=reason, content_hash=content_hash
        )
        review_period(app.data_dir, approval.period, ledger, previews=False)
    return approval


def issue_period(app: App, period: str, *, dry_run: bool = False) -> Report:
    """Issue, bring the marts up to date, and render PDF, HTML and XLSX.

    A book that changed since the marts were built is rated first: who issues and where the payer
    lives are facts of the book, and an approval holds only for the lines as they are.
    """
    _extend_partitions(app, period)
    if _book_has_changed(app.data_dir):
        from orchestration.defs.warehouse.assets import PERIOD_TAG

        with app.terminal.step("the book has changed: building"):
            app.runner.run("build", tags={PERIOD_TAG: period})
    with app.terminal.step(f"issuing {period}" + (" (dry run)" if dry_run else "")):
        outcome = app.runner.run(
            "issue", partition=period, config={"issued_statements": {"dry_run": dry_run}}
        )
    report = outcome.reports["issued_statements"]
    if dry_run:
        return report
    refresh_marts(app)
    render_reports(app, period)
    return report


def render_reports(app: App, period: str) -> None:
    """Statements and review sheet of a period as the marts have them now."""
    with app.terminal.step("rendering statements"):
        app.runner.run("reports", partition=period)


def preview(app: App, statements: Rows) -> list[RenderedStatement]:
    """Render statements of the marts as they are now, whatever their state."""
    from orchestration.papers import render_period

    rendered = []
    for period in sorted({row["period"] for row in statements}):
        wanted = [row["statement_id"] for row in statements if row["period"] == period]
        with app.terminal.step(f"rendering {len(wanted)} of {period}"):
            rendered += render_period(app.data_dir, period, only=wanted, on_wait=app.terminal.note)
    return rendered


def _book_has_changed(data_dir: DataDir) -> bool:
    with open_marts(data_dir.marts) as marts:
        (info,) = marts.rows("select book_version from build_info")
    return str(info["book_version"]) != load_book(data_dir.book).version


def publish_period(app: App, period: str, *, apply: bool, refresh: bool = True) -> Report:
    _extend_partitions(app, period)
    with app.terminal.step(f"publishing {period} to Xero" + ("" if apply else " (plan only)")):
        outcome = app.runner.run(
            "publish", partition=period, config={"xero_invoices": {"apply": apply}}
        )
    if apply and refresh:
        refresh_marts(app)
        render_reports(app, period)  # now with the payment links
    return outcome.reports["xero_invoices"]


def read_payments(app: App, *, refresh: bool = True) -> Report:
    with app.terminal.step("reading payments from Xero"):
        outcome = app.runner.run("payments")
    if refresh:
        refresh_marts(app)
    return outcome.reports["payments_received"]


def send_reminders(app: App, *, apply: bool) -> Report:
    with app.terminal.step("reminding" + ("" if apply else " (plan only)")):
        outcome = app.runner.run("remind", config={"reminders": {"apply": apply}})
    if apply:
        refresh_marts(app)
    return outcome.reports["reminders"]


def note_bounces(app: App, *, apply: bool) -> Report:
    with app.terminal.step("reading returned mail" + ("" if apply else " (plan only)")):
        outcome = app.runner.run("bounces", config={"returned_mail": {"apply": apply}})
    if apply and outcome.reports["returned_mail"]["bounced"]:
        refresh_marts(app)
    return outcome.reports["returned_mail"]


def switch_machines(app: App, job: str, asset: str, *, apply: bool, **order: str) -> Report:
    """Run the job that pauses or resumes machines."""
    doing = {"suspend": "suspending", "resume": "resuming"}[job]
    with app.terminal.step(doing + ("" if apply else " (plan only)")):
        outcome = app.runner.run(job, config={asset: {"apply": apply, **order}})
    if apply:
        refresh_marts(app)
    return outcome.reports[asset]


def post_confirmed(app: App, *, apply: bool) -> Report:
    with app.terminal.step("posting confirmed payments" + ("" if apply else " (plan only)")):
        outcome = app.runner.run("post_payments", config={"bank_payments": {"apply": apply}})
    if apply and outcome.reports["bank_payments"]["payments"]:
        refresh_marts(app)
    return outcome.reports["bank_payments"]
