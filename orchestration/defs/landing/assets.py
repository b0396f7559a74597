"""Landing: each site's readings by UTC day, and the merging of days that are over.

A run that lands recent readings marks its site as heard from, so that the freshness of each site in
Dagster's UI says which one is late.
"""

import os
import warnings
from datetime import UTC, datetime, timedelta

import dagster as dg

from connectors.base import Window
from connectors.book import BookError, load_book
from connectors.errors import SourceUnavailable
from connectors.landing import SiteLanding, land_site
from connectors.tables import READINGS
from orchestration.dbt import OWNERS
from orchestration.defs.retries import store_retried
from orchestration.instance import FROM_TERMINAL_TAG
from orchestration.partitions import landing_partitions
from orchestration.queries import LATENESS
from orchestration.reports import materialized
from orchestration.resources import DataDirResource
from orchestration.settings import DataDir, parse_day
from orchestration.sources import source_of
from orchestration.stores import landing_zone
from orchestration.warehouse import compact_landing

_RETRIES = 3
_RETRY_SECONDS = 600


def site_specs(data_dir: DataDir) -> list[dg.AssetSpec]:
    """The sites as what they are, things outside: one per entry of sources.yml that loads."""
    try:
        loaded = load_book(data_dir.book)
    except BookError:
        return []
    return [
        dg.AssetSpec(
            key=dg.AssetKey(["sites", site_id]),
            group_name="sites",
            kinds={loaded.sources[site_id].kind},
            owners=OWNERS["landing"],
            description=(
                f"{loaded.sites[site_id].name}, read over {loaded.sources[site_id].kind}. "
                "Materialized whenever new readings of the last 36 hours land; overdue when none "
                "did for 36 hours."
            ),
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=LATENESS),
        )
        for site_id in loaded.sites_read
    ]


def landing_asset(data_dir: DataDir) -> dg.AssetsDefinition:
    """The asset of all landed readings, partitioned by UTC day and site."""
    # Landing a range of days in one run is marked beta in this version of Dagster.
    warnings.filterwarnings("ignore", category=dg.BetaWarning, message=".*backfill_policy")

    @dg.asset(
        key=["landing", "readings"],
        group_name="landing",
        owners=OWNERS["landing"],
        kinds={"parquet"},
        partitions_def=landing_partitions(data_dir),
        backfill_policy=dg.BackfillPolicy.single_run(),
        deps=[spec.key for spec in site_specs(data_dir)],
        description=(
            "Readings, charge events and index prices as the sites gave them: immutable Parquet "
            "batches by site and UTC day. Reading what is already landed again writes nothing."
        ),
    )
    def readings(
        context: dg.AssetExecutionContext, data_dir: DataDirResource
    ) -> dg.MaterializeResult:
        layout = data_dir.layout()
        site_ids, window = _scope(context)
        (site_id,) = site_ids
        book = load_book(layout.book)
        try:
            with store_retried(context):
                result = land_site(
                    site_id,
                    book.sites[site_id].timezone,
                    source_of(book, site_id),
                    window=window,
                    landing_dir=landing_zone(layout, to_write=True),
                    rejected_dir=layout.rejected,
                    env=os.environ,
                    clock=data_dir.clock(),
                    data_dir=layout.root,
                )
        except SourceUnavailable as error:
            if FROM_TERMINAL_TAG in context.run.tags:
                raise  # a person is watching and can run it again
            raise dg.RetryRequested(max_retries=_RETRIES, seconds_to_wait=_RETRY_SECONDS) from error
        if (heard := heard_from(result, now=data_dir.clock()())) is not None:
            context.log_event(heard)
        counts = {
            f"{table.table}: {name}": dg.MetadataValue.int(count)
            for table in result.results
            for name, count in table.as_dict().items()
            if name.startswith("rows_") and count
        }
        return dg.MaterializeResult(
            metadata={**counts, "report": dg.MetadataValue.json(result.as_dict())}
        )

    return readings


def heard_from(result: SiteLanding, *, now: datetime) -> dg.AssetMaterialization | None:
    """The event by which a site counts as heard from: new or changed readings landed, of a window
    that reaches into the last 36 hours. Landing an old day again, or nothing new, is none."""
    landed = sum(table.rows_landed for table in result.results if table.table == READINGS.name)
    if not landed or result.window.end < now - LATENESS:
        return None
    return dg.AssetMaterialization(
        asset_key=["sites", result.site_id],
        metadata={"readings landed": landed, "window": str(result.window)},
    )


class CompactConfig(dg.Config):
    """`before` is a UTC day, `YYYY-MM-DD`, or empty for all days that are over; `dry_run` merges
    nothing."""

    before: str = ""
    dry_run: bool = False


@dg.asset(
    group_name="landing",
    owners=OWNERS["landing"],
    kinds={"parquet"},
    pool="warehouse",
    deps=[dg.AssetKey(["landing", "readings"])],
)
def compacted_days(config: CompactConfig, data_dir: DataDirResource) -> dg.MaterializeResult:
    """Days that no landing reads again, one file each: every row stays, with its batch."""
    done = compact_landing(
        data_dir.layout(),
        now=data_dir.clock()(),
        before=parse_day(config.before) if config.before else None,
        dry_run=config.dry_run,
    )
    return materialized(done.as_dict(), words=done.describe(), exit_code=int(done.needs_person))


def _scope(context: dg.AssetExecutionContext) -> tuple[set[str], Window]:
    keys = [
        key.keys_by_dimension
        for key in context.partition_keys
        if isinstance(key, dg.MultiPartitionKey)
    ]
    days = sorted(key["date"] for key in keys)
    start = datetime.fromisoformat(days[0]).replace(tzinfo=UTC)
    end = datetime.fromisoformat(days[-1]).replace(tzinfo=UTC) + timedelta(days=1)
    return {key["site"] for key in keys}, Window(start=start, end=end)
