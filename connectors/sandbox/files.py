"""The Ethiopian way: one CSV file a local day, dropped into a folder two hours after midnight.

The logger writes local time without offset (a zone that changes its clocks gets the offset, for
there it would be ambiguous) and ends a whole file with a line that counts its rows. A file that was
cut off lacks that line and stops in the middle of a row; it is sent again whole, under another
name. Files carry the time of their arrival as modification time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors.sandbox.faults import Fault
from connectors.sandbox.recordings import CUT_AFTER, Reading, Recording, drop_time

HEADER = "meter_id,interval_start,interval_end,energy_wh,status"


@dataclass(frozen=True, slots=True)
class Drop:
    """A file as it arrives."""

    name: str
    arrives_at: datetime
    text: str


@dataclass(frozen=True)
class DropFolder:
    """The folder of one site; `advance` puts into it what has arrived by then."""

    recording: Recording
    folder: Path

    def reset(self, now: datetime) -> int:
        """Empties the folder of drops and writes all that arrived by `now`; how many they are."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.glob(f"{self.recording.place.site_id}_*.csv"):
            old.unlink()
        return self._write(drop for drop in drops(self.recording) if drop.arrives_at <= now)

    def advance(self, after: datetime, until: datetime) -> int:
        """Writes what arrives in (after, until]; how many files they are."""
        return self._write(
            drop for drop in drops(self.recording) if after < drop.arrives_at <= until
        )

    def _write(self, arriving: Iterable[Drop]) -> int:
        count = 0
        for drop in arriving:
            path = self.folder / drop.name
            temporary = path.with_suffix(".part")
            temporary.write_text(drop.text, encoding="utf-8")
            stamp = drop.arrives_at.timestamp()
            os.utime(temporary, (stamp, stamp))
            temporary.replace(path)
            count += 1
        return count


def drops(recording: Recording) -> list[Drop]:
    """Every file the site ever sends, oldest first."""
    place = recording.place
    site = place.site_id
    by_day: dict[date, list[Reading]] = {}
    for reading in recording.versions:
        by_day.setdefault(reading.start.astimezone(place.zone).date(), []).append(reading)
    steady = is_steady(place.zone, recording.start, recording.end)
    found: list[Drop] = []
    for day, versions in sorted(by_day.items()):
        usual = drop_time(place, versions[0].start)
        for number, moment in enumerate(sorted({v.published_at for v in versions}), start=1):
            seen = {(v.start, v.meter_id): v for v in versions if v.published_at <= moment}
            rows = [seen[key] for key in sorted(seen)]
            whole = _text(rows, place.zone, steady=steady)
            cut = next(
                (f for f in recording.faults if f.kind == "cut_off" and _day(f, place.zone) == day),
                None,
            )
            suffix = "" if number == 1 else f"_{number}"
            name = f"{site}_{day:%Y-%m-%d}{suffix}.csv"
            if cut is not None and number == 1 and cut.published_at is not None:
                later = {(v.start, v.meter_id): v for v in versions}
                following = min(key for key in later if key[0] >= cut.from_at + CUT_AFTER)
                whole = _cut(whole, _row(later[following], place.zone, steady=steady))
            found.append(Drop(name, max(moment, usual), whole))
            twice = next(
                (
                    f.published_at
                    for f in recording.faults
                    if f.kind == "sent_twice" and _day(f, place.zone) == day
                ),
                None,
            )
            if twice is not None:
                found.append(Drop(f"{site}_{day:%Y-%m-%d}_again.csv", twice, whole))
    return sorted(found, key=lambda drop: (drop.arrives_at, drop.name))


def _day(fault: Fault, zone: ZoneInfo) -> date:
    return fault.from_at.astimezone(zone).date()


def is_steady(zone: ZoneInfo, start: datetime, end: datetime) -> bool:
    days = range(-2, (end - start).days + 3)
    return len({(start + timedelta(days=day)).astimezone(zone).utcoffset() for day in days}) == 1


def _text(rows: list[Reading], zone: ZoneInfo, *, steady: bool) -> str:
    lines = [HEADER, *(_row(row, zone, steady=steady) for row in rows), f"# rows: {len(rows)}"]
    return "\n".join(lines) + "\n"


def _cut(whole: str, next_row: str) -> str:
    """The file without its last line, with half of the next row instead."""
    kept = whole.splitlines()[:-1]
    return "\n".join([*kept, next_row[: len(next_row) // 2]])


def _row(reading: Reading, zone: ZoneInfo, *, steady: bool) -> str:
    end = reading.end or reading.start
    return ",".join(
        (
            reading.meter_id,
            _stamp(reading.start, zone, steady=steady),
            _stamp(end, zone, steady=steady),
            f"{reading.value:f}",
            "A",
        )
    )


def _stamp(moment: datetime, zone: ZoneInfo, *, steady: bool) -> str:
    local = moment.astimezone(zone)
    return local.strftime("%Y-%m-%d %H:%M") if steady else local.isoformat(timespec="minutes")
