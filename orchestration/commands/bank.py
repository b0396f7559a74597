"""Commands about the bank: import, proposals, confirm, dismiss, release, post."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestration.commands.base import FILE, cli, command, with_reason
from orchestration.ledger import open_ledger
from orchestration.locks import hold
from orchestration.steps import App, post_confirmed, refresh_marts
from orchestration.terminal import NEEDS_PERSON

if TYPE_CHECKING:
    from exporters.bank.decisions import DecisionReport
    from exporters.ledger import Ledger


@cli.group()
def bank() -> None:
    """What the bank saw: bring its lines in, match them to statements, confirm."""


def _with_ledger(app: App, acting_as: str, work: Callable[[Ledger], Any]) -> Any:
    with (
        hold(app.data_dir.locks, "warehouse", purpose=app.command, on_wait=app.terminal.note),
        open_ledger(app.data_dir, acting_as=acting_as) as ledger,
    ):
        before = ledger.head()
        report = work(ledger)
        changed = ledger.head() != before
    if changed:
        refresh_marts(app)
    return report


def _answer(app: App, report: Any) -> int:
    return app.answer({**report.as_dict(), "words": report.describe()})


def _decide(app: App, by: str, work: Callable[[Ledger, dict[str, Any]], DecisionReport]) -> int:
    from exporters.bank import BankError
    from exporters.bank.decisions import NotTakenError
    from orchestration.bank import bank_book

    try:
        report = _with_ledger(app, by, lambda ledger: work(ledger, bank_book(app.data_dir)))
    except (BankError, NotTakenError) as error:
        app.terminal.error(str(error))
        return NEEDS_PERSON
    return _answer(app, report)


@command(bank, "import")
@click.argument("files", nargs=-1, type=FILE)
def import_lines(app: App, files: tuple[Path, ...]) -> int:
    """Bring in FILES of the bank (camt.053, or CSV as bank.yml describes it).

    Without FILES those of the drop folder bank/inbox of the data dir. A line is taken once,
    whatever files tell of it; a file with a fault is not taken at all.
    """
    from orchestration.bank import take_files

    report = _with_ledger(app, "bank", lambda ledger: take_files(app.data_dir, ledger, files))
    return _answer(app, report)


@command(bank, "proposals")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write them as CSV.")
def show_proposals(app: App, out: Path | None) -> int:
    """Which statements the lines nobody decided about may be for, and why."""
    from exporters import bank as of_bank
    from orchestration.bank import bank_book

    book = bank_book(app.data_dir)
    report = _with_ledger(app, "bank", lambda ledger: of_bank.propose(ledger, **book))
    if out is not None:
        of_bank.write_csv(report, out)
    return _answer(app, report)


@command(bank, "confirm")
@click.argument("subject", metavar="FILE|LINE")
@click.argument("statements", nargs=-1, metavar="[STATEMENT[=AMOUNT]]…")
@with_reason
def confirm_lines(app: App, subject: str, statements: tuple[str, ...], by: str, reason: str) -> int:
    """Say which statements lines are for: a FILE of proposals with decisions, or LINE and
    STATEMENTs."""
    from exporters import bank as of_bank

    path = Path(subject)
    if not statements:
        if not path.is_file():
            raise click.UsageError(f"no file {subject}; or name a line and its statements")
        return _decide(
            app,
            by,
            lambda ledger, book: of_bank.confirm_file(ledger, path, by=by, reason=reason, **book),
        )
    return _decide(
        app,
        by,
        lambda ledger, book: of_bank.confirm(
            ledger, subject, statements, by=by, reason=reason, **book
        ),
    )


@command(bank, "dismiss")
@click.argument("line")
@with_reason
def dismiss_line(app: App, line: str, by: str, reason: str) -> int:
    """Say that a line has nothing to do with any statement."""
    from exporters import bank as of_bank

    return _decide(
        app,
        by,
        lambda ledger, book: of_bank.dismiss(ledger, line, by=by, reason=reason, **book),
    )


@command(bank, "release")
@click.argument("line")
@with_reason
def release_line(app: App, line: str, by: str, reason: str) -> int:
    """Take back what was confirmed or dismissed of a line."""
    from exporters import bank as of_bank

    return _decide(
        app,
        by,
        lambda ledger, book: of_bank.release(ledger, line, by=by, reason=reason, **book),
    )


@command(bank, "post")
@click.option("--apply", is_flag=True, help="Act; without it only the plan is shown.")
def post(app: App, apply: bool) -> int:
    """Make confirmed payments in Xero, on accounts whose post_payments is on."""
    return app.answer(post_confirmed(app, apply=apply))
