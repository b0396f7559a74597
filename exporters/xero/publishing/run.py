"""One run against one organisation, and each statement on its way: what the ledger knew of it, what
Xero holds, what is to be done. What is done is written down here; nothing is sent."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from exporters.ledger import Ledger, Transaction
from exporters.xero import records
from exporters.xero.client import Kind, XeroClient
from exporters.xero.compare import APPROVED, WAITING, differences, id_of
from exporters.xero.errors import NotDoneError, UncertainError, XeroError
from exporters.xero.facts import BookFacts, Statement
from exporters.xero.parts import in_parts
from exporters.xero.records import History
from exporters.xero.report import Action, PlanLine, PublishReport
from exporters.xero.wire import Json, encode

BATCH = 50
BATCH_BYTES = 3_000_000
ATTEMPTS = 3
KNOWN = (*WAITING, *APPROVED)
ACTED_ON: tuple[Action, ...] = ("create", "adopt", "finish")


@dataclass
class Item:
    """One statement on its way."""

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

    @property
    def document(self) -> Json:
        """The document as it is sent; every item that gets this far has one."""
        if self.sent is None:
            raise XeroError(f"{self.number}: nothing was prepared to be sent")
        return self.sent

    def turn(self, action: Action, detail: str) -> None:
        self.line.action, self.line.detail = action, detail


@dataclass
class Run:
    """One run over the statements of one organisation. rendered: the files of each statement, by
    number. unsure: numbers of which something was sent whose outcome stayed unknown."""

    client: XeroClient
    ledger: Ledger
    facts: BookFacts
    statements: Sequence[Statement]
    report: PublishReport
    rendered: Mapping[str, Sequence[Path]]
    items: list[Item] = field(default_factory=list)
    unsure: set[str] = field(default_factory=set)

    @property
    def acted_on(self) -> list[Item]:
        """The documents that are in Xero and that this run goes on with."""
        return [i for i in self.items if i.line.action in ACTED_ON and i.remote is not None]

    def files(self, item: Item) -> Sequence[Path]:
        """The statement's PDF and XLSX, if they were rendered."""
        return self.rendered.get(item.number, ())

    def observe(
        self,
        tx: Transaction,
        item: Item,
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

    def record_ours(self, tx: Transaction, item: Item, intent: str, remote: Json) -> None:
        """The document of an intent is in Xero: its id first, then how it stands."""
        item.remote, item.xero_id = remote, id_of(remote)
        item.line.xero_id = item.xero_id
        tx.outcome(intent, "ok", external_id=item.xero_id, answer=encode(remote))
        changed = differences(item.sent or {}, item.statement, remote)
        if changed:
            item.turn("quarantined", "Xero's document differs from ours: " + "; ".join(changed))
        approved = remote.get("Status") in APPROVED
        self.observe(
            tx,
            item,
            remote,
            state="quarantined" if changed else "published" if approved else "draft",
            problem=item.line.detail if changed else None,
        )

    def quarantine(self, tx: Transaction, item: Item, problem: str) -> None:
        item.turn("quarantined", problem)
        self.observe(tx, item, item.remote, state="quarantined", problem=problem)

    def uncertain(self, intents: list[str], error: UncertainError) -> None:
        with self.ledger.transaction() as tx:
            for intent in intents:
                tx.outcome(intent, "unknown", answer=error.raw or None, message=str(error))

    def not_sent(self, intents: list[str], error: NotDoneError) -> None:
        with self.ledger.transaction() as tx:
            for intent in intents:
                tx.outcome(intent, "failed", message=str(error))

    def settle_failed(self, batch: list[Item], intents: dict[str, str], why: str) -> None:
        with self.ledger.transaction() as tx:
            for item in batch:
                tx.outcome(intents[item.number], "failed", message=why)

    def settle_older(self, tx: Transaction, item: Item) -> None:
        """Numbers are unique, so an earlier attempt of unknown outcome was never made."""
        for intent in item.history.open_creates:
            tx.outcome(intent, "failed", message="not found in Xero; made by a later attempt")


def new_key() -> str:
    """An idempotency key; a refused document is retried under another."""
    return f"m2c-{uuid.uuid4()}"


def batches(wanted: Sequence[Item]) -> Iterator[list[Item]]:
    """Batches of one kind, at most fifty documents and three megabytes each."""
    kinds: tuple[Kind, ...] = ("invoice", "credit_note")
    for kind in kinds:
        yield from in_parts(
            (item for item in wanted if item.kind == kind),
            most=BATCH,
            room=BATCH_BYTES,
            size=lambda item: len(encode(item.sent or {})),
        )
