"""The product's own connectors land what the stand-ins showed: each reading, once, in the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from connectors.base import SourceSpec, Window
from connectors.landing import SiteLanding, land_site
from connectors.registry import check_source
from connectors.sandbox import Sandbox
from connectors.sandbox.recordings import Recording

START, END = date(2026, 10, 1), date(2026, 11, 1)
FIRST_LOOK = datetime(2026, 11, 2, 2, tzinfo=UTC)
SECOND_LOOK = datetime(2026, 11, 4, 6, tzinfo=UTC)
BOOK = Path(__file__).parents[3] / "data" / "book"
SITES = ("NO-OSL1", "FI-HEL1", "ET-ADD1", "ID-JKT1")


class Month:
    """A month landed once before and once after the late data came."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.landings: dict[tuple[str, datetime], SiteLanding] = {}

    def land(self, first: date, end: date) -> None:
        now = self.sandbox.now
        for site_id, source in self.sandbox.sources.items():
            self.landings[site_id, now] = land_site(
                site_id,
                self.sandbox.recordings[site_id].place.zone.key,
                filled(source, self.sandbox.env),
                window=Window.of_days(first, end),
                landing_dir=self.folder / "landing",
                rejected_dir=self.folder / "rejected",
                env=self.sandbox.env,
                clock=lambda: now,
                data_dir=self.folder,
            )

    def current(self, site_id: str) -> dict[tuple[str, datetime], Decimal]:
        """What is landed of a site, the newest of each key, by meter and start."""
        paths = sorted(
            (self.folder / "landing" / "readings" / f"site_id={site_id}").rglob("*.parquet")
        )
        frame = (
            pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in paths])
            .sort("ingested_at", "batch_id")
            .unique(["meter_id", "interval_start"], keep="last")
        )
        rows = frame.select("meter_id", "interval_start", "value").iter_rows()
        return {(meter_id, start): value for meter_id, start, value in rows}


def filled(source: Mapping[str, Any], env: Mapping[str, str]) -> SourceSpec:
    """The entry with its placeholders put in."""

    def put_in(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: put_in(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [put_in(entry) for entry in value]
        if isinstance(value, str) and value.startswith("${"):
            return env[value[2:].partition(":-")[0]]
        return value

    return SourceSpec(source["kind"], put_in(source["config"]), source["secrets"])


def shown(recording: Recording, now: datetime) -> dict[tuple[str, datetime], Decimal]:
    first, end = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
    return {
        (reading.meter_id, reading.start): reading.value
        for reading in recording.seen_at(now)
        if first <= reading.start < end
    }


@pytest.fixture(scope="module")
def month(small_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    folder = tmp_path_factory.mktemp("month")
    with Sandbox(
        book_dir=small_book,
        state_dir=folder / "sandbox",
        seed=1,
        start=START,
        end=END,
        as_of=FIRST_LOOK,
    ) as sandbox:
        month = Month(sandbox, folder)
        month.land(START, END)
        sandbox.advance(SECOND_LOOK)
        month.land(END - timedelta(days=3), END)
        yield month


@pytest.mark.parametrize("site_id", SITES)
def test_every_reading_is_landed_in_its_newest_version(month: Month, site_id: str) -> None:
    assert month.current(site_id) == shown(month.sandbox.recordings[site_id], SECOND_LOOK)


@pytest.mark.parametrize(
    ("site_id", "late", "rejected"),
    [
        # A day of one meter came late, three hours of another were restated.
        ("NO-OSL1", 24 + 3, 0),
        ("FI-HEL1", 0, 0),
        # A local day of four meters; of the cut-off file one row could not be read.
        ("ET-ADD1", 4 * 96, 0),
        ("ID-JKT1", 0, 0),
    ],
)
def test_the_second_look_lands_only_what_is_new(
    month: Month, site_id: str, late: int, rejected: int
) -> None:
    (second,) = month.landings[site_id, SECOND_LOOK].results
    assert (second.rows_landed, second.rows_rejected) == (late, rejected)


def test_the_row_that_was_cut_through_is_set_aside(month: Month) -> None:
    (first,) = month.landings["ET-ADD1", FIRST_LOOK].results
    assert first.rows_rejected == 1


@pytest.mark.parametrize("site_id", SITES)
def test_the_demo_s_book_reads_its_sites_as_the_stand_ins_say(tmp_path: Path, site_id: str) -> None:
    with Sandbox(
        book_dir=BOOK,
        state_dir=tmp_path,
        seed=1,
        start=START,
        end=START + timedelta(days=1),
        kinds={"ID-JKT1": "files"} if site_id != "ID-JKT1" else None,
    ) as sandbox:
        said = sandbox.sources[site_id]
        assert check_source(filled(said, sandbox.env)) == []
    written = yaml.safe_load((BOOK / "sources.yml").read_text(encoding="utf-8"))[site_id]
    if said["kind"] != "sql" and site_id == "ID-JKT1":
        pytest.skip("no PostgreSQL here: apt-get install postgresql, or pip install pgserver")
    assert {"secrets": {}, **written} == said
