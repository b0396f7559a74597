"""What a change of the book does to the sentences of its plans."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.book import WordsChange, changed_words, load_book

if TYPE_CHECKING:
    from tests.unit.book.conftest import BookFiles


def changes(book_files: BookFiles, tmp_path: Path, old: str, new: str) -> list[WordsChange]:
    """What differs once `old` of the plan `small` is `new`."""
    shutil.copytree(book_files.folder, tmp_path / "before")
    book_files.replace("plans/small.yml", old, new)
    return changed_words(load_book(tmp_path / "before"), load_book(book_files.folder))


def test_a_changed_price_is_one_changed_sentence(book_files: BookFiles, tmp_path: Path) -> None:
    (change,) = changes(book_files, tmp_path, 'rate: "1"', 'rate: "1.10"')
    assert change == WordsChange(
        "small",
        1,
        "energy",
        "Energy: NOK 1 per kWh at each site.",
        "Energy: NOK 1.10 per kWh at each site.",
    )
    assert change.change == "changed"


def test_a_new_version_shortens_the_one_before(book_files: BookFiles, tmp_path: Path) -> None:
    new = """  - version: 2
    valid_from: 2026-09
    adjust: false
    charges:
      - {code: desk, model: recurring, amount: "5"}
"""
    found = changes(book_files, tmp_path, "", new)
    assert [(c.version, c.code, c.change) for c in found] == [
        (1, None, "changed"),
        (2, None, "added"),
        (2, "desk", "added"),
    ]
    assert (
        found[0].after
        == "small, version 1, from February 2026 until September 2026 (exclusive), in NOK."
    )
    assert (found[1].after or "").endswith("does not touch months already issued.")


def test_a_charge_that_goes_is_removed(book_files: BookFiles, tmp_path: Path) -> None:
    found = changes(book_files, tmp_path, "{code: energy,", "{code: power,")
    assert [(c.code, c.change) for c in found] == [("power", "added"), ("energy", "removed")]
    assert found[1].before == "Energy: NOK 1 per kWh at each site."


def test_what_sentences_say_otherwise_is_a_change_too(
    book_files: BookFiles, tmp_path: Path
) -> None:
    """A calendar lies in another file than the plan that prices it."""
    shutil.copytree(book_files.folder, tmp_path / "before")
    book_files.replace("calendars.yml", '"08:00", to: "24:00"', '"09:00", to: "24:00"')
    found = changed_words(load_book(tmp_path / "before"), load_book(book_files.folder))
    assert [(c.plan_id, c.code, c.change) for c in found] == [("all-models", "tou", "changed")]


def test_another_layout_changes_nothing(book_files: BookFiles, tmp_path: Path) -> None:
    assert changes(book_files, tmp_path, "plan_id: small", "# a comment\nplan_id: small") == []
