"""Assets of the warehouse: the four inputs of a build, the dbt models, and what readers open."""

import json
import sys
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets
from dagster_dbt.errors import DagsterDbtCliRuntimeError

from exporters.marts import Marts, open_marts
from orchestration import built, queries
from orchestration import warehouse as inputs
from orchestration.dbt import OWNERS, Translator
from orchestration.dbt_runs import parsed_project
from orchestration.defs.retries import store_retried
from orchestration.engines import engine_from_env, require_installed
from orchestration.locks import hold
from orchestration.queries import LATENESS
from orchestration.resources import DataDirResource
from orchestration.stores import PUBLISHED_URL, copy_marts
from orchestration.versions import first_build_of_version

POOL = "warehouse"
PARTITION_TAG = "dagster/partition"
# A run that is not of one month, but must rate this one too.
PERIOD_TAG = "m2c/period"
# A run that rates what the last one did.
SAME_PERIODS_TAG = "m2c/same_periods"

_translator = Translator()
_manifest = parsed_project()


@dg.asset(group_name="book", owners=OWNERS["book"], kinds={"csv", "yaml"}, pool=POOL)
def book(data_dir: DataDirResource) -> dg.MaterializeResult:
    """The billing book, validated whole and compiled to typed tables. A fault stops the run."""
    loaded = inputs.refresh_book(data_dir.layout())
    return dg.MaterializeResult(
        metadata={
            "book_version": loaded.version,
            "warnings": dg.MetadataValue.md("\n".join(f"- {w}" for w in loaded.warnings) or "none"),
        }
    )


@dg.asset(
    group_name="landing",
    owners=OWNERS["landing"],
    kinds={"parquet"},
    pool=POOL,
    deps=[dg.AssetKey(["landing", "readings"])],
    check_specs=[
        dg.AssetCheckSpec(
            "every_batch_is_readable",
            asset="landed_batches",
            description="No batch in the landing zone breaks the landing format.",
        )
    ],
)
def landed_batches(
    context: dg.AssetExecutionContext, data_dir: DataDirResource
) -> dg.MaterializeResult:
    """The manifest: one listing of every landed batch, those refused marked with the reason."""
    with store_retried(context):
        manifest = inputs.refresh_manifest(data_dir.layout())
    refused = "\n".join(f"- `{r.name}`: {r.reason}" for r in manifest.refused)
    report = manifest.as_dict()
    return dg.MaterializeResult(
        metadata={
            **{key: dg.MetadataValue.int(v) for key, v in report.items() if isinstance(v, int)},
            "refused": dg.MetadataValue.md(refused or "none"),
            "report": dg.MetadataValue.json(report),
        },
        check_results=[
            dg.AssetCheckResult(
                passed=not manifest.refused,
                check_name="every_batch_is_readable",
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"refused": len(manifest.refused)},
            )
        ],
    )


@dg.asset(
    group_name="ledger",
    owners=OWNERS["ledger"],
    kinds={"parquet"},
    pool=POOL,
    deps=[dg.AssetKey("ledger")],
)
def ledger_extract(data_dir: DataDirResource) -> None:
    """What the ledger says (issued, approved, sent, paid, reminded), as tables for dbt."""
    inputs.refresh_ledger_extract(data_dir.layout())


@dg.asset(group_name="staging", owners=OWNERS["staging"], kinds={"parquet"}, deps=[ledger_extract])
def build_context(context: dg.AssetExecutionContext, data_dir: DataDirResource) -> None:
    """One row: the clock, the program's version, and the period a close asks for, if any."""
    layout, tags = data_dir.layout(), context.run.tags
    inputs.write_context(
        layout,
        now=data_dir.clock()(),
        also_period=(
            inputs.period_asked_for(layout)
            if SAME_PERIODS_TAG in tags
            else tags.get(PARTITION_TAG) or tags.get(PERIOD_TAG)
        ),
    )


@dbt_assets(
    manifest=_manifest,
    name="dbt_models",
    dagster_dbt_translator=_translator,
    pool=POOL,
)
def dbt_models(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, data_dir: DataDirResource
) -> Iterator[Any]:
    """Builds and tests the models, then puts the marts in place of the published ones."""
    layout = data_dir.layout()
    is_whole = context.selected_asset_keys >= dbt_models.keys
    require_installed(engine_from_env())
    with hold(layout.locks, "warehouse", purpose="building the warehouse"):
        if not is_whole:
            remade = {key.path[-1] for key in context.selected_asset_keys}
            built.require(layout, _manifest, remade=remade)
        inputs.prepare_next_marts(layout)
        invocation = dbt.cli(
            # Unit tests check the models, not the data: they belong to the project's own tests.
            [
                "build",
                "--exclude-resource-type",
                "unit_test",
                "--log-path",
                str(layout.warehouse / "logs"),
            ],
            context=context,
            target_path=layout.warehouse / "target",
        )
        try:
            yield from invocation.stream()
        except DagsterDbtCliRuntimeError as error:
            if is_whole or not built.is_lacking(str(error)):
                raise
            raise built.lacking(layout) from error
        new = first_build_of_version(layout.next_marts, layout.marts)
        for line in new.describe() if new else []:
            context.log.warning(line)
            sys.stderr.write(f"{line}\n")  # where m2c shows what is no answer
        inputs.swap_marts(layout)
        if is_whole:
            built.note(layout, _manifest)


MARTS = [
    dg.AssetKey(node["name"])
    for node in json.loads(_manifest.read_text())["nodes"].values()
    if node["resource_type"] == "model" and node["config"]["schema"] == "marts"
]


@dg.asset(
    group_name="marts",
    owners=OWNERS["marts"],
    kinds={"duckdb"},
    deps=MARTS,
    check_specs=[
        dg.AssetCheckSpec(
            "nothing_is_left_over",
            asset="published_marts",
            blocking=True,
            description="Accepted usage is assigned or unassigned, to the last decimal.",
        ),
        dg.AssetCheckSpec(
            "statements_add_up",
            asset="published_marts",
            blocking=True,
            description="Each statement is the sum of its lines.",
        ),
        dg.AssetCheckSpec(
            "every_site_has_landed",
            asset="published_marts",
            description=(
                "No site is late: the last reading of each is at most 36 hours old (of a site "
                "that no entry of sources.yml reads: 36 hours older than the newest of any site). "
                "Names those that are."
            ),
        ),
    ],
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=LATENESS),
)
def published_marts(data_dir: DataDirResource) -> dg.MaterializeResult:
    """`published/marts.duckdb`, the complete copy that analysts, exporters and reports open."""
    layout = data_dir.layout()
    with open_marts(layout.marts) as marts:
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(str(layout.marts)),
                "rows": dg.MetadataValue.md(_row_counts(marts)),
                "amounts": dg.MetadataValue.md(_amounts(marts)),
                "kwh": dg.MetadataValue.md(_energy(marts)),
            },
            check_results=[
                _check(marts, "nothing_is_left_over", _LEFT_OVER),
                _check(marts, "statements_add_up", _NOT_ADDING_UP),
                late_sites_check(
                    marts, now=data_dir.clock()(), nightly=inputs.sites_read_nightly(layout)
                ),
            ],
        )


@dg.asset(
    group_name="marts",
    owners=OWNERS["marts"],
    kinds={"duckdb"},
    deps=[published_marts],
)
def remote_marts(
    context: dg.AssetExecutionContext, data_dir: DataDirResource
) -> dg.MaterializeResult:
    """The published marts at `M2C_PUBLISHED_URL`, for those who do not see this machine's disk;
    nothing without it."""
    with store_retried(context):
        address = copy_marts(data_dir.layout())
    return dg.MaterializeResult(metadata={"url": address or f"{PUBLISHED_URL} is not set"})


_LEFT_OVER = """
    select site_id, metric, usage_date from usage_reconciliation
    where accepted != assigned + unassigned
       or rows_landed != rows_accepted + rows_quarantined + rows_rejected + rows_superseded
          + rows_unused_kind
"""
_NOT_ADDING_UP = """
    with sums as (
        select statement_id, sum(amount) as net, coalesce(sum(tax_amount), 0) as tax
        from statement_lines group by statement_id
    )
    select statements.statement_id, statements.net, sums.net, statements.tax, sums.tax
    from statements left join sums using (statement_id)
    where statements.net != coalesce(sums.net, 0) or statements.tax != coalesce(sums.tax, 0)
"""


def _check(marts: Marts, name: str, failing_rows: str) -> dg.AssetCheckResult:
    rows = marts.rows(failing_rows)
    return dg.AssetCheckResult(
        passed=not rows, check_name=name, metadata={"failing": [str(row) for row in rows[:20]]}
    )


def late_sites_check(
    marts: Marts, *, now: datetime, nightly: Collection[str]
) -> dg.AssetCheckResult:
    """Whether any site is late, as `orchestration.queries.sites` judges; it warns and stops
    nothing."""
    late = [site for site in queries.sites(marts, now=now, nightly=nightly) if site["is_late"]]
    words = [queries.late_in_words(site) for site in late]
    return dg.AssetCheckResult(
        passed=not late,
        check_name="every_site_has_landed",
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(words) or None,
        metadata={
            "late": [site["site_id"] for site in late],
            "sites": dg.MetadataValue.md("\n".join(f"- {line}" for line in words) or "none late"),
            **{
                f"{site['site_id']}: last reading": dg.MetadataValue.timestamp(
                    site["last_reading_at"]
                )
                for site in late
                if site["last_reading_at"] is not None
            },
            **{
                f"{site['site_id']}: hours late": site["hours_late"]
                for site in late
                if site["hours_late"] is not None
            },
        },
    )


def _row_counts(marts: Marts) -> str:
    names = [row["table_name"] for row in marts.rows("select table_name from duckdb_tables()")]
    counts = [
        (name, marts.rows(f'select count(*) as rows from "{name}"')[0]["rows"])
        for name in sorted(names)
    ]
    return "\n".join(["| mart | rows |", "|---|---|", *(f"| {n} | {c:,} |" for n, c in counts)])


def _amounts(marts: Marts) -> str:
    rows = marts.rows(
        "select period, currency, count(*) as statements, sum(net) as net, sum(total) as total"
        " from statements group by period, currency order by period desc, currency limit 24"
    )
    lines = [
        f"| {r['period']} | {r['currency']} | {r['statements']} | {r['net']:,} | {r['total']:,} |"
        for r in rows
    ]
    return "\n".join(
        ["| period | currency | statements | net | total |", "|---|---|---|---|---|", *lines]
    )


def _energy(marts: Marts) -> str:
    rows = marts.rows(
        "select site_id, sum(accepted) as accepted, sum(assigned) as assigned,"
        " sum(estimated) as estimated from usage_reconciliation where metric = 'energy'"
        " group by site_id order by site_id"
    )
    lines = [
        f"| {r['site_id']} | {r['accepted']:,} | {r['assigned']:,} | {r['estimated']:,} |"
        for r in rows
    ]
    return "\n".join(
        ["| site | accepted kWh | assigned | estimated |", "|---|---|---|---|", *lines]
    )
