"""The compiled tables: all there, typed, in units SQL can use, untouched where nothing is new."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from connectors.book import Book, compile_book, load_book
from connectors.book.compiled import SCHEMAS

if TYPE_CHECKING:
    from tests.unit.book.conftest import BookFiles


@pytest.fixture
def book(book_files: BookFiles) -> Book:
    return load_book(book_files.folder)


@pytest.fixture
def out(book: Book, tmp_path: Path) -> Path:
    folder = tmp_path / "compiled"
    compile_book(book, folder)
    return folder


def rows(out: Path, table: str, columns: str = "*", rest: str = "") -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        query = f"select {columns} from read_parquet('{out}/{table}.parquet') {rest}"
        return connection.execute(query).fetchall()


def types(out: Path, table: str) -> dict[str, str]:
    with duckdb.connect() as connection:
        described = connection.execute(
            f"describe select * from read_parquet('{out}/{table}.parquet')"
        ).fetchall()
    return {row[0]: row[1] for row in described}


def test_every_table_is_written_also_the_empty_ones(book_files: BookFiles, tmp_path: Path) -> None:
    book_files.remove("alerts.csv")
    paths = compile_book(load_book(book_files.folder), tmp_path / "out")
    assert [path.stem for path in paths] == list(SCHEMAS)
    assert rows(tmp_path / "out", "alerts") == []
    assert types(tmp_path / "out", "alerts")["threshold"] == "DECIMAL(24,9)"


def test_types_are_exact(out: Path) -> None:
    assert types(out, "placements")["valid_from_at"] == "TIMESTAMP WITH TIME ZONE"
    assert types(out, "placements")["rated_kw"] == "DECIMAL(24,9)"
    assert types(out, "tax_rules")["rate_percent"] == "DECIMAL(9,4)"
    assert types(out, "tax_rules")["valid_from"] == "DATE"
    assert types(out, "fx_rates")["rate"] == "DECIMAL(24,12)"
    assert types(out, "index_prices")["price"] == "DECIMAL(18,6)"
    assert types(out, "charges")["percent"] == "DECIMAL(18,4)"
    assert types(out, "charges")["rate"] == "DECIMAL(24,9)"
    assert types(out, "settings")["tolerance_percent"] == "DECIMAL(18,4)"
    assert types(out, "zone_spans")["utc_offset_seconds"] == "INTEGER"


def test_info_and_settings_are_one_row_each(out: Path, book: Book) -> None:
    assert rows(out, "book_info") == [(book.version, 2)]
    assert rows(out, "settings") == [(12, 3, Decimal("25.0000"), 6, 100, 5)]


def test_placements_and_their_metrics(out: Path) -> None:
    assert rows(out, "placements", "machine_id, meter_id, metrics, never_suspend, row_no") == [
        ("m1", "pdu-1", "energy|traffic", True, 2),
        ("m2", "pdu-2", "energy", False, 3),
        ("m2", "rack 7, outlet 2", "energy", False, 4),
        ("m3", "j-3", "energy", False, 5),
    ]
    assert rows(out, "placement_metrics", "machine_id, metric", "order by all")[:2] == [
        ("m1", "energy"),
        ("m1", "traffic"),
    ]
    (first,) = rows(out, "placements", "valid_from_at", "where row_no = 2")
    assert first[0] == datetime(2025, 12, 31, 23, tzinfo=UTC)


def test_payers_have_minor_units_and_a_seller(out: Path) -> None:
    assert rows(out, "payers", "payer_id, minor_units, payment_methods, seller_id") == [
        ("ACME", 2, "card|bank_transfer", "second"),
        ("BETA", 2, None, "first"),
    ]


def test_terms_are_numbered(out: Path) -> None:
    assert rows(out, "contract_terms", "contract_id, term_no, payer_id, first_month") == [
        ("K-1", 1, "ACME", "2026-01"),
        ("K-1", 2, "BETA", "2026-01"),
        ("K-2", 1, "ACME", "2026-02"),
    ]


def test_charges_have_their_defaults(out: Path) -> None:
    columns = "charge_no, code, metric, unit, per, prorate, is_site_limited, bill_while_suspended"
    where = "where plan_id = 'all-models' and version = 1 order by charge_no"
    assert rows(out, "charges", columns, where) == [
        (1, "energy", "energy", "kWh", "site", None, False, True),
        (2, "grid", "energy", "kWh", "contract", None, False, True),
        (3, "green", "energy", "kWh", "site", None, False, True),
        (4, "blocks", "traffic", "GB", "site", None, False, True),
        (5, "access", "energy", "kWh", "site", None, False, True),
        (6, "tou", "energy", "kWh", "site", None, True, True),
        (7, "spot", "energy", "kWh", "site", None, True, True),
        (8, "peak", "energy", "kW", "site", None, False, True),
        (9, "hosting", None, None, "machine", "time", False, False),
        (10, "desk", None, None, "contract", "none", False, True),
        (11, "services", None, None, None, None, False, True),
        (12, "fuel", None, None, None, None, False, True),
        (13, "handling", None, None, None, None, False, True),
        (14, "welcome", None, None, None, None, False, True),
        (15, "commit", None, None, None, None, False, True),
    ]
    numbers = "multiplier, adder, included, markup_percent, itemise, first_months, max_amount"
    assert rows(out, "charges", numbers, "where code = 'spot'") == [
        (Decimal("1.0200"), Decimal("-1.5"), None, None, None, None, None)
    ]
    assert rows(out, "charges", numbers, "where code in ('fuel', 'blocks') order by code") == [
        (None, None, Decimal(50), None, None, None, None),
        (None, None, None, Decimal(0), False, None, None),
    ]
    assert rows(out, "charges", numbers, "where code = 'welcome'") == [
        (None, None, None, None, None, 3, Decimal(25))
    ]


def test_a_charge_stands_at_its_sites_or_at_all(out: Path) -> None:
    where = "where version = 1 and code in ('tou', 'peak') order by code, site_id"
    assert rows(out, "charge_sites", "code, site_id", where) == [
        ("peak", "ID-JKT1"),
        ("peak", "NO-OSL1"),
        ("tou", "NO-OSL1"),
    ]


def test_tiers_know_where_they_begin(out: Path) -> None:
    columns = "code, tier_no, from_quantity, up_to, rate, amount"
    assert rows(out, "charge_tiers", columns, "where code in ('grid', 'access') order by all") == [
        ("access", 1, Decimal(0), Decimal(150), None, Decimal(20)),
        ("access", 2, Decimal(150), None, None, Decimal(80)),
        ("grid", 1, Decimal(0), Decimal(100000), Decimal("0.0825"), None),
        ("grid", 2, Decimal(100000), None, Decimal("0.0790"), None),
    ]


def test_rates_bases_and_services(out: Path) -> None:
    assert rows(out, "charge_rates", "code, band, rate", "order by band") == [
        ("tou", "day", Decimal("0.12")),
        ("tou", "night", Decimal("0.07")),
    ]
    assert rows(out, "charge_bases", "base_code", "where code = 'welcome' order by 1") == [
        ("desk",),
        ("handling",),
        ("hosting",),
    ]
    assert rows(out, "charge_service_codes", "code, service_code", "order by all") == [
        ("fuel", "fuel"),
        ("services", "hands"),
        ("services", "parts"),
    ]


def test_calendars_are_one_row_a_band_and_day(out: Path) -> None:
    columns = "band_no, band, day_type, from_minute, to_minute"
    bands = rows(out, "calendar_bands", columns)
    assert bands[0] == (1, "day", "mon", 420, 1320)
    assert bands[-1] == (2, "day", "sat", 480, 1440)
    assert len(bands) == 6


def test_local_time_is_there_for_every_zone_of_the_book(out: Path) -> None:
    zones = [("Asia/Jakarta",), ("Europe/Oslo",)]
    assert rows(out, "zone_spans", "distinct timezone", "order by 1") == zones
    assert rows(out, "zone_months", "timezone, count(*)", "group by 1 order by 1") == [
        ("Asia/Jakarta", 720),
        ("Europe/Oslo", 720),
    ]


def test_documents_are_tables(out: Path) -> None:
    assert rows(out, "sellers", "seller_id, is_default") == [("first", True), ("second", False)]
    assert rows(out, "seller_bank_accounts", "currency, iban, account") == [
        ("EUR", "NO9386011117947", None),
        ("USD", None, "123-456"),
    ]
    assert ("default", "0200") in rows(out, "xero_accounts")
    assert rows(out, "xero_tracking") == [("site", "Site"), ("region", "Region")]
    assert rows(out, "xero_options") == [(None, None)]
    assert rows(out, "dunning_stages", "stage_no, stage, copy_to, requires, notice_days") == [
        (1, "first", None, None, None),
        (2, "last", "head", None, None),
        (3, "pause", None, "last", 7),
    ]


def test_words_stand_with_versions_and_charges(out: Path) -> None:
    (words,) = rows(out, "plan_versions", "words", "where plan_id = 'small'")
    assert words[0].startswith("small, version 1, from February 2026, in NOK.\n- Energy: ")
    (words,) = rows(out, "charges", "words", "where plan_id = 'small'")
    assert words[0] == "Energy: NOK 1 per kWh at each site"


def test_only_what_changed_is_written_again(book_files: BookFiles, out: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    compile_book(load_book(book_files.folder), out)
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    book_files.replace("customers.csv", "ops@acme.example", "new@acme.example")
    compile_book(load_book(book_files.folder), out)
    after = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"customers.parquet", "book_info.parquet"}


def test_no_temporary_file_is_left(out: Path) -> None:
    assert {path.name for path in out.iterdir()} == {f"{name}.parquet" for name in SCHEMAS}
