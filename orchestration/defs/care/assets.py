"""The backup of the data dir, as an asset: ledger, landing zone and book as one consistent set."""

import dagster as dg

from orchestration.backups.take import take_backup
from orchestration.dbt import OWNERS
from orchestration.reports import materialized
from orchestration.resources import DataDirResource


class BackupConfig(dg.Config):
    """`keep`: how many backups to keep, the new one included; 0 keeps all."""

    keep: int = 0


@dg.asset(
    group_name="care",
    owners=OWNERS["ledger"],
    kinds={"file"},
    pool="backup",
    deps=[dg.AssetKey("ledger"), dg.AssetKey(["landing", "readings"]), dg.AssetKey("book")],
)
def data_dir_backup(config: BackupConfig, data_dir: DataDirResource) -> dg.MaterializeResult:
    """Ledger, landing zone and book of one moment, in the folder that M2C_BACKUP_DIR names; only
    what is new is copied."""
    layout = data_dir.layout()
    taken = take_backup(layout, layout.backups, clock=data_dir.clock(), keep=config.keep or None)
    report = taken.as_dict()
    return materialized(report, words=taken.describe(), exit_code=report["exit_code"])
