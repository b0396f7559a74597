"""Places: what the stand-ins read of a book."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.sandbox.places import PlacesError, env_prefix, read_places


def test_kinds_follow_the_country_in_the_field(book_dir: Path) -> None:
    assert {place.site_id: place.kind for place in read_places(book_dir)} == {
        "NO-OSL1": "rest_json",
        "FI-HEL1": "prometheus",
        "ET-ADD1": "files",
        "ID-JKT1": "sql",
    }


def test_sources_yml_beats_the_country_and_the_argument_beats_both(book_dir: Path) -> None:
    sources = "NO-OSL1: {kind: files, config: {}}\nET-ADD1: {kind: redfish, config: {}}\n"
    (book_dir / "sources.yml").write_text(sources, encoding="utf-8")
    kinds = {p.site_id: p.kind for p in read_places(book_dir, kinds={"FI-HEL1": "sql"})}
    assert kinds == {"NO-OSL1": "files", "FI-HEL1": "sql", "ID-JKT1": "sql"}


def test_bare_dates_are_local_midnights(book_dir: Path) -> None:
    oslo, _, addis, _ = read_places(book_dir)
    assert oslo.placements[0].valid_from == datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert addis.placements[0].valid_from == datetime(2025, 12, 31, 21, tzinfo=UTC)
    assert oslo.placements[3].valid_to == datetime(2026, 10, 15, 12, tzinfo=UTC)
    assert oslo.placements[1].rated_kw == Decimal("4.5")


def test_a_midnight_that_does_not_exist_is_the_first_instant_of_the_day(book_dir: Path) -> None:
    (book_dir / "sites.csv").write_text(
        "site_id,country,timezone\nX,LB,Asia/Beirut\n", encoding="utf-8"
    )
    (book_dir / "machines.csv").write_text(
        "machine_id,site_id,meter_id,valid_from,valid_to\nm,X,x,2026-03-29,\n", encoding="utf-8"
    )
    (place,) = read_places(book_dir)
    assert place.placements[0].valid_from == datetime(2026, 3, 28, 22, tzinfo=UTC)
    assert place.placements[0].rated_kw == 1


def test_meters_without_energy_are_not_served(book_dir: Path) -> None:
    (book_dir / "machines.csv").write_text(
        "machine_id,site_id,meter_id,valid_from,valid_to,metrics\n"
        "a,NO-OSL1,port-1,2026-01-01,,traffic\n"
        "a,NO-OSL1,feed-a,2026-01-01,,traffic|energy\n",
        encoding="utf-8",
    )
    assert read_places(book_dir)[0].meter_ids == ("feed-a",)


def test_faults_of_the_book_are_told_with_file_and_value(book_dir: Path) -> None:
    (book_dir / "machines.csv").write_text(
        "machine_id,site_id,meter_id,valid_from,valid_to\na,NO-OSL1,m,2026-01-01T00:00,\n",
        encoding="utf-8",
    )
    with pytest.raises(PlacesError, match=r"machines\.csv: '2026-01-01T00:00' has no offset"):
        read_places(book_dir)
    (book_dir / "machines.csv").write_text("machine_id,site_id\n", encoding="utf-8")
    with pytest.raises(PlacesError, match="column meter_id is missing"):
        read_places(book_dir)
    (book_dir / "machines.csv").unlink()
    with pytest.raises(PlacesError, match=r"machines\.csv is missing"):
        read_places(book_dir)


@pytest.mark.parametrize(
    ("site_id", "prefix"),
    [("NO-OSL1", "M2C_NO_OSL1"), ("us.hly-2", "M2C_US_HLY_2"), ("a_b", "M2C_A_B")],
)
def test_environment_names_derive_from_the_site(site_id: str, prefix: str) -> None:
    assert env_prefix(site_id) == prefix
