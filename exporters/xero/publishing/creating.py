"""Documents become drafts in Xero, or are adopted if they are there: each exactly once.

An attempt whose outcome is not known is looked up before the next one.
"""

from __future__ import annotations

from exporters.ledger import Transaction
from exporters.xero.compare import APPROVED, differences, element_errors, id_of, number_of
from exporters.xero.errors import NotDoneError, RefusedError, UnavailableError, UncertainError
from exporters.xero.publishing.planning import look_up, may_be_ours
from exporters.xero.publishing.run import ATTEMPTS, KNOWN, Item, Run, new_key
from exporters.xero.records import CREATE, adoption
from exporters.xero.wire import Json, encode, items


def adopt(run: Run, item: Item) -> None:
    """Record as ours what is in Xero already."""
    remote = item.remote or {}
    item.xero_id = item.line.xero_id = id_of(remote)
    with run.ledger.transaction() as tx:
        for table, values in adoption(item.statement, item.history, item.document, remote):
            tx.record(table, **values)
            item.last = values  # the last of them says how the document stands
    item.line.done.append("adopted")


def create(run: Run, batch: list[Item]) -> None:
    """PUT a batch of drafts; every outcome is known or looked up before the next attempt."""
    left = list(batch)
    key = new_key()
    intents = _create_intents(run, left, key)
    for _ in range(ATTEMPTS):
        try:
            answer = run.client.create(left[0].kind, [item.document for item in left], key)
        except UncertainError as error:
            run.uncertain([intents[item.number] for item in left], error)
            before = len(left)
            left = _adopt_found(run, left, intents)
            if not left:
                return
            if error.answered or len(left) < before:
                # Answers, errors too, are kept under their key, and another body under it is
                # refused; only a request that may still be on its way keeps key and body.
                run.settle_failed(left, intents, "answered with an error and not found")
                key = new_key()
                intents = _create_intents(run, left, key)
            continue
        except RefusedError as error:
            _refused_whole(run, left, intents, error)
            return
        except NotDoneError as error:
            run.not_sent([intents[item.number] for item in left], error)
            raise
        _read_created(run, left, intents, answer.content)
        return
    raise UnavailableError(
        "Xero: it is not known whether these documents were created: "
        f"{', '.join(item.number for item in left)}; the next run looks again"
    )


def _create_intents(run: Run, batch: list[Item], key: str) -> dict[str, str]:
    with run.ledger.transaction() as tx:
        return {
            item.number: tx.intent(
                CREATE, subject=item.number, body=item.document, idempotency_key=key
            )
            for item in batch
        }


def _read_created(run: Run, batch: list[Item], intents: dict[str, str], content: object) -> None:
    """Record each element's outcome; a refusal for a taken number is looked up."""
    elements = {
        number_of(element): element
        for name in ("Invoices", "CreditNotes")
        for element in items(content, name)
    }
    taken: list[Item] = []
    doubtful: list[Item] = []
    with run.ledger.transaction() as tx:
        for item in batch:
            element = elements.get(item.number, {})
            faults = element_errors(element)
            if faults and any("must be unique" in fault for fault in faults):
                taken.append(item)
            elif faults:
                words = "; ".join(faults)
                tx.outcome(intents[item.number], "failed", answer=encode(element), message=words)
                run.quarantine(tx, item, f"Xero refused it: {words}")
            elif not id_of(element):
                doubtful.append(item)
            elif (
                differences(item.document, item.statement, element)
                or element.get("Status") not in KNOWN
            ):
                # Written down with its id before the second look, whatever that brings.
                run.record_ours(tx, item, intents[item.number], element)
                doubtful.append(item)
            else:
                run.record_ours(tx, item, intents[item.number], element)
                run.settle_older(tx, item)
                item.line.done.append("created")
    again = taken + doubtful
    if again:
        _second_look(run, again, intents)


def _second_look(run: Run, wanted: list[Item], intents: dict[str, str]) -> None:
    """Read documents whose answer was refused as taken, or incomplete, or not as sent."""
    remotes = look_up(run, wanted)
    with run.ledger.transaction() as tx:
        for item in wanted:
            live = [r for r in remotes.get(item.number, []) if r.get("Status") != "DELETED"]
            remote = live[0] if live else None
            if item.xero_id is not None:
                _judge_again(run, tx, item, remote)
            elif remote is None:
                tx.outcome(intents[item.number], "failed", message="not found in Xero")
                run.quarantine(tx, item, "Xero neither created it nor said why")
            elif differences(item.document, item.statement, remote) or not may_be_ours(
                item.document, remote
            ):
                tx.outcome(intents[item.number], "failed", message="the number is taken")
                item.turn("conflict", "another document holds the number")
                run.observe(tx, item, None, state="conflict", problem=item.line.detail)
            else:
                run.record_ours(tx, item, intents[item.number], remote)
                item.line.done.append("adopted")


def _judge_again(run: Run, tx: Transaction, item: Item, remote: Json | None) -> None:
    if remote is None:
        return
    item.remote = remote
    changed = differences(item.document, item.statement, remote)
    item.line.done.append("created")
    if changed:
        run.quarantine(tx, item, "Xero's draft differs from ours: " + "; ".join(changed))
    else:
        item.turn("create", "")
        approved = remote.get("Status") in APPROVED
        run.observe(tx, item, remote, state="published" if approved else "draft")


def _adopt_found(run: Run, batch: list[Item], intents: dict[str, str]) -> list[Item]:
    """After an unknown outcome: take what is in Xero; what is not is left over."""
    remotes = look_up(run, batch)
    left: list[Item] = []
    with run.ledger.transaction() as tx:
        for item in batch:
            live = [r for r in remotes.get(item.number, []) if r.get("Status") != "DELETED"]
            if not live:
                left.append(item)
            elif may_be_ours(item.document, live[0]):
                run.record_ours(tx, item, intents[item.number], live[0])
                item.line.done.append("adopted")
            else:
                tx.outcome(intents[item.number], "failed", message="the number is taken")
                item.turn("conflict", "another document holds the number")
                run.observe(tx, item, None, state="conflict", problem=item.line.detail)
    return left


def _refused_whole(
    run: Run, batch: list[Item], intents: dict[str, str], error: RefusedError
) -> None:
    """A batch that Xero would not read: the documents go one by one, so that one bad document
    does not hold the others."""
    with run.ledger.transaction() as tx:
        for item in batch:
            tx.outcome(intents[item.number], "failed", answer=error.raw or None, message=str(error))
            if len(batch) == 1:
                run.quarantine(tx, item, f"Xero refused it: {error}")
    if len(batch) > 1:
        for item in batch:
            create(run, [item])
