"""Recordings: what each site shows at a time, with every fault, and what ought to be accepted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from connectors.sandbox.host import HostError, Options, make_recordings
from connectors.sandbox.recordings import Reading, Recording

START, END = date(2026, 10, 1), date(2026, 11, 1)
LATER = datetime(2026, 12, 1, tzinfo=UTC)


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, 10, 1, hour, minute, tzinfo=UTC) + timedelta(days=day - 1)


def make(book_dir: Path, *, has_faults: bool = True, seed: int = 1) -> dict[str, Recording]:
    return make_recordings(
        Options(
            book_dir=book_dir,
            state_dir=book_dir,
            seed=seed,
            start=START,
            end=END,
            has_faults=has_faults,
        )
    )


@pytest.fixture(scope="module")
def plain(small_book: Path) -> Mapping[str, Recording]:
    return make(small_book, has_faults=False)


@pytest.fixture(scope="module")
def faulty(small_book: Path) -> Mapping[str, Recording]:
    return make(small_book)


def of_meter(recording: Recording, meter_id: str, now: datetime = LATER) -> list[Reading]:
    return [reading for reading in recording.seen_at(now) if reading.meter_id == meter_id]


def starts(recording: Recording, meter_id: str, now: datetime = LATER) -> set[datetime]:
    return {reading.start for reading in of_meter(recording, meter_id, now)}


def test_same_seed_same_readings_other_seed_others(book_dir: Path) -> None:
    first, again, other = make(book_dir), make(book_dir), make(book_dir, seed=2)
    assert first == again
    assert first["NO-OSL1"].versions != other["NO-OSL1"].versions


def test_no_days_are_refused(book_dir: Path) -> None:
    options = Options(book_dir=book_dir, state_dir=book_dir, seed=1, start=START, end=START)
    with pytest.raises(HostError, match="exclusive"):
        make_recordings(options)


def test_every_slot_is_there_without_faults(plain: Mapping[str, Recording]) -> None:
    # 31 days and one either side; registers and gauges have one more to close the last interval.
    assert len(of_meter(plain["NO-OSL1"], "NO-meter-0")) == 33 * 24
    assert len(of_meter(plain["FI-HEL1"], "FI-meter-0")) == 33 * 96 + 1
    assert len(of_meter(plain["ET-ADD1"], "ET-meter-0")) == 33 * 96
    assert len(of_meter(plain["ID-JKT1"], "ID-meter-0")) == 33 * 144 + 1


def test_the_day_the_clocks_go_back_has_25_hours(plain: Mapping[str, Recording]) -> None:
    oslo = plain["NO-OSL1"]
    days = [reading.start.astimezone(oslo.place.zone).date() for reading in oslo.seen_at(LATER)]
    assert days.count(date(2026, 10, 25)) == 25 * 3
    assert days.count(date(2026, 10, 24)) == 24 * 3


def test_a_machine_that_moved_reads_only_where_it_stands(plain: Mapping[str, Recording]) -> None:
    moved = at(15, 12)
    oslo = of_meter(plain["NO-OSL1"], "NO-meter-3")
    helsinki = of_meter(plain["FI-HEL1"], "FI-meter-9")
    assert max(reading.end or at(1) for reading in oslo) == moved
    assert helsinki[0].start == moved


def test_nothing_is_seen_before_it_happened(plain: Mapping[str, Recording]) -> None:
    now = at(10, 6, 30)
    oslo = plain["NO-OSL1"].seen_at(now)
    assert max(reading.end or now for reading in oslo) == at(10, 6)
    assert max(reading.start for reading in plain["ID-JKT1"].seen_at(now)) == now
    # The drop of local 9 October arrives at two in the night; the 10th is not there yet.
    addis = plain["ET-ADD1"].seen_at(now)
    assert max(reading.end or now for reading in addis) == at(9, 21)


def test_what_is_published_between_two_times_makes_up_the_difference(
    faulty: Mapping[str, Recording],
) -> None:
    for recording in faulty.values():
        before, after = at(18, 3), at(24, 5)
        known = {(v.meter_id, v.start): v for v in recording.seen_at(before)}
        for version in recording.published_between(before, after):
            known[version.meter_id, version.start] = version
        assert [known[key] for key in sorted(known)] == recording.seen_at(after)


def test_registers_add_up_to_the_load(plain: Mapping[str, Recording]) -> None:
    registers = of_meter(plain["FI-HEL1"], "FI-meter-1")
    expected = plain["FI-HEL1"].accepted_kwh(now=LATER, start=at(0), end=LATER)["FI-meter-1"]
    assert (registers[-1].value - registers[0].value) / 3_600_000 == expected


def test_gap(faulty: Mapping[str, Recording], plain: Mapping[str, Recording]) -> None:
    missing = starts(plain["NO-OSL1"], "NO-meter-2") - starts(faulty["NO-OSL1"], "NO-meter-2")
    assert missing == {at(8, hour) for hour in range(9, 14)}
    lost = starts(plain["ID-JKT1"], "ID-meter-1") - starts(faulty["ID-JKT1"], "ID-meter-1")
    assert {at(11, 2), at(11, 5, 50), at(23, 11), at(23, 16, 50)} <= lost
    assert len(lost) == 4 * 6 + 6 * 6


def test_late_readings_come_after_the_month(faulty: Mapping[str, Recording]) -> None:
    oslo = faulty["NO-OSL1"]
    day = {at(29, hour) for hour in range(24)}
    assert not day & starts(oslo, "NO-meter-1", at(34, 5))
    assert day <= starts(oslo, "NO-meter-1", at(34, 6))
    assert day <= starts(oslo, "NO-meter-0", at(34, 5))
    jakarta = faulty["ID-JKT1"]
    # Not there on the fourth, when the month is closed.
    assert at(31, 6) not in starts(jakarta, "ID-meter-3", at(35, 12))
    assert at(31, 6) in starts(jakarta, "ID-meter-3", at(37, 1))


def test_restated_readings_change_in_place(
    faulty: Mapping[str, Recording], plain: Mapping[str, Recording]
) -> None:
    before = {r.start: r.value for r in of_meter(faulty["NO-OSL1"], "NO-meter-0", at(34, 5))}
    after = {r.start: r.value for r in of_meter(faulty["NO-OSL1"], "NO-meter-0", at(34, 6))}
    truth = {r.start: r.value for r in of_meter(plain["NO-OSL1"], "NO-meter-0")}
    changed = {start for start in before if before[start] != after[start]}
    assert changed == {at(30, 10), at(30, 11), at(30, 12)}
    assert all(before[start] == truth[start] for start in before)
    assert all(after[start] == truth[start] * Decimal("1.1") for start in changed)


def test_counter_reset_drops_to_the_energy_since(faulty: Mapping[str, Recording]) -> None:
    values = {r.start: r.value for r in of_meter(faulty["FI-HEL1"], "FI-meter-0")}
    assert values[at(16, 3, 45)] < values[at(16, 3, 30)]
    assert values[at(16, 3, 45)] < values[at(16, 4)]
    # Seven and a half minutes of a machine of 3.5 kW at most.
    assert 0 < values[at(16, 3, 45)] < 3500 * 450


def test_scrapes_lost_with_counters_going_on_lose_no_energy(
    faulty: Mapping[str, Recording], plain: Mapping[str, Recording]
) -> None:
    assert at(22, 1) not in starts(faulty["FI-HEL1"], "FI-meter-1")
    span = {"start": at(20), "end": at(25)}
    assert (
        faulty["FI-HEL1"].accepted_kwh(now=LATER, **span)["FI-meter-1"]
        == plain["FI-HEL1"].accepted_kwh(now=LATER, **span)["FI-meter-1"]
    )


def test_spike_is_left_out_of_what_is_expected(
    faulty: Mapping[str, Recording], plain: Mapping[str, Recording]
) -> None:
    span = {"start": at(5, 6), "end": at(5, 9)}
    spike = next(r for r in of_meter(faulty["ID-JKT1"], "ID-meter-0") if r.start == at(5, 7))
    assert spike.value == Decimal("3.5") * 1000 * 25
    with_spike = faulty["ID-JKT1"].accepted_kwh(now=LATER, **span)["ID-meter-0"]
    whole = plain["ID-JKT1"].accepted_kwh(now=LATER, **span)["ID-meter-0"]
    # Two of eighteen ten-minute intervals touch the spike.
    assert whole * 15 / 18 < with_spike < whole * 17 / 18


def test_gauges_more_than_15_minutes_apart_count_nothing(
    faulty: Mapping[str, Recording],
) -> None:
    hole = faulty["ID-JKT1"].accepted_kwh(now=LATER, start=at(23, 10, 50), end=at(23, 17))
    assert set(hole.values()) == {Decimal(0)}


def test_expected_energy_by_hand(plain: Mapping[str, Recording]) -> None:
    span = {"start": at(3), "end": at(3, 2)}
    oslo = {r.start: r.value for r in of_meter(plain["NO-OSL1"], "NO-meter-0")}
    assert (
        plain["NO-OSL1"].accepted_kwh(now=LATER, **span)["NO-meter-0"]
        == oslo[at(3)] + oslo[at(3, 1)]
    )
    jakarta = {r.start: r.value for r in of_meter(plain["ID-JKT1"], "ID-meter-0")}
    samples = [jakarta[at(3) + timedelta(minutes=10 * step)] for step in range(13)]
    mean_watts = [(a + b) / 2 for a, b in pairwise(samples)]
    by_hand = sum((w / 6 / 1000).quantize(Decimal("1e-9")) for w in mean_watts)
    assert abs(plain["ID-JKT1"].accepted_kwh(now=LATER, **span)["ID-meter-0"] - by_hand) <= Decimal(
        "12e-9"
    )


def test_an_outage_follows_the_clock(faulty: Mapping[str, Recording]) -> None:
    oslo = faulty["NO-OSL1"]
    assert not oslo.is_down(at(12, 5, 59))
    assert oslo.is_down(at(12, 6))
    assert not oslo.is_down(at(12, 14))
    assert at(12, 7) in starts(oslo, "NO-meter-0")


def test_a_short_span_has_no_faults_that_reach_out_of_it(book_dir: Path) -> None:
    options = Options(
        book_dir=book_dir, state_dir=book_dir, seed=1, start=START, end=date(2026, 10, 3)
    )
    assert all(not recording.faults for recording in make_recordings(options).values())


def test_sites_without_steady_meters_have_site_faults_only(book_dir: Path) -> None:
    (book_dir / "machines.csv").write_text(
        "machine_id,site_id,meter_id,valid_from,valid_to\na,NO-OSL1,m,2026-10-10T00:00:00Z,\n",
        encoding="utf-8",
    )
    faults = [f for r in make(book_dir).values() for f in r.faults]
    assert faults
    assert all(fault.meter_id is None for fault in faults)
    assert "whole site" in faults[0].describe()


def test_faults_stand_on_days_of_the_month_whatever_days_are_served(book_dir: Path) -> None:
    wider = Options(
        book_dir=book_dir,
        state_dir=book_dir,
        seed=1,
        start=date(2026, 9, 30),
        end=date(2026, 11, 2),
    )
    served = {f for r in make_recordings(wider).values() for f in r.faults}
    assert served == {f for r in make(book_dir).values() for f in r.faults}
    assert len(served) == 17
