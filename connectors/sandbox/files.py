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

from connectors.sandbox.recordings import Reading, Recording, drop_time

HEADER = "meter_id,interval_start,interval_end,energy_wh,status"
GAUGE_HEADER = "meter_id,sampled_at,watts,status"


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
    header = GAUGE_HEADER if recording.profile.shape == "gauge" else HEADER
    found: list[Drop] = []
    for day, versions in sorted(by_day.items()):
        usual = drop_time(place, versions[0].start)
        first_rows: list[str] = []
        for number, moment in enumerate(
            sorted({max(v.published_at, usual) for v in versions}), start=1
        ):
            seen = {(v.start, v.meter_id): v for v in versions if v.published_at <= moment}
            rows = [_row(seen[key], place.zone, steady=steady) for key in sorted(seen)]
            first_rows = first_rows or rows
            suffix = "" if number == 1 else f"_{number}"
            found.append(Drop(f"{site}_{day:%Y-%m-%d}{suffix}.csv", moment, _whole(header, rows)))
        for fault in recording.faults:
            if fault.from_at.astimezone(place.zone).date() != day or fault.published_at is None:
                continue
            if fault.kind == "cut_off" and len(rows) > len(first_rows):
                # What came whole in the end shows which row it was that the cut went through.
                following = rows[len(first_rows)]
                name = f"{site}_{day:%Y-%m-%d}.csv"
                cut = Drop(name, usual, _cut(header, first_rows, following))
                found = [cut if drop.name == name else drop for drop in found]
            elif fault.kind == "sent_twice":
                name = f"{site}_{day:%Y-%m-%d}_again.csv"
                found.append(Drop(name, fault.published_at, _whole(header, first_rows)))
    return sorted(found, key=lambda drop: (drop.arrives_at, drop.name))


def is_steady(zone: ZoneInfo, start: datetime, end: datetime) -> bool:
    """Whether the zone keeps its clocks over the span, so that local times are plain."""
    days = range(-2, (end - start).days + 3)
    return len({(start + timedelta(days=day)).astimezone(zone).utcoffset() for day in days}) == 1


def _whole(header: str, rows: list[str]) -> str:
    return "\n".join([header, *rows, f"# rows: {len(rows)}"]) + "\n"


def _cut(header: str, rows: list[str], following: str) -> str:
    """The file up to half of the row that follows, as a broken transfer leaves it."""
    return "\n".join([header, *rows, following[: len(following) // 2]])


def _row(reading: Reading, zone: ZoneInfo, *, steady: bool) -> str:
    times = [_stamp(reading.start, zone, steady=steady)]
    if reading.end is not None:
        times.append(_stamp(reading.end, zone, steady=steady))
    return ",".join((reading.meter_id, *times, f"{reading.value:f}", "A"))


def _stamp(moment: datetime, zone: ZoneInfo, *, steady: bool) -> str:
    local = moment.astimezone(zone)
    return local.strftime("%Y-%m-%d %H:%M") if steady else local.isoformat(timespec="minutes")
