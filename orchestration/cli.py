"""`m2c`: the same jobs as in Dagster's UI, for people who prefer a terminal.

Exit codes: 0 done, 1 something needs a person, 2 wrong use, 3 a failure.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from datetime import date
from itertools import groupby
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import click

from connectors.book import BookError, EditText, load_book, propose_edit, render_words
from connectors.objects import StoreError
from exporters import disputes
from exporters.close import CloseError, RefusedError
from exporters.ledger import Ledger, LedgerError, actions
from exporters.ledger.actions import ActionError, ActionReport
from exporters.ledger.errors import StorageError
from exporters.ledger.story import story as tell_story
from exporters.marts import MartsError, open_marts
from orchestration import queries
from orchestration.backups.manifest import BackupError
from orchestration.bookdiff import words_since
from orchestration.built import AnotherVersionError
from orchestration.commands import (  # noqa: F401 - they add their commands to `cli`
    bank,
    events,
    machines,
    mail,
    production,
    xero,
)
from orchestration.commands.base import (
    DAY,
    FILE,
    FOLDER,
    PERIOD,
    PERIODS,
    cli,
    command,
    with_reason,
)
from orchestration.edits import NoEditError, describe, span_of_exception, touched
from orchestration.faults import disk_in_words
from orchestration.ledger import actor_named, open_ledger
from orchestration.locks import LockBusyError, hold
from orchestration.mailtexts import check_texts
from orchestration.runs import log_path
from orchestration.settings import (
    DataDir,
    SettingsError,
    StorageUnreachableError,
    clock_from_env,
    code_version,
)
from orchestration.steps import (
    App,
    close_period,
    compact_days,
    issue_period,
    land_sites,
    preview,
    record_approval,
    refresh_marts,
    send_reminders,
    show_landed,
    show_what_if,
)
from orchestration.stores import landed_files
from orchestration.terminal import DONE, FAILURE, NEEDS_PERSON, WRONG_USE, Terminal
from orchestration.warehouse import sites_read_nightly

# --- data -----------------------------------------------------------------------------------------


@command(cli)
@click.option("--from", "first", type=DAY, required=True, help="First UTC day to read.")
@click.option("--to", "last", type=DAY, required=True, help="Last UTC day to read, inclusive.")
@click.option("--site", "sites", multiple=True, help="Only this site; may be given again.")
def land(app: App, first: date, last: date, sites: tuple[str, ...]) -> int:
    """Read sites into the landing zone. A site that fails does not stop the others."""
    if last < first:
        raise click.BadParameter(f"--to {last} lies before --from {first}")
    book = load_book(app.data_dir.book)
    unknown = sorted(set(sites) - set(book.sites_read))
    if unknown:
        known = ", ".join(book.sites_read) or "none"
        raise click.BadParameter(f"no source for {', '.join(unknown)}; sources.yml has {known}")
    chosen = sorted(sites or book.sites_read)
    if not chosen:
        raise click.UsageError("sources.yml of the book names no site to read from")
    results = land_sites(app, chosen, first=first, last=last)
    if app.terminal.as_json:
        app.terminal.json({"sites": results})
    else:
        show_landed(app, results)
    return NEEDS_PERSON if any("problem" in result for result in results.values()) else DONE


@command(cli)
def build(app: App) -> int:
    """Rebuild the warehouse from book, landing zone and ledger, and publish the marts."""
    with app.terminal.step("building the warehouse"):
        outcome = app.runner.run("build")
    refused = outcome.reports["landed_batches"]["refused"]
    alerts = outcome.reports["alert_notices"]
    told = outcome.reports["webhook_events"]
    with open_marts(app.data_dir.marts) as marts:
        summary = queries.build_summary(marts)
    if app.terminal.as_json:
        app.terminal.json(
            {
                **summary,
                "refused_batches": refused,
                "alerts": alerts,
                "events": told,
                "marts": app.data_dir.marts,
            }
        )
    else:
        _show_periods(app, summary["periods"])
        app.terminal.lines([*alerts["words"], *told["words"], f"published {app.data_dir.marts}"])
    waits = max(int(alerts["exit_code"]), int(told["exit_code"]))
    return max(_tell_refused(app, refused), waits)


@command(cli)
@click.option("--before", type=DAY, help="Only days before this UTC day.")
@click.option("--dry-run", is_flag=True, help="Show what would be merged and change nothing.")
def compact(app: App, before: date | None, dry_run: bool) -> int:
    """Merge the landed files of each day that is over into one. Every row stays as it is."""
    report = compact_days(app, before=before, dry_run=dry_run)
    app.answer(report)
    _tell_refused(app, report["refused"])
    return int(report["exit_code"])


def _tell_refused(app: App, refused: list[dict[str, str]]) -> int:
    for batch in refused:
        app.terminal.note(f"refused {batch['path']}: {batch['reason']}")
    return NEEDS_PERSON if refused else DONE


def _show_periods(app: App, periods: list[dict[str, Any]]) -> None:
    app.terminal.table(
        ["period", "currency", "statements", "issued", "net", "tax", "total"],
        [
            [
                p["period"],
                p["currency"],
                p["statements"],
                p["issued"],
                p["net"],
                p["tax"],
                p["total"],
            ]
            for p in periods
        ],
    )


@command(cli)
def status(app: App) -> int:
    """Where things stand: sites, periods, statements, what waits for a person."""
    with open_marts(app.data_dir.marts) as marts:
        state = queries.status(
            marts, now=clock_from_env()(), nightly=sites_read_nightly(app.data_dir)
        )
    if app.terminal.as_json:
        app.terminal.json(state)
        return DONE
    app.terminal.lines(
        [f"data dir {app.data_dir.root}, book {state['book_version']}, built {state['built_at']}"]
    )
    app.terminal.heading("Sites")
    app.terminal.table(
        ["site", "first day", "last day", "kWh", "last reading (UTC)", "late"],
        [
            [
                s["site_id"],
                s["first_day"],
                s["last_day"],
                s["accepted_kwh"],
                s["last_reading_at"] and f"{s['last_reading_at']:%Y-%m-%d %H:%M}",
                _late(s),
            ]
            for s in state["sites"]
        ],
    )
    app.terminal.lines(f"late: {queries.late_in_words(s)}" for s in state["sites"] if s["is_late"])
    app.terminal.heading("Periods")
    _show_periods(app, state["periods"])
    app.terminal.heading("Statements that are not issued yet")
    app.terminal.table(
        ["statement", "total", "projected", "currency", "measured until (UTC)", "state", "why"],
        [
            [
                s["statement_id"],
                s["total"],
                s["projected_total"],
                s["currency"],
                s["measured_until"] and f"{s['measured_until']:%Y-%m-%d %H:%M}",
                s["state"],
                s["decision_reason"],
            ]
            for s in state["open_statements"]
        ],
    )
    if state["alerts"]:
        app.terminal.heading("Alerts")
        app.terminal.lines(alert["detail"] for alert in state["alerts"])
    app.terminal.heading("Exceptions")
    app.terminal.table(
        ["period", "kind", "severity", "rows"],
        [[e["period"], e["kind"], e["severity"], e["rows"]] for e in state["exceptions"]],
    )
    return DONE


def _late(site: dict[str, Any]) -> str:
    if not site["is_late"]:
        return "no"
    return "yes" if site["hours_late"] is None else f"{site['hours_late']} h"


# --- month ----------------------------------------------------------------------------------------


@command(cli)
@click.argument("period", type=PERIOD)
@click.option("--dry-run", is_flag=True, help="Show the decisions and write none to the ledger.")
def close(app: App, period: str, dry_run: bool) -> int:
    """Rate a month, check it, and decide per statement: approved by rule, waiting, or blocked."""
    report, refused = close_period(app, period, dry_run=dry_run)
    code = max(int(report["exit_code"]), NEEDS_PERSON if refused else DONE)
    app.answer({**report, "refused_batches": refused, "exit_code": code})
    if not app.terminal.as_json:
        app.terminal.lines(
            [f"review sheet: {app.data_dir.reports / period / f'review-{period}.html'}"]
        )
    _tell_refused(app, refused)
    return code


@command(cli, "approve")
@click.argument("statement")
@click.option("--by", required=True, help="Who approves.")
@click.option("--reason", required=True, help="Why, in words; kept in the ledger.")
@click.option("--content-hash", help="Of the lines you looked at; others are refused.")
def approve_statement(
    app: App, statement: str, by: str, reason: str, content_hash: str | None
) -> int:
    """Approve a statement as it stands now. If its lines change, it is back in review."""
    approval = record_approval(app, statement, by=by, reason=reason, content_hash=content_hash)
    refresh_marts(app)
    if app.terminal.as_json:
        app.terminal.json(approval.as_dict())
    else:
        app.terminal.lines(approval.describe())
    return NEEDS_PERSON if approval.needs_person else DONE


@command(cli)
@click.argument("period", type=PERIOD)
@click.option("--dry-run", is_flag=True, help="Show what would be issued and freeze nothing.")
def issue(app: App, period: str, dry_run: bool) -> int:
    """Freeze a month's approved statements under their numbers and render them."""
    report = issue_period(app, period, dry_run=dry_run)
    if dry_run:
        return app.answer(report)
    folder = app.data_dir.reports / period
    code = app.answer({**report, "reports": str(folder)})
    if not app.terminal.as_json:
        app.terminal.lines([f"PDF, HTML and XLSX of each: {folder}"])
    return code


# --- money ----------------------------------------------------------------------------------------


@command(cli)
@click.option("--apply", is_flag=True, help="Send; without it only the plan is shown.")
def remind(app: App, apply: bool) -> int:
    """Remind payers of what is overdue: one message a payer and day, each stage once."""
    return app.answer(send_reminders(app, apply=apply))


# --- people
# ---------------------------------------------------------------------------------------


@command(cli)
@click.option("--period", type=PERIOD, help="Only this month.")
@click.option("--all", "with_settled", is_flag=True, help="Also those acknowledged or resolved.")
def exceptions(app: App, period: str | None, with_settled: bool) -> int:
    """What the data or the book has that needs a look, blocking ones first."""
    with open_marts(app.data_dir.marts) as marts:
        rows = queries.exceptions(marts, period=period, with_settled=with_settled)
    if app.terminal.as_json:
        app.terminal.json(rows)
    else:
        app.terminal.table(
            ["exception", "severity", "kind", "period", "what"],
            [[r["exception_id"], r["severity"], r["kind"], r["period"], r["detail"]] for r in rows],
        )
        app.terminal.lines(_next_steps({row["kind"] for row in rows}))
    return NEEDS_PERSON if any(r["severity"] == "blocking" for r in rows) else DONE


_OF_READINGS = {
    "absurd_value",
    "future_reading",
    "negative_quantity",
    "overlapping_intervals",
    "register_reset",
    "spike",
}


def _next_steps(kinds: set[str]) -> list[str]:
    """What a person does about exceptions of these kinds."""
    if not kinds:
        return []
    steps = []
    if kinds & _OF_READINGS:
        steps.append("readings: `m2c edit reject|accept|set --from-exception EXCEPTION …`")
    if "missing_readings" in kinds:
        steps.append(
            "missing readings: `m2c land` those days again, or `m2c edit set SITE METER energy …`"
        )
    if "unexplained_bank_line" in kinds:
        steps.append("bank lines: `m2c bank proposals --out FILE`, then `m2c bank confirm FILE …`")
    steps.append("the book: edit it, then `m2c book check`")
    return ["", "next: " + "; ".join(steps)]


@cli.group()
def exception() -> None:
    """Settle an exception: acknowledge it, or say that it is resolved."""


def _act(app: App, action: Callable[..., ActionReport], **what: Any) -> int:
    with (
        hold(app.data_dir.locks, "warehouse", purpose=app.command, on_wait=app.terminal.note),
        open_ledger(app.data_dir, acting_as=what["by"]) as ledger,
    ):
        report = action(ledger, **what)
    refresh_marts(app)
    return app.answer(
        {
            **report.as_dict(),
            "words": report.describe(),
            "exit_code": int(report.needs_person),
        }
    )


def _known(app: App, mart: str, column: str) -> set[str]:
    with open_marts(app.data_dir.marts) as marts:
        return {row[column] for row in marts.table(mart)}


@command(exception, "ack")
@click.argument("exception_id")
@with_reason
def exception_ack(app: App, exception_id: str, by: str, reason: str) -> int:
    """Say that an exception was seen; one that blocks goes on blocking."""
    known = _known(app, "billing_exceptions", "exception_id")
    return _act(
        app,
        actions.acknowledge_exception,
        exception_id=exception_id,
        by=by,
        reason=reason,
        known=known,
    )


@command(exception, "resolve")
@click.argument("exception_id")
@with_reason
def exception_resolve(app: App, exception_id: str, by: str, reason: str) -> int:
    """Say that an exception is dealt with."""
    known = _known(app, "billing_exceptions", "exception_id")
    return _act(
        app, actions.resolve_exception, exception_id=exception_id, by=by, reason=reason, known=known
    )


@command(cli, "hold")
@click.argument("subject")
@click.option("--statement", "is_statement", is_flag=True, help="SUBJECT is a statement.")
@click.option("--release", "is_release", is_flag=True, help="Lift the hold.")
@with_reason
def hold_reminders(
    app: App, subject: str, is_statement: bool, is_release: bool, by: str, reason: str
) -> int:
    """Hold back the reminders of a payer or a statement, or lift the hold."""
    return _act(
        app,
        actions.release if is_release else actions.hold,
        scope="statement" if is_statement else "payer",
        subject=subject,
        by=by,
        reason=reason,
        known_payers=_known(app, "payers", "payer_id"),
    )


@command(cli)
@click.argument("payer")
@click.argument("until", type=DAY)
@with_reason
def promise(app: App, payer: str, until: date, by: str, reason: str) -> int:
    """Record that a payer promised to pay by a date; reminders wait until it has passed."""
    return _act(
        app,
        actions.promise,
        payer_id=payer,
        until=until,
        by=by,
        reason=reason,
        today=clock_from_env()().date(),
        known_payers=_known(app, "payers", "payer_id"),
    )


@cli.group()
def dispute() -> None:
    """Open or decide disputes of issued statements, of single lines, of charge events.

    SUBJECT is a statement (number or id), a line_key, or an event_id. What is disputed is not asked
    for until somebody decides: a line stays off its statement, or, once it is issued, nothing
    chases the statement.
    """


@command(dispute, "open")
@click.argument("subject")
@with_reason
def dispute_open(app: App, subject: str, by: str, reason: str) -> int:
    """Open a dispute."""
    return _dispute(app, disputes.open_dispute, subject=subject, by=by, reason=reason)


@command(dispute, "resolve")
@click.argument("subject")
@click.option("--upheld", "outcome", flag_value="upheld", help="It is not owed: taken back.")
@click.option("--rejected", "outcome", flag_value="rejected", help="It is owed: billed.")
@with_reason
def dispute_resolve(app: App, subject: str, outcome: str | None, by: str, reason: str) -> int:
    """Decide a dispute; of a line or an event say --upheld or --rejected."""
    return _dispute(
        app, disputes.resolve_dispute, subject=subject, outcome=outcome, by=by, reason=reason
    )


@command(dispute, "list")
@click.option("--all", "with_decided", is_flag=True, help="Those that are decided, too.")
def dispute_list(app: App, with_decided: bool) -> int:
    """What is disputed, and what was decided."""
    with open_marts(app.data_dir.marts) as marts:
        rows = queries.disputes(marts, with_decided=with_decided)
    if app.terminal.as_json:
        app.terminal.json(rows)
    else:
        columns = ["scope", "subject", "state", "statement_id", "amount", "currency", "said_by"]
        app.terminal.table(
            [*columns, "reason"], [[row[c] for c in (*columns, "reason")] for row in rows]
        )
    return DONE


def _dispute(app: App, action: Callable[..., ActionReport], **what: Any) -> int:
    def act(ledger: Ledger, **said: Any) -> ActionReport:
        with open_marts(app.data_dir.marts) as marts:
            return action(ledger, marts=marts, **said)

    return _act(app, act, **what)


@cli.group()
def edit() -> None:
    """Edit readings: propose a row of reading_edits.csv, see what it does, write it with --write.

    SITE METER METRIC name the readings, --from and --to the span in which they begin. Or let
    --from-exception take them from an exception, whose span is one UTC day: narrow it with --from
    and --to, and name METRIC where the meter has several.
    """


def _edit_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for decorate in (
        click.option("--write", is_flag=True, help="Write the row; without it, it is only shown."),
        click.option("--by", required=True, help="Who decides; kept in the book."),
        click.option("--reason", required=True, help="Why, in words; kept in the book."),
        click.option(
            "--from-exception",
            "exception_id",
            metavar="EXCEPTION",
            help="Take site, meter, metric and the UTC day from this exception.",
        ),
        click.option("--to", "end", metavar="INSTANT", help="And before this instant."),
        click.option(
            "--from",
            "start",
            metavar="INSTANT",
            help="From this instant on, with offset, such as 2026-10-15T12:00:00Z.",
        ),
        click.argument("subject", nargs=-1, metavar="[SITE METER METRIC]"),
    ):
        function = decorate(function)
    return function


def _edit(
    app: App,
    action: str,
    *,
    subject: tuple[str, ...],
    start: str | None,
    end: str | None,
    exception_id: str | None,
    reason: str,
    by: str,
    write: bool,
    quantity: str | None = None,
) -> int:
    if exception_id is not None:
        if len(subject) > 1:
            raise click.UsageError("--from-exception gives site and meter; name METRIC at most")
        try:
            span = span_of_exception(
                app.data_dir, exception_id, metric=subject[0] if subject else None
            )
        except NoEditError as error:
            raise click.UsageError(str(error)) from error
        site, meter, metric = span.site_id, span.meter_id, span.metric
        start, end = start or span.start, end or span.end
    elif len(subject) != 3:
        raise click.UsageError("name SITE METER METRIC, or give --from-exception")
    else:
        site, meter, metric = subject
    if start is None or end is None:
        raise click.UsageError("give --from and --to, instants with offset")
    text = EditText(
        site_id=site,
        meter_id=meter,
        metric=metric,
        start=start,
        end=end,
        action=action,
        quantity=quantity,
        reason=reason,
        by=by,
    )
    if write:
        with hold(app.data_dir.locks, "book", purpose=app.command, on_wait=app.terminal.note):
            proposal = propose_edit(app.data_dir.book, text)
            lies = touched(app.data_dir, proposal.edit)
            proposal.write()
        outcome = (
            f"Written to {proposal.path}, line {proposal.line}. The change is in the working copy "
            "of the book: commit it, and the next build applies it."
        )
    else:
        proposal = propose_edit(app.data_dir.book, text)
        lies = touched(app.data_dir, proposal.edit)
        outcome = f"Nothing was written; --write puts it into {proposal.path}."
    words = describe(proposal.edit, lies)
    if app.terminal.as_json:
        app.terminal.json(
            {
                "file": proposal.path,
                "line": proposal.line,
                "header": proposal.header,
                "row": proposal.row,
                "written": write,
                "warnings": proposal.warnings,
                "touches": lies.as_dict(),
                "words": words,
            }
        )
    else:
        app.terminal.lines([proposal.header, proposal.row, "", *words])
        app.terminal.lines(f"Warning: {warning}" for warning in proposal.warnings)
        app.terminal.lines([outcome])
    return DONE


@command(edit, "reject")
@_edit_options
def edit_reject(app: App, **options: Any) -> int:
    """Take readings out: those that begin in the span are not billed."""
    return _edit(app, "reject", **options)


@command(edit, "accept")
@_edit_options
def edit_accept(app: App, **options: Any) -> int:
    """Let readings pass the check of spikes: what was quarantined as one is billed."""
    return _edit(app, "accept", **options)


@command(edit, "set")
@_edit_options
@click.option(
    "--quantity", required=True, metavar="DECIMAL", help="In kWh, h, GB or l, by the metric."
)
def edit_set(app: App, **options: Any) -> int:
    """Take readings out and put one interval of a quantity in their place."""
    return _edit(app, "set", **options)


# --- answers
# --------------------------------------------------------------------------------------


@command(cli)
@click.argument("statement")
def story(app: App, statement: str) -> int:
    """Everything that happened to a statement, in order: readings, close, approvals, issue, Xero,
    payments, reminders, disputes, adjustments. With --json the payloads are there too."""
    if not app.data_dir.has_ledger():
        raise SettingsError(f"{app.data_dir.root} has no ledger yet: nothing was closed there")
    published = app.data_dir.marts.is_file()
    with (
        open_ledger(app.data_dir, acting_as="story") as ledger,
        open_marts(app.data_dir.marts) if published else nullcontext() as marts,
    ):
        told = tell_story(ledger, statement, marts)
    if app.terminal.as_json:
        app.terminal.json(told.as_dict())
    else:
        app.terminal.lines(told.describe())
    return DONE


@command(cli, "evidence")
@click.argument("statement")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write; evidence/STATEMENT in the data dir without it.",
)
def write_evidence(app: App, statement: str, out: Path | None) -> int:
    """Write a folder from which anybody recomputes a statement with DuckDB alone.

    Its SQL is run on the spot: exit code 1 if anything does not come out as it is stated.
    """
    from exporters.statements.evidence import EvidenceError
    from orchestration.evidence import evidence_of

    try:
        with app.terminal.step(f"writing evidence of {statement}"):
            written = evidence_of(app.data_dir, statement, out=out and out.absolute())
    except EvidenceError as error:
        raise click.UsageError(str(error)) from error
    if app.terminal.as_json:
        app.terminal.json(written.as_dict())
    else:
        app.terminal.lines(written.describe())
    return DONE if written.agrees else NEEDS_PERSON


@command(cli, "explain")
@click.argument("line_key")
@click.option("--day", type=DAY, help="Its readings of one day of the contract's clock.")
@click.option("--machine", metavar="MACHINE", help="Its readings of one machine.")
@click.option("--all", "in_full", is_flag=True, help="Every row of every level.")
def explain_line(
    app: App, line_key: str, day: date | None, machine: str | None, in_full: bool
) -> int:
    """Take a statement line apart: rule, sites, machines, days, readings, landed batches.

    LINE_KEY is the line's key, as `m2c statements STATEMENT --json` and the mart statement_lines
    have it. Sums are compared at every level; one that does not agree ends with exit code 1.
    """
    from exporters.explain import ExplainError, explain, page

    landed = landed_files(app.data_dir)
    try:
        told = explain(app.data_dir.marts, landed, line_key, day=day, machine=machine)
    except ExplainError as error:
        raise click.UsageError(str(error)) from error
    if app.terminal.as_json:
        app.terminal.json(told.as_dict())
    else:
        for part in page(told, in_full=in_full):
            if part.heading is not None:
                app.terminal.heading(part.heading)
            app.terminal.lines(part.lines)
            if part.columns:
                app.terminal.table(part.columns, part.rows)
            app.terminal.lines(part.after)
    return DONE if told.agrees else NEEDS_PERSON


@command(cli)
@click.option("--period", type=PERIOD, help="Only this month.")
@click.option(
    "--render", "with_files", is_flag=True, help="Make PDF, HTML and XLSX; previews before issue."
)
@click.argument("statement", required=False)
def statements(app: App, period: str | None, statement: str | None, with_files: bool) -> int:
    """The statements, or the lines of one; with --render their files, as they would look now."""
    if with_files:
        return _render_statements(app, period, statement)
    with open_marts(app.data_dir.marts) as marts:
        if statement is None:
            rows = queries.statements(marts, period=period)
            columns = [
                *("statement_id", "statement_number", "state", "total", "projected_total"),
                *("currency", "measured_until", "invoice"),
            ]
        else:
            rows = queries.statement_lines(marts, statement)
            columns = [
                *("description", "quantity", "unit", "amount", "tax_amount", "currency"),
                "line_key",
            ]
            if not rows:
                raise click.BadParameter(f"no statement {statement!r}; see `m2c statements`")
    if app.terminal.as_json:
        app.terminal.json(rows)
    else:
        app.terminal.table(columns, [[row[column] for column in columns] for row in rows])
    return DONE


def _render_statements(app: App, period: str | None, statement: str | None) -> int:
    if period is None and statement is None:
        raise click.UsageError("name a STATEMENT or a --period to render")
    with open_marts(app.data_dir.marts) as marts:
        found = [
            row
            for row in queries.statements(marts, period=period)
            if statement in (None, row["statement_id"], row["statement_number"])
        ]
    if not found:
        what = f"statement {statement!r}" if statement else f"statements of {period}"
        raise click.BadParameter(f"no {what}; see `m2c statements`")
    rendered = preview(app, found)
    if app.terminal.as_json:
        app.terminal.json([one.as_dict() for one in rendered])
    else:
        app.terminal.table(
            ["statement", "", "file"],
            [
                [one.statement_id, "preview" if one.is_preview else "issued", path]
                for one in rendered
                for path in one.paths.values()
            ],
        )
    return DONE


@command(cli)
@click.argument("plan_file", metavar="PLAN.yml", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--periods", type=PERIODS, required=True, help="Months of past usage, inclusive.")
@click.option(
    "--contract",
    "contracts",
    multiple=True,
    help="Put this contract on the plan; may be given again. Without it: those that are on it.",
)
@click.option(
    "--by-date",
    is_flag=True,
    help="Each version of the file counts from its valid_from; without it the last one always.",
)
@click.option("--all", "with_all", is_flag=True, help="Show every line that moves.")
def whatif(
    app: App,
    plan_file: Path,
    periods: tuple[str, str],
    contracts: tuple[str, ...],
    by_date: bool,
    with_all: bool,
) -> int:
    """Rate past usage with a changed or new plan, and touch nothing.

    Shows per customer what the last build rated, what the plan would bring, and which lines move;
    amounts are before tax and credits.
    """
    from orchestration.whatif import Question, what_if

    question = Question(
        plan_file=plan_file,
        first=periods[0],
        last=periods[1],
        contracts=contracts,
        by_date=by_date,
    )
    with app.terminal.step(f"rating {periods[0]} to {periods[1]} with {plan_file.name}"):
        answer = what_if(app.data_dir, question, now=clock_from_env()())
    if app.terminal.as_json:
        app.terminal.json(asdict(answer))
    else:
        show_what_if(app, answer, with_all=with_all)
    return NEEDS_PERSON if answer.not_rated else DONE


@cli.group()
def book() -> None:
    """The billing book: check it, read its plans in words, see what a change does to them."""


@command(book)
def check(app: App) -> int:
    """Validate every file of the book and show all faults at once."""
    loaded = load_book(app.data_dir.book)
    warnings = [*loaded.warnings, *check_texts(loaded, app.data_dir.mail_texts)]
    if app.terminal.as_json:
        app.terminal.json({"book_version": loaded.version, "warnings": warnings})
    else:
        app.terminal.lines([f"book {loaded.version} is sound", *warnings])
    return DONE


@command(book)
def show(app: App) -> int:
    """Every plan version in the sentences that finance signs."""
    words = render_words(load_book(app.data_dir.book))
    if app.terminal.as_json:
        app.terminal.json(
            [
                {
                    "plan_id": plan.plan_id,
                    "version": plan.version,
                    "valid_from_month": plan.valid_from_month,
                    "words": plan.text,
                }
                for plan in words
            ]
        )
    else:
        for plan in words:
            app.terminal.heading(
                f"{plan.plan_id}, version {plan.version}, from {plan.valid_from_month}"
            )
            app.terminal.lines([plan.text])
    return DONE


@command(book)
@click.argument("revision", default="HEAD")
def diff(app: App, revision: str) -> int:
    """The sentences of plans that differ from those of a git REVISION (HEAD)."""
    changes = words_since(app.data_dir.book, revision)
    if app.terminal.as_json:
        app.terminal.json([{**asdict(change), "change": change.change} for change in changes])
        return DONE
    for (plan_id, version), group in groupby(changes, key=lambda c: (c.plan_id, c.version)):
        app.terminal.heading(f"{plan_id}, version {version}")
        for change in group:
            app.terminal.lines(
                f"{sign} {sentence}"
                for sign, sentence in (("-", change.before), ("+", change.after))
                if sentence is not None
            )
    if not changes:
        app.terminal.lines([f"no sentence of a plan differs from {revision}"])
    return DONE


# --- care -----------------------------------------------------------------------------------------


@command(cli)
@click.argument("folder", required=False, type=FOLDER)
@click.option("--keep", type=click.IntRange(min=1), help="Remove all but the newest so many.")
def backup(app: App, folder: Path | None, keep: int | None) -> int:
    """Copy ledger, landing zone and book as one consistent set into FOLDER.

    FOLDER may hold earlier backups: only what is new is copied. Nightly runs may be going.
    Without FOLDER it is M2C_BACKUP_DIR, else a folder of the data dir itself.
    """
    from orchestration.backups.take import take_backup

    target = folder or app.data_dir.backups
    with app.terminal.step(f"backing up to {target}"):
        taken = take_backup(
            app.data_dir, target, clock=clock_from_env(), keep=keep, on_wait=app.terminal.note
        )
    return app.answer(taken.as_dict())


@command(cli)
@click.argument("folder", required=False, type=FOLDER)
@click.option("--backup", "name", metavar="NAME", help="Which one; without it the newest.")
@click.option("--force", is_flag=True, help="Also over what the data dir holds; it is kept aside.")
@click.option("--dry-run", is_flag=True, help="Verify every byte of the backup; change nothing.")
def restore(app: App, folder: Path | None, name: str | None, force: bool, dry_run: bool) -> int:
    """Restore ledger, landing zone and book from the backups in FOLDER.

    Everything is verified first. Afterwards --apply is refused until `m2c reconcile`.
    """
    from orchestration.backups.putback import put_back

    source = folder or app.data_dir.backups
    with app.terminal.step(f"{'verifying' if dry_run else 'restoring'} a backup of {source}"):
        done = put_back(
            app.data_dir,
            source,
            clock=clock_from_env(),
            actor=actor_named("restore"),
            name=name,
            force=force,
            dry_run=dry_run,
            on_wait=app.terminal.note,
        )
    return app.answer(done.as_dict())


@command(cli, "reconcile")
@click.option("--dry-run", is_flag=True, help="Show what it would write; write nothing.")
@click.option("--issue-again", metavar="STATEMENT", help="Let a lost statement be issued again.")
@click.option("--by", help="Who reconciles, or lets it be issued again.")
@click.option("--reason", help="Why it may be issued again, in words.")
def reconcile_ledger(
    app: App, dry_run: bool, issue_again: str | None, by: str | None, reason: str | None
) -> int:
    """Compare a restored ledger with what is known elsewhere, so that acting is allowed again.

    Number series go on behind every number that was given, reminder stages are set to at least
    what was sent, and nothing is sent while something is in the way.
    """
    from exporters.reconcile.reconcile import issue_again as let_issue_again
    from orchestration.care import reconcile_data_dir

    if issue_again is not None:
        if not by or not reason:
            raise click.UsageError("--issue-again needs --by and --reason")
        with (
            hold(app.data_dir.locks, "warehouse", purpose=app.command, on_wait=app.terminal.note),
            open_ledger(app.data_dir, acting_as=by) as ledger,
        ):
            lost = let_issue_again(ledger, issue_again, by=by, reason=reason)
        number = f"{lost['statement_id']} (lost as {lost['statement_number']})"
        words = [f"{number} may be issued again under a new number, by {by}: {reason}"]
        return app.answer({**lost, "words": words, "exit_code": DONE})
    with app.terminal.step("reconciling the ledger" + (" (dry run)" if dry_run else "")):
        found = reconcile_data_dir(
            app.data_dir,
            dry_run=dry_run,
            by=by or "reconcile",
            clock=clock_from_env(),
            say=app.terminal.note,
        )
    if found.restored is not None and not dry_run and app.data_dir.marts.exists():
        refresh_marts(app)
    return app.answer(
        {**found.as_dict(), "words": found.describe(), "exit_code": int(found.needs_person)}
    )


@cli.group("ledger")
def ledger_care() -> None:
    """Care of the ledger alone: prove that it is whole, copy it, put a copy back."""


@command(ledger_care, "verify")
@click.argument("copy", required=False, type=FILE)
@click.option(
    "--against",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A folder of backups or a copy whose head the ledger must hold; may be given again.",
)
def ledger_verify(app: App, copy: Path | None, against: tuple[Path, ...]) -> int:
    """Read every fact against the hash chain, and the chain against the heads known elsewhere.

    Those of published marts and of backups; a tail that was cut off shows by them. With COPY that
    copy of a ledger is read instead.
    """
    from orchestration.care import verify_copy, verify_ledger

    if copy is not None:
        return app.answer(verify_copy(copy, clock=clock_from_env()))
    return app.answer(verify_ledger(app.data_dir, against))


@command(ledger_care, "backup")
@click.argument("target", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite a copy that this ledger does not continue.")
def ledger_backup(app: App, target: Path | None, force: bool) -> int:
    """Copy the ledger to a file (or into a folder), while others write to it.

    A copy is a SQLite ledger whatever database the ledger is in, so it also moves one to another.
    """
    from orchestration.care import back_up_ledger

    return app.answer(back_up_ledger(app.data_dir, target, clock=clock_from_env(), force=force))


@command(ledger_care, "restore")
@click.argument("source", type=FILE)
@click.option("--force", is_flag=True, help="Lose the facts that the copy has not (kept aside).")
def ledger_restore(app: App, source: Path, force: bool) -> int:
    """Put a copy in the place of the ledger, which is kept aside; the copy is verified first.

    Facts keep their ids, instants, authors and hashes. Afterwards --apply is refused until
    `m2c reconcile`.
    """
    from orchestration.care import restore_ledger

    return app.answer(
        restore_ledger(
            app.data_dir, source, clock=clock_from_env(), force=force, say=app.terminal.note
        )
    )


# --- demo -----------------------------------------------------------------------------------------


@command(cli)
@click.option(
    "--replay",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Bill recorded real readings from this folder instead, in a data dir of their own.",
)
def demo(app: App, replay: Path | None) -> int:
    """Run the whole chain on this machine: four sites, a month, invoices, payments, reminders."""
    from orchestration import demo as chain

    return chain.replay(app, replay) if replay else chain.run(app)


@command(cli)
def docs(app: App) -> int:
    """Write the data dictionary (dbt docs) as one web page."""
    from orchestration.dictionary import write_docs

    with app.terminal.step("writing the data dictionary"):
        page = write_docs(app.data_dir)
    if app.terminal.as_json:
        app.terminal.json({"page": page})
    else:
        app.terminal.lines([str(page)])
    return DONE


@command(cli)
@click.option("--port", default=3000, show_default=True, help="Port on loopback.")
def ui(app: App, port: int) -> int:
    """Open Dagster's web UI on this data dir, on loopback only, until interrupted."""
    from orchestration.web import serve

    return serve(app.data_dir, port=port)


def main() -> None:
    """Run `m2c` and turn what went wrong into words and an exit code."""
    terminal = Terminal(as_json=False)
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show()
        code = WRONG_USE
    except click.Abort:
        terminal.error("interrupted")
        code = FAILURE
    except (
        AnotherVersionError,
        BackupError,
        BookError,
        LockBusyError,
        MartsError,
        RefusedError,
    ) as error:
        terminal.error(str(error))
        code = NEEDS_PERSON
    except (ActionError, CloseError, SettingsError) as error:
        terminal.error(str(error))
        code = WRONG_USE
    except (StorageError, StorageUnreachableError, StoreError) as error:
        terminal.error(str(error))
        code = FAILURE
    except LedgerError as error:
        terminal.error(str(error))
        code = NEEDS_PERSON
    except Exception as error:  # noqa: BLE001 - the last line of defence: words, a log, exit code 3
        code = _tell_failure(terminal, error)
    sys.exit(code)


def _tell_failure(terminal: Terminal, error: Exception) -> int:
    from exporters.statements import LogoError  # likewise
    from exporters.xero import errors as of_xero  # a second to load, and only publishing needs it

    if isinstance(error, (of_xero.XeroConfigError, LogoError)):
        terminal.error(str(error))
        return WRONG_USE
    if isinstance(
        error, (of_xero.XeroAuthError, of_xero.AccessDeniedError, of_xero.PublisherBusyError)
    ):
        terminal.error(str(error))
        return NEEDS_PERSON
    data_dir = DataDir.from_env()
    words = disk_in_words(error, [data_dir.root, data_dir.backups, Path(gettempdir())])
    terminal.error(words or f"failed: {type(error).__name__}: {error}")
    log = log_path(data_dir)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(f"m2c {' '.join(sys.argv[1:])} ({code_version()}) at {clock_from_env()()}\n")
            traceback.print_exception(error, file=file)
    except OSError:  # the same disk, very likely; what went wrong is said already
        terminal.note("nothing is half-done, the command can be run again")
    else:
        terminal.note(f"details are in {log}; nothing is half-done, the command can be run again")
    return FAILURE


if __name__ == "__main__":
    main()
