"""Plans in words: the sentences finance signs, word for word."""

# ruff: noqa: E501 - sentences stand in one line

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.book import load_book, render_words

if TYPE_CHECKING:
    from tests.unit.book.conftest import BookFiles

EVERY_MODEL = """\
Every model, version 1, from January 2026 until January 2027 (exclusive), in NOK.
- Energy: NOK 0.0825 per kWh at each site.
- Grid: NOK 0.0825 per kWh for the first 100,000 kWh a month of the whole contract, then NOK 0.0790.
- Green: all kWh of a month at one rate, chosen by the month's usage at each site: NOK 0.01 if it is \
up to 10.5 kWh, NOK 0 if it is more.
- Blocks: NOK 3.75 for each package of 100 GB of traffic begun beyond the 50 GB a month that are \
included, at each site.
- Access: one amount a month at each site with usage, by its kWh: NOK 20.00 up to 150 kWh, NOK 80.00 \
above.
- Tou: per kWh at each site, by local time: NOK 0.12 for day (Monday to Friday 07:00 to 22:00 and \
Saturday 08:00 to 24:00), NOK 0.07 for night (all other hours); public holidays of NO count as \
holidays and so as night; only at NO-OSL1 in region nordics.
- Spot: the market price NO1 of each hour times 1.02 less NOK 1.5 per MWh, for the energy used in \
that hour at each site; only at NO-OSL1.
- Peak: NOK 4.00 per kW of the month's highest mean power over 15 minutes at each site.
- Hosting: NOK 42.00 a month for each assigned machine; part months in proportion to time; not billed \
for machines while they are suspended.
- Desk: NOK 33.33 a month for the contract; part months count as whole ones.
- Services: services hands and parts at cost plus 10 %, one line for each event.
- Fuel: service fuel at cost, one line for each site and service of a month.
- Handling: 5 % of Services and Fuel.
- Welcome: 20 % off Hosting, Desk and Handling in the first 3 months of the contract, at most NOK \
25.00 a month.
- Commit: at least NOK 300.00 a month for Energy, Hosting and Welcome together; what is missing is \
billed, part months in proportion to time."""


def charge_line(book_files: BookFiles, charge: str) -> str:
    """The sentence of one charge, in the place of the only one of the plan `small`."""
    book_files.replace("plans/small.yml", '{code: energy, model: per_unit, rate: "1"}', charge)
    words = next(w for w in render_words(load_book(book_files.folder)) if w.plan_id == "small")
    return words.text.splitlines()[1]


def test_every_model_in_words(book_files: BookFiles) -> None:
    words = render_words(load_book(book_files.folder))
    assert [(w.plan_id, w.version, w.valid_from_month) for w in words] == [
        ("all-models", 1, "2026-01"),
        ("all-models", 2, "2027-01"),
        ("small", 1, "2026-02"),
    ]
    assert words[0].text == EVERY_MODEL
    assert words[1].text.splitlines()[-1] == (
        "A later change of this version does not touch months already issued."
    )


@pytest.mark.parametrize(
    ("charge", "words"),
    [
        (
            'code: energy, model: graduated, tiers: [{up_to: "100000", rate: "0.0825"}, '
            '{up_to: "200000", rate: "0.08"}, {rate: "0.0790"}]',
            "- Energy: NOK 0.0825 per kWh for the first 100,000 kWh a month at each site, NOK 0.08 "
            "from there to 200,000 kWh, then NOK 0.0790.",
        ),
        (
            'code: energy, model: graduated, per: machine, tiers: [{rate: "0.1"}]',
            "- Energy: NOK 0.1 per kWh of each machine.",
        ),
        (
            'code: net_out, model: volume, metric: traffic, unit: TB, tiers: [{rate: "2"}]',
            "- Net out (net_out): NOK 2 per TB of traffic, all usage at each site.",
        ),
        (
            'code: seat, model: stairstep, tiers: [{amount: "9"}]',
            "- Seat: NOK 9 a month at each site with any kWh.",
        ),
        (
            'code: e, description: Blocks of power, model: package, size: "1000", price: "9.5"',
            "- Blocks of power (e): NOK 9.5 for each package of 1,000 kWh begun, at each site.",
        ),
        (
            'code: spot, model: index, index_id: NO1, adder: "2.5"',
            "- Spot: the market price NO1 of each hour plus NOK 2.5 per MWh, for the energy used in "
            "that hour at each site.",
        ),
        (
            "code: spot, description: Spot, model: index, unit: MWh, index_id: NO1",
            "- Spot: the market price NO1 of each hour, for the energy used in that hour at each "
            "site, shown in MWh.",
        ),
        (
            'code: fee, model: recurring, per: site, amount: "1250.00", regions: [nordics, asia]',
            "- Fee: NOK 1,250.00 a month for each site with an assigned machine; part months in "
            "proportion to time; only in regions nordics and asia.",
        ),
    ],
)
def test_a_charge_in_words(book_files: BookFiles, charge: str, words: str) -> None:
    assert charge_line(book_files, f"{{{charge}}}") == words


def test_bands_are_told_in_the_order_in_which_they_count(book_files: BookFiles) -> None:
    book_files.write(
        "calendars.yml",
        """\
- calendar_id: day-night
  default_band: night
  bands:
    - {band: day, days: [mon, tue, wed, thu, fri, sat, sun], from: "07:00", to: "22:00"}
- calendar_id: three
  country_holidays: NO
  default_band: low
  bands:
    - {band: holiday, days: [holiday], from: "00:00", to: "24:00"}
    - {band: peak, days: [mon, wed], from: "08:00", to: "10:00"}
    - {band: day, days: [mon, tue, wed, sun], from: "07:00", to: "22:00"}
    - {band: low, days: [sat], from: "12:00", to: "13:00"}
""",
    )
    charge = (
        "{code: energy, model: time_of_use, calendar: three, "
        'rates: {day: "1", low: "2", holiday: "3", peak: "4"}}'
    )
    assert charge_line(book_files, charge) == (
        "- Energy: per kWh at each site, by local time: NOK 3 for holiday (public holidays all "
        "day), NOK 4 for peak (Monday and Wednesday 08:00 to 10:00), NOK 1 for day (Monday to "
        "Wednesday and Sunday 07:00 to 22:00), NOK 2 for low (Saturday 12:00 to 13:00 and all other "
        "hours); where two of these meet, the one named first counts; public holidays of NO count "
        "as holidays."
    )
    assert "every day 07:00 to 22:00" in render_words(load_book(book_files.folder))[0].text
