"""Which statements a bank line pays, and why: a function of lines and open documents alone.

Evidence is what a person would go by: the statement's number in the text, the amount, the payer's
name, an account the payer has paid from before. Each proposal says its evidence in words. `certain`
takes the number and the exact amount and nothing against it; what fits two statements equally is
never more than `possible`. Nothing here decides: a person confirms.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from difflib import SequenceMatcher
from itertools import combinations
from typing import Final, Literal

Confidence = Literal["certain", "likely", "possible"]
TIERS: Final[tuple[Confidence, ...]] = ("certain", "likely", "possible")
CENT: Final = Decimal("0.01")
CHARGES_UP_TO: Final = Decimal("50.00")
"""What banks on the way may have kept of a payment; a larger difference is a part payment."""
SHOWN_IN_XERO_WITHIN: Final = timedelta(days=5)
"""Between the bank's day and the day under which a payment stands in Xero."""
MOST_NAMED: Final = 12
"""Subsets are looked for among at most so many statements."""
ALIKE: Final = 0.88
_LEGAL_FORMS: Final = frozenset(
    # What a firm is, not what it is called.
    {
        *("a", "ab", "ag", "aps", "as", "asa", "bv", "co", "company", "corp", "corporation"),
        *("gmbh", "inc", "kg", "limited", "llc", "llp", "ltd", "nv", "oy", "oyj", "plc", "pte"),
        *("pty", "s", "sa", "sarl", "sas", "se", "sl", "spa", "srl", "the"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A bank line, money in positive. account: ours."""

    line_id: str
    account: str
    currency: str
    booked_on: date
    amount: Decimal
    counterparty_name: str = ""
    counterparty_account: str = ""
    text: str = ""
    reversal: bool = False

    def describe(self) -> str:
        """The line in words."""
        sender = f" from {self.counterparty_name}" if self.counterparty_name else ""
        return f"{self.booked_on} {self.currency} {self.amount:,.2f}{sender}"


@dataclass(frozen=True, kw_only=True)
class Document:
    """An issued statement. open_amount: what is due on it, less what is on its way already.
    accounts: bank accounts of its seller in its currency."""

    number: str
    payer_id: str
    payer_name: str
    currency: str
    open_amount: Decimal
    due_date: date
    accounts: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Payment:
    """A payment that Xero shows and no bank line explains yet."""

    payment_id: str
    number: str
    payer_id: str
    payer_name: str
    amount: Decimal
    currency: str
    paid_on: date


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What of a line is for which statements. rest: what of the line is for none."""

    line_id: str
    parts: tuple[tuple[str, Decimal], ...]
    confidence: Confidence
    reasons: tuple[str, ...]
    rest: Decimal = Decimal("0.00")
    also: tuple[str, ...] = ()
    """Other statements that fit as well."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Payments in Xero that a line is."""

    line_id: str
    payments: tuple[Payment, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    """Proposals by line, and for other lines what little can be said of them."""

    proposals: Mapping[str, Proposal] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)


def match(
    lines: Iterable[Line],
    documents: Iterable[Document],
    *,
    seen_accounts: Mapping[str, frozenset[str]] | None = None,
    rejected: frozenset[tuple[str, str]] = frozenset(),
) -> Findings:
    """Proposals for lines, the surest first: no document is given more than is open on it.

    seen_accounts: payers by account, from matches that people confirmed. rejected: (line_id,
    number) pairs that people said no to. The order of lines and documents does not matter.
    """
    work = _Matching(documents, seen_accounts or {}, rejected)
    waiting = sorted(lines, key=lambda line: (line.booked_on, line.line_id))
    proposals: dict[str, Proposal] = {}
    hints: dict[str, str] = {}
    for tier in TIERS:
        left = []
        for line in waiting:
            found, hint = work.propose(line)
            if found is not None and TIERS.index(found.confidence) <= TIERS.index(tier):
                proposals[line.line_id] = found
                work.take(found)
                hints.pop(line.line_id, None)
            else:
                left.append(line)
                if hint:
                    hints[line.line_id] = hint
        waiting = left
    return Findings(proposals, hints)


class _Matching:
    """Documents with what is open on them while lines are being given to them."""

    def __init__(
        self,
        documents: Iterable[Document],
        seen: Mapping[str, frozenset[str]],
        rejected: frozenset[tuple[str, str]],
    ) -> None:
        ordered = sorted(documents, key=lambda one: (one.due_date, one.number))
        self._documents = {one.number: one for one in ordered}
        self._open = {one.number: one.open_amount for one in ordered}
        self._seen, self._rejected = seen, rejected
        self._numbers = {one.number: NumberIn(one.number) for one in ordered}
        self._named: dict[str, list[str]] = {}
        self._names: dict[tuple[str, str], bool] = {}

    def take(self, proposal: Proposal) -> None:
        for number, amount in proposal.parts:
            self._open[number] -= amount

    def propose(self, line: Line) -> tuple[Proposal | None, str]:
        """What the line may be for, or a hint."""
        if line.amount <= 0:
            words = "a payment that the bank took back" if line.reversal else "money that went out"
            return None, words
        named = [self._documents[number] for number in self._named_in(line)]
        mine = [one for one in named if self._may_pay(line, one)]
        if mine:
            return self._by_number(line, mine), ""
        hint = self._hint_of_named(line, named)
        if named:
            return None, hint
        return self._by_payer(line)

    def _named_in(self, line: Line) -> list[str]:
        if line.line_id not in self._named:
            plain = plain_text(line.text)
            self._named[line.line_id] = [
                number
                for number, sought in self._numbers.items()
                if sought.plain in plain
                and (line.line_id, number) not in self._rejected
                and sought.stands_in(line.text)
            ]
        return self._named[line.line_id]

    def _may_pay(self, line: Line, one: Document) -> bool:
        return (
            one.currency == line.currency
            and (not one.accounts or line.account in one.accounts)
            and self._open[one.number] > 0
        )

    def _hint_of_named(self, line: Line, named: Sequence[Document]) -> str:
        words = []
        for one in named:
            if one.currency != line.currency:
                words.append(f"{one.number} in the text is in {one.currency}, not {line.currency}")
            elif one.accounts and line.account not in one.accounts:
                words.append(f"{one.number} in the text is another seller's")
            elif self._open[one.number] <= 0:
                words.append(f"nothing is open on {one.number} in the text any more")
        return "; ".join(words)

    # --- the number is in the text ---

    def _by_number(self, line: Line, named: list[Document]) -> Proposal:
        numbers = ", ".join(one.number for one in named)
        reasons = [f"number{'s' * (len(named) > 1)} {numbers} in the text"]
        due = sum((self._open[one.number] for one in named), Decimal(0))
        payers = {one.payer_id for one in named}
        agrees, words = self._sender(line, named[0])
        reasons += [words] if words else []
        against = agrees is False or len(payers) > 1
        if len(payers) > 1:
            reasons.append("the statements are of several payers")
        if line.amount == due:
            reasons.insert(1, "amount equal" if len(named) == 1 else "the sum of all is the amount")
            confidence: Confidence = "likely" if against else "certain"
            return self._all_of(line, named, confidence, reasons)
        if line.amount > due:
            reasons.insert(1, f"{line.amount - due:,.2f} more than the {due:,.2f} that is due")
            confidence = "possible" if against else "likely"
            return self._all_of(line, named, confidence, reasons)
        if len(named) > 1:
            sums = self._subsets(line, named)
            if sums:
                chosen = sums[0]
                reasons.insert(1, f"{_and(chosen)} together are the amount")
                tied = len(sums) > 1
                return self._all_of(
                    line,
                    list(chosen),
                    "possible" if tied or against else "likely",
                    reasons,
                    also=tuple(_and(other) for other in sums[1:]),
                )
        short = due - line.amount
        reasons.insert(1, _short(short, len(named) == 1))
        small = short <= CHARGES_UP_TO and len(named) == 1
        confidence = "likely" if (len(named) == 1 and not against) or small else "possible"
        if against:
            confidence = "possible"
        return self._oldest_first(line, named, confidence, reasons)

    def _all_of(
        self,
        line: Line,
        chosen: Sequence[Document],
        confidence: Confidence,
        reasons: Sequence[str],
        also: tuple[str, ...] = (),
    ) -> Proposal:
        parts = tuple((one.number, self._open[one.number]) for one in chosen)
        rest = line.amount - sum((amount for _, amount in parts), Decimal(0))
        return Proposal(
            line_id=line.line_id,
            parts=parts,
            confidence=confidence,
            reasons=tuple(reasons),
            rest=rest,
            also=also,
        )

    def _oldest_first(
        self,
        line: Line,
        chosen: Sequence[Document],
        confidence: Confidence,
        reasons: Sequence[str],
    ) -> Proposal:
        left, parts = line.amount, []
        for one in chosen:
            part = min(left, self._open[one.number])
            if part > 0:
                parts.append((one.number, part))
                left -= part
        return Proposal(
            line_id=line.line_id,
            parts=tuple(parts),
            confidence=confidence,
            reasons=tuple(reasons),
            rest=left,
        )

    def _subsets(self, line: Line, named: Sequence[Document]) -> list[tuple[Document, ...]]:
        """Some of the statements whose sum is the amount, at most two ways."""
        found: list[tuple[Document, ...]] = []
        some = named[:MOST_NAMED]
        for size in range(1, len(some)):
            for chosen in combinations(some, size):
                if sum((self._open[one.number] for one in chosen), Decimal(0)) == line.amount:
                    found.append(chosen)
                    if len(found) == 2:
                        return found
        return found

    # --- no number: the payer, the amount ---

    def _by_payer(self, line: Line) -> tuple[Proposal | None, str]:
        open_now = [
            one
            for one in self._documents.values()
            if self._may_pay(line, one) and (line.line_id, one.number) not in self._rejected
        ]
        by_payer: dict[str, list[Document]] = defaultdict(list)
        for one in open_now:
            by_payer[one.payer_id].append(one)
        known: list[tuple[str, str]] = []
        for payer_id, documents in by_payer.items():
            agrees, words = self._sender(line, documents[0])
            if agrees:
                known.append((payer_id, words))
        best: list[Proposal] = []
        for payer_id, words in known:
            documents = by_payer[payer_id]
            equal = [one for one in documents if self._open[one.number] == line.amount]
            due = sum((self._open[one.number] for one in documents), Decimal(0))
            if equal:
                reasons = [words, "amount equal", "no number in the text"]
                best += [self._all_of(line, [one], "likely", reasons) for one in equal]
            elif due == line.amount:
                reasons = [words, f"all that is open, {_and(documents)}, is the amount"]
                best.append(self._all_of(line, documents, "likely", reasons))
        if best:
            return _one_of(best), ""
        if known:
            payers = ", ".join(payer_id for payer_id, _ in known)
            return None, f"{known[0][1]} ({payers}), but no open statement has this amount"
        equal = [one for one in open_now if self._open[one.number] == line.amount]
        if equal:
            reasons = ["only the amount agrees"]
            return _one_of([self._all_of(line, [one], "possible", reasons) for one in equal]), ""
        return None, "nothing in it is of a payer or statement that is known"

    def _sender(self, line: Line, one: Document) -> tuple[bool | None, str]:
        """Whether the sender is the document's payer; None where the line does not say who."""
        payers = self._seen.get(line.counterparty_account, frozenset())
        if one.payer_id in payers:
            return True, f"account {line.counterparty_account} has paid for {one.payer_id} before"
        if not line.counterparty_name:
            return None, ""
        pair = (line.counterparty_name, one.payer_name)
        if pair not in self._names:
            self._names[pair] = names_agree(*pair)
        if self._names[pair]:
            return True, "name agrees"
        return False, f"the sender {line.counterparty_name} is not {one.payer_name}"


def _one_of(equal: list[Proposal]) -> Proposal:
    """The first of proposals that fit equally; with others it is no more than possible."""
    if len(equal) == 1:
        return equal[0]
    first, others = equal[0], equal[1:]
    also = tuple(", ".join(number for number, _ in other.parts) for other in others)
    return Proposal(
        line_id=first.line_id,
        parts=first.parts,
        confidence="possible",
        reasons=(*first.reasons, f"{', '.join(also)} would fit as well"),
        rest=first.rest,
        also=also,
    )


def _short(difference: Decimal, alone: bool) -> str:
    if difference == CENT:
        return "one cent less than what is due"
    if alone and difference <= CHARGES_UP_TO:
        return f"{difference:,.2f} less than what is due: charges of a bank, or a part payment"
    return f"{difference:,.2f} less than what is due: a part payment"


def _and(documents: Sequence[Document]) -> str:
    return " + ".join(one.number for one in documents)


# --- payments that Xero shows ---


def explain(
    lines: Iterable[Line],
    payments: Iterable[Payment],
    *,
    seen_accounts: Mapping[str, frozenset[str]] | None = None,
) -> list[Explanation]:
    """Lines that are payments which people entered in Xero: amount and day agree, and the number or
    the sender says so; and nothing else fits as well. Also one line for several payments of a payer
    on one day."""
    seen = seen_accounts or {}
    waiting = sorted(
        (line for line in lines if line.amount > 0),
        key=lambda line: (line.booked_on, line.line_id),
    )
    free = sorted(payments, key=lambda one: (one.paid_on, one.number, one.payment_id))
    candidates: dict[str, list[tuple[tuple[Payment, ...], tuple[str, ...]]]] = {}
    groups: dict[tuple[str, str, date], list[Payment]] = defaultdict(list)
    for one in free:
        groups[one.payer_id, one.currency, one.paid_on].append(one)
    sets = [(one,) for one in free] + [tuple(g) for g in groups.values() if len(g) > 1]
    by_amount: dict[tuple[str, Decimal], list[tuple[Payment, ...]]] = defaultdict(list)
    for chosen in sets:
        total = sum((one.amount for one in chosen), Decimal(0))
        by_amount[chosen[0].currency, total].append(chosen)
    for line in waiting:
        found = []
        for chosen in by_amount.get((line.currency, line.amount), []):
            if abs(chosen[0].paid_on - line.booked_on) <= SHOWN_IN_XERO_WITHIN:
                reasons = _why_the_same(line, chosen, seen)
                if reasons:
                    found.append((chosen, reasons))
        named = [f for f in found if f[1][0].startswith("number")]
        candidates[line.line_id] = named or found
    used: set[str] = set()
    made = []
    for line in waiting:
        found = [f for f in candidates[line.line_id] if not used & {one.payment_id for one in f[0]}]
        if not found or len({tuple(sorted(one.number for one in f[0])) for f in found}) > 1:
            continue
        chosen, reasons = found[0]
        used |= {one.payment_id for one in chosen}
        made.append(Explanation(line_id=line.line_id, payments=chosen, reasons=reasons))
    return made


def _why_the_same(
    line: Line, chosen: tuple[Payment, ...], seen: Mapping[str, frozenset[str]]
) -> tuple[str, ...]:
    days = abs((chosen[0].paid_on - line.booked_on).days)
    when = "same day" if not days else f"{days} day{'s' * (days != 1)} apart"
    numbers = {one.number for one in chosen}
    if all(NumberIn(number).stands_in(line.text) for number in numbers):
        return f"number{'s' * (len(numbers) > 1)} in the text", "amount equal", when
    payer = chosen[0]
    if payer.payer_id in seen.get(line.counterparty_account, frozenset()):
        return "the payer's account", "amount equal", when
    if line.counterparty_name and names_agree(line.counterparty_name, payer.payer_name):
        return "name agrees", "amount equal", when
    return ()


# --- words ---


class NumberIn:
    """A statement number to be found in a text however it is broken, spaced or hyphenated; but not
    as a part of a longer one."""

    def __init__(self, number: str) -> None:
        self.plain = plain_text(number)
        # Before a digit or letter that ends a word, and after one, it is another number.
        letters = r"[\W_]*".join(re.escape(c) for c in self.plain)
        self._pattern = re.compile(rf"(?<![^\W_]){letters}(?![^\W_])") if letters else None

    def stands_in(self, text: str) -> bool:
        """Whether the number is in the text."""
        return self._pattern is not None and bool(self._pattern.search(_folded(text)))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).upper()


def plain_text(text: str) -> str:
    """Letters and digits of a text, in capitals."""
    return "".join(c for c in _folded(text) if c.isalnum())


def names_agree(one: str, other: str) -> bool:
    """Whether two names can be the same firm: legal forms, accents, case, order and small slips do
    not count; a name cut short by a bank agrees with the whole one."""
    words, others = _words(one), _words(other)
    if not words or not others:
        return False
    if words == others or set(words) == set(others):
        return True
    short, long = sorted((words, others), key=lambda w: len("".join(w)))
    joined, whole = "".join(short), "".join(long)
    if len(joined) >= 5 and whole.startswith(joined):
        return True
    if set(short) < set(long) and len(joined) >= 5:
        return True
    return SequenceMatcher(None, " ".join(sorted(words)), " ".join(sorted(others))).ratio() >= ALIKE


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name.translate(_LETTERS)).casefold()
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    words = re.findall(r"[^\W_]+", plain)
    return [word for word in words if word not in _LEGAL_FORMS] or words


_LETTERS: Final = str.maketrans({"ø": "o", "Ø": "o", "æ": "ae", "Æ": "ae", "ł": "l", "Ł": "l"})
