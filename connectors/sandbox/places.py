"""Which meters stand where, read from the book's `sites.csv`, `machines.csv` and `sources.yml`.

The stand-ins need three facts of a site (time zone, country, kind of source) and four of a
placement (meter, machine, validity, rated power). They are read here without the book's loader:
a stand-in is the outside world, and must not agree with the product by sharing its code.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml

KINDS = ("rest_json", "prometheus", "files", "sql")
_KIND_OF_COUNTRY = {"NO": "rest_json", "FI": "prometheus", "ET": "files", "ID": "sql"}
_DEFAULT_RATED_KW = Decimal(1)


class PlacesError(ValueError):
    """The book's sites or machines cannot be served; the message names file, row and value."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A machine on a meter over a half-open span of time (UTC; `valid_to` None = open)."""

    meter_id: str
    machine_id: str
    valid_from: datetime
    valid_to: datetime | None
    rated_kw: Decimal


@dataclass(frozen=True, slots=True)
class Place:
    """A site as its stand-in sees it."""

    site_id: str
    name: str
    country: str
    zone: ZoneInfo
    kind: str
    placements: tuple[Placement, ...]

    @property
    def meter_ids(self) -> tuple[str, ...]:
        """Every meter of the site, in order of name."""
        return tuple(sorted({placement.meter_id for placement in self.placements}))


def env_prefix(site_id: str) -> str:
    """The start of the names of a site's environment variables: `NO-OSL1` → `M2C_NO_OSL1`."""
    plain = "".join(char if char.isalnum() else "_" for char in site_id)
    return f"M2C_{plain.upper()}"


def read_places(book_dir: Path, *, kinds: Mapping[str, str] | None = None) -> tuple[Place, ...]:
    """The book's sites with their placements; those of a kind no stand-in speaks are left out.

    The kind is the one given in `kinds`, else that of `sources.yml`, else that of the country in
    the field (Norway rest_json, Finland prometheus, Ethiopia files, Indonesia sql), else `files`.
    Only meters that give energy are served.
    """
    chosen = dict(_kinds_of_sources(book_dir / "sources.yml"))
    chosen.update(kinds or {})
    site_rows = _rows(book_dir / "sites.csv", ("site_id", "country", "timezone"))
    machine_rows = _rows(book_dir / "machines.csv", ("machine_id", "site_id", "meter_id"))
    places = []
    for row in site_rows:
        site_id = row["site_id"]
        kind = chosen.get(site_id) or _KIND_OF_COUNTRY.get(row["country"], "files")
        if kind not in KINDS:
            continue
        zone = ZoneInfo(row["timezone"])
        default_kw = row.get("default_rated_kw") or ""
        placements = tuple(
            Placement(
                meter_id=machine["meter_id"],
                machine_id=machine["machine_id"],
                valid_from=_instant(machine["valid_from"], zone),
                valid_to=_instant(machine["valid_to"], zone) if machine.get("valid_to") else None,
                rated_kw=Decimal(machine.get("rated_kw") or default_kw or _DEFAULT_RATED_KW),
            )
            for machine in machine_rows
            if machine["site_id"] == site_id
            and "energy" in (machine.get("metrics") or "energy").split("|")
        )
        places.append(
            Place(
                site_id=site_id,
                name=row.get("name") or site_id,
                country=row["country"],
                zone=zone,
                kind=kind,
                placements=tuple(sorted(placements, key=lambda p: (p.meter_id, p.valid_from))),
            )
        )
    return tuple(places)


def _rows(path: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    if not path.is_file():
        raise PlacesError(f"{path} is missing: the stand-ins serve the meters of a book")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in needed if name not in (reader.fieldnames or ())]
        if missing:
            raise PlacesError(f"{path}: column {', '.join(missing)} is missing")
        return [{key: (value or "").strip() for key, value in row.items()} for row in reader]


def _kinds_of_sources(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    sources = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(sources, dict):
        raise PlacesError(f"{path}: expected a mapping of site_id to its source")
    return {
        str(site_id): str(source["kind"])
        for site_id, source in sources.items()
        if isinstance(source, dict) and "kind" in source
    }


def _instant(text: str, zone: ZoneInfo) -> datetime:
    """An instant of the book: one with an offset as it stands, a bare date at local midnight."""
    if len(text) == len("2026-10-01"):
        midnight = datetime.combine(date.fromisoformat(text), time(), zone)
        instant = midnight.astimezone(UTC)
        # A midnight that does not exist is the first instant of that local day.
        while instant.astimezone(zone).date() < midnight.date():
            instant += timedelta(minutes=15)
        return instant
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise PlacesError(f"machines.csv: {text!r} has no offset; write a date or add Z or +hh:mm")
    return moment.astimezone(UTC)
