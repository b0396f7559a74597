"""Rules between rows about machines, meters, contracts and who works for whom, and when.

Each function takes the draft, reports what is wrong and gives the rows resolved to instants. A row
with a fault of its own is left out of the rules that follow, so that it is reported once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from connectors.book.draft import Draft, PlanItem, Record
from connectors.book.localtime import local_month
from connectors.book.model import Assignment, Placement, Term
from connectors.book.rows import ContractRow, Row

SLACK = timedelta(hours=24)
FOREVER = datetime.max.replace(tzinfo=UTC)


class Spanned(Protocol):
    """Something that holds over [valid_from_at, valid_to_at)."""

    @property
    def row_no(self) -> int: ...
    @property
    def valid_from_at(self) -> datetime: ...
    @property
    def valid_to_at(self) -> datetime | None: ...


R = TypeVar("R", bound=Row)
S = TypeVar("S", bound=Spanned)


def end_of(span: Spanned) -> datetime:
    """The end, open ones at the end of time."""
    return span.valid_to_at or FOREVER


def said(span: Spanned) -> str:
    """`2026-10-01T22:00:00Z to 2026-11-01T00:00:00Z`."""
    end = "open" if span.valid_to_at is None else instant_text(span.valid_to_at)
    return f"{instant_text(span.valid_from_at)} to {end}"


def instant_text(instant: datetime) -> str:
    """ISO with Z."""
    return instant.isoformat().replace("+00:00", "Z")


def check_unique(
    draft: Draft, records: Iterable[Record[R]], columns: Sequence[str], what: str
) -> None:
    """Refuse a second row with the same values in `columns`."""
    first: dict[Hashable, int] = {}
    for record in records:
        key = tuple(getattr(record.row, column) for column in columns)
        if key in first:
            line = first[key]
            draft.fault(record, columns[0], f"{what} stands here twice (first in line {line})")
        else:
            first[key] = record.line


def check_reference(
    draft: Draft, records: Iterable[Record[R]], column: str, kind: str, place: str
) -> None:
    """Refuse a name that `place` does not have."""
    for record in records:
        name = getattr(record.row, column)
        if name is not None and not draft.knows(kind, name):
            draft.fault(record, column, f"there is no such {kind} in {place}")


def check_span(
    draft: Draft, record: Record[R], start: datetime | None, end: datetime | None
) -> bool:
    """True if the row has a beginning and, if any, an end after it."""
    if start is None:
        return False
    if end is not None and end <= start:
        draft.fault(
            record,
            "valid_to",
            "expected a moment after valid_from (valid_to is exclusive): this is "
            f"{instant_text(start)} to {instant_text(end)}",
        )
        return False
    return True


def overlaps(spans: Iterable[S], key: Callable[[S], Hashable]) -> Iterable[tuple[S, S]]:
    """Pairs (earlier, later) of spans with equal key that share an instant, a pair a later one."""
    groups: dict[Hashable, list[S]] = defaultdict(list)
    for span in spans:
        groups[key(span)].append(span)
    for group in groups.values():
        group.sort(key=lambda span: (span.valid_from_at, span.row_no))
        widest: S | None = None
        for span in group:
            if widest is not None and span.valid_from_at < end_of(widest):
                yield widest, span
            if widest is None or end_of(span) > end_of(widest):
                widest = span


def check_sites(draft: Draft) -> None:
    """Unique sites."""
    check_unique(draft, draft.sites, ["site_id"], "this site_id")


def check_customers(draft: Draft) -> None:
    """Unique customers; parents that exist and do not run in a circle."""
    check_unique(draft, draft.customers, ["customer_id"], "this customer_id")
    check_reference(draft, draft.customers, "parent_customer_id", "customer", "customers.csv")
    parents = {r.row.customer_id: r.row.parent_customer_id for r in draft.customers}
    reported: set[str] = set()
    for record in draft.customers:
        chain = [record.row.customer_id]
        above = record.row.parent_customer_id
        while above is not None and above not in chain:
            chain.append(above)
            above = parents.get(above)
        if above == record.row.customer_id and above not in reported:
            reported.update(chain)
            circle = " > ".join([*chain, above])
            draft.fault(record, "parent_customer_id", f"the parents run in a circle: {circle}")


def placements(draft: Draft) -> list[Placement]:
    """machines.csv, resolved with each site's time zone."""
    check_reference(draft, draft.machines, "site_id", "site", "sites.csv")
    sites = {record.row.site_id: record.row for record in draft.sites}
    found: list[Placement] = []
    records: dict[int, Record[Row]] = {}
    for record in draft.machines:
        row = record.row
        site = sites.get(row.site_id)
        if site is None:
            continue
        start = draft.instant(record, "valid_from", site.timezone)
        end = draft.instant(record, "valid_to", site.timezone)
        if not check_span(draft, record, start, end) or start is None:
            continue
        # Gauges of power become energy, so a meter that gives power gives energy.
        metrics = tuple(dict.fromkeys("energy" if m == "power" else m for m in row.metrics))
        if "energy" in metrics and row.rated_kw is None and site.default_rated_kw is None:
            draft.warn(
                record,
                "rated_kw",
                f"machine {row.machine_id} has no rated_kw and site {row.site_id} no "
                "default_rated_kw: absurd readings of it will not be noticed",
            )
        records[record.line] = record  # type: ignore[assignment]
        found.append(
            Placement(
                row_no=record.line,
                machine_id=row.machine_id,
                site_id=row.site_id,
                meter_id=row.meter_id,
                valid_from_at=start,
                valid_to_at=end,
                metrics=metrics,
                model=row.model,
                rated_kw=row.rated_kw,
                asset_tag=row.asset_tag,
                never_suspend=row.never_suspend,
            )
        )
    for earlier, later in overlaps(found, lambda p: (p.site_id, p.meter_id)):
        draft.fault(
            records[later.row_no],
            "meter_id",
            f"this meter of {later.site_id} measures machine {earlier.machine_id} at the same time "
            f"(line {earlier.row_no}: {said(earlier)}; this line: {said(later)}); a meter measures "
            "one machine at a time, in one row",
        )
    _check_one_site(draft, found, records)
    return found


def _check_one_site(draft: Draft, found: list[Placement], records: dict[int, Record[Row]]) -> None:
    machines: dict[str, list[Placement]] = defaultdict(list)
    for placement in found:
        machines[placement.machine_id].append(placement)
    for group in machines.values():
        group.sort(key=lambda p: (p.valid_from_at, p.row_no))
        widest: dict[str, Placement] = {}
        for placement in group:
            for site_id, other in widest.items():
                if site_id != placement.site_id and placement.valid_from_at < end_of(other):
                    draft.fault(
                        records[placement.row_no],
                        "machine_id",
                        f"this machine stands at {site_id} at the same time (line {other.row_no}: "
                        f"{said(other)}; this line: {said(placement)}); a machine stands at one "
                        "site at a time",
                    )
                    break
            known = widest.get(placement.site_id)
            if known is None or end_of(placement) > end_of(known):
                widest[placement.site_id] = placement


def terms(draft: Draft) -> list[Term]:
    """contracts.csv, resolved and numbered."""
    check_reference(draft, draft.contracts, "customer_id", "customer", "customers.csv")
    check_reference(draft, draft.contracts, "payer_id", "payer", "payers.csv")
    check_reference(draft, draft.contracts, "plan_id", "plan", "plans/")
    plans = {item.head.plan_id: item for item in reversed(draft.plans)}
    groups: dict[str, list[tuple[datetime, datetime | None, Record[ContractRow]]]] = defaultdict(
        list
    )
    for record in draft.contracts:
        start = draft.instant(record, "valid_from", record.row.billing_timezone)
        end = draft.instant(record, "valid_to", record.row.billing_timezone)
        if check_span(draft, record, start, end) and start is not None:
            groups[record.row.contract_id].append((start, end, record))
            _check_plan_in_force(draft, record, start, plans.get(record.row.plan_id))
    found: list[Term] = []
    records: dict[int, Record[ContractRow]] = {}
    for contract_id, group in groups.items():
        group.sort(key=lambda entry: (entry[0], entry[2].line))
        first = group[0][2]
        for column in ("customer_id", "billing_timezone"):
            for _, _, record in group[1:]:
                if getattr(record.row, column) != getattr(first.row, column):
                    draft.fault(
                        record,
                        column,
                        f"all terms of contract {contract_id} share it, and line {first.line} says "
                        f"'{getattr(first.row, column)}'",
                    )
        first_month = local_month(group[0][0], first.row.billing_timezone)
        for number, (start, end, record) in enumerate(group, 1):
            row = record.row
            records[record.line] = record
            found.append(
                Term(
                    row_no=record.line,
                    contract_id=contract_id,
                    term_no=number,
                    customer_id=row.customer_id,
                    payer_id=row.payer_id,
                    plan_id=row.plan_id,
                    billing_timezone=row.billing_timezone,
                    valid_from_at=start,
                    valid_to_at=end,
                    po_number=row.po_number,
                    first_month=first_month,
                )
            )
    for earlier, later in overlaps(found, lambda t: t.contract_id):
        draft.fault(
            records[later.row_no],
            "valid_from",
            f"this term of contract {later.contract_id} overlaps that of line {earlier.row_no} "
            f"({said(earlier)}; this line: {said(later)})",
        )
    return found


def _check_plan_in_force(
    draft: Draft, record: Record[ContractRow], start: datetime, plan: PlanItem | None
) -> None:
    entries = plan.head.versions if plan is not None else ()
    if plan is None or not plan.versions or len(plan.versions) < len(entries):
        return  # the plan or a version of it has a fault of its own
    month = local_month(start, record.row.billing_timezone)
    first = min(version.head.valid_from for version in plan.versions)
    if month < first:
        draft.fault(
            record,
            "plan_id",
            f"no version of this plan is in force in {month}, the month in which this term begins; "
            f"the first is valid from {first}",
        )


def assignments(
    draft: Draft, placed: Sequence[Placement], contracted: Sequence[Term]
) -> list[Assignment]:
    """assignments.csv, resolved with each contract's billing time zone."""
    check_reference(draft, draft.assignments, "machine_id", "machine", "machines.csv")
    check_reference(draft, draft.assignments, "contract_id", "contract", "contracts.csv")
    zones = {r.row.contract_id: r.row.billing_timezone for r in reversed(draft.contracts)}
    by_machine: dict[str, list[Placement]] = defaultdict(list)
    for placement in placed:
        by_machine[placement.machine_id].append(placement)
    by_contract: dict[str, list[Term]] = defaultdict(list)
    for term in contracted:
        by_contract[term.contract_id].append(term)
    # Where a placement or term has a fault of its own, its bounds are not known.
    machine_rows: dict[str, int] = defaultdict(int)
    for machine in draft.machines:
        machine_rows[machine.row.machine_id] += 1
    contract_rows: dict[str, int] = defaultdict(int)
    for contract in draft.contracts:
        contract_rows[contract.row.contract_id] += 1
    found: list[Assignment] = []
    records: dict[int, Record[Row]] = {}
    for record in draft.assignments:
        row = record.row
        zone = zones.get(row.contract_id)
        if zone is None:
            continue
        start = draft.instant(record, "valid_from", zone)
        end = draft.instant(record, "valid_to", zone)
        if not check_span(draft, record, start, end) or start is None:
            continue
        assignment = Assignment(
            row_no=record.line,
            machine_id=row.machine_id,
            contract_id=row.contract_id,
            valid_from_at=start,
            valid_to_at=end,
        )
        found.append(assignment)
        records[record.line] = record  # type: ignore[assignment]
        stands = by_machine[row.machine_id]
        if stands and len(stands) == machine_rows[row.machine_id]:
            _check_inside(draft, record, assignment, stands, "the machine's placements")
        runs = by_contract[row.contract_id]
        if runs and len(runs) == contract_rows[row.contract_id]:
            _check_inside(draft, record, assignment, runs, "the contract's terms")
    for earlier, later in overlaps(found, lambda a: a.machine_id):
        draft.fault(
            records[later.row_no],
            "machine_id",
            f"this machine is assigned to contract {earlier.contract_id} at the same time (line "
            f"{earlier.row_no}: {said(earlier)}; this line: {said(later)}); a machine is assigned "
            "to one contract at a time",
        )
    return found


def _check_inside(
    draft: Draft,
    record: Record[R],
    assignment: Assignment,
    spans: Sequence[Spanned],
    what: str,
) -> None:
    start, end = assignment.valid_from_at, assignment.valid_to_at
    if not any(_within(start, span) for span in spans):
        draft.fault(
            record,
            "valid_from",
            f"{instant_text(start)} is more than 24 hours outside {what} ({_listed(spans)})",
        )
        return
    if end is None:
        if all(span.valid_to_at is not None for span in spans):
            draft.fault(
                record,
                "valid_to",
                f"expected an end: {what} have one, and an assignment may end at most 24 hours "
                f"after ({_listed(spans)})",
                value="",
            )
    elif not any(_within(end, span) for span in spans):
        draft.fault(
            record,
            "valid_to",
            f"{instant_text(end)} is more than 24 hours outside {what} ({_listed(spans)})",
        )
    elif not any(start < end_of(span) and end > span.valid_from_at for span in spans):
        draft.warn(record, "valid_from", f"this assignment never meets {what} ({_listed(spans)})")


def _listed(spans: Sequence[Spanned]) -> str:
    lines = [f"line {span.row_no}: {said(span)}" for span in spans[:4]]
    return "; ".join([*lines, "and more"] if len(spans) > 4 else lines)


def _within(instant: datetime, span: Spanned) -> bool:
    if instant < span.valid_from_at:
        return span.valid_from_at - instant <= SLACK
    return span.valid_to_at is None or instant - span.valid_to_at <= SLACK
