"""Publishing issued statements to Xero, each exactly once, whatever fails in between.

The order of every effect: look (find by number) → write the intent down → send → write down what
came back → compare → only then approve. Nothing is sent twice on a guess: an unknown outcome is
looked up first. What a person did in Xero is reported, never overwritten. How a document looks is
`mapping`; what the ledger remembers is `records`.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import httpx
from sqlalchemy import select

from exporters.ledger import Ledger, Transaction, tables
from exporters.reconcile.gate import require_reconciled
from exporters.xero import mapping, preflight, records
from exporters.xero.client import Kind, XeroClient
from exporters.xero.compare import (
    APPROVED,
    GONE,
    WAITING,
    differences,
    element_errors,
    id_of,
    number_of,
)
from exporters.xero.config import XeroConfig
from exporters.xero.errors import (
    DayLimitError,
    NotDoneError,
    PublisherBusyError,
    RefusedError,
    UnavailableError,
    UncertainError,
    XeroConfigError,
    XeroError,
)
from exporters.xero.facts import BookFacts, Statement, read_book, read_numbered, read_statements
from exporters.xero.lock import publisher_lock
from exporters.xero.records import ADOPT, ALLOCATE, APPROVE, ATTACH, CONTACT, CREATE, History
from exporters.xero.report import UNRESOLVED, Action, PlanLine, PublishReport
from exporters.xero.wire import Json, encode, items, money

BATCH = 50
BATCH_BYTES = 3_000_000
ATTEMPTS = 3
KNOWN = (*WAITING, *APPROVED)
MAX_FILE_BYTES = 10 * 1024 * 1024
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
    folder = reports_dir or config.data_dir / "reports" / period
    try:
        for tenant, group in _by_tenant(statements, facts, config):
            with XeroClient(
                config.for_tenant(tenant), clock=clock, sleep=sleep, http=http
            ) as client:
                try:
                    run = _Run(client, ledger, facts, group, report, folder)
                    if apply:
                        with publisher_lock(config.locks_dir, tenant):
                            run.plan()
                            run.apply()
                    else:
                        run.plan()
                finally:
                    report.calls += client.calls
                    report.writes += client.writes
    except PublisherBusyError as error:
        report.busy = str(error)
    except DayLimitError as error:
        report.deferred_until = error.until
    except XeroError as error:
        report.failure = str(error)
    report.lines.sort(key=lambda line: line.statement_number)
    return report


def _by_tenant(
    statements: Sequence[Statement], facts: BookFacts, config: XeroConfig
) -> list[tuple[str, list[Statement]]]:
    groups: dict[str, list[Statement]] = {}
    for statement in statements:
        tenant = facts.tenants.get(statement.seller_id) or config.tenant_id
        if not tenant:
            raise XeroConfigError(
                f"{statement.number}: seller {statement.seller_id} has no xero_tenant_id in "
                "seller.yml and M2C_XERO_TENANT_ID is not set"
            )
        groups.setdefault(tenant, []).append(statement)
    return sorted(groups.items())


@dataclass
class _Item:
    """One statement on its way: what the ledger knew, what Xero holds, what is to be done."""

    statement: Statement
    history: History
    line: PlanLine
    kind: Kind
    last: Json | None
    xero_id: str | None = None
    sent: Json | None = None
    remote: Json | None = None
    needs_contact: bool = False

    @property
    def number(self) -> str:
        return self.statement.number

    @property
    def state(self) -> str | None:
        return None if self.last is None else str(self.last["publish_state"])

    def turn(self, action: Action, detail: str) -> None:
        self.line.action, self.line.detail = action, detail


class _Run:
    """One run over the statements of one organisation."""

    def __init__(
        self,
        client: XeroClient,
        ledger: Ledger,
        facts: BookFacts,
        statements: list[Statement],
        report: PublishReport,
        folder: Path,
    ) -> None:
        self._client, self._ledger, self._facts = client, ledger, facts
        self._statements, self._report = statements, report
        self._items: list[_Item] = []
        self._unsure: set[str] = set()
        self._rendered: dict[str, list[Path]] = {}
        for suffix in ("pdf", "xlsx") if folder.is_dir() else ():
            for file in sorted(folder.glob(f"*.{suffix}")):
                self._rendered.setdefault(file.stem, []).append(file)

    # Planning: reads only ----------------------------------------------------------------------

    def plan(self) -> None:
        """Decide for each statement what is to be done."""
        numbers = [statement.number for statement in self._statements]
        histories = records.read_histories(self._ledger, numbers)
        for statement in self._statements:
            history = histories[statement.number]
            kind = mapping.kind_of(statement)
            line = PlanLine(
                statement_number=statement.number,
                statement_id=statement.statement_id,
                payer_id=statement.payer_id,
                document_type="ACCRECCREDIT" if kind == "credit_note" else "ACCREC",
                currency=statement.currency,
                total=statement.total,
                action="create",
                xero_id=history.xero_id,
            )
            self._items.append(
                _Item(statement, history, line, kind, history.last, history.xero_id, history.sent)
            )
        remotes = self._look_up(self._items)
        for item in self._items:
            self._classify(item, remotes.get(item.number, []))
        self._check([item for item in self._items if item.needs_contact])
        self._report.lines += [item.line for item in self._items]

    def _look_up(self, wanted: Sequence[_Item]) -> dict[str, list[Json]]:
        """What Xero holds under the numbers, and recorded documents that carry another by now."""
        found: dict[str, list[Json]] = {}
        kinds: tuple[Kind, ...] = ("invoice", "credit_note")
        for kind in kinds:
            chosen = [item for item in wanted if item.kind == kind]
            if not chosen:
                continue
            sale = "ACCRECCREDIT" if kind == "credit_note" else "ACCREC"
            for remote in self._client.by_number(kind, [item.number for item in chosen]):
                # A purchase bill may carry any number; it is another party's.
                if remote.get("Type") in (sale, None):
                    found.setdefault(number_of(remote), []).append(remote)
            for item in chosen:
                if item.xero_id and item.xero_id not in {
                    id_of(r) for r in found.get(item.number, [])
                }:
                    remote_by_id = self._client.by_id(kind, item.xero_id)
                    if remote_by_id is not None:
                        found.setdefault(item.number, []).append(remote_by_id)
        return found

    def _classify(self, item: _Item, remotes: list[Json]) -> None:
        if item.xero_id is not None:
            self._classify_recorded(item, remotes)
            return
        live = [remote for remote in remotes if remote.get("Status") != "DELETED"]
        if not live:
            item.turn("create", "")
            item.needs_contact = True
            return
        item.remote = live[0]
        if live[0].get("Status") == "VOIDED":
            item.turn(
                "conflict",
                "a voided document that is not recorded as ours holds the number for ever: "
                "a person must settle under which number this statement goes out",
            )
            return
        item.turn("adopt", "found in Xero under its number")
        item.needs_contact = True

    def _classify_recorded(self, item: _Item, remotes: list[Json]) -> None:
        mine = next((remote for remote in remotes if id_of(remote) == item.xero_id), None)
        item.remote = mine
        if mine is None:
            item.turn("drifted", "the document is no longer in Xero; it is not created again")
            return
        status = mine.get("Status")
        if status in GONE:
            item.turn("drifted", f"a person {str(status).lower()} it in Xero; it is not sent again")
            return
        changed = differences(item.sent or {}, item.statement, mine)
        if changed:
            published = item.state in ("published", "drifted")
            item.turn("drifted" if published else "quarantined", "; ".join(changed))
        elif status in WAITING:
            item.turn("finish", "the draft is there; approve it")
        elif status not in APPROVED:
            item.turn("quarantined", f"Xero gives it a status we do not know: {status}")
        elif missing := self._missing(item):
            item.turn("finish", "; ".join(missing))
        else:
            item.turn("already there", "")

    def _missing(self, item: _Item) -> list[str]:
        """What an approved document still lacks."""
        found = []
        if item.state != "published":
            found.append("approved in Xero, not yet recorded so")
        if item.kind == "invoice" and not item.history.online_url:
            found.append("online link not read")
        absent = [f.name for f in self._files(item) if f.name not in item.history.attached]
        if absent:
            found.append(f"not attached: {', '.join(absent)}")
        if item.kind == "credit_note" and not item.history.allocated:
            found.append("not allocated")
        return found

    def _check(self, wanted: list[_Item]) -> None:
        """Preflight and contacts for what would be created or adopted."""
        if not wanted:
            return
        settings = preflight.read_settings(self._client, self._facts)
        contacts = self._client.contacts()
        theme = self._facts.branding_theme
        theme_id = settings.themes.get(theme) if theme else None
        for item in wanted:
            statement = item.statement
            payer = self._facts.payers.get(statement.payer_id)
            match = preflight.ContactMatch(None, None)
            if payer is not None:
                match = preflight.match_contact(payer, contacts)
            if item.line.action == "adopt":
                self._check_adoption(item, match, theme_id)
                continue
            faults = preflight.problems(statement, self._facts, settings)
            if match.problem:
                faults.append(match.problem)
            if faults:
                item.turn("quarantined", "; ".join(faults))
                continue
            item.sent = mapping.document(
                statement, self._facts, contact_id=match.contact_id or "", theme_id=theme_id
            )

    def _check_adoption(
        self, item: _Item, match: preflight.ContactMatch, theme_id: str | None
    ) -> None:
        """Only a document that agrees in everything is taken for ours."""
        remote = item.remote or {}
        contact = remote.get("Contact")
        contact_id = str(contact.get("ContactID")) if isinstance(contact, dict) else ""
        tried = item.sent is not None and _may_be_ours(item.sent, remote)
        faults: list[str] = []
        if not tried:
            # What an attempt of ours would have sent says nothing of somebody else's document.
            item.sent = None
            try:
                item.sent = mapping.document(
                    item.statement, self._facts, contact_id=contact_id, theme_id=theme_id
                )
            except mapping.MappingProblemError as error:
                faults.append(str(error))
            if match.contact_id is None or contact_id.lower() != match.contact_id.lower():
                faults.append(f"it belongs to another contact than payer {item.statement.payer_id}")
        if item.sent is not None:
            faults += differences(item.sent, item.statement, remote)
        if not faults:
            return
        if tried:
            item.turn("quarantined", "Xero's document differs from ours: " + "; ".join(faults))
        else:
            item.turn("conflict", "another document holds the number: " + "; ".join(faults))

    # Acting ------------------------------------------------------------------------------------

    def apply(self) -> None:
        """Do what the plan says, in the order that can be resumed at any point."""
        self._record_findings()
        for item in self._items:
            if item.line.action == "adopt":
                self._adopt(item)
        to_create = [item for item in self._items if item.line.action == "create"]
        self._create_contacts(to_create)
        for batch in _batches([item for item in to_create if item.line.action == "create"]):
            self._create(batch)
        with self._ledger.transaction() as tx:
            for item in self._items:
                if item.line.action in ("create", "adopt", "finish") and item.remote is not None:
                    status = item.remote.get("Status")
                    if status not in KNOWN:
                        words = f"Xero gives it a status we do not know: {status}"
                        self._quarantine(tx, item, words)
        drafts = [
            item
            for item in self._items
            if item.line.action in ("create", "adopt", "finish")
            and item.remote is not None
            and item.remote.get("Status") in WAITING
        ]
        for batch in _batches(drafts):
            self._approve(batch)
        for item in self._items:
            if item.line.action in ("create", "adopt", "finish") and item.remote is not None:
                self._finish(item)

    def _record_findings(self) -> None:
        """What was seen and needs no call: drift, conflicts, quarantines, payments meanwhile."""
        states = {"drifted": "drifted", "conflict": "conflict", "quarantined": "quarantined"}
        chosen = [
            item
            for item in self._items
            if item.line.action in states or item.line.action == "already there"
        ]
        if not chosen:
            return
        with self._ledger.transaction() as tx:
            for item in chosen:
                foreign = item.line.action == "conflict"
                self._observe(
                    tx,
                    item,
                    None if foreign else item.remote,
                    state=states.get(item.line.action, "published"),
                    problem=item.line.detail or None,
                )

    def _observe(
        self,
        tx: Transaction,
        item: _Item,
        remote: Json | None,
        *,
        state: str,
        problem: str | None = None,
        online_url: str | None = None,
    ) -> None:
        item.last = records.observe(
            tx,
            item.statement,
            item.last,
            remote,
            state=state,
            problem=problem,
            online_url=online_url,
        )

    def _adopt(self, item: _Item) -> None:
        """Record as ours what is in Xero already."""
        remote = item.remote or {}
        with self._ledger.transaction() as tx:
            if item.history.open_creates:
                *older, latest = item.history.open_creates
                for intent in older:
                    tx.outcome(intent, "failed", message="another attempt is in Xero")
            else:
                latest = tx.intent(ADOPT, subject=item.number, body=item.sent or {})
            self._record_ours(tx, item, latest, remote)
        item.line.done.append("adopted")

    def _record_ours(self, tx: Transaction, item: _Item, intent: str, remote: Json) -> None:
        """The document of an intent is in Xero: its id first, then how it stands."""
        item.remote, item.xero_id = remote, id_of(remote)
        item.line.xero_id = item.xero_id
        tx.outcome(intent, "ok", external_id=item.xero_id, answer=encode(remote))
        changed = differences(item.sent or {}, item.statement, remote)
        if changed:
            item.turn("quarantined", "Xero's document differs from ours: " + "; ".join(changed))
        approved = remote.get("Status") in APPROVED
        self._observe(
            tx,
            item,
            remote,
            state="quarantined" if changed else "published" if approved else "draft",
            problem=item.line.detail if changed else None,
        )

    def _quarantine(self, tx: Transaction, item: _Item, problem: str) -> None:
        item.turn("quarantined", problem)
        self._observe(tx, item, item.remote, state="quarantined", problem=problem)

    # Contacts

    def _create_contacts(self, wanted: list[_Item]) -> None:
        """Give each payer without a contact one, then put the ids into the documents."""
        missing: dict[str, list[_Item]] = {}
        for item in wanted:
            if item.sent is not None and not item.sent["Contact"]["ContactID"]:
                missing.setdefault(item.statement.payer_id, []).append(item)
        payers = sorted(missing)
        for start in range(0, len(payers), BATCH):
            self._create_contact_batch(payers[start : start + BATCH], missing)

    def _create_contact_batch(self, payers: list[str], missing: dict[str, list[_Item]]) -> None:
        left = list(payers)
        key = _key()
        intents = self._contact_intents(left, key)
        for _ in range(ATTEMPTS):
            bodies = [mapping.contact(self._facts.payers[payer_id]) for payer_id in left]
            try:
                answer = self._client.create_contacts(bodies, key)
            except UncertainError as error:
                self._uncertain(list(intents.values()), error)
                by_number = {
                    str(c.get("ContactNumber")): str(c["ContactID"])
                    for c in self._client.contacts()
                    if c.get("ContactNumber") and c.get("ContactStatus", "ACTIVE") == "ACTIVE"
                }
                for payer_id in [p for p in left if p in by_number]:
                    self._ledger.outcome(intents[payer_id], "ok", external_id=by_number[payer_id])
                    _use_contact(missing[payer_id], by_number[payer_id])
                    left.remove(payer_id)
                if not left:
                    return
                if error.answered or len(left) < len(intents):
                    key = _key()
                    intents = self._contact_intents(left, key)
                continue
            except RefusedError as error:
                self._refuse_contacts({p: list(error.messages) for p in left}, intents, missing)
                return
            except NotDoneError as error:
                self._not_sent(list(intents.values()), error)
                raise
            refused: dict[str, list[str]] = {}
            with self._ledger.transaction() as tx:
                elements = items(answer.content, "Contacts")
                by_number_now = {str(c.get("ContactNumber")): c for c in elements}
                for payer_id in left:
                    element = by_number_now.get(payer_id, {})
                    faults = element_errors(element)
                    if faults or not element.get("ContactID"):
                        refused[payer_id] = faults or ["Xero answered no ContactID"]
                        continue
                    contact_id = str(element["ContactID"])
                    tx.outcome(
                        intents[payer_id], "ok", external_id=contact_id, answer=encode(element)
                    )
                    _use_contact(missing[payer_id], contact_id)
            self._refuse_contacts(refused, intents, missing)
            return
        raise UnavailableError(
            "Xero: it is not known whether contacts were created for payers "
            f"{', '.join(left)}; the next run looks again"
        )

    def _contact_intents(self, payers: list[str], key: str) -> dict[str, str]:
        with self._ledger.transaction() as tx:
            return {
                payer_id: tx.intent(
                    CONTACT,
                    subject=payer_id,
                    body=mapping.contact(self._facts.payers[payer_id]),
                    idempotency_key=key,
                )
                for payer_id in payers
            }

    def _refuse_contacts(
        self,
        refused: dict[str, list[str]],
        intents: dict[str, str],
        missing: dict[str, list[_Item]],
    ) -> None:
        if not refused:
            return
        with self._ledger.transaction() as tx:
            for payer_id, faults in refused.items():
                words = "; ".join(faults)
                tx.outcome(intents[payer_id], "failed", message=words)
                for item in missing[payer_id]:
                    self._quarantine(
                        tx, item, f"Xero refused a contact for payer {payer_id}: {words}"
                    )

    # Creating drafts

    def _create(self, batch: list[_Item]) -> None:
        """PUT a batch of drafts; every outcome is known or looked up before the next attempt."""
        left = list(batch)
        key = _key()
        intents = self._create_intents(left, key)
        for _ in range(ATTEMPTS):
            try:
                answer = self._client.create(left[0].kind, [_sent(item) for item in left], key)
            except UncertainError as error:
                self._uncertain([intents[item.number] for item in left], error)
                before = len(left)
                left = self._adopt_found(left, intents)
                if not left:
                    return
                if error.answered or len(left) < before:
                    # Answers, errors too, are kept under their key, and another body under it is
                    # refused; only a request that may still be on its way keeps key and body.
                    self._settle_failed(left, intents, "answered with an error and not found")
                    key = _key()
                    intents = self._create_intents(left, key)
                continue
            except RefusedError as error:
                self._refused_whole(left, intents, error)
                return
            except NotDoneError as error:
                self._not_sent([intents[item.number] for item in left], error)
                raise
            self._read_created(left, intents, answer.content)
            return
        raise UnavailableError(
            "Xero: it is not known whether these documents were created: "
            f"{', '.join(item.number for item in left)}; the next run looks again"
        )

    def _create_intents(self, batch: list[_Item], key: str) -> dict[str, str]:
        with self._ledger.transaction() as tx:
            return {
                item.number: tx.intent(
                    CREATE, subject=item.number, body=_sent(item), idempotency_key=key
                )
                for item in batch
            }

    def _read_created(self, batch: list[_Item], intents: dict[str, str], content: object) -> None:
        """Record each element's outcome; a refusal for a taken number is looked up."""
        elements = {
            number_of(element): element
            for name in ("Invoices", "CreditNotes")
            for element in items(content, name)
        }
        taken: list[_Item] = []
        doubtful: list[_Item] = []
        with self._ledger.transaction() as tx:
            for item in batch:
                element = elements.get(item.number, {})
                faults = element_errors(element)
                if faults and any("must be unique" in fault for fault in faults):
                    taken.append(item)
                elif faults:
                    words = "; ".join(faults)
                    tx.outcome(
                        intents[item.number], "failed", answer=encode(element), message=words
                    )
                    self._quarantine(tx, item, f"Xero refused it: {words}")
                elif not id_of(element):
                    doubtful.append(item)
                elif (
                    differences(_sent(item), item.statement, element)
                    or element.get("Status") not in KNOWN
                ):
                    # Written down with its id before the second look, whatever that brings.
                    self._record_ours(tx, item, intents[item.number], element)
                    doubtful.append(item)
                else:
                    self._record_ours(tx, item, intents[item.number], element)
                    self._settle_older(tx, item)
                    item.line.done.append("created")
        again = taken + doubtful
        if again:
            self._second_look(again, intents)

    def _second_look(self, wanted: list[_Item], intents: dict[str, str]) -> None:
        """Read documents whose answer was refused as taken, or incomplete, or not as sent."""
        remotes = self._look_up(wanted)
        with self._ledger.transaction() as tx:
            for item in wanted:
                live = [r for r in remotes.get(item.number, []) if r.get("Status") != "DELETED"]
                remote = live[0] if live else None
                if item.xero_id is not None:
                    self._judge_again(tx, item, remote)
                elif remote is None:
                    tx.outcome(intents[item.number], "failed", message="not found in Xero")
                    self._quarantine(tx, item, "Xero neither created it nor said why")
                elif differences(_sent(item), item.statement, remote) or not _may_be_ours(
                    _sent(item), remote
                ):
                    tx.outcome(intents[item.number], "failed", message="the number is taken")
                    item.turn("conflict", "another document holds the number")
                    self._observe(tx, item, None, state="conflict", problem=item.line.detail)
                else:
                    self._record_ours(tx, item, intents[item.number], remote)
                    item.line.done.append("adopted")

    def _judge_again(self, tx: Transaction, item: _Item, remote: Json | None) -> None:
        if remote is None:
            return
        item.remote = remote
        changed = differences(_sent(item), item.statement, remote)
        item.line.done.append("created")
        if changed:
            self._quarantine(tx, item, "Xero's draft differs from ours: " + "; ".join(changed))
        else:
            item.turn("create", "")
            approved = remote.get("Status") in APPROVED
            self._observe(tx, item, remote, state="published" if approved else "draft")

    def _adopt_found(self, batch: list[_Item], intents: dict[str, str]) -> list[_Item]:
        """After an unknown outcome: take what is in Xero; what is not is left over."""
        remotes = self._look_up(batch)
        left: list[_Item] = []
        with self._ledger.transaction() as tx:
            for item in batch:
                live = [r for r in remotes.get(item.number, []) if r.get("Status") != "DELETED"]
                if not live:
                    left.append(item)
                elif _may_be_ours(_sent(item), live[0]):
                    self._record_ours(tx, item, intents[item.number], live[0])
                    item.line.done.append("adopted")
                else:
                    tx.outcome(intents[item.number], "failed", message="the number is taken")
                    item.turn("conflict", "another document holds the number")
                    self._observe(tx, item, None, state="conflict", problem=item.line.detail)
        return left

    def _refused_whole(
        self, batch: list[_Item], intents: dict[str, str], error: RefusedError
    ) -> None:
        """A batch that Xero would not read: the documents go one by one, so that one bad document
        does not hold the others."""
        with self._ledger.transaction() as tx:
            for item in batch:
                tx.outcome(
                    intents[item.number], "failed", answer=error.raw or None, message=str(error)
                )
                if len(batch) == 1:
                    self._quarantine(tx, item, f"Xero refused it: {error}")
        if len(batch) > 1:
            for item in batch:
                self._create([item])

    def _uncertain(self, intents: list[str], error: UncertainError) -> None:
        with self._ledger.transaction() as tx:
            for intent in intents:
                tx.outcome(intent, "unknown", answer=error.raw or None, message=str(error))

    def _not_sent(self, intents: list[str], error: NotDoneError) -> None:
        with self._ledger.transaction() as tx:
            for intent in intents:
                tx.outcome(intent, "failed", message=str(error))

    def _settle_failed(self, batch: list[_Item], intents: dict[str, str], why: str) -> None:
        with self._ledger.transaction() as tx:
            for item in batch:
                tx.outcome(intents[item.number], "failed", message=why)

    def _settle_older(self, tx: Transaction, item: _Item) -> None:
        """Numbers are unique, so an earlier attempt of unknown outcome was never made."""
        for intent in item.history.open_creates:
            tx.outcome(intent, "failed", message="not found in Xero; made by a later attempt")

    # Approving

    def _approve(self, batch: list[_Item]) -> None:
        """POST id and AUTHORISED of drafts that were compared; nothing else is sent."""
        left = list(batch)
        key = _key()
        intents = self._approve_intents(left, key)
        for _ in range(ATTEMPTS):
            try:
                answer = self._client.approve(
                    left[0].kind, [str(item.xero_id) for item in left], key
                )
            except UncertainError as error:
                self._uncertain([intents[item.number] for item in left], error)
                before = len(left)
                left = self._approved_meanwhile(left, intents)
                if not left:
                    return
                if error.answered or len(left) < before:
                    self._settle_failed(left, intents, "answered with an error; still a draft")
                    key = _key()
                    intents = self._approve_intents(left, key)
                continue
            except RefusedError as error:
                with self._ledger.transaction() as tx:
                    for item in left:
                        tx.outcome(intents[item.number], "failed", message=str(error))
                        if len(left) == 1:
                            self._quarantine(tx, item, f"Xero did not approve it: {error}")
                if len(left) > 1:
                    for item in left:
                        self._approve([item])
                return
            except NotDoneError as error:
                self._not_sent([intents[item.number] for item in left], error)
                raise
            self._read_approved(left, intents, answer.content)
            return
        raise UnavailableError(
            "Xero: it is not known whether these documents were approved: "
            f"{', '.join(item.number for item in left)}; the next run looks again"
        )

    def _approve_intents(self, batch: list[_Item], key: str) -> dict[str, str]:
        with self._ledger.transaction() as tx:
            return {
                item.number: tx.intent(
                    APPROVE,
                    subject=item.number,
                    body={"xero_id": item.xero_id, "Status": "AUTHORISED"},
                    idempotency_key=key,
                )
                for item in batch
            }

    def _read_approved(self, batch: list[_Item], intents: dict[str, str], content: object) -> None:
        elements = {
            id_of(element): element
            for name in ("Invoices", "CreditNotes")
            for element in items(content, name)
        }
        doubtful: list[_Item] = []
        with self._ledger.transaction() as tx:
            for item in batch:
                element = elements.get(str(item.xero_id), {})
                faults = element_errors(element)
                if faults:
                    words = "; ".join(faults)
                    tx.outcome(
                        intents[item.number], "failed", answer=encode(element), message=words
                    )
                    self._quarantine(tx, item, f"Xero did not approve it: {words}")
                elif element.get("Status") in APPROVED and not differences(
                    _sent(item), item.statement, element
                ):
                    self._record_approved(tx, item, intents[item.number], element)
                else:
                    doubtful.append(item)
        if doubtful:
            for item in self._approved_meanwhile(doubtful, intents):
                with self._ledger.transaction() as tx:
                    tx.outcome(intents[item.number], "failed", message="still not approved")
                    self._quarantine(tx, item, "Xero answered the approval but did not do it")

    def _record_approved(self, tx: Transaction, item: _Item, intent: str, remote: Json) -> None:
        item.remote = remote
        tx.outcome(intent, "ok", external_id=item.xero_id, answer=encode(remote))
        changed = differences(_sent(item), item.statement, remote)
        if changed:
            self._quarantine(tx, item, "the approved document differs: " + "; ".join(changed))
            return
        self._observe(tx, item, remote, state="published")
        item.line.done.append("approved")

    def _approved_meanwhile(self, batch: list[_Item], intents: dict[str, str]) -> list[_Item]:
        remotes = self._look_up(batch)
        left: list[_Item] = []
        with self._ledger.transaction() as tx:
            for item in batch:
                mine = next(
                    (r for r in remotes.get(item.number, []) if id_of(r) == item.xero_id), None
                )
                if mine is not None and mine.get("Status") in APPROVED:
                    self._record_approved(tx, item, intents[item.number], mine)
                else:
                    left.append(item)
        return left

    # Finishing: link, files, allocation

    def _finish(self, item: _Item) -> None:
        if item.line.action not in ("create", "adopt", "finish") or item.remote is None:
            return
        if item.remote.get("Status") not in APPROVED:
            return
        url = None
        if item.kind == "invoice" and not (item.last or {}).get("online_url"):
            try:
                url = self._client.online_url(str(item.xero_id))
            except RefusedError as error:
                self._report.notes.append(f"{item.number}: no online link: {error}")
        if url is not None or item.state != "published":
            with self._ledger.transaction() as tx:
                self._observe(tx, item, item.remote, state="published", online_url=url)
        for file in self._files(item):
            if file.name not in item.history.attached:
                self._attach(item, file)
        if item.kind == "credit_note" and not item.history.allocated:
            self._allocate(item)
        self._settle_open(item)

    def _settle_open(self, item: _Item) -> None:
        """Close the attempts whose outcome nobody wrote down, now that the document was looked at
        and is as it should be: only a creation can have been made by another attempt."""
        if item.line.action in UNRESOLVED or item.line.statement_number in self._unsure:
            return
        with self._ledger.snapshot() as reader:
            pending = reader.open_intents(CONTACT, subject=item.statement.payer_id)
            pending += [
                intent
                for intent in reader.open_intents(subject=item.number)
                if intent.kind.startswith("xero.")
            ]
        if not pending:
            return
        with self._ledger.transaction() as tx:
            for intent in pending:
                if intent.kind == CREATE:
                    tx.outcome(intent.intent_id, "failed", message="made by another attempt")
                    continue
                tx.outcome(
                    intent.intent_id,
                    "ok",
                    external_id=_sent(item)["Contact"]["ContactID"]
                    if intent.kind == CONTACT
                    else item.xero_id,
                    message="looked up: it is so in Xero",
                )

    def _files(self, item: _Item) -> list[Path]:
        """The statement's PDF and XLSX, if they were rendered."""
        return self._rendered.get(item.number, [])

    def _attach(self, item: _Item, file: Path) -> None:
        content = file.read_bytes()
        if not 0 < len(content) <= MAX_FILE_BYTES:
            self._report.notes.append(
                f"{item.number}: {file.name} has {len(content)} bytes and is not attached"
            )
            return
        xero_id = str(item.xero_id)
        body = {
            "file": file.name,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        # A document created in this run has no files; any other is asked first.
        fresh = "created" in item.line.done
        for _ in range(ATTEMPTS):
            there = not fresh and file.name in self._client.attachments(item.kind, xero_id)
            key = _key()
            intent = self._ledger.intent(
                ATTACH, subject=item.number, body=body, idempotency_key=key
            )
            if there:
                self._ledger.outcome(intent, "ok", message="was there")
                return
            try:
                answer = self._client.attach(item.kind, xero_id, file.name, content, key)
            except UncertainError as error:
                self._uncertain([intent], error)
                fresh = False
                continue
            except RefusedError as error:
                self._ledger.outcome(intent, "failed", message=str(error))
                item.turn("quarantined", f"Xero refused to attach {file.name}: {error}")
                return
            except NotDoneError as error:
                self._not_sent([intent], error)
                raise
            self._ledger.outcome(intent, "ok", answer=answer.text)
            item.line.done.append(f"attached {file.name}")
            return
        self._unsure.add(item.number)
        self._report.notes.append(
            f"{item.number}: it is not known whether {file.name} was attached; the next run looks"
        )

    def _allocate(self, item: _Item) -> None:
        """Credit the invoices of the adjusted periods, else the payer's oldest open one; the rest
        stays as credit. The note is read anew before each attempt."""
        for _ in range(ATTEMPTS):
            note = self._client.by_id(item.kind, str(item.xero_id))
            if note is None:
                return
            item.remote = note
            live = [a for a in items(note, "Allocations") if not a.get("IsDeleted")]
            remaining = money(note.get("RemainingCredit")) or Decimal(0)
            target = None
            if not (live and item.history.tried_to_allocate) and remaining > 0:
                target = self._allocation_target(item)
            if target is None:
                self._record_allocated(item, note, body={"note": "nothing more to allocate"})
                return
            invoice, due = target
            amount = min(remaining, due)
            body: Json = {
                "Invoice": {"InvoiceID": id_of(invoice)},
                "Amount": amount,
                "Date": item.statement.issue_date.isoformat(),
            }
            key = _key()
            intent = self._ledger.intent(
                ALLOCATE, subject=item.number, body=body, idempotency_key=key
            )
            try:
                answer = self._client.allocate(str(item.xero_id), body, key)
            except UncertainError as error:
                self._uncertain([intent], error)
                again = self._client.by_id(item.kind, str(item.xero_id))
                if again is not None and items(again, "Allocations"):
                    self._record_allocated(item, again, intent=intent)
                    return
                continue
            except RefusedError as error:
                self._ledger.outcome(intent, "failed", message=str(error))
                item.turn("quarantined", f"Xero refused to allocate it: {error}")
                return
            except NotDoneError as error:
                self._not_sent([intent], error)
                raise
            again = self._client.by_id(item.kind, str(item.xero_id))
            self._record_allocated(item, again or note, intent=intent, answer=answer.text)
            item.line.done.append(
                f"allocated {item.statement.currency} {amount} to {number_of(invoice)}"
            )
            return
        self._unsure.add(item.number)
        self._report.notes.append(f"{item.number}: allocation unknown; the next run looks again")

    def _record_allocated(
        self,
        item: _Item,
        note: Json,
        *,
        intent: str | None = None,
        body: Json | None = None,
        answer: str | None = None,
    ) -> None:
        with self._ledger.transaction() as tx:
            chosen = intent or tx.intent(ALLOCATE, subject=item.number, body=body or {})
            tx.outcome(chosen, "ok", answer=answer)
            self._observe(tx, item, note, state="published")

    def _allocation_target(self, item: _Item) -> tuple[Json, Decimal] | None:
        """The invoice to credit, as Xero holds it now, with what is due on it."""
        statement = item.statement
        adjusted = {line.adjusts_period for line in statement.lines if line.adjusts_period}
        issued = tables.issued_statements
        rows = self._ledger.query(
            select(issued.c.statement_number, issued.c.period)
            .where(issued.c.payer_id == statement.payer_id)
            .where(issued.c.currency == statement.currency)
            .where(issued.c.seller_id == statement.seller_id)
            .order_by(issued.c.issue_date, issued.c.series_no)
        )
        others = [row["statement_number"] for row in rows if row["statement_number"] != item.number]
        known = records.read_histories(self._ledger, others)
        candidates = read_numbered(
            self._ledger,
            [
                number
                for number in others
                if known[number].xero_id
                and (known[number].last or {}).get("status") == "AUTHORISED"
            ],
        )
        numbers = [n for n in others if n in candidates and candidates[n].total > 0]
        remotes = {id_of(r): r for r in self._client.by_number("invoice", numbers)}
        open_now: list[tuple[bool, Json, Decimal]] = []
        for number in numbers:
            remote = remotes.get(str(known[number].xero_id))
            due = money((remote or {}).get("AmountDue"))
            if remote is not None and remote.get("Status") == "AUTHORISED" and due:
                open_now.append((candidates[number].period in adjusted, remote, due))
        preferred = [o for o in open_now if o[0]] or open_now
        return (preferred[0][1], preferred[0][2]) if preferred else None


def _sent(item: _Item) -> Json:
    """The document as it is sent; every item that gets this far has one."""
    if item.sent is None:
        raise XeroError(f"{item.number}: nothing was prepared to be sent")
    return item.sent


def _use_contact(chosen: list[_Item], contact_id: str) -> None:
    for item in chosen:
        _sent(item)["Contact"] = {"ContactID": contact_id}


def _may_be_ours(sent: Json, remote: Json) -> bool:
    """Same contact, and not a voided document, which is somebody else's end of the story."""
    if remote.get("Status") == "VOIDED":
        return False
    contact = remote.get("Contact")
    theirs = contact.get("ContactID") if isinstance(contact, dict) else None
    return str(theirs).lower() == str(sent["Contact"]["ContactID"]).lower()


def _key() -> str:
    return f"m2c-{uuid.uuid4()}"


def _batches(wanted: list[_Item]) -> Iterator[list[_Item]]:
    """Batches of one kind, at most fifty documents and three megabytes each."""
    kinds: tuple[Kind, ...] = ("invoice", "credit_note")
    for kind in kinds:
        batch: list[_Item] = []
        size = 0
        for item in wanted:
            if item.kind != kind:
                continue
            weight = len(encode(item.sent or {}))
            if batch and (len(batch) >= BATCH or size + weight > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(item)
            size += weight
        if batch:
            yield batch
