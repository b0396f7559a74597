"""What an approved document still lacks: the payment link, then its files. Links come first for
all, so that a day's last calls go to what lets people pay."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exporters.xero.client import XeroClient
from exporters.xero.errors import NotDoneError, RefusedError, UncertainError, XeroError
from exporters.xero.parallel import in_parallel
from exporters.xero.publishing.run import ATTEMPTS, Item, Run, new_key
from exporters.xero.records import ATTACH, CONTACT, CREATE
from exporters.xero.report import UNRESOLVED
from exporters.xero.wire import Json

MAX_FILE_BYTES = 10 * 1024 * 1024


def fetch_links(run: Run, wanted: Iterable[Item]) -> None:
    """Read where each invoice is seen and paid, once an invoice."""

    def call(item: Item) -> str | XeroError | None:
        try:
            return run.client.online_url(str(item.xero_id))
        except (NotDoneError, RefusedError) as error:
            return error

    def done(item: Item, found: str | XeroError | None) -> NotDoneError | None:
        if isinstance(found, NotDoneError):
            return found
        if isinstance(found, XeroError):
            run.report.notes.append(f"{item.number}: no online link: {found}")
        elif found is not None:
            with run.ledger.transaction() as tx:
                run.observe(tx, item, item.remote, state="published", online_url=found)
        return None

    in_parallel(wanted, start=lambda item: item, call=call, done=done)


@dataclass
class _File:
    """A file on its way: under which intent and key, and what came of it."""

    path: Path
    content: bytes
    intent: str = ""
    key: str = ""
    outcome: str | XeroError | None = None
    answer: str | None = None

    @property
    def body(self) -> Json:
        return {
            "file": self.path.name,
            "bytes": len(self.content),
            "sha256": hashlib.sha256(self.content).hexdigest(),
        }


@dataclass
class _Sending:
    """The files of one document that it lacks. look: ask Xero first which ones are there."""

    item: Item
    files: list[_File]
    look: bool


def attach_files(run: Run, wanted: Iterable[Item]) -> None:
    """Put each statement's files on its document, each once; several documents at once."""
    # A document created in this run has no files; any other is asked first.
    left = [
        _Sending(item, files, look="created" not in item.line.done)
        for item in wanted
        if (files := _lacking(run, item))
    ]
    for _ in range(ATTEMPTS):
        left = _attempt(run, left)
        if not left:
            return
    for sending in left:
        run.unsure.add(sending.item.number)
        names = ", ".join(file.path.name for file in sending.files)
        run.report.notes.append(
            f"{sending.item.number}: it is not known whether {names} was attached; the next run "
            "looks"
        )


def _attempt(run: Run, sendings: Sequence[_Sending]) -> list[_Sending]:
    """Send files once; those whose outcome is not known, to be looked for and sent again."""
    again: list[_Sending] = []
    in_parallel(
        sendings,
        start=lambda sending: _intend(run, sending),
        call=lambda sending: _send(run.client, sending),
        done=lambda sending, _: _settle(run, sending, again),
    )
    return again


def _lacking(run: Run, item: Item) -> list[_File]:
    found = []
    for path in run.files(item):
        if path.name in item.history.attached:
            continue
        content = path.read_bytes()
        if 0 < len(content) <= MAX_FILE_BYTES:
            found.append(_File(path, content))
        else:
            run.report.notes.append(
                f"{item.number}: {path.name} has {len(content)} bytes and is not attached"
            )
    return found


def _intend(run: Run, sending: _Sending) -> _Sending:
    with run.ledger.transaction() as tx:
        for file in sending.files:
            file.key, file.outcome = new_key(), None
            file.intent = tx.intent(
                ATTACH, subject=sending.item.number, body=file.body, idempotency_key=file.key
            )
    return sending


def _send(client: XeroClient, sending: _Sending) -> None:
    """One document's files one after the other: Xero takes them for edits of the document."""
    item, problem = sending.item, None
    xero_id = str(item.xero_id)
    there: Sequence[str] = ()
    if sending.look:
        try:
            there = client.attachments(item.kind, xero_id)
        except (NotDoneError, RefusedError) as error:
            problem = error
    for file in sending.files:
        if file.path.name in there or problem is not None:
            file.outcome = problem or "was there"
            continue
        try:
            answer = client.attach(item.kind, xero_id, file.path.name, file.content, file.key)
            file.outcome, file.answer = "attached", answer.text
        except NotDoneError as error:
            file.outcome = problem = error
        except (UncertainError, RefusedError) as error:
            file.outcome = error


def _settle(run: Run, sending: _Sending, again: list[_Sending]) -> NotDoneError | None:
    item, stop = sending.item, None
    uncertain: list[_File] = []
    with run.ledger.transaction() as tx:
        for file in sending.files:
            if isinstance(file.outcome, UncertainError):
                raw = file.outcome.raw or None
                tx.outcome(file.intent, "unknown", answer=raw, message=str(file.outcome))
                uncertain.append(file)
            elif isinstance(file.outcome, XeroError):
                tx.outcome(file.intent, "failed", message=str(file.outcome))
                if isinstance(file.outcome, NotDoneError):
                    stop = file.outcome
                else:
                    words = f"Xero refused to attach {file.path.name}: {file.outcome}"
                    item.turn("quarantined", words)
            else:
                tx.outcome(file.intent, "ok", answer=file.answer, message=file.outcome)
                item.line.done.append(f"{file.outcome} {file.path.name}")
    if uncertain:
        again.append(_Sending(item, uncertain, look=True))
    return stop


def settle_open(run: Run, chosen: Sequence[Item]) -> None:
    """Close the attempts whose outcome nobody wrote down, now that their documents were looked at
    and are as they should be: only a creation can have been made by another attempt."""
    by_subject = {item.number: item for item in chosen if _is_settled(run, item)}
    contacts = {item.statement.payer_id: item for item in by_subject.values()}
    with run.ledger.snapshot() as reader:
        pending = [
            (intent, item)
            for intent in reader.open_intents()
            if intent.kind.startswith("xero.")
            and (item := (contacts if intent.kind == CONTACT else by_subject).get(intent.subject))
        ]
    if not pending:
        return
    with run.ledger.transaction() as tx:
        for intent, item in pending:
            if intent.kind == CREATE:
                tx.outcome(intent.intent_id, "failed", message="made by another attempt")
                continue
            tx.outcome(
                intent.intent_id,
                "ok",
                external_id=item.document["Contact"]["ContactID"]
                if intent.kind == CONTACT
                else item.xero_id,
                message="looked up: it is so in Xero",
            )


def _is_settled(run: Run, item: Item) -> bool:
    return item.line.action not in UNRESOLVED and item.number not in run.unsure
