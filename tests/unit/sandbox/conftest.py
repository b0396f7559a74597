"""A small book with the four sites, four meters each, and one machine that moves."""

from __future__ import annotations

from pathlib import Path

import pytest

SITES = """\
site_id,name,country,region,timezone,tax_jurisdiction,expected_interval_minutes,default_rated_kw
NO-OSL1,Oslo,NO,nordic,Europe/Oslo,NO,60,5
FI-HEL1,Helsinki,FI,nordic,Europe/Helsinki,FI,15,5
ET-ADD1,Addis Ababa,ET,africa,Africa/Addis_Ababa,ET,15,5
ID-JKT1,Jakarta,ID,asia,Asia/Jakarta,ID,10,5
"""


def machines() -> str:
    """Four meters a site; the machine on the fourth of Oslo moves to Helsinki on the 15th."""
    lines = ["machine_id,site_id,meter_id,valid_from,valid_to,metrics,rated_kw"]
    for country, site in (
        ("NO", "NO-OSL1"),
        ("FI", "FI-HEL1"),
        ("ET", "ET-ADD1"),
        ("ID", "ID-JKT1"),
    ):
        for number in range(4):
            end = "2026-10-15T12:00:00Z" if (country, number) == ("NO", 3) else ""
            lines.append(
                f"m-{country}-{number},{site},{country}-meter-{number},2026-01-01,{end},"
                f"energy,{3 + number}.5"
            )
    lines.append("m-NO-3,FI-HEL1,FI-meter-9,2026-10-15T12:00:00Z,,energy,3.5")
    return "\n".join(lines) + "\n"


def write_book(folder: Path) -> Path:
    """Writes the small book into a new folder."""
    folder.mkdir()
    (folder / "sites.csv").write_text(SITES, encoding="utf-8")
    (folder / "machines.csv").write_text(machines(), encoding="utf-8")
    return folder


@pytest.fixture
def book_dir(tmp_path: Path) -> Path:
    """The folder of the small book, for tests that change it."""
    return write_book(tmp_path / "book")


@pytest.fixture(scope="session")
def small_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small book, for tests that only read it."""
    return write_book(tmp_path_factory.mktemp("small") / "book")
