"""Take mail that came back: read it, find the message, note it in the ledger, put the mail away.

In this order, so that a run that dies in between is repeated by the next: what the ledger has is
found there again (`known`), and a mail is moved or marked only after that. A dry run, the default,
shows what would be noted and touches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from exporters.collections.bounces.mailbox import Mailbox, MailboxError, MailboxSettings
from exporters.collections.bounces.matching import Finding, Outcome, judge
from exporters.collections.bounces.reading import Verdict, read_returned
from exporters.collections.bounces.report import BouncesReport, Found
from exporters.collections.bounces.sources import Batch, Letter, dropped
from exporters.ledger import Ledger, tables


def take_bounces(
    ledger: Ledger,
    *,
    clock: Callable[[], datetime],
    inbox: Path,
    taken: Path,
    mailbox: MailboxSettings | None = None,
    apply: bool = False,
) -> BouncesReport:
    """Take the mails of a drop folder and of a mailbox, if there is one.

    inbox, taken: where mails are dropped, and where settled ones go. A mailbox that cannot be read
    does not keep the folder from being taken; the report says so. Raises LedgerError if the ledger
    cannot be written.
    """
    report = BouncesReport(now=clock(), applied=apply)
    with ExitStack() as stack:
        if apply:
            inbox.mkdir(parents=True, exist_ok=True)
            lock = FileLock(inbox / ".bounces.lock")
            try:
                stack.enter_context(lock.acquire(timeout=0))
            except Timeout:
                report.problems.append("another run is taking returned mail right now")
                return report
        _take(ledger, dropped(inbox, taken), report)
        if mailbox is not None:
            try:
                with Mailbox(mailbox, may_mark=apply) as opened:
                    _take(ledger, opened.unread(), report)
            except MailboxError as error:
                report.problems.append(str(error))
    return report


def _take(ledger: Ledger, batches: Iterable[Batch], report: BouncesReport) -> None:
    for batch in batches:
        try:
            settled = [_settle(ledger, letter, batch, report) for letter in batch.letters()]
            if report.applied and settled and all(settled):
                batch.put_away()
        except OSError as error:
            report.problems.append(f"{batch.name}: {error}")


def _settle(ledger: Ledger, letter: Letter, batch: Batch, report: BouncesReport) -> bool:
    """Whether nobody needs the mail any more."""
    returned = read_returned(letter.content)
    with ledger.snapshot() as reader:
        finding = judge(returned, reader, now=report.now)
    if batch.shared and _is_not_for_us(returned.verdict, finding):
        report.passed_over += 1
        return False
    if report.applied and finding.facts:
        with ledger.transaction() as tx:
            tx.record_many(tables.deliveries, finding.facts)
    told = f" ({returned.subject})" if finding.outcome is Outcome.LEFT and returned.subject else ""
    report.mails.append(
        Found(
            name=f"{letter.name}{told}",
            outcome=finding.outcome,
            words=finding.words,
            recipients=tuple(fact["recipient"] for fact in finding.facts),
        )
    )
    return finding.outcome is not Outcome.LEFT


def _is_not_for_us(verdict: Verdict, finding: Finding) -> bool:
    """A mail among other people's that is no report, or an answer to somebody else."""
    return verdict is Verdict.OTHER or (
        finding.outcome is Outcome.HARMLESS and not finding.about_ours
    )
