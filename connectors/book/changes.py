"""What a change of the book does to the sentences of its plans.

Two books are compared by the words that finance signs, not by their files: a plan version is the
same in both if its plan and number are, a sentence if the code of its charge is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from connectors.book.model import Book
from connectors.book.words import PlanWords, render_words

Change = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class WordsChange:
    """One sentence that differs. `code` is that of the charge; None for what is said of the whole
    version. `before` is None where the sentence is new, `after` where it is gone."""

    plan_id: str
    version: int
    code: str | None
    before: str | None
    after: str | None

    @property
    def change(self) -> Change:
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


def changed_words(before: Book, after: Book) -> list[WordsChange]:
    """Every sentence that differs, by plan and version; charges in the order of the newer book."""
    old, new = _by_version(before), _by_version(after)
    found = []
    for plan_id, version in sorted({*old, *new}):
        was, now = old.get((plan_id, version), {}), new.get((plan_id, version), {})
        for code in _in_order(now, was):
            sentence = (was.get(code), now.get(code))
            if sentence[0] != sentence[1]:
                found.append(WordsChange(plan_id, version, code, *sentence))
    return found


_Sentences = Mapping[str | None, str]


def _by_version(book: Book) -> dict[tuple[str, int], _Sentences]:
    return {(words.plan_id, words.version): _sentences(words) for words in render_words(book)}


def _sentences(words: PlanWords) -> _Sentences:
    whole = words.title if words.closing is None else f"{words.title} {words.closing}"
    sentences: dict[str | None, str] = {None: whole}
    sentences.update(words.sentences.items())
    return sentences


def _in_order(now: _Sentences, was: _Sentences) -> Sequence[str | None]:
    return [*now, *(code for code in was if code not in now)]
