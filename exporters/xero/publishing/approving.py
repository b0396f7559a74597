"""Drafts that were compared to the cent become approved: id and status are all that is sent."""

from __future__ import annotations

from exporters.ledger import Transaction
from exporters.xero.compare import APPROVED, differences, element_errors, id_of
from exporters.xero.errors import NotDoneError, RefusedError, UnavailableError, UncertainError
from exporters.xero.publishing.planning import look_up
from exporters.xero.publishing.run import ATTEMPTS, Item, Run, new_key
from exporters.xero.records import APPROVE
from exporters.xero.wire import Json, encode, items


def approve(run: Run, batch: list[Item]) -> None:
    """POST id and AUTHORISED of drafts that were compared; nothing else is sent."""
    left = list(batch)
    key = new_key()
    intents = _approve_intents(run, left, key)
    for _ in range(ATTEMPTS):
        try:
            answer = run.client.approve(left[0].kind, [str(item.xero_id) for item in left], key)
        except UncertainError as error:
            run.uncertain([intents[item.number] for item in left], error)
            before = len(left)
            left = _approved_meanwhile(run, left, intents)
            if not left:
                return
            if error.answered or len(left) < before:
                run.settle_failed(left, intents, "answered with an error; still a draft")
                key = new_key()
                intents = _approve_intents(run, left, key)
            continue
        except RefusedError as error:
            with run.ledger.transaction() as tx:
                for item in left:
                    tx.outcome(intents[item.number], "failed", message=str(error))
                    if len(left) == 1:
                        run.quarantine(tx, item, f"Xero did not approve it: {error}")
            if len(left) > 1:
                for item in left:
                    approve(run, [item])
            return
        except NotDoneError as error:
            run.not_sent([intents[item.number] for item in left], error)
            raise
        _read_approved(run, left, intents, answer.content)
        return
    raise UnavailableError(
        "Xero: it is not known whether these documents were approved: "
        f"{', '.join(item.number for item in left)}; the next run looks again"
    )


def _approve_intents(run: Run, batch: list[Item], key: str) -> dict[str, str]:
    with run.ledger.transaction() as tx:
        return {
            item.number: tx.intent(
                APPROVE,
                subject=item.number,
                body={"xero_id": item.xero_id, "Status": "AUTHORISED"},
                idempotency_key=key,
            )
            for item in batch
        }


def _read_approved(run: Run, batch: list[Item], intents: dict[str, str], content: object) -> None:
    elements = {
        id_of(element): element
        for name in ("Invoices", "CreditNotes")
        for element in items(content, name)
    }
    doubtful: list[Item] = []
    with run.ledger.transaction() as tx:
        for item in batch:
            element = elements.get(str(item.xero_id), {})
            faults = element_errors(element)
            if faults:
                words = "; ".join(faults)
                tx.outcome(intents[item.number], "failed", answer=encode(element), message=words)
                run.quarantine(tx, item, f"Xero did not approve it: {words}")
            elif element.get("Status") in APPROVED and not differences(
                item.document, item.statement, element
            ):
                _record_approved(run, tx, item, intents[item.number], element)
            else:
                doubtful.append(item)
    if doubtful:
        for item in _approved_meanwhile(run, doubtful, intents):
            with run.ledger.transaction() as tx:
                tx.outcome(intents[item.number], "failed", message="still not approved")
                run.quarantine(tx, item, "Xero answered the approval but did not do it")


def _record_approved(run: Run, tx: Transaction, item: Item, intent: str, remote: Json) -> None:
    item.remote = remote
    tx.outcome(intent, "ok", external_id=item.xero_id, answer=encode(remote))
    changed = differences(item.document, item.statement, remote)
    if changed:
        run.quarantine(tx, item, "the approved document differs: " + "; ".join(changed))
        return
    run.observe(tx, item, remote, state="published")
    item.line.done.append("approved")


def _approved_meanwhile(run: Run, batch: list[Item], intents: dict[str, str]) -> list[Item]:
    remotes = look_up(run, batch)
    left: list[Item] = []
    with run.ledger.transaction() as tx:
        for item in batch:
            mine = next((r for r in remotes.get(item.number, []) if id_of(r) == item.xero_id), None)
            if mine is not None and mine.get("Status") in APPROVED:
                _record_approved(run, tx, item, intents[item.number], mine)
            else:
                left.append(item)
    return left
