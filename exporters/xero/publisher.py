"""Publishing issued statements to Xero, each exactly once, whatever fails in between.

The order of every effect: look (find by number) → write the intent down → send → write down what
came back → compare → only then approve. Nothing is sent twice on a guess: an unknown outcome is
looked up first. What a person did in Xero is reported, never overwritten. How a document looks is
`mapping`; what the ledger remembers is `records`; the steps are in `publishing`, in order here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import httpx

from exporters.ledger import Ledger
from exporters.reconcile.gate import require_reconciled
from exporters.statements.files import RenderedFolder
from exporters.xero import records
from exporters.xero.compare import APPROVED, WAITING
from exporters.xero.config import XeroConfig
from exporters.xero.errors import (
    XeroConfigError,
)
from exporters.xero.facts import BookFacts, Statement, read_book, read_statements
from exporters.xero.lock import publisher_lock
from exporters.xero.publishing.allocating import allocate
from exporters.xero.publishing.approving import approve
from exporters.xero.publishing.contacts import create_contacts
from exporters.xero.publishing.creating import adopt, create
from exporters.xero.publishing.finishing import attach_files, fetch_links, settle_open
from exporters.xero.publishing.planning import plan
from exporters.xero.publishing.run import KNOWN, Item, Run, batches
from exporters.xero.report import PublishReport
from exporters.xero.visit import visiting

Clock = Callable[[], datetime]


def publish(
    marts_path: Path,
    ledger: Ledger,
    period: str,
    *,
    config: XeroConfig,
    clock: Clock,
    apply: bool = False,
    reports_dir: Path | None = None,
    sleep: Callable[[float], None] = time.sleep,
    timer: Callable[[], float] = time.monotonic,
    http: httpx.Client | None = None,
) -> PublishReport:
    """Show the plan for the issued statements of `period` (`YYYY-MM`), or act on it.

    reports_dir: where the statements' PDF and XLSX files are (default `reports/<period>`).
    Raises NotReconciledError before anything is sent if the ledger was put back to an older copy.
    Needs the sellers' Xero organisations in the marts, or `config.tenant_id`. Raises nothing of
    Xero's making: failures are in the report, with an exit code.
    """
    report = PublishReport(period=period, applied=apply)
    if apply:
        require_reconciled(ledger, marts_path)
    statements = read_statements(ledger, period)
    if not statements:
        return report
    facts = read_book(marts_path)
    folder = RenderedFolder(reports_dir or config.data_dir / "reports" / period)
    rendered = {
        one.number: folder.files(one.number, one.statement_id, suffixes=("pdf", "xlsx"))
        for one in statements
    }
    try:
        groups = _by_tenant(statements, facts, config)
    except XeroConfigError as error:
        report.failure = str(error)
        return report
    for tenant, group in groups:
        with visiting(
            tenant,
            report,
            config,
            among_others=len(groups) > 1,
            clock=clock,
            sleep=sleep,
            timer=timer,
            http=http,
        ) as client:
            run = Run(client, ledger, facts, group, report, rendered)
            if apply:
                with publisher_lock(config.locks_dir, tenant):
                    plan(run)
                    _apply(run)
            else:
                plan(run)
    report.lines.sort(key=lambda line: line.statement_number)
    _note_settled(ledger, report)
    return report


def _note_settled(ledger: Ledger, report: PublishReport) -> None:
    """What a person resolved as it stands needs nobody any more, until it is something else."""
    ids = {
        records.exception_id(line.action, line.statement_number, line.detail): line
        for line in report.unresolved
    }
    for exception_id, words in records.settled_by_hand(ledger, list(ids)).items():
        ids[exception_id].settled = words


def _by_tenant(
    statements: Sequence[Statement], facts: BookFacts, config: XeroConfig
) -> list[tuple[str, list[Statement]]]:
    groups: dict[str, list[Statement]] = {}
    for statement in statements:
        tenant = facts.tenant_of(statement.seller_id, config.tenant_id)
        if not tenant:
            raise XeroConfigError(
                f"{statement.number}: seller {statement.seller_id} has no xero_tenant_id in "
                "seller.yml and M2C_XERO_TENANT_ID is not set"
            )
        groups.setdefault(tenant, []).append(statement)
    return sorted(groups.items())


def _apply(run: Run) -> None:
    """Do what the plan says, in the order that can be resumed at any point."""
    _record_findings(run)
    settle_open(run, [item for item in run.items if item.line.action == "already there"])
    for item in run.items:
        if item.line.action == "adopt":
            adopt(run, item)
    create_contacts(run, [item for item in run.items if item.line.action == "create"])
    for batch in batches([item for item in run.items if item.line.action == "create"]):
        create(run, batch)
    with run.ledger.transaction() as tx:
        for item in run.acted_on:
            status = (item.remote or {}).get("Status")
            if status not in KNOWN:
                run.quarantine(tx, item, f"Xero gives it a status we do not know: {status}")
    for batch in batches([item for item in run.acted_on if _status(item) in WAITING]):
        approve(run, batch)
    _finish(run, [item for item in run.acted_on if _status(item) in APPROVED])


def _status(item: Item) -> object:
    return (item.remote or {}).get("Status")


def _finish(run: Run, approved: list[Item]) -> None:
    with run.ledger.transaction() as tx:
        for item in approved:
            if item.state != "published":
                run.observe(tx, item, item.remote, state="published")
    invoices = [item for item in approved if item.kind == "invoice"]
    fetch_links(run, [item for item in invoices if not (item.last or {}).get("online_url")])
    for item in approved:
        if item.kind == "credit_note" and not item.history.allocated:
            allocate(run, item)
    attach_files(run, approved)
    settle_open(run, approved)


def _record_findings(run: Run) -> None:
    """What was seen and needs no call: drift, conflicts, quarantines, payments meanwhile."""
    states = {"drifted": "drifted", "conflict": "conflict", "quarantined": "quarantined"}
    chosen = [
        item
        for item in run.items
        if item.line.action in states or item.line.action == "already there"
    ]
    if not chosen:
        return
    with run.ledger.transaction() as tx:
        for item in chosen:
            foreign = item.line.action == "conflict"
            run.observe(
                tx,
                item,
                None if foreign else item.remote,
                state=states.get(item.line.action, "published"),
                problem=item.line.detail or None,
            )
