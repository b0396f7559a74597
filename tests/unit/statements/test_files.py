"""Finding the rendered files of a statement: those that show it, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exporters.statements.files import INDEX, RenderedFolder
from exporters.statements.text import file_stem

BOTH = ("pdf", "xlsx")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("A-1.pdf", "A-1.xlsx", "A-2.pdf", "preview-A_2026-10_all.pdf"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def found(folder: Path, number: str, statement_id: str) -> list[str]:
    files = RenderedFolder(folder).files(number, statement_id, suffixes=BOTH)
    return [path.name for path in files]


def test_files_are_called_by_the_number(folder: Path) -> None:
    assert found(folder, "A-1", "A/2026-10/all") == ["A-1.pdf", "A-1.xlsx"]
    assert found(folder, "A-2", "A/2026-10/b") == ["A-2.pdf"]
    assert found(folder, "A-3", "A/2026-10/c") == []
    assert found(folder / "none", "A-1", "A/2026-10/all") == []


def test_the_index_knows_better(folder: Path) -> None:
    index = {
        "A-1": {"statement_id": "A/2026-10/all", "fingerprints": {}},
        "A-2": {"statement_id": "B/2026-10/all", "fingerprints": {}},
        "preview-A_2026-10_all": {"statement_id": "A/2026-10/c", "fingerprints": {}},
    }
    (folder / INDEX).write_text(json.dumps(index))
    assert found(folder, "A-1", "A/2026-10/all") == ["A-1.pdf", "A-1.xlsx"]
    assert found(folder, "A-2", "A/2026-10/b") == []  # shows somebody else's
    assert found(folder, "other", "B/2026-10/all") == ["A-2.pdf"]
    assert found(folder, "A-3", "A/2026-10/c") == []  # a preview is not as issued


@pytest.mark.parametrize("number", ["../../etc/passwd", "a/b", "..", "a\x00b", "=1+1"])
def test_no_number_leads_out_of_the_folder(folder: Path, number: str) -> None:
    inside = folder / f"{file_stem(number)}.pdf"
    inside.write_bytes(b"x")
    assert RenderedFolder(folder).files(number, "A/2026-10/x", suffixes=("pdf",)) == [inside]
    assert inside.parent == folder
