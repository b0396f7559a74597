"""A proposed row of reading_edits.csv: how it is written and what the book says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from connectors.book import BookError, EditText, load_book, propose_edit
from connectors.book.edits import EditRefusedError
from tests.unit.book.conftest import SOUND, BookFiles

EDIT = EditText(
    site_id="NO-OSL1",
    meter_id="pdu-1",
    metric="energy",
    start="2026-03-01T00:00:00Z",
    end="2026-03-01T02:00:00+01:00",
    action="reject",
    quantity=None,
    reason="seen on site",
    by="ann",
)
ROW = "NO-OSL1,pdu-1,energy,2026-03-01T00:00:00Z,2026-03-01T02:00:00+01:00,reject,,seen on site,ann"
FILE = "reading_edits.csv"
HEADER = "site_id,meter_id,metric,from,to,action,quantity,reason,by"


def content(book_files: BookFiles) -> bytes:
    return (book_files.folder / FILE).read_bytes()


def test_a_proposal_writes_nothing_and_says_what_it_means(book_files: BookFiles) -> None:
    proposal = propose_edit(book_files.folder, EDIT)
    assert content(book_files) == SOUND[FILE].encode()
    assert (proposal.header, proposal.row, proposal.line) == (HEADER, ROW, 4)
    assert proposal.edit.from_ == datetime(2026, 3, 1, 0, tzinfo=UTC)
    assert proposal.edit.to == datetime(2026, 3, 1, 1, tzinfo=UTC)
    assert proposal.warnings == ()


def test_writing_adds_the_row_and_the_book_holds_it(book_files: BookFiles) -> None:
    proposal = propose_edit(book_files.folder, replace(EDIT, action="set", quantity="1.250"))
    proposal.write()
    added = load_book(book_files.folder).reading_edits[-1]
    assert added.row_no == proposal.line == 4
    assert (added.edit.action, added.edit.quantity) == ("set", Decimal("1.250"))
    assert content(book_files) == SOUND[FILE].encode() + proposal.row.encode() + b"\n"


def test_an_absent_file_is_made_with_its_header(book_files: BookFiles) -> None:
    book_files.remove(FILE)
    propose_edit(book_files.folder, EDIT).write()
    assert content(book_files) == f"{HEADER}\n{ROW}\n".encode()


FORMS = {
    "byte order mark": (b"\xef\xbb\xbf" + HEADER.encode() + b"\n", ROW.encode() + b"\n"),
    "CRLF": (HEADER.encode() + b"\r\n", ROW.encode() + b"\r\n"),
    "no line end after the last row": (
        HEADER.encode() + b"\r\nNO-OSL1,pdu-2,energy,2026-03-01T00:00:00Z,2026-03-02T00:00:00Z,"
        b"reject,,r,b",
        b"\r\n" + ROW.encode(),
    ),
    "header without line end": (HEADER.encode(), b"\n" + ROW.encode() + b"\n"),
    "other order, no quantity": (
        b"by,reason,action,to,from,metric,meter_id,site_id\n",
        b"ann,seen on site,reject,2026-03-01T02:00:00+01:00,2026-03-01T00:00:00Z,energy,pdu-1,"
        b"NO-OSL1\n",
    ),
    "everything quoted": (
        b",".join(b'"%s"' % name.encode() for name in HEADER.split(",")) + b"\n",
        b",".join(b'"%s"' % value.encode() for value in ROW.split(",")) + b"\n",
    ),
    "empty lines at the end": (HEADER.encode() + b"\n\n\n", ROW.encode() + b"\n"),
    "empty file": (b"", f"{HEADER}\n{ROW}\n".encode()),
    "only a byte order mark": (b"\xef\xbb\xbf", f"{HEADER}\n{ROW}\n".encode()),
}


@pytest.mark.parametrize(("before", "added"), FORMS.values(), ids=FORMS)
def test_the_file_stays_as_it_was_byte_for_byte(
    book_files: BookFiles, before: bytes, added: bytes
) -> None:
    book_files.write(FILE, before)
    proposal = propose_edit(book_files.folder, EDIT)
    proposal.write()
    assert content(book_files) == before + added
    last = load_book(book_files.folder).reading_edits[-1]
    assert (last.row_no, last.edit) == (proposal.line, proposal.edit)


def test_what_needs_quotes_is_quoted(book_files: BookFiles) -> None:
    text = replace(
        EDIT, site_id="ID-JKT1", meter_id="rack 7, outlet 2", reason='read "14" off the display'
    )
    proposal = propose_edit(book_files.folder, text)
    assert '"rack 7, outlet 2"' in proposal.row
    assert '"read ""14"" off the display"' in proposal.row
    proposal.write()
    added = load_book(book_files.folder).reading_edits[-1].edit
    assert (added.meter_id, added.reason) == (text.meter_id, text.reason)


FAULTS = {
    "unknown site": ({"site_id": "XX"}, "site_id: 'XX': there is no such site"),
    "to before from": ({"end": "2026-02-28T00:00:00Z"}, "expected a moment after 'from'"),
    "no offset": ({"start": "2026-03-01T00:00:00"}, "expected an instant with its offset"),
    "unknown metric": ({"metric": "heat"}, "metric: 'heat'"),
    "no quantity": ({"action": "set"}, "expected the quantity that 'set' puts in place"),
    "negative": ({"action": "set", "quantity": "-1"}, "quantity: '-1': expected 0 or more"),
    "decimals": (
        {"action": "set", "quantity": "1.0000000001"},
        "expected at most 9 decimals, found 10",
    ),
    "quantity of reject": ({"quantity": "1"}, "'reject' takes no quantity"),
    "set of power": ({"metric": "power", "action": "set", "quantity": "1"}, "write energy"),
    "line break": ({"reason": "one\ntwo"}, "contains a control character"),
    "no reason": ({"reason": ""}, "reason: a value is required"),
    "overlap, energy and power as one": (
        {"metric": "power", "start": "2026-02-01T01:00:00Z", "end": "2026-02-01T01:30:00Z"},
        "overlaps the edit of line 2 of the same meter and metric",
    ),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_row_is_refused_in_the_words_of_the_book(
    book_files: BookFiles, change: dict[str, str], message: str
) -> None:
    with pytest.raises(BookError) as refused:
        propose_edit(book_files.folder, replace(EDIT, **change))
    said = str(refused.value)
    assert f"{FILE} line 4, " in said
    assert message in said
    assert "line 4 would be the proposed row: " in said
    assert content(book_files) == SOUND[FILE].encode()


def test_the_same_edit_twice_is_refused(book_files: BookFiles) -> None:
    propose_edit(book_files.folder, EDIT).write()
    once = content(book_files)
    with pytest.raises(EditRefusedError, match="overlaps the edit of line 4") as refused:
        propose_edit(book_files.folder, EDIT)
    assert refused.value.line == 5
    assert "nothing was written" in str(refused.value)
    assert content(book_files) == once


def test_a_meter_that_no_machine_stands_on_is_a_warning(book_files: BookFiles) -> None:
    propose_edit(book_files.folder, replace(EDIT, meter_id="pdu-8")).write()
    (warning,) = propose_edit(book_files.folder, replace(EDIT, meter_id="pdu-9")).warnings
    assert warning.startswith(f"{FILE} line 5, meter_id: 'pdu-9':")


def test_faults_that_were_there_before_stop_it_too(book_files: BookFiles) -> None:
    book_files.replace("sites.csv", "Europe/Oslo", "Europe/Olso")
    with pytest.raises(EditRefusedError) as refused:
        propose_edit(book_files.folder, EDIT)
    assert "sites.csv line 2, timezone: 'Europe/Olso'" in str(refused.value)
    assert "proposed row" not in str(refused.value)


@pytest.mark.parametrize(
    ("before", "message"),
    [
        (b"site_id;meter_id;metric\n", "columns are separated by commas"),
        (HEADER.encode() + b"\nNO-OSL1,pdu-1,\xe6\n", "is not UTF-8 text"),
        (b'"site_id,meter_id\n', "is not CSV"),
        (HEADER.encode() + b'\nNO-OSL1,pdu-1,"energy\n', "is not CSV"),
    ],
)
def test_a_file_that_cannot_be_read_is_left_alone(
    book_files: BookFiles, before: bytes, message: str
) -> None:
    book_files.write(FILE, before)
    with pytest.raises(BookError, match=message):
        propose_edit(book_files.folder, EDIT)
    assert content(book_files) == before


def test_a_header_without_quantity_takes_no_set(book_files: BookFiles) -> None:
    book_files.write(FILE, HEADER.replace("quantity,", "") + "\n")
    with pytest.raises(EditRefusedError, match="quantity: '2': the header has no such column"):
        propose_edit(book_files.folder, replace(EDIT, action="set", quantity="2"))


def test_a_file_that_changed_meanwhile_is_not_overwritten(book_files: BookFiles) -> None:
    proposal = propose_edit(book_files.folder, EDIT)
    book_files.write(FILE, HEADER + "\n")
    with pytest.raises(BookError, match="has changed meanwhile"):
        proposal.write()
    assert content(book_files) == f"{HEADER}\n".encode()


def test_a_link_stays_a_link_and_permissions_stay(book_files: BookFiles) -> None:
    path = book_files.folder / FILE
    elsewhere = book_files.folder.parent / "kept.csv"
    path.rename(elsewhere)
    elsewhere.chmod(0o640)
    path.symlink_to(elsewhere)
    propose_edit(book_files.folder, EDIT).write()
    assert path.is_symlink()
    assert elsewhere.read_text() == SOUND[FILE] + ROW + "\n"
    assert elsewhere.stat().st_mode & 0o777 == 0o640


def test_no_book_at_all(book_files: BookFiles) -> None:
    with pytest.raises(BookError, match="there is no such folder"):
        propose_edit(book_files.folder / "nowhere", EDIT)
