"""Close and issue: decisions and frozen statements, both facts of the ledger, and their
reports."""

import dagster as dg
from pydantic import Field

from exporters.close import CloseReport, approve, decide, issue, poorly_measured
from exporters.marts import Marts, open_marts
from orchestration.dbt import OWNERS
from orchestration.defs.retries import store_retried
from orchestration.defs.warehouse.assets import POOL
from orchestration.locks import hold
from orchestration.papers import render_period, review_period
from orchestration.partitions import period_partitions
from orchestration.reports import materialized
from orchestration.resources import DataDirResource
from orchestration.settings import DataDir, code_version
from orchestration.stores import copy_statements

_OWNERS = OWNERS["close"]


class CloseConfig(dg.Config):
    """`dry_run` shows what a close would decide and writes nothing to the ledger."""

    dry_run: bool = False


class IssueConfig(dg.Config):
    """`dry_run` shows what would be issued and freezes nothing."""

    dry_run: bool = False


class ApproveConfig(dg.Config):
    """Who approves which statements of the month, and why. An approval holds for the lines as they
    are now; `content_hashes`, by statement, name the lines that were looked at, and others are
    refused."""

    statements: list[str]
    by: str
    reason: str
    content_hashes: dict[str, str] = Field(default_factory=dict)


def billing_assets(data_dir: DataDir) -> list[dg.AssetsDefinition]:
    """The monthly assets of close and issue."""
    periods = period_partitions(data_dir)

    @dg.asset(
        group_name="close",
        owners=_OWNERS,
        kinds={"sqlalchemy"},
        partitions_def=periods,
        pool=POOL,
        deps=[dg.AssetKey("published_marts")],
        description=(
            "Per statement of the period: approved by rule, waiting for a person, or blocked, with "
            "the rule in words. An approval holds for exactly the lines it saw."
        ),
        check_specs=[
            dg.AssetCheckSpec(
                "every_site_is_complete",
                asset="close_decisions",
                description=(
                    "At least 95 % of the machine-hours that each site should have told in the "
                    "period were received, and something on each UTC day. Names the sites."
                ),
            ),
            dg.AssetCheckSpec(
                "nothing_poorly_measured_is_approved",
                asset="close_decisions",
                blocking=True,
                description=(
                    "No statement was approved by rule that has more than 5 % of its "
                    "machine-hours missing or estimated."
                ),
            ),
        ],
    )
    def close_decisions(
        context: dg.AssetExecutionContext, config: CloseConfig, data_dir: DataDirResource
    ) -> dg.MaterializeResult:
        layout = data_dir.layout()
        with (
            hold(layout.locks, "warehouse", purpose=f"closing {context.partition_key}"),
            data_dir.open_ledger(acting_as="close") as ledger,
        ):
            report = decide(
                layout.marts,
                ledger,
                context.partition_key,
                clock=data_dir.clock(),
                dry_run=config.dry_run,
            )
        with open_marts(layout.marts) as marts:
            checks = completeness_checks(marts, report)
        return materialized(
            report.as_dict(),
            words=report.describe(),
            exit_code=int(report.needs_person),
            checks=checks,
        )

    @dg.asset(
        group_name="close",
        owners=_OWNERS,
        kinds={"html", "excel"},
        partitions_def=periods,
        deps=[close_decisions],
        description=(
            "What finance reads before it approves: what to do next, totals, movements, and who "
            "waits, with a preview of each statement that does."
        ),
    )
    def review_sheet(
        context: dg.AssetExecutionContext, data_dir: DataDirResource
    ) -> dg.MaterializeResult:
        with data_dir.open_ledger(acting_as="close") as ledger:
            review = review_period(data_dir.layout(), context.partition_key, ledger)
        return dg.MaterializeResult(
            metadata={
                **{kind: dg.MetadataValue.path(str(path)) for kind, path in review.paths.items()},
                "statements": review.statements,
                "waiting": review.waiting,
            }
        )

    @dg.asset(
        group_name="close",
        owners=_OWNERS,
        kinds={"sqlalchemy"},
        partitions_def=periods,
        pool=POOL,
        deps=[close_decisions],
        description=(
            "Approvals that people give: who, why, and the hash of the lines that they hold for."
        ),
    )
    def approvals(
        context: dg.AssetExecutionContext, config: ApproveConfig, data_dir: DataDirResource
    ) -> dg.MaterializeResult:
        layout, period = data_dir.layout(), context.partition_key
        with (
            hold(layout.locks, "warehouse", purpose=f"approving {period}"),
            data_dir.open_ledger(acting_as=config.by) as ledger,
            open_marts(layout.marts) as marts,
        ):
            reports = [
                approve(
                    marts,
                    ledger,
                    statement,
                    by=config.by,
                    reason=config.reason,
                    content_hash=config.content_hashes.get(statement),
                    period=period,
                )
                for statement in config.statements
            ]
        return materialized(
            {"period": period, "approvals": [report.as_dict() for report in reports]},
            words=[line for report in reports for line in report.describe()],
            exit_code=int(any(report.needs_person for report in reports)),
        )

    @dg.asset(
        group_name="close",
        owners=_OWNERS,
        kinds={"sqlalchemy"},
        partitions_def=periods,
        pool=POOL,
        deps=[close_decisions],
        description="Approved statements, frozen in the ledger line by line under their number.",
    )
    def issued_statements(
        context: dg.AssetExecutionContext, config: IssueConfig, data_dir: DataDirResource
    ) -> dg.MaterializeResult:
        layout = data_dir.layout()
        with (
            hold(layout.locks, "warehouse", purpose=f"issuing {context.partition_key}"),
            data_dir.open_ledger(acting_as="issue") as ledger,
        ):
            report = issue(
                layout.marts,
                ledger,
                context.partition_key,
                clock=data_dir.clock(),
                code_version=code_version(),
                dry_run=config.dry_run,
            )
        return materialized(
            report.as_dict(), words=report.describe(), exit_code=int(report.needs_person)
        )

    @dg.asset(
        group_name="close",
        owners=_OWNERS,
        kinds={"pdf", "html", "excel"},
        partitions_def=periods,
        deps=[dg.AssetKey("published_marts")],
        description=(
            "Each statement as PDF, HTML and XLSX, and the review sheet as it is now; issued ones "
            "also at M2C_PUBLISHED_URL."
        ),
    )
    def statement_reports(
        context: dg.AssetExecutionContext, data_dir: DataDirResource
    ) -> dg.MaterializeResult:
        layout = data_dir.layout()
        rendered = render_period(layout, context.partition_key)
        with data_dir.open_ledger(acting_as="close") as ledger:
            review_period(layout, context.partition_key, ledger, previews=False)
        with store_retried(context):
            addresses = copy_statements(layout, context.partition_key, rendered)
        return dg.MaterializeResult(
            metadata={
                "statements": len(rendered),
                "files at M2C_PUBLISHED_URL": len(addresses),
                "folder": dg.MetadataValue.path(str(layout.reports / context.partition_key)),
            }
        )

    return [close_decisions, review_sheet, approvals, issued_statements, statement_reports]


def completeness_checks(marts: Marts, report: CloseReport) -> list[dg.AssetCheckResult]:
    """What a close says of missing readings.

    A late site stops nobody else: statements with more than 5 % of their machine-hours missing or
    estimated wait for a person (`statements.decision`), the others go out. Only one that was
    approved by rule all the same stops the close.
    """
    incomplete = [site.describe() for site in report.incomplete_sites]
    poor = poorly_measured(marts, report.period, report.approved_by_rule)
    return [
        dg.AssetCheckResult(
            passed=not incomplete,
            check_name="every_site_is_complete",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "sites": [site.site_id for site in report.incomplete_sites],
                "incomplete": dg.MetadataValue.md(
                    "\n".join(f"- {s}" for s in incomplete) or "none"
                ),
            },
        ),
        dg.AssetCheckResult(
            passed=not poor,
            check_name="nothing_poorly_measured_is_approved",
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"statements": [f"{name}: {share:.1%}" for name, share in poor.items()]},
        ),
    ]
