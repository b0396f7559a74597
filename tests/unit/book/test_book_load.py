"""What a sound book loads to: instants, defaults, references resolved, a version of its content."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.book import Book, load_book
from connectors.book.around import iban_is_sound
from connectors.book.faults import Findings
from connectors.book.fleet import overlaps
from connectors.book.iso import COUNTRIES, CURRENCY_DIGITS
from connectors.book.model import Placement

if TYPE_CHECKING:
    from tests.unit.book.conftest import BookFiles

ROOT = Path(__file__).resolve().parents[3]
# The scenarios are no part of the repository; they lie beside it.
GOLDEN = sorted((ROOT.parent / "shared" / "golden").glob("*/data/book"))
OPTIONAL = (
    "payer_routes.csv",
    "tax_rules.csv",
    "fx_rates.csv",
    "index_prices.csv",
    "credits.csv",
    "holidays.csv",
    "reading_edits.csv",
    "alerts.csv",
    "seller.yml",
    "settings.yml",
    "dunning.yml",
    "xero.yml",
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def book(book_files: BookFiles) -> Book:
    return load_book(book_files.folder)


def test_the_demo_book_is_sound_and_gives_no_warning() -> None:
    book = load_book(ROOT / "data" / "book")
    assert book.warnings == ()
    assert set(book.sources) == set(book.sites)


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.parts[-3])
def test_golden_books_load(folder: Path) -> None:
    load_book(folder)


def test_bare_dates_of_machines_are_midnight_at_the_site(book: Book) -> None:
    assert [p.valid_from_at for p in book.placements] == [
        utc("2025-12-31T23:00"),
        utc("2025-12-31T23:00"),
        utc("2026-06-01T17:00"),
        utc("2026-02-28T17:00"),
    ]
    assert book.placements[1].valid_to_at == utc("2026-05-31T22:00")
    assert book.placements[0].valid_to_at is None


def test_bare_dates_of_contracts_are_midnight_of_the_billing_zone(book: Book) -> None:
    assert [(t.contract_id, t.term_no, t.valid_from_at, t.valid_to_at) for t in book.terms] == [
        ("K-1", 1, utc("2025-12-31T23:00"), utc("2026-06-30T22:00")),
        ("K-1", 2, utc("2026-06-30T22:00"), None),
        ("K-2", 1, utc("2026-01-31T17:00"), None),
    ]
    assert [t.first_month for t in book.terms] == ["2026-01", "2026-01", "2026-02"]


def test_bare_dates_of_assignments_and_credits_are_those_of_the_contract(book: Book) -> None:
    # m3 stands in Jakarta and works for a contract billed there; m1 for one billed in Oslo.
    assert [a.valid_from_at for a in book.assignments] == [
        utc("2025-12-31T23:00"),
        utc("2025-12-31T23:00"),
        utc("2026-02-28T17:00"),
    ]
    assert book.assignments[2].valid_to_at == utc("2026-08-01T00:00")
    assert book.credits[0].valid_from_at == utc("2026-02-28T23:00")


def test_rows_know_their_line_also_after_values_of_many_lines(book_files: BookFiles) -> None:
    book_files.replace("machines.csv", "Model X", '"Model ""X"", big"')
    book = load_book(book_files.folder)
    assert [p.row_no for p in book.placements] == [2, 3, 4, 5]
    assert book.placements[0].model == 'Model "X", big'
    assert book.placements[2].meter_id == "rack 7, outlet 2"


def test_blank_lines_count_as_lines_and_are_no_rows(book_files: BookFiles) -> None:
    book_files.replace("machines.csv", "m3,ID-JKT1", "\n,,,,,,,,,\nm3,ID-JKT1")
    book = load_book(book_files.folder)
    assert [p.row_no for p in book.placements] == [2, 3, 4, 7]


@pytest.mark.parametrize("change", ["bom", "crlf", "both"])
def test_files_of_a_spreadsheet_are_the_same_book(
    book_files: BookFiles, book: Book, change: str
) -> None:
    for path in book_files.folder.rglob("*.*"):
        content = path.read_bytes()
        if change != "bom":
            content = content.replace(b"\n", b"\r\n")
        if change != "crlf":
            content = b"\xef\xbb\xbf" + content
        path.write_bytes(content)
    assert load_book(book_files.folder) == book


def test_defaults_are_filled_in(book: Book) -> None:
    assert book.sites["ID-JKT1"].estimation == "none"
    assert book.settings.adjustment_months == 12
    assert book.settings.tolerance_percent == Decimal(25)
    assert book.settings.lookback_days == 5
    assert [p.metrics for p in book.placements][:2] == [("energy", "traffic"), ("energy",)]
    assert [p.never_suspend for p in book.placements][:2] == [True, False]
    assert [payer.seller_id for payer in book.payers] == ["second", "first"]


def test_numbers_that_are_text_keep_every_character(book: Book) -> None:
    assert book.xero.accounts["default"] == "0200"
    assert book.sellers[0].postal_code == "0151"


def test_a_meter_that_gives_power_gives_energy(book_files: BookFiles) -> None:
    book_files.replace("machines.csv", "energy|traffic", "power|energy|fuel")
    assert load_book(book_files.folder).placements[0].metrics == ("energy", "fuel")


def test_no_is_a_country_in_yaml_too(book: Book) -> None:
    assert book.calendars[0].country_holidays == "NO"
    assert book.calendars[0].bands[0].to == 22 * 60


def test_optional_files_may_be_absent(book_files: BookFiles) -> None:
    book_files.replace("payers.csv", "card|bank_transfer,standard,", "card|bank_transfer,,")
    book_files.replace("payers.csv", "Oslo,second", "Oslo,")
    for name in OPTIONAL:
        book_files.remove(name)
    book = load_book(book_files.folder)
    assert book.sellers == ()
    assert book.payers[0].seller_id is None
    assert book.settings.lookback_days == 3


def test_versions_follow_on_each_other(book: Book) -> None:
    plan = next(plan for plan in book.plans if plan.plan_id == "all-models")
    assert [(v.version, v.valid_from_month, v.valid_to_month) for v in plan.versions] == [
        (1, "2026-01", "2027-01"),
        (2, "2027-01", None),
    ]


def test_aliases_and_merges_are_read(book_files: BookFiles) -> None:
    book_files.write(
        "plans/small.yml",
        """\
plan_id: small
currency: NOK
versions:
  - version: 1
    valid_from: 2026-02
    charges:
      - &energy {code: energy, model: per_unit, rate: "1"}
      - &fee {code: fee, model: recurring, amount: "5.00", per: site}
  - version: 2
    valid_from: 2026-05
    charges: [*energy, {<<: *fee, amount: "6.00"}]
""",
    )
    (plan,) = [p for p in load_book(book_files.folder).plans if p.plan_id == "small"]
    charges = plan.versions[1].charges
    assert charges[0] == plan.versions[0].charges[0]
    assert charges[1] == plan.versions[0].charges[1].model_copy(update={"amount": Decimal("6.00")})


# --- warnings ------------------------------------------------------------------------------------


def test_energy_without_rated_power_is_warned_of(book_files: BookFiles) -> None:
    book_files.replace("machines.csv", "j-3,2026-03-01,,,,3", "j-3,2026-03-01,,,,")
    book_files.replace("machines.csv", "2026-06-02,,,,3", "2026-06-02,,traffic,,")
    (warning,) = load_book(book_files.folder).warnings
    assert warning.startswith("machines.csv line 5, rated_kw:")
    assert "m3" in warning


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("tax_rules.csv", "", "SE,,,SE-25,25,2020-01-01,,\n", "no site of the book has this"),
        ("reading_edits.csv", "pdu-1,energy,2026-02-01T02", "pdu-9,energy,2026-02-01T02", "meter"),
        ("holidays.csv", "NO,2026-05-17", "FI,2026-05-17", "holidays.csv has no holiday"),
        ("calendars.yml", "  country_holidays: NO\n", "", None),
        ("calendars.yml", "days: [sat]", "days: [sat, holiday]", None),
        ("seller.yml", "NO9386011117947", "NO9386011117948", "check digits"),
        ("xero.yml", 'energy: "201"', 'enrgy: "201"', "no plan of the book has a charge"),
        ("xero.yml", "NO-15: OUTPUT3, ", "", "NO-15"),
        ("xero.yml", "NO-15: OUTPUT3, ", "NO-15: X, NO-16: OUTPUT3, ", "no such tax_code"),
        ("assignments.csv", "m3,K-2,2026-03-01,", "m3,K-2,2026-02-28,2026-02-28T17:00:00Z\nm3,K-2,2026-03-01,", "never meets"),  # noqa: E501
        (
            "plans/all-models.yml",
            "sites: [NO-OSL1], regions: [nordics]",
            "sites: [NO-OSL1], regions: [asia]",
            "applies nowhere",
        ),
    ],
)  # fmt: skip
def test_what_may_be_a_slip_is_warned_of(
    book_files: BookFiles, file: str, old: str, new: str, message: str | None
) -> None:
    book_files.replace(file, old, new)
    warnings = load_book(book_files.folder).warnings
    if message is None:
        assert warnings == ()
    else:
        assert any(message in warning for warning in warnings), warnings


def test_a_holiday_band_needs_a_country(book_files: BookFiles) -> None:
    book_files.replace("calendars.yml", "  country_holidays: NO\n", "")
    book_files.replace("calendars.yml", "days: [sat]", "days: [sat, holiday]")
    assert any(
        "no country_holidays" in warning for warning in load_book(book_files.folder).warnings
    )


# --- version -------------------------------------------------------------------------------------


def test_the_version_names_content_and_not_layout(book_files: BookFiles, book: Book) -> None:
    assert len(book.version) == 18
    assert book.version.startswith("b-")
    lines = (book_files.folder / "fx_rates.csv").read_text()
    book_files.write("fx_rates.csv", lines.replace("EUR,NOK", '"EUR",NOK') + "\n\n")
    text = (book_files.folder / "plans/small.yml").read_text()
    book_files.write("plans/small.yml", "# a remark\n" + text.replace('"1"', "'1'"))
    (book_files.folder / "README.md").write_text("about this book")
    assert load_book(book_files.folder).version == book.version


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("customers.csv", "ops@acme.example", "ops2@acme.example"),
        ("plans/small.yml", 'rate: "1"', 'rate: "2"'),
        ("settings.yml", "lookback_days: 5", "lookback_days: 6"),
        ("holidays.csv", "", "NO,2026-12-25,Juledag\n"),
    ],
)
def test_every_change_of_content_is_a_new_version(
    book_files: BookFiles, book: Book, file: str, old: str, new: str
) -> None:
    book_files.replace(file, old, new)
    assert load_book(book_files.folder).version != book.version


def test_an_empty_optional_file_is_an_absent_one(book_files: BookFiles, book: Book) -> None:
    book_files.write("alerts.csv", "contract_id,measure,threshold\n")
    empty = load_book(book_files.folder).version
    book_files.remove("alerts.csv")
    assert load_book(book_files.folder).version == empty != book.version


# --- pieces --------------------------------------------------------------------------------------


def test_iban_check_digits() -> None:
    assert iban_is_sound("NO93 8601 1117 947")
    assert not iban_is_sound("NO93 8601 1117 946")
    assert not iban_is_sound("")
    assert not iban_is_sound("NO9386011117ä47")


def test_currencies_and_countries_are_those_of_iso() -> None:
    assert len(COUNTRIES) == 249
    assert {CURRENCY_DIGITS[c] for c in ("EUR", "NOK", "ETB", "IDR", "USD")} == {2}
    assert {CURRENCY_DIGITS[c] for c in ("JPY", "ISK", "KRW")} == {0}
    assert {CURRENCY_DIGITS[c] for c in ("KWD", "TND")} == {3}


_PLACEMENT = Placement(
    row_no=0,
    machine_id="m",
    site_id="s",
    meter_id="p",
    valid_from_at=utc("2026-01-01T00:00"),
    valid_to_at=None,
    metrics=("energy",),
    model=None,
    rated_kw=None,
    asset_tag=None,
    never_suspend=False,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.one_of(st.none(), st.integers(1, 10))),
        min_size=1,
        max_size=8,
    )
)
def test_an_overlap_is_found_if_and_only_if_there_is_one(
    spans: list[tuple[int, int | None]],
) -> None:
    start = utc("2026-01-01T00:00")

    def at(day: int) -> datetime:
        return start.replace(day=day + 1)

    placements = [
        replace(
            _PLACEMENT,
            row_no=number,
            valid_from_at=at(first),
            valid_to_at=None if length is None else at(first + length),
        )
        for number, (first, length) in enumerate(spans)
    ]
    by_pairs = any(
        one < other
        and spans[one][0] < (99 if spans[other][1] is None else sum(spans[other]))  # type: ignore[arg-type]
        and spans[other][0] < (99 if spans[one][1] is None else sum(spans[one]))  # type: ignore[arg-type]
        for one in range(len(spans))
        for other in range(len(spans))
    )
    assert bool(list(overlaps(placements, lambda p: p.meter_id))) == by_pairs


def test_findings_shorten_what_is_very_long() -> None:
    findings = Findings()
    findings.fault("f.csv", 1, "c", "x" * 500, "is long")
    assert len(findings.faults[0].value or "") == 200
