"""What published marts remember that a restored ledger does not: statement numbers that were given,
and reminder stages that were reached."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from exporters.ledger import Reader, tables
from exporters.marts import Marts, MartsError, open_marts
from exporters.reconcile.kept import all_marts
from exporters.reconcile.series import advance, number_in
from exporters.reconcile.settling import Settlement

Row = Mapping[str, Any]
Fact = tuple[str, dict[str, Any]]


@dataclass
class Policies:
    """The book's dunning, as marts carry it: stages in order by policy, and each payer's policy."""

    stages: dict[str, list[Row]] = field(default_factory=dict)
    of_payer: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, marts: Marts) -> Policies:
        stages: dict[str, list[Row]] = defaultdict(list)
        for row in marts.rows("SELECT * FROM dunning_stages ORDER BY policy_id, stage_no"):
            stages[row["policy_id"]].append(row)
        payers = marts.rows("SELECT payer_id, dunning_policy FROM payers")
        return cls(dict(stages), {row["payer_id"]: row["dunning_policy"] for row in payers})

    def up_to(self, policy_id: str | None, stage: str) -> list[str]:
        """The stages of a policy up to this one; that one alone if the policy does not know it."""
        names = [row["stage"] for row in self.stages.get(policy_id or "", ())]
        return names[: names.index(stage) + 1] if stage in names else [stage]


class MartsStep:
    """The published marts and those kept from before."""

    name = "published marts"

    def __init__(self, marts_path: Path) -> None:
        self._path = marts_path
        self._issued: dict[str, tuple[Row, Path]] = {}
        self._reached: list[tuple[Row, Policies]] = []
        self._unread: list[str] = []
        self._read: list[Path] = []
        self.saw_xero = False

    def look(self) -> None:
        for path in all_marts(self._path):
            try:
                with open_marts(path) as marts:
                    self._take(marts, path)
            except MartsError as error:
                self._unread.append(str(error))
            else:
                self._read.append(path)

    def _take(self, marts: Marts, path: Path) -> None:
        for row in marts.rows(
            "SELECT statement_id, statement_number, period, payer_id, total, currency "
            "FROM statements WHERE state = 'issued' AND statement_number IS NOT NULL"
        ):
            self._issued[row["statement_number"]] = (row, path)
        policies = Policies.read(marts)
        for row in marts.rows(
            "SELECT statement_number, payer_id, policy_id, last_stage FROM collections "
            "WHERE last_stage IS NOT NULL"
        ):
            self._reached.append((row, policies))
        (seen,) = marts.rows(
            "SELECT count(*) AS documents FROM invoices "
            "WHERE xero_id IS NOT NULL OR publish_state <> 'not_published'"
        )
        self.saw_xero = self.saw_xero or seen["documents"] > 0

    def settle(self, reader: Reader) -> Settlement:
        lost, words, problems = self._lost(reader)
        advances, told = _advances(reader, self._issued)
        fired, reminded = self._reminders(reader)
        if not self._read:
            told.insert(0, "there are none: nothing is known of the time since the copy was made")
        return Settlement(
            words=(*self._unread, *words, *told, *reminded),
            facts=(*lost, *advances, *fired),
            open=tuple(problems),
        )

    def _lost(self, reader: Reader) -> tuple[list[Fact], list[str], list[str]]:
        issued, known = tables.issued_statements, tables.lost_statements
        held = {row["statement_number"] for row in reader.query(select(issued.c.statement_number))}
        told = {row["statement_number"] for row in reader.query(select(known.c.statement_number))}
        facts: list[Fact] = []
        words: list[str] = []
        problems: list[str] = []
        for number, (row, path) in sorted(self._issued.items()):
            if number in held or number in told:
                continue
            if number_in(row["payer_id"], number) is None:
                problems.append(f"{number} is no number of the series of {row['payer_id']}")
            facts.append(
                (
                    known.name,
                    {
                        **row,
                        "state": "lost",
                        "by": "m2c reconcile",
                        "reason": f"issued before the ledger was put back, as {path.name} knows",
                    },
                )
            )
            words.append(
                f"{number} ({row['statement_id']}, {row['currency']} {row['total']}) was issued, "
                "and the ledger does not hold it"
            )
        return facts, words, problems

    def _reminders(self, reader: Reader) -> tuple[list[Fact], list[str]]:
        wanted = [
            (row, policies.up_to(row["policy_id"], row["last_stage"]))
            for row, policies in self._reached
        ]
        return missing_stages(reader, wanted, seen_in="the marts")


def missing_stages(
    reader: Reader, wanted: Sequence[tuple[Row, Sequence[str]]], *, seen_in: str
) -> tuple[list[Fact], list[str]]:
    """Stages that were reached and that the ledger does not have, of statements that it holds.

    wanted: (statement_number, payer_id, policy_id), with its stages in order. They are recorded
    without a message, which counts as sent and is never repeated.
    """
    reminders, issued = tables.reminders, tables.issued_statements
    have = {
        (row["statement_number"], row["stage"])
        for row in reader.query(select(reminders.c.statement_number, reminders.c.stage))
    }
    held = {row["statement_number"] for row in reader.query(select(issued.c.statement_number))}
    facts: list[Fact] = []
    words: list[str] = []
    for row, stages in wanted:
        number = row["statement_number"]
        missing = [stage for stage in stages if (number, stage) not in have]
        if number not in held or not missing:
            continue
        have |= {(number, stage) for stage in missing}
        facts += [
            (
                reminders.name,
                {
                    "statement_number": number,
                    "stage": stage,
                    "payer_id": row["payer_id"],
                    "policy_id": row["policy_id"] or "",
                },
            )
            for stage in missing
        ]
        words.append(f"{number} was reminded as far as {stages[-1]}, as {seen_in} knows")
    return facts, words


def _advances(
    reader: Reader, issued: Mapping[str, tuple[Row, Path]]
) -> tuple[list[Fact], list[str]]:
    """Series that must go on behind numbers which the ledger does not know to be taken."""
    last: dict[str, tuple[int, str, Path]] = {}
    for number, (row, path) in issued.items():
        series_no = number_in(row["payer_id"], number)
        if series_no is not None and series_no > last.get(row["payer_id"], (0, "", path))[0]:
            last[row["payer_id"]] = (series_no, number, path)
    found = [
        advance(
            reader,
            series,
            number,
            f"{number} was issued before the ledger was put back to an older copy, as {path.name} "
            "knows",
        )
        for series, (_, number, path) in sorted(last.items())
    ]
    return [one[0] for one in found if one], [one[1] for one in found if one]
