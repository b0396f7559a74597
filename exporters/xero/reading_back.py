"""What Xero holds that a ledger put back to an older copy does not know: numbers that are taken,
documents of statements that it issued, and statements whose issue it lost.

A step of `exporters.reconcile`: it reads every organisation first and changes nothing there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from sqlalchemy import func, select

from exporters.ledger import Ledger, Reader, tables
from exporters.marts import MartsError, open_marts
from exporters.reconcile.reconcile import COMPARED, NOT_COMPARED
from exporters.reconcile.series import advance, number_in
from exporters.reconcile.settling import Settlement
from exporters.xero import mapping, records
from exporters.xero.client import Kind, XeroClient
from exporters.xero.compare import number_of
from exporters.xero.config import XeroConfig
from exporters.xero.errors import XeroError
from exporters.xero.facts import Statement, read_all, read_book
from exporters.xero.payments import organisations
from exporters.xero.publishing.planning import plan
from exporters.xero.publishing.run import Item, Run
from exporters.xero.report import PublishReport
from exporters.xero.wire import Json, items, money

OVERLAP: Final = timedelta(days=1)
"""How far before the copy's last fact is read: clocks differ, and a write takes its time."""
Fact = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class _Found:
    """A sales document in Xero under a number of a series of ours."""

    number: str
    series: str
    series_no: int
    remote: Json


class XeroReadBack:
    """Compares a restored ledger with every organisation of the environment and the book.

    state: `compared` if all could be read.
    """

    name = "Xero"

    def __init__(
        self,
        ledger: Ledger,
        marts_path: Path,
        *,
        config: XeroConfig,
        clock: Callable[[], datetime],
        http: httpx.Client | None = None,
    ) -> None:
        self._ledger, self._marts, self._config = ledger, marts_path, config
        self._clock, self._http = clock, http
        self._found: dict[str, _Found] = {}
        self._adoptable: list[Item] = []
        self._words: list[str] = []
        self._problems: list[str] = []
        self._candidates: list[dict[str, Any]] = []
        self.state = NOT_COMPARED

    def look(self) -> None:
        try:
            with open_marts(self._marts) as marts:
                self._candidates = marts.rows(
                    "SELECT statement_id, period, payer_id, currency, total FROM statements "
                    "WHERE statement_number IS NULL"
                )
            facts = read_book(self._marts)
            tenants = organisations(self._config, self._marts)
        except (MartsError, XeroError) as error:
            self._problems.append(f"Xero was not compared: {error}")
            return
        payers = {*facts.payers, *self._series()}
        issued = read_all(self._ledger)
        for tenant in tenants:
            try:
                with XeroClient(
                    self._config.for_tenant(tenant), clock=self._clock, http=self._http
                ) as client:
                    self._read(client, payers)
                    mine = [
                        s
                        for s in issued
                        if s.number in self._found
                        and facts.tenant_of(s.seller_id, self._config.tenant_id) == tenant
                    ]
                    self._adoptable += self._adoptions(client, facts, mine)
            except XeroError as error:
                self._problems.append(f"organisation {tenant} was not compared: {error}")

    def _series(self) -> set[str]:
        issued = tables.issued_statements
        return {row["series"] for row in self._ledger.query(select(issued.c.series).distinct())}

    def _read(self, client: XeroClient, payers: set[str]) -> None:
        kinds: tuple[Kind, ...] = ("invoice", "credit_note")
        for kind in kinds:
            for answer in client.modified(kind, self._since()):
                for remote in items(answer.content, "Invoices") + items(
                    answer.content, "CreditNotes"
                ):
                    number = number_of(remote)
                    series = number.rpartition("-")[0]
                    series_no = number_in(series, number)
                    if (
                        series in payers
                        and series_no is not None
                        and remote.get("Status") != "DELETED"
                    ):
                        self._found[number] = _Found(number, series, series_no, remote)

    def _since(self) -> datetime | None:
        """From when on something can be missing: what the copy knows last. Polls go on after a
        restore, so they tell nothing of it."""
        restores, done = tables.restores, tables.reconciliations
        newest: datetime | None = None
        with self._ledger.snapshot() as reader:
            covered = reader.scalar(select(func.max(done.c.restore_id)).where(done.c.complete)) or 0
            restored_at = reader.scalar(
                select(func.min(restores.c.at)).where(restores.c.id > covered)
            )
            for table in (tables.issued_statements, tables.intents):
                last = select(func.max(table.c.at))
                if restored_at is not None:
                    last = last.where(table.c.at < restored_at)
                newest = max(filter(None, (newest, reader.scalar(last))), default=None)
        return None if newest is None else newest - OVERLAP

    def _adoptions(self, client: XeroClient, facts: Any, statements: list[Statement]) -> list[Item]:
        """Documents that are those of statements which the ledger holds, and which it does not know
        to be there."""
        histories = records.read_histories(self._ledger, [s.number for s in statements])
        unknown = [s for s in statements if histories[s.number].xero_id is None]
        if not unknown:
            return []
        report = PublishReport(period="", applied=False)
        run = Run(client, self._ledger, facts, unknown, report, {})
        plan(run)
        for item in run.items:
            if item.line.action != "adopt":
                self._words.append(f"for a person: {item.line.describe()}")
        return [item for item in run.items if item.line.action == "adopt"]

    def settle(self, reader: Reader) -> Settlement:
        """What the ledger lacks of it."""
        if self._problems:
            self.state = NOT_COMPARED
            return Settlement(words=tuple(self._words), open=tuple(self._problems))
        self.state = COMPARED
        adopted, adopted_words = self._adopted()
        advances, advance_words = self._advances(reader)
        lost, lost_words, problems = self._lost(reader)
        return Settlement(
            words=(*self._words, *adopted_words, *advance_words, *lost_words),
            facts=(*adopted, *advances, *lost),
            open=problems,
        )

    def _adopted(self) -> tuple[list[Fact], list[str]]:
        facts: list[Fact] = []
        words: list[str] = []
        for item in self._adoptable:
            facts += records.adoption(
                item.statement, item.history, item.document, item.remote or {}
            )
            words.append(f"{item.number} is in Xero, and the ledger takes it for its own")
        return facts, words

    def _advances(self, reader: Reader) -> tuple[list[Fact], list[str]]:
        in_order = sorted(self._found.values(), key=lambda found: found.series_no)
        highest = {found.series: found.number for found in in_order}
        found = [
            advance(
                reader,
                series,
                number,
                f"{number} is in Xero, and a restored ledger did not know it",
            )
            for series, number in sorted(highest.items())
        ]
        return [one[0] for one in found if one], [one[1] for one in found if one]

    def _lost(self, reader: Reader) -> tuple[list[Fact], list[str], tuple[str, ...]]:
        """Documents of statements that the ledger does not hold: which ones they were is told by
        payer, months, currency and total, if one statement alone can be meant."""
        issued, told = tables.issued_statements, tables.lost_statements
        held = {row["statement_number"] for row in reader.query(select(issued.c.statement_number))}
        held |= {row["statement_number"] for row in reader.query(select(told.c.statement_number))}
        facts: list[Fact] = []
        words: list[str] = []
        problems: list[str] = []
        for number in sorted(set(self._found) - held):
            found = self._found[number]
            total = _signed_total(found.remote)
            currency = str(found.remote.get("CurrencyCode"))
            meant = [
                row
                for row in self._candidates
                if (row["payer_id"], row["currency"], row["total"])
                == (found.series, currency, total)
                and row["period"] in _periods(found.remote)
            ]
            if len(meant) != 1:
                which = ", ".join(str(row["statement_id"]) for row in meant) or "none"
                problems.append(
                    f"{number} ({currency} {total}) is in Xero, the ledger does not hold it, and "
                    f"which statement it was is not known (it could be: {which}): run m2c build "
                    "and reconcile again; if it is none of ours, give it another number in Xero"
                )
                continue
            values = {name: meant[0][name] for name in ("statement_id", "period", "payer_id")}
            facts.append(
                (
                    told.name,
                    {
                        **values,
                        "statement_number": number,
                        "total": total,
                        "currency": currency,
                        "state": "lost",
                        "by": "m2c reconcile",
                        "reason": "issued before the ledger was put back, as Xero knows",
                    },
                )
            )
            words.append(
                f"{number} ({values['statement_id']}, {currency} {total}) is in Xero, and the "
                "ledger does not hold it"
            )
        return facts, words, tuple(problems)


def _signed_total(remote: Json) -> Any:
    total = money(remote.get("Total"))
    return -total if total is not None and remote.get("Type") == "ACCRECCREDIT" else total


def _periods(remote: Json) -> set[str]:
    """The months that the words of its lines name, as `mapping.describe` writes them."""
    return {month for line in items(remote, "LineItems") for month in _months(line)}


def _months(line: Json) -> Iterator[str]:
    names = "|".join(mapping.MONTHS)
    for month, year in re.findall(rf"\b({names}) (\d{{4}})\b", str(line.get("Description") or "")):
        yield f"{year}-{mapping.MONTHS.index(month) + 1:02d}"
