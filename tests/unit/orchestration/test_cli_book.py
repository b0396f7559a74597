"""`m2c book diff`: the sentences that a change of the book changes, against git."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from connectors.book import BookError, load_book
from orchestration import cli
from orchestration.dictionary import overview
from orchestration.settings import SettingsError
from tests.unit.book.conftest import BookFiles

if TYPE_CHECKING:
    from collections.abc import Sequence


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=ann", "-c", "user.email=ann@example.com"]
    subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True
    )


def run(folder: Path, arguments: Sequence[str]) -> Result:
    return CliRunner().invoke(
        cli.cli,
        ["--data-dir", str(folder), "book", "diff", *arguments],
        standalone_mode=False,
        catch_exceptions=False,
    )


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BookFiles:
    """A book below the top of a git work tree, committed once with a price of 1."""
    monkeypatch.setenv("M2C_DATA_DIR", "")  # put back what the command sets
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    files = BookFiles(tmp_path / "billing" / "data" / "book")
    git(tmp_path, "init", "--quiet", "--initial-branch=main", "billing")
    git(tmp_path / "billing", "add", ".")
    git(tmp_path / "billing", "commit", "--quiet", "--message", "first")
    return files


def test_uncommitted_changes_show_as_sentences(book: BookFiles) -> None:
    book.replace("plans/small.yml", 'rate: "1"', 'rate: "2"')
    said = run(book.folder.parent, [])
    assert said.return_value == 0
    assert said.output.split("\n") == [
        "",
        "small, version 1",
        "- Energy: NOK 1 per kWh at each site.",
        "+ Energy: NOK 2 per kWh at each site.",
        "",
    ]
    assert json.loads(run(book.folder.parent, ["--json"]).output) == [
        {
            "plan_id": "small",
            "version": 1,
            "code": "energy",
            "before": "Energy: NOK 1 per kWh at each site.",
            "after": "Energy: NOK 2 per kWh at each site.",
            "change": "changed",
        }
    ]


def test_committed_changes_show_against_an_older_revision(book: BookFiles) -> None:
    book.replace("plans/small.yml", 'rate: "1"', 'rate: "2"')
    git(book.folder, "commit", "--quiet", "--all", "--message", "second")
    assert run(book.folder.parent, []).output == "no sentence of a plan differs from HEAD\n"
    assert "+ Energy: NOK 2 per kWh" in run(book.folder.parent, ["HEAD~1"]).output


def test_what_cannot_be_compared_is_said_in_words(book: BookFiles, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="git knows no revision 'nope'"):
        run(book.folder.parent, ["nope"])
    with pytest.raises(SettingsError, match="git knows no revision '--output=x'"):
        run(book.folder.parent, ["--", "--output=x"])
    alone = BookFiles(tmp_path / "alone" / "book")
    with pytest.raises(SettingsError, match="is not in a git work tree"):
        run(alone.folder.parent, [])
    later = BookFiles(tmp_path / "billing" / "later" / "book")
    with pytest.raises(SettingsError, match="revision HEAD has no book at later/book/"):
        run(later.folder.parent, [])
    with pytest.raises(BookError, match="there is no such folder"):
        run(tmp_path / "billing", [])


def test_a_revision_whose_book_has_faults_is_named(book: BookFiles) -> None:
    book.replace("plans/small.yml", 'rate: "1"', "rate: 1")
    git(book.folder, "commit", "--quiet", "--all", "--message", "broken")
    book.replace("plans/small.yml", "rate: 1", 'rate: "1"')
    with pytest.raises(SettingsError, match=r"at revision HEAD is not sound(.|\n)*small\.yml"):
        run(book.folder.parent, [])


def test_the_data_dictionary_opens_with_the_plans_in_words(tmp_path: Path) -> None:
    files = BookFiles(tmp_path / "book")
    files.replace("plans/all-models.yml", "Every model", "'{% enddocs %} *5* {{ boom }} <script>'")
    page = overview(load_book(files.folder))
    assert page.startswith("{% docs __overview__ %}\n")
    assert page.endswith("\n{% enddocs %}\n")
    assert page.count("{%") == 2
    assert "{{" not in page
    assert "<" not in page
    assert "### small, version 1" in page
    assert "- Energy: NOK 1 per kWh at each site." in page
    assert "from January 2026 until January 2027 (exclusive), in NOK." in page
