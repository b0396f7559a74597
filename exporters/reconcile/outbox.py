"""What the outbox folder shows of reminders that a restored ledger does not know. A file there is a
message that was sent; it names each overdue statement with the notice that it got."""

from __future__ import annotations

import email
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.policy import default
from pathlib import Path

from sqlalchemy import select

from exporters.collections.mail import STAGES_HEADER, notice_names, stages_in
from exporters.ledger import Reader, tables
from exporters.marts import MartsError, open_marts
from exporters.reconcile.marts import Policies, Row, missing_stages
from exporters.reconcile.settling import Settlement


@dataclass(frozen=True)
class _Letter:
    name: str
    message_id: str
    text: str
    stages: Mapping[str, str] | None
    """by statement number, as the header says; None in mails without that header"""


class OutboxStep:
    """The `.eml` files of the outbox."""

    name = "outbox"

    def __init__(self, folder: Path, marts: Sequence[Path]) -> None:
        self._folder, self._marts = folder, marts
        self._letters: list[_Letter] = []
        self._policies = Policies()

    def look(self) -> None:
        for path in self._marts:
            try:
                with open_marts(path) as marts:
                    self._policies = Policies.read(marts)
            except MartsError:
                continue  # told by the step of the marts
        for path in sorted(self._folder.glob("*.eml")):
            message = email.message_from_bytes(path.read_bytes(), policy=default)
            body = message.get_body(("plain",))
            stages = message[STAGES_HEADER]
            self._letters.append(
                _Letter(
                    name=path.name,
                    message_id=str(message["Message-ID"] or "").strip("<> "),
                    text="" if body is None else str(body.get_content()),
                    stages=None if stages is None else stages_in(str(stages)),
                )
            )

    def settle(self, reader: Reader) -> Settlement:
        known = {row["message_id"] for row in reader.query(select(tables.deliveries.c.message_id))}
        unknown = [letter for letter in self._letters if letter.message_id not in known]
        issued = tables.issued_statements
        statements: list[Row] = list(
            reader.query(select(issued.c.statement_number, issued.c.payer_id))
        )
        wanted = [
            (
                {**row, "policy_id": policy},
                self._policies.up_to(policy, stage),
            )
            for letter in unknown
            for row in statements
            if (policy := self._policies.of_payer.get(row["payer_id"])) is not None
            and (stage := self._stage(letter, row["statement_number"], policy)) is not None
        ]
        facts, words = missing_stages(reader, wanted, seen_in="the outbox")
        return Settlement(facts=tuple(facts), words=tuple(words))

    def _stage(self, letter: _Letter, number: str, policy: str) -> str | None:
        """The last stage that a letter shows a statement to have reached."""
        if letter.stages is not None:
            reached = letter.stages.get(number)
            known = self._policies.stages.get(policy, ())
            return reached if any(row["stage"] == reached for row in known) else None
        shown = re.search(rf"(?<![\w-]){re.escape(number)} \(([^\n]+)\)\s*$", letter.text, re.M)
        if shown is None:
            return None
        templates = notice_names().get(shown[1], frozenset())
        named = [
            str(row["stage"])
            for row in self._policies.stages.get(policy, ())
            if (row["template"] or row["stage"]) in templates
        ]
        return named[-1] if named else None
