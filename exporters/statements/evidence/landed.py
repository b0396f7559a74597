"""What landed for a statement: charge events, index prices, and the readings of its meters with as
many of their neighbours as the rules look at.

Which rows that are is found by running the first steps of the recomputation on what is there so far
and widening a meter's days until nothing is missing: to the last reading before and the first after
what is billed, over intervals that reach across, and by four weeks and a day where `like_day`
estimates from them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from exporters.landed import LandedFiles
from exporters.marts import BUILD_FIRST, MartsError
from exporters.statements.evidence.inputs import Needs, write_places
from exporters.statements.evidence.model import EvidenceError
from exporters.statements.evidence.workshop import Workshop

_READING: Final = """
    readings.site_id, readings.source, readings.meter_id, readings.metric, readings.kind,
    readings.unit, readings.interval_start, readings.interval_end, readings.value, readings.quality,
    readings.batch_id, readings.ingested_at, readings.filename as file
"""
_DAY: Final = timedelta(days=1)
_LIKE_DAY_REACH: Final = timedelta(days=30)
_LOOK_BACK: Final = (3, 10, 40, 400)
_ROUNDS: Final = 60


@dataclass(frozen=True, kw_only=True)
class LandedFile:
    """A landed file that a build read. `path` is what the marts name it; `key` is its site or
    index."""

    table: str
    key: str
    date: date
    path: str


@dataclass(kw_only=True)
class Landing:
    """The landed files, and the instant up to which their rows count (None: all). `root` is where
    their paths begin, unless `at` says how they are read."""

    root: Path
    files: Sequence[LandedFile]
    until: datetime | None
    left_out: int = 0
    at: LandedFiles | None = None

    @property
    def reached(self) -> LandedFiles:
        """How the files are read."""
        return self.at or LandedFiles(data_dir=self.root)

    def paths(
        self,
        table: str,
        *,
        keys: Collection[str] | None = None,
        first: date = date.min,
        last: date = date.max,
    ) -> list[str]:
        """Files of a table, of sites or indices, whose date lies between two, inclusive.

        Raises MartsError if one is not there any more.
        """
        found = self.reached.paths(
            file.path
            for file in self.files
            if file.table == table
            and (keys is None or file.key in keys)
            and first <= file.date <= last
        )
        gone = next((path for path in found if not path.is_file()), None)
        if gone is not None:
            raise MartsError(
                f"{self.reached.name(str(gone))} is not there any more: its day may have been "
                f"merged since; {BUILD_FIRST}"
            )
        return [str(path) for path in found]


def write_events(shop: Workshop, landing: Landing, needs: Needs, only: str | None) -> None:
    """Every landed version of the charge events that are the contracts', or of `only` one."""
    files = (
        landing.paths("charge_events", keys=needs.sites) if "pass_through" in needs.models else []
    )
    columns = (
        "event_id, site_id, machine_id, contract_id, service_code, classification, occurred_at, "
        "quantity, unit, unit_amount, currency, description, batch_id, ingested_at, filename"
    )
    if not files:
        shop.write(
            "landed_events",
            "select null::varchar as event_id, null::varchar as site_id, "
            "null::varchar as machine_id, null::varchar as contract_id, "
            "null::varchar as service_code, null::varchar as classification, "
            "null::timestamp as occurred_at, null::decimal(18, 6) as quantity, "
            "null::varchar as unit, null::decimal(18, 6) as unit_amount, "
            "null::varchar as currency, null::varchar as description, null::varchar as batch_id, "
            "null::timestamp as ingested_at, null::varchar as file where false",
        )
        return
    shop.write(
        "landed_events",
        f"""
        with landed as (
            select {columns.replace("filename", f"{landing.reached.name_sql('filename')} as file")}
            from read_parquet($files, hive_partitioning = false, filename = true)
            where ($until is null or ingested_at <= $until)
        )

        select * from landed
        where event_id in (
            select event_id from landed
            where ($only is null or event_id = $only)
                and (
                    list_contains($contracts, contract_id)
                    or (contract_id is null and list_contains($machines, machine_id))
                )
                and occurred_at at time zone 'UTC' >= $first
                and occurred_at at time zone 'UTC' < $last
        )
        """,
        files=files,
        until=landing.until,
        only=only,
        contracts=list(needs.contracts),
        machines=list(needs.machines),
        first=needs.start,
        last=needs.end,
    )


def write_index_prices(shop: Workshop, landing: Landing, needs: Needs) -> None:
    """Every landed version of the prices of the hours that are billed by them."""
    files = (
        landing.paths(
            "index_prices",
            keys=set(needs.indices),
            first=needs.start.date() - _DAY,
            last=needs.end.date() + _DAY,
        )
        if needs.indices
        else []
    )
    if not files:
        shop.write(
            "landed_index_prices",
            "select null::varchar as index_id, null::timestamp as hour_start, "
            "null::decimal(18, 6) as price, null::varchar as currency, "
            "null::varchar as batch_id, null::timestamp as ingested_at, null::varchar as file "
            "where false",
        )
        return
    shop.write(
        "landed_index_prices",
        f"""
        select index_id, hour_start, price, currency, batch_id, ingested_at,
            {landing.reached.name_sql("filename")} as file
        from read_parquet($files, hive_partitioning = false, filename = true)
        where list_contains($indices, index_id)
            and ($until is null or ingested_at <= $until)
            and hour_start at time zone 'UTC' > cast($first as timestamp) - interval 1 hour
            and hour_start at time zone 'UTC' < $last
        """,
        files=files,
        indices=list(needs.indices),
        until=landing.until,
        first=needs.start,
        last=needs.end,
    )


def write_readings(shop: Workshop, landing: Landing, needs: Needs) -> int:
    """The readings, and what the rules ask of places and clocks around them; how many readings.

    Raises EvidenceError where no end is found to what belongs together.
    """
    shop.execute(
        f"""
        create or replace temp table landed_readings as
        select {_READING} from (
            select null::varchar as site_id, null::varchar as source, null::varchar as meter_id,
                null::varchar as metric, null::varchar as kind, null::varchar as unit,
                null::timestamptz as interval_start, null::timestamptz as interval_end,
                null::decimal(24, 9) as value, null::varchar as quality,
                null::varchar as batch_id, null::timestamptz as ingested_at,
                null::varchar as filename
        ) as readings where false
        """
    )
    if not needs.meters:
        shop.execute("create or replace temp table reading_files (path varchar)")
        _write(shop, needs, needs.start - _DAY, needs.end + _DAY)
        return shop.write("landed_readings", "select * from landed_readings")
    return _Search(shop, landing, needs).run()


class _Search:
    """Widens the days of meters until all that the rules look at is there."""

    def __init__(self, shop: Workshop, landing: Landing, needs: Needs) -> None:
        self.shop = shop
        self.landing = landing
        self.needs = needs
        self.metrics = sorted({*needs.metrics, *(["power"] if "energy" in needs.metrics else [])})
        self.sites = {site for site, _ in needs.meters}
        spans = shop.rows(
            """
            select site_id, meter_id, min(span_start) as starts, max(span_end) as ends
            from billed_spans
            where (site_id, meter_id) in (select (site_id, meter_id) from meters)
            group by site_id, meter_id
            """
        )
        # From when on, and up to when, everything about a meter must be known.
        self.wanted = {(s["site_id"], s["meter_id"]): [s["starts"], s["ends"]] for s in spans}
        self.days = {
            meter: [(start - _DAY).date(), (end + _DAY).date()]
            for meter, (start, end) in self.wanted.items()
        }
        self.exhausted: set[tuple[str, str, str, str]] = set()

    def run(self) -> int:
        changed = set(self.days)
        for _ in range(_ROUNDS):
            self._load(changed)
            self._run_steps()
            changed = self._reaching_across() or self._without_neighbours()
            changed = changed or self._estimated_from()
            if not changed:
                break
        else:
            raise EvidenceError("no end is found to the readings that belong together")
        self.landing.left_out = self._landed_later()
        return self.shop.write("landed_readings", "select * from landed_readings")

    def _load(self, meters: Collection[tuple[str, str]]) -> None:
        shop = self.shop
        shop.table(
            "windows",
            {
                "site_id": "varchar",
                "meter_id": "varchar",
                "from_day": "date",
                "to_day": "date",
            },
            [[*meter, *self.days[meter]] for meter in sorted(meters)],
        )
        shop.execute(
            "delete from landed_readings "
            "where (site_id, meter_id) in (select (site_id, meter_id) from windows)"
        )
        first = min(self.days[meter][0] for meter in meters)
        last = max(self.days[meter][1] for meter in meters)
        sites = {site for site, _ in meters}
        condition = """
            inner join windows
                on readings.site_id = windows.site_id and readings.meter_id = windows.meter_id
            where list_contains($metrics, readings.metric)
                and ($until is null or readings.ingested_at <= $until)
        """
        self._insert(
            f"""
            {condition}
                and cast(readings.interval_start as date) between windows.from_day
                    and windows.to_day
            """,
            self.landing.paths("readings", keys=sites, first=first, last=last),
        )
        # Intervals that began earlier and reach into those days: the statistics of files spare
        # reading most of them.
        earlier = self.landing.paths("readings", keys=sites, last=last)
        self._insert(
            f"""
            {condition}
                and readings.kind = 'interval'
                and readings.interval_end > make_timestamptz(epoch_us(cast($first as date)))
                and cast(readings.interval_start as date) < windows.from_day
                and cast(readings.interval_end - interval 1 microsecond as date)
                    >= windows.from_day
            """,
            earlier,
            first=first,
        )

    def _insert(self, condition: str, files: list[str], **given: object) -> None:
        if not files:
            return
        named = self.landing.reached.name_sql("readings.filename")
        try:
            self.shop.execute(
                f"""
                insert into landed_readings
                select {_READING.replace("readings.filename", named)}
                from read_parquet($files, hive_partitioning = false, filename = true) as readings
                {condition}
                """,
                files=files,
                metrics=self.metrics,
                until=self.landing.until,
                **given,
            )
        except duckdb.IOException as error:
            raise MartsError(f"a landed file cannot be read: {error}") from error

    def _run_steps(self) -> None:
        first = min(days[0] for days in self.days.values()) - _LIKE_DAY_REACH
        last = max(days[1] for days in self.days.values()) + 2 * _DAY
        _write(self.shop, self.needs, _midnight(first), _midnight(last))
        self.shop.write("landed_readings", "select * from landed_readings")
        self.shop.run("01_contracts", "02_readings", "03_intervals")

    def _reaching_across(self) -> set[tuple[str, str]]:
        """Meters with an interval that reaches over the first or last day that is there."""
        reach = self.shop.rows(
            """
            select site_id, meter_id,
                min(cast(interval_start as date)) as first_day,
                max(cast(coalesce(interval_end - interval 1 microsecond, interval_start) as date))
                    as last_day
            from readings where fate != 'impossible' group by site_id, meter_id
            """
        )
        changed = set()
        for row in reach:
            meter = (row["site_id"], row["meter_id"])
            days = self.days[meter]
            if row["first_day"] < days[0] or row["last_day"] > days[1]:
                days[0] = min(days[0], row["first_day"])
                days[1] = max(days[1], row["last_day"])
                changed.add(meter)
        return changed

    def _without_neighbours(self) -> set[tuple[str, str]]:
        """Meters of which nothing is accepted up to the start, or from the end on, of what must be
        known, and that have rows further out."""
        known = {
            (row["site_id"], row["meter_id"], row["metric"]): row
            for row in self.shop.rows(
                """
                select site_id, meter_id, metric,
                    min(interval_start) as starts, max(interval_end) as ends
                from intervals where verdict = 'accepted' group by site_id, meter_id, metric
                """
            )
        }
        missing: dict[str, list[tuple[str, str, str]]] = {"before": [], "after": []}
        for site, meter, metric in self._series():
            start, end = self.wanted[site, meter]
            row = known.get((site, meter, metric))
            if row is None or row["starts"] > start:
                missing["before"].append((site, meter, metric))
            if row is None or row["ends"] < end:
                missing["after"].append((site, meter, metric))
        changed = set()
        for side, series in missing.items():
            open_ended = [one for one in series if (*one, side) not in self.exhausted]
            changed |= self._widen(side, open_ended)
        return changed

    def _series(self) -> set[tuple[str, str, str]]:
        """(site, meter, metric) that the book or the rows at hand name."""
        rows = self.shop.rows(
            """
            select distinct placements.site_id, placements.meter_id,
                unnest(string_split(placements.metrics, '|')) as metric
            from 'data/placements.parquet' as placements
            inner join meters
                on placements.site_id = meters.site_id and placements.meter_id = meters.meter_id
            union
            select distinct site_id, meter_id, usage_metric from readings
            """
        )
        found = {(row["site_id"], row["meter_id"], row["metric"]) for row in rows}
        return {one for one in found if one[2] in self.needs.metrics and one[:2] in self.days}

    def _widen(self, side: str, series: list[tuple[str, str, str]]) -> set[tuple[str, str]]:
        """Let the days of meters reach to the next one out that has rows of them."""
        changed: set[tuple[str, str]] = set()
        left = set(series)
        before = side == "before"
        for reach in _LOOK_BACK:
            if not left:
                break
            bounds = [self.days[one[:2]] for one in left]
            if before:
                last = max(days[0] for days in bounds) - _DAY
                first = min(days[0] for days in bounds) - timedelta(days=reach)
            else:
                first = min(days[1] for days in bounds) + _DAY
                last = max(days[1] for days in bounds) + timedelta(days=reach)
            files = self.landing.paths(
                "readings", keys={site for site, _, _ in left}, first=first, last=last
            )
            if not files:
                continue
            self.shop.table(
                "sought",
                {
                    "site_id": "varchar",
                    "meter_id": "varchar",
                    "metric": "varchar",
                    "from_day": "date",
                    "to_day": "date",
                },
                [[*one, *self.days[one[:2]]] for one in sorted(left)],
            )
            found = self.shop.rows(
                f"""
                select sought.site_id, sought.meter_id, sought.metric,
                    {"max" if before else "min"}(cast(readings.interval_start as date)) as day
                from read_parquet($files, hive_partitioning = false) as readings
                inner join sought
                    on readings.site_id = sought.site_id and readings.meter_id = sought.meter_id
                        and case readings.metric when 'power' then 'energy' else readings.metric end
                            = sought.metric
                where ($until is null or readings.ingested_at <= $until)
                    and cast(readings.interval_start as date)
                        {"< sought.from_day" if before else "> sought.to_day"}
                group by sought.site_id, sought.meter_id, sought.metric
                """,
                files=files,
                until=self.landing.until,
            )
            for row in found:
                one = (row["site_id"], row["meter_id"], row["metric"])
                left.discard(one)
                days = self.days[one[:2]]
                if before:
                    days[0] = min(days[0], row["day"])
                else:
                    days[1] = max(days[1], row["day"])
                changed.add(one[:2])
        self.exhausted |= {(*one, side) for one in left}
        return changed

    def _estimated_from(self) -> set[tuple[str, str]]:
        """Meters with hours that `like_day` estimates from days that are not there."""
        self._write_landing()
        if not self.shop.values(
            "select count(*) from 'data/sites.parquet' where estimation = 'like_day'"
        )[0]:
            return set()
        self.shop.run("04_estimates")
        changed = set()
        for row in self.shop.rows(
            "select site_id, meter_id, min(part_start) as first_hour from gap_hours group by all"
        ):
            meter = (row["site_id"], row["meter_id"])
            needed = row["first_hour"] - _LIKE_DAY_REACH
            if needed < self.wanted[meter][0]:
                self.wanted[meter][0] = needed
                self.days[meter][0] = min(self.days[meter][0], (needed - _DAY).date())
                self.exhausted = {one for one in self.exhausted if one[:2] != meter}
                changed.add(meter)
        return changed

    def _write_landing(self) -> None:
        """How far the sites had landed, which ends gaps that no readings follow."""
        newest = {site: self._newest({site}) for site in sorted(self.sites)}
        anywhere = self._newest(None)
        self.shop.put(
            "landing",
            {"site_id": "varchar", "last_landed_day_end": "timestamp"},
            [
                [site, at and _midnight(at.date() + _DAY)]
                for site, at in newest.items()
                if at is not None
            ],
        )
        self.shop.write(
            "clocks",
            """
            select timezone, max(end_at) filter (where end_at at time zone 'UTC' <= $newest)
                as last_month_end
            from book.zone_months
            where timezone in (select billing_timezone from 'data/contract_terms.parquet')
            group by timezone
            """,
            newest=anywhere,
        )

    def _newest(self, sites: Collection[str] | None) -> datetime | None:
        """The newest possible reading's start (UTC, without zone), of sites or of all."""
        until = self.landing.until
        latest = date.max if until is None else (until + timedelta(hours=1)).date()
        days = sorted(
            {
                file.date
                for file in self.landing.files
                if file.table == "readings"
                and (sites is None or file.key in sites)
                and file.date <= latest
            },
            reverse=True,
        )
        for start in range(0, len(days), 3):
            chunk = days[start : start + 3]
            found: datetime | None = self.shop.values(
                """
                select max(readings.interval_start at time zone 'UTC')
                from read_parquet($files, hive_partitioning = false) as readings
                inner join 'data/units.parquet' as units
                    on readings.metric = units.metric and readings.unit = units.unit
                where ($until is null or ingested_at <= $until)
                    and coalesce(interval_end, interval_start) <= ingested_at + interval 1 hour
                    and abs(cast(value * 1000000000 as hugeint)) * units.numerator
                        // units.denominator < 1000000000000000000000
                """,
                files=self.landing.paths("readings", keys=sites, first=chunk[-1], last=chunk[0]),
                until=until,
            )[0]
            if found is not None:
                return found
        return None

    def _landed_later(self) -> int:
        """Rows of the meters, on the days at hand, that landed after what counts."""
        if self.landing.until is None:
            return 0
        files = self.landing.paths(
            "readings",
            keys=self.sites,
            first=min(days[0] for days in self.days.values()),
            last=max(days[1] for days in self.days.values()),
        )
        if not files:
            return 0
        (count,) = self.shop.values(
            """
            select count(*) from read_parquet($files, hive_partitioning = false) as readings
            inner join meters
                on readings.site_id = meters.site_id and readings.meter_id = meters.meter_id
            where readings.ingested_at > $until and list_contains($metrics, readings.metric)
            """,
            files=files,
            until=self.landing.until,
            metrics=self.metrics,
        )
        return int(count)


def _write(shop: Workshop, needs: Needs, first: datetime, last: datetime) -> None:
    write_places(shop, needs, first, last)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - UTC without zone, as in the folder
