"""`m2c mail` and what `m2c book check` says of texts of mails."""

from __future__ import annotations

import email
import email.policy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from connectors.book import BookError, load_book
from orchestration import cli
from orchestration.settings import SettingsError
from tests.unit.book.conftest import BookFiles

Run = Callable[..., Result]

VIP = """\
templates:
  vip:
    name: Kurze Erinnerung
    subject_one: "Rechnung {first_number}"
    subject_many: "{count} Rechnungen"
    opening: "ein Absatz."
    closing: []
"""


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BookFiles:
    monkeypatch.setenv("M2C_DATA_DIR", "")  # put back what the command sets
    monkeypatch.setenv("M2C_NOW", "2026-12-01T09:00:00Z")
    return BookFiles(tmp_path / "book")


@pytest.fixture
def run(book: BookFiles) -> Run:
    def command(*arguments: str) -> Result:
        return CliRunner().invoke(
            cli.cli,
            ["--data-dir", str(book.folder.parent), *arguments],
            standalone_mode=False,
            catch_exceptions=False,
        )

    return command


def test_texts_are_part_of_the_book(book: BookFiles) -> None:
    before = load_book(book.folder).version
    book.write("mail/de.yml", "labels: {pay: Jetzt bezahlen}\n")
    changed = load_book(book.folder).version
    assert changed != before
    book.write("mail/de.yml", "# a comment\nlabels:\n  pay: Jetzt bezahlen\n")
    assert load_book(book.folder).version == changed
    book.write("mail/de.yml", "labels: {pay: Bezahlen}\n")
    assert load_book(book.folder).version not in (before, changed)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("mail/de.yml", "labels: [", "is not YAML"),
        ("mail/de.yml", "- a\n", "expected a mapping"),
        ("mail/de.yaml", "labels: {}\n", "would be overlooked"),
        ("mail/texts.csv", "a,b\n", "would be overlooked"),
    ],
)
def test_a_book_with_such_a_file_is_refused(
    book: BookFiles, name: str, text: str, words: str
) -> None:
    book.write(name, text)
    with pytest.raises(BookError, match=words) as caught:
        load_book(book.folder)
    assert name in str(caught.value)


def test_check_names_file_place_and_value(book: BookFiles, run: Run) -> None:
    assert run("book", "check").return_value == 0
    book.write("mail/de.yml", "templates:\n  final_notice:\n    closing: ['{betrag}']\n")
    with pytest.raises(BookError) as caught:
        run("book", "check")
    assert str(caught.value).startswith(
        "mail/de.yml line 3, templates.final_notice.closing[0]: '{betrag}': unknown placeholder"
    )


def test_check_warns_of_stages_without_words(book: BookFiles, run: Run) -> None:
    book.replace("dunning.yml", "template: friendly}", "template: vip}")
    said = run("book", "check")
    assert said.return_value == 0
    assert "dunning.yml, template (policy standard, stage first): 'vip': there is no" in said.output
    book.write("mail/de.yml", VIP)
    said = run("book", "check")
    assert "neither an English text of this name nor one in nb-NO" in said.output
    book.write("mail/en.yml", VIP)
    assert "vip" not in run("book", "check").output


def test_texts_are_listed_with_where_they_come_from(book: BookFiles, run: Run) -> None:
    book.write("mail/de.yml", VIP)
    said = json.loads(run("mail", "texts", "--json").output)
    assert said["faults"] == []
    found = {(one["template"], one["language"]): one for one in said["texts"]}
    assert found["vip", "de"]["source"] == "mail/de.yml"
    assert found["resumed", "id"]["source"] == "built in"
    assert found["final_notice", "en"]["stages"] == ["standard/last"]
    assert "Kurze Erinnerung" in run("mail", "texts", "--language", "de").output
    book.write("mail/de.yml", "label: {}\n")
    assert run("mail", "texts").return_value == 1


def test_the_words_of_a_language_can_start_a_file(book: BookFiles, run: Run) -> None:
    book.write("mail/de.yml", run("mail", "texts", "--language", "de").output)
    assert run("book", "check").return_value == 0


def test_a_preview_of_the_books_own_words(book: BookFiles, run: Run, tmp_path: Path) -> None:
    book.write("mail/de.yml", VIP)
    payer = load_book(book.folder).payers[0].payer_id
    said = run("mail", "preview", "vip", "--language", "de", "--payer", payer)
    assert said.return_value == 0
    assert "Subject: 2 Rechnungen" in said.output
    page = tmp_path / "mail.html"
    assert run("mail", "preview", "vip", "--language", "de", "--to", str(page)).return_value == 0
    assert "Kurze Erinnerung" in page.read_text("utf-8")
    file = tmp_path / "mail.eml"
    assert run("mail", "preview", "suspended", "--to", str(file)).return_value == 0
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert "paused" in message["Subject"]
    file.unlink()
    shown = json.loads(run("mail", "preview", "final_notice", "--json").output)
    assert shown["subject"].startswith("Final notice")
    assert "Attached as PDF" in shown["text"]
    assert run("mail", "preview", "no_such_text").return_value == 1
    with pytest.raises(SettingsError, match="no payer NOBODY"):
        run("mail", "preview", "vip", "--payer", "NOBODY")


def test_a_preview_needs_no_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M2C_DATA_DIR", "")
    said = CliRunner().invoke(
        cli.cli,
        ["--data-dir", str(tmp_path / "none"), "mail", "preview", "resumed"],
        standalone_mode=False,
        catch_exceptions=False,
    )
    assert said.return_value == 0
    assert "Sample Customer Ltd" in said.output
