"""Payers that Xero does not know get a contact, each one, before their first document."""

from __future__ import annotations

from exporters.xero import mapping
from exporters.xero.compare import element_errors
from exporters.xero.errors import NotDoneError, RefusedError, UnavailableError, UncertainError
from exporters.xero.publishing.run import ATTEMPTS, BATCH, Item, Run, new_key
from exporters.xero.records import CONTACT
from exporters.xero.wire import encode, items


def create_contacts(run: Run, wanted: list[Item]) -> None:
    """Give each payer without a contact one, then put the ids into the documents."""
    missing: dict[str, list[Item]] = {}
    for item in wanted:
        if item.sent is not None and not item.sent["Contact"]["ContactID"]:
            missing.setdefault(item.statement.payer_id, []).append(item)
    payers = sorted(missing)
    for start in range(0, len(payers), BATCH):
        _create_contact_batch(run, payers[start : start + BATCH], missing)


def _create_contact_batch(run: Run, payers: list[str], missing: dict[str, list[Item]]) -> None:
    left = list(payers)
    key = new_key()
    intents = _contact_intents(run, left, key)
    for _ in range(ATTEMPTS):
        bodies = [mapping.contact(run.facts.payers[payer_id]) for payer_id in left]
        try:
            answer = run.client.create_contacts(bodies, key)
        except UncertainError as error:
            run.uncertain(list(intents.values()), error)
            by_number = {
                str(c.get("ContactNumber")): str(c["ContactID"])
                for c in run.client.contacts()
                if c.get("ContactNumber") and c.get("ContactStatus", "ACTIVE") == "ACTIVE"
            }
            for payer_id in [p for p in left if p in by_number]:
                run.ledger.outcome(intents[payer_id], "ok", external_id=by_number[payer_id])
                _use_contact(missing[payer_id], by_number[payer_id])
                left.remove(payer_id)
            if not left:
                return
            if error.answered or len(left) < len(intents):
                key = new_key()
                intents = _contact_intents(run, left, key)
            continue
        except RefusedError as error:
            _refuse_contacts(run, {p: list(error.messages) for p in left}, intents, missing)
            return
        except NotDoneError as error:
            run.not_sent(list(intents.values()), error)
            raise
        refused: dict[str, list[str]] = {}
        with run.ledger.transaction() as tx:
            elements = items(answer.content, "Contacts")
            by_number_now = {str(c.get("ContactNumber")): c for c in elements}
            for payer_id in left:
                element = by_number_now.get(payer_id, {})
                faults = element_errors(element)
                if faults or not element.get("ContactID"):
                    refused[payer_id] = faults or ["Xero answered no ContactID"]
                    continue
                contact_id = str(element["ContactID"])
                tx.outcome(intents[payer_id], "ok", external_id=contact_id, answer=encode(element))
                _use_contact(missing[payer_id], contact_id)
        _refuse_contacts(run, refused, intents, missing)
        return
    raise UnavailableError(
        "Xero: it is not known whether contacts were created for payers "
        f"{', '.join(left)}; the next run looks again"
    )


def _contact_intents(run: Run, payers: list[str], key: str) -> dict[str, str]:
    with run.ledger.transaction() as tx:
        return {
            payer_id: tx.intent(
                CONTACT,
                subject=payer_id,
                body=mapping.contact(run.facts.payers[payer_id]),
                idempotency_key=key,
            )
            for payer_id in payers
        }


def _refuse_contacts(
    run: Run,
    refused: dict[str, list[str]],
    intents: dict[str, str],
    missing: dict[str, list[Item]],
) -> None:
    if not refused:
        return
    with run.ledger.transaction() as tx:
        for payer_id, faults in refused.items():
            words = "; ".join(faults)
            tx.outcome(intents[payer_id], "failed", message=words)
            for item in missing[payer_id]:
                run.quarantine(tx, item, f"Xero refused a contact for payer {payer_id}: {words}")


def _use_contact(chosen: list[Item], contact_id: str) -> None:
    for item in chosen:
        item.document["Contact"] = {"ContactID": contact_id}
