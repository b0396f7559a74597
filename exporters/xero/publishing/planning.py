"""Deciding for each statement what is to be done, from what the ledger knows and what Xero holds.
Reads only."""

from __future__ import annotations

from collections.abc import Sequence

from exporters.xero import mapping, preflight, records
from exporters.xero.client import Kind
from exporters.xero.compare import APPROVED, GONE, WAITING, differences, id_of, number_of
from exporters.xero.publishing.run import Item, Run
from exporters.xero.report import PlanLine
from exporters.xero.wire import Json


def plan(run: Run) -> None:
    """Decide for each statement what is to be done."""
    numbers = [statement.number for statement in run.statements]
    histories = records.read_histories(run.ledger, numbers)
    for statement in run.statements:
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
        run.items.append(
            Item(statement, history, line, kind, history.last, history.xero_id, history.sent)
        )
    remotes = look_up(run, run.items)
    for item in run.items:
        _classify(run, item, remotes.get(item.number, []))
    _check(run, [item for item in run.items if item.needs_contact])
    run.report.lines += [item.line for item in run.items]


def look_up(run: Run, wanted: Sequence[Item]) -> dict[str, list[Json]]:
    """What Xero holds under the numbers, and recorded documents that carry another by now."""
    found: dict[str, list[Json]] = {}
    kinds: tuple[Kind, ...] = ("invoice", "credit_note")
    for kind in kinds:
        chosen = [item for item in wanted if item.kind == kind]
        if not chosen:
            continue
        sale = "ACCRECCREDIT" if kind == "credit_note" else "ACCREC"
        for remote in run.client.by_number(kind, [item.number for item in chosen]):
            # A purchase bill may carry any number; it is another party's.
            if remote.get("Type") in (sale, None):
                found.setdefault(number_of(remote), []).append(remote)
        for item in chosen:
            if item.xero_id and item.xero_id not in {id_of(r) for r in found.get(item.number, [])}:
                remote_by_id = run.client.by_id(kind, item.xero_id)
                if remote_by_id is not None:
                    found.setdefault(item.number, []).append(remote_by_id)
    return found


def _classify(run: Run, item: Item, remotes: list[Json]) -> None:
    if item.xero_id is not None:
        _classify_recorded(run, item, remotes)
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


def _classify_recorded(run: Run, item: Item, remotes: list[Json]) -> None:
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
    elif missing := _missing(run, item):
        item.turn("finish", "; ".join(missing))
    else:
        item.turn("already there", "")


def _missing(run: Run, item: Item) -> list[str]:
    """What an approved document still lacks."""
    found = []
    if item.state != "published":
        found.append("approved in Xero, not yet recorded so")
    if item.kind == "invoice" and not item.history.online_url:
        found.append("online link not read")
    absent = [f.name for f in run.files(item) if f.name not in item.history.attached]
    if absent:
        found.append(f"not attached: {', '.join(absent)}")
    if item.kind == "credit_note" and not item.history.allocated:
        found.append("not allocated")
    return found


def _check(run: Run, wanted: list[Item]) -> None:
    """Preflight and contacts for what would be created or adopted."""
    if not wanted:
        return
    settings = preflight.read_settings(run.client, run.facts)
    contacts = run.client.contacts()
    theme = run.facts.branding_theme
    theme_id = settings.themes.get(theme) if theme else None
    for item in wanted:
        statement = item.statement
        payer = run.facts.payers.get(statement.payer_id)
        match = preflight.ContactMatch(None, None)
        if payer is not None:
            match = preflight.match_contact(payer, contacts)
        if item.line.action == "adopt":
            _check_adoption(run, item, match, theme_id)
            continue
        faults = preflight.problems(statement, run.facts, settings)
        if match.problem:
            faults.append(match.problem)
        if faults:
            item.turn("quarantined", "; ".join(faults))
            continue
        item.sent = mapping.document(
            statement, run.facts, contact_id=match.contact_id or "", theme_id=theme_id
        )


def _check_adoption(
    run: Run, item: Item, match: preflight.ContactMatch, theme_id: str | None
) -> None:
    """Only a document that agrees in everything is taken for ours."""
    remote = item.remote or {}
    contact = remote.get("Contact")
    contact_id = str(contact.get("ContactID")) if isinstance(contact, dict) else ""
    tried = item.sent is not None and may_be_ours(item.sent, remote)
    faults: list[str] = []
    if not tried:
        # What an attempt of ours would have sent says nothing of somebody else's document.
        item.sent = None
        try:
            item.sent = mapping.document(
                item.statement, run.facts, contact_id=contact_id, theme_id=theme_id
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


def may_be_ours(sent: Json, remote: Json) -> bool:
    """Same contact, and not a voided document, which is somebody else's end of the story."""
    if remote.get("Status") == "VOIDED":
        return False
    contact = remote.get("Contact")
    theirs = contact.get("ContactID") if isinstance(contact, dict) else None
    return str(theirs).lower() == str(sent["Contact"]["ContactID"]).lower()
