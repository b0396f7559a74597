"""Words of mails: the book's over those built in, and every fault named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporters.collections.texts import Texts, built_in_texts, read_texts

OWN = """\
labels:
  regards: Beste Grüße
templates:
  friendly_reminder:
    opening:
      - "Erster Absatz zu {first_number}."
      - "Zweiter Absatz."
  vip:
    name: Kurze Erinnerung
    subject_one: "Rechnung {first_number}"
    subject_many: "{count} Rechnungen"
    opening: "ein Absatz."
    closing: []
"""

Write = Callable[..., Texts]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    folder = tmp_path / "mail"
    folder.mkdir()

    def texts(text: str | bytes, name: str = "de.yml") -> Texts:
        content = text if isinstance(text, bytes) else text.encode()
        (folder / name).write_bytes(content)
        return read_texts(folder)

    return texts


def test_no_folder_is_the_built_in_words(tmp_path: Path) -> None:
    assert read_texts(None) is built_in_texts()
    assert read_texts(tmp_path / "mail") is built_in_texts()
    assert built_in_texts().faults == ()
    assert built_in_texts().templates() == {"friendly_reminder", "second_reminder", "final_notice"}


def test_what_comes_with_the_program_passes_its_own_check(write: Write) -> None:
    for path in sorted((Path(__import__("exporters").__file__).parent).glob(
        "collections/texts/*.yml"
    )):  # fmt: skip
        texts = write(path.read_bytes(), path.name)
        assert texts.faults == ()
        assert texts.words[path.stem] == built_in_texts().words[path.stem]


def test_the_book_says_only_what_differs(write: Write) -> None:
    texts = write(OWN)
    assert texts.faults == ()
    assert texts.labels("de")["regards"] == "Beste Grüße"
    assert texts.labels("de")["pay"] == "Online bezahlen"
    changed = texts.template("de", "friendly_reminder")
    assert changed["opening"] == ["Erster Absatz zu {first_number}.", "Zweiter Absatz."]
    assert changed["closing"] == built_in_texts().template("de", "friendly_reminder")["closing"]
    assert texts.template("de", "vip")["opening"] == ["ein Absatz."]
    assert texts.words["en"] == built_in_texts().words["en"]
    origins = {(o.language, o.template): o for o in texts.origins}
    assert origins["de", "vip"].source == "mail/de.yml"
    assert origins["de", "friendly_reminder"].source == "built in, mail/de.yml"
    assert origins["de", "friendly_reminder"].changed == ("opening",)
    assert origins["en", "friendly_reminder"].source == "built in"


def test_a_template_in_one_language_only(write: Write) -> None:
    texts = write(OWN)
    assert texts.why_not("de", "vip") is None
    assert texts.why_not("de-AT", "vip") is None
    why = texts.why_not("fi", "vip") or ""
    assert why.startswith("there is no text named 'vip'")
    english = OWN.replace("Kurze Erinnerung", "Short reminder")
    texts = write(english, "en.yml")
    assert texts.why_not("fi", "vip") is None
    # All of such a mail is in English, not half of it.
    assert texts.language_for("fi", "vip") == "en"
    assert texts.language_for("fi", "final_notice") == "fi"


def test_a_whole_language_is_added(write: Write) -> None:
    english = (Path(__file__).parents[3] / "exporters/collections/texts/en.yml").read_text("utf-8")
    texts = write(english.replace("Kind regards,", "Vänliga hälsningar"), "sv.yml")
    assert texts.faults == ()
    assert texts.language_for("sv", "final_notice") == "sv"
    texts = write("labels: {regards: Hej}\n", "sv.yml")
    missing = {fault.place for fault in texts.faults}
    assert {"labels.pay", "templates.suspended", "templates.final_notice"} <= missing
    assert "sv.yml" in (texts.why_not("sv", "final_notice") or "")


@pytest.mark.parametrize(
    ("text", "line", "place", "words"),
    [
        ("label: {}\n", 1, "label", "unknown key; expected labels, templates, escalation"),
        ("labels:\n  regard: x\n", 2, "labels.regard", "unknown key"),
        ("templates:\n  final_notice:\n    subjekt: x\n", 3, "templates.final_notice.subjekt",
         "unknown key"),
        ("templates:\n  final_notice:\n    closing: ['Zahlen Sie {betrag}']\n", 3,
         "templates.final_notice.closing[0]", "unknown placeholder {betrag}"),
        ("templates:\n  final_notice:\n    subject_one: '{name.__class__}'\n", 3,
         "templates.final_notice.subject_one", "unknown placeholder {name.__class__}"),
        ("templates:\n  final_notice:\n    subject_one: '{count:>99999999}'\n", 3,
         "templates.final_notice.subject_one", "unknown placeholder"),
        ("templates:\n  final_notice:\n    subject_one: '{count!r}'\n", 3,
         "templates.final_notice.subject_one", "unknown placeholder"),
        ("templates:\n  final_notice:\n    subject_one: '{}'\n", 3,
         "templates.final_notice.subject_one", "unknown placeholder {}"),
        ("templates:\n  final_notice:\n    subject_one: 'Preis { x'\n", 3,
         "templates.final_notice.subject_one", "brace"),
        ("templates:\n  final_notice:\n    subject_one:\n", 3,
         "templates.final_notice.subject_one", "a text is required"),
        ("templates:\n  final_notice:\n    subject_one: \"a\\nb\"\n", 3,
         "templates.final_notice.subject_one", "expected one line"),
        ("templates:\n  final_notice:\n    opening: {a: b}\n", 3,
         "templates.final_notice.opening", "expected a text"),
        ("templates:\n  vip:\n    name: x\n    opening: x\n    closing: x\n", 2,
         "templates.vip.subject_one", "is missing"),
        ("templates:\n  'v i p':\n    name: x\n", 2, "templates.v i p", "expected a name"),
        ("templates:\n  suspended:\n    opening: '{count}'\n", 3, "templates.suspended.opening",
         "unknown placeholder {count}; expected {machines}, {name}"),
        ("templates:\n  - x\n", 1, "templates", "expected a mapping"),
        ("labels:\n  pay: a\n  pay: b\n", 3, "labels.pay", "stands here twice"),
        ("labels: [\n", 2, None, "is not YAML"),
        ("- a\n", 1, None, "expected a mapping"),
        (b"labels:\n  pay: B\xe9\n", 2, None, "is not UTF-8"),
        ("labels: &a\n  pay: *a\n", 2, "labels.pay", "aliases"),
    ],
)  # fmt: skip
def test_faults_name_file_place_and_value(
    write: Write, text: str | bytes, line: int, place: str | None, words: str
) -> None:
    texts = write(text)
    assert texts.faults
    fault = next(f for f in texts.faults if words in f.message)
    assert (fault.file, fault.line, fault.place) == ("mail/de.yml", line, place)
    # German mails wait, the others go.
    assert "mail/de.yml" in (texts.why_not("de", "final_notice") or "")
    assert texts.why_not("en", "final_notice") is None


@pytest.mark.parametrize("name", ["deutsch.yml", "de.yaml", "de-AT.yml", "readme.txt"])
def test_files_that_would_be_overlooked(write: Write, name: str) -> None:
    texts = write(OWN, name)
    (fault,) = texts.faults
    assert fault.file == f"mail/{name}"
    assert texts.why_not("de", "final_notice") is None


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(text=st.one_of(st.text(max_size=60), st.binary(max_size=60)))
def test_whatever_is_written_is_read_or_named(write: Write, text: str | bytes) -> None:
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    texts = write(b"templates:\n  final_notice:\n    closing: " + content)
    if not texts.faults:
        for paragraph in texts.template("de", "final_notice")["closing"]:
            paragraph.format_map({"name": "", "count": "", "first_number": ""})
