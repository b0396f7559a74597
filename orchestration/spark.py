"""The warehouse on Apache Spark: the session that dbt works in, and its marts as the file that
readers open.

`SPARK_REMOTE` names a server (Spark Connect), which keeps its own catalog; otherwise Spark runs
here, or on the cluster that `M2C_SPARK_MASTER` names, with its catalog and its tables in the data
dir.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import duckdb
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from connectors.files import write_atomically

# Without these a decimal loses digits, an overflow is null, and site 007 becomes 7.
EXACT: Final = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.storeAssignmentPolicy": "ANSI",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # A hoisted expression would fail outside of the function that is to try it.
    "spark.sql.subexpressionElimination.enabled": "false",
    # A folder that has rows is replaced, others stay.
    "spark.sql.sources.partitionOverwriteMode": "dynamic",
    # Folders are listed, not registered: a killed write leaves none that is known and not there.
    "spark.sql.hive.manageFilesourcePartitions": "false",
    "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
    "spark.sql.cteRecursionLevelLimit": "-1",
    "spark.sql.cteRecursionRowLimit": "-1",
}

# Those of the warehouse. Nothing else in a catalog is touched.
SCHEMAS: Final = ("main", "hand", "staging", "intermediate", "marts")
# Which session of a server a run works in, until it ends.
_NOTE: Final = "session"
# How long a statement that was interrupted may take to end.
_GRACE_S: Final = 3
# The words of an error are enough without the stack of the server.
_QUIET: Final = {"spark.sql.connect.serverStacktrace.enabled": "false"}


@contextmanager
def open_session(data_dir: Path) -> Iterator[SparkSession]:
    """The session of a data dir, which dbt then finds; the caller holds the lock of dbt's runs.

    What a run before left that was killed is ended or removed. Raises RuntimeError when Spark
    cannot start, most often for want of Java, and when its catalog is of another data dir.
    """
    home = _home(data_dir)
    home.mkdir(parents=True, exist_ok=True)
    remote = os.environ.get("SPARK_REMOTE")
    builder: Any = SparkSession.builder
    if remote:
        _end_session_before(remote, home)
    else:
        for name, value in _settings_here(home).items():
            builder = builder.config(name, value)
        builder = builder.enableHiveSupport()
    try:
        session: SparkSession = builder.appName("meter-to-cash").getOrCreate()
    except Exception as error:
        raise RuntimeError(f"Spark cannot start ({error}); it needs Java 17") from error
    try:
        _prepare(session, data_dir, remote)
        yield session
    finally:
        session.stop()
        (home / _NOTE).unlink(missing_ok=True)


def _prepare(session: SparkSession, data_dir: Path, remote: str | None) -> None:
    # dbt says what failed, without the stack of the virtual machine.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    try:
        if remote:
            _be_patient(session)
            write_atomically(_home(data_dir) / _NOTE, session.session_id.encode())
        for name, value in (EXACT | _QUIET).items():
            session.conf.set(name, value)
        _claim(session, data_dir)
        _remove_unregistered(session)
        # Functions of the macros are found there by their bare names.
        session.sql("use main")
    except PySparkException as error:
        raise RuntimeError(f"Spark {f'at {remote} ' if remote else ''}failed: {error}") from error


def lend(session: SparkSession) -> None:
    """Let dbt work in a session as it is. By itself it looks for one before every statement and
    turns ANSI mode off there, so that an overflow would be null instead of an error."""
    from dbt.adapters.spark import session as of_dbt

    of_dbt.SparkSession = _Lent(session)


class _Lent:
    """What dbt takes for pyspark's SparkSession, and its builder."""

    def __init__(self, session: SparkSession) -> None:
        self._session = session

    @property
    def builder(self) -> _Lent:
        return self

    def enableHiveSupport(self) -> _Lent:  # noqa: N802
        return self

    def config(self, *_: object) -> _Lent:
        return self

    def getOrCreate(self) -> SparkSession:  # noqa: N802
        return self._session


def _be_patient(session: SparkSession) -> None:
    """Ask a server that does not answer again for half a minute, not for ten."""
    from pyspark.sql.connect.client.retries import DefaultPolicy

    session.client.set_retry_policies([DefaultPolicy(max_retries=7, max_backoff=10_000)])


def _settings_here(home: Path) -> dict[str, str]:
    return {
        "spark.master": os.environ.get("M2C_SPARK_MASTER", "local[*]"),
        "spark.ui.enabled": "false",
        "spark.driver.memory": os.environ.get("M2C_SPARK_MEMORY", "4g"),
        "spark.sql.warehouse.dir": str(home / "tables"),
        "spark.hadoop.javax.jdo.option.ConnectionURL": (
            f"jdbc:derby:;databaseName={home / 'catalog'};create=true"
        ),
        "spark.driver.extraJavaOptions": f"-Dderby.stream.error.file={home / 'derby.log'}",
        "spark.sql.shuffle.partitions": os.environ.get("M2C_SPARK_PARTITIONS", "8"),
        "spark.log.level": "ERROR",
        "spark.ui.showConsoleProgress": "false",
    }


def _end_session_before(remote: str, home: Path) -> None:
    """A server goes on with the last statement of a client that was killed, which would write over
    what this run writes."""
    note = home / _NOTE
    if not note.exists():
        return
    joined = f"{remote}{';' if '/;' in remote else '/;'}session_id={note.read_text()}"
    before = SparkSession.builder.remote(joined).create()
    _be_patient(before)
    try:
        if before.interruptAll():
            time.sleep(_GRACE_S)
    except PySparkException:
        pass  # the server has closed it already
    finally:
        before.stop()


def _remove_unregistered(session: SparkSession) -> None:
    """Remove the folders of tables that a killed run had written and not registered, or had
    unregistered and not removed: Spark refuses to make a table where a folder is."""
    for schema in SCHEMAS:
        folder = _local(_about(session, schema)["Location"])
        if folder is None or not folder.is_dir():
            continue
        known = {row[1] for row in session.sql(f"show tables in {schema}").collect()}
        for found in folder.iterdir():
            if found.name not in known:
                shutil.rmtree(found)


def _claim(session: SparkSession, data_dir: Path) -> None:
    """Make the schemas, each of which names whose tables it has. Raises RuntimeError when they are
    another's: tables lie where they were made, so that a copy of a data dir would write into its
    original."""
    mine = f"of the data dir {data_dir}"
    for schema in SCHEMAS:
        session.sql(f"create schema if not exists {schema} comment '{_quoted(mine)}'")
        whose = _about(session, schema)["Comment"] or "another's"
        if whose != mine:
            raise RuntimeError(
                f"the schema {schema} of Spark's catalog is {whose}, not {mine}: give each data "
                f"dir a catalog of its own (if it was copied or moved: delete {_home(data_dir)}, "
                "or drop the schemas of the server, and build again; marts and ledger lose nothing)"
            )


def _about(session: SparkSession, schema: str) -> dict[str, str]:
    """What the catalog says of a schema, by its labels: `Comment`, `Location` …"""
    return dict(session.sql(f"describe schema {schema}").collect())


def _home(data_dir: Path) -> Path:
    return data_dir / "warehouse" / "spark"


def publish_marts(session: SparkSession, manifest: Path, next_file: Path) -> None:
    """Write every mart of the project, with its description, to a DuckDB file of its own.

    Types are those of the contracts. What lay at `next_file` is replaced.
    """
    next_file.parent.mkdir(parents=True, exist_ok=True)
    next_file.unlink(missing_ok=True)
    nodes: Mapping[str, Any] = json.loads(manifest.read_text())["nodes"]
    marts = [
        node
        for node in nodes.values()
        if node["resource_type"] == "model" and node["config"]["schema"] == "marts"
    ]
    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        db.execute(f"attach '{_quoted(str(next_file))}' as next_marts (storage_version 'v1.0.0')")
        for node in sorted(marts, key=lambda node: str(node["name"])):
            _publish(db, session.table(f"marts.{node['name']}"), node)
        db.execute("checkpoint next_marts")


def _publish(db: duckdb.DuckDBPyConnection, rows: DataFrame, node: Mapping[str, Any]) -> None:
    table = f"next_marts.main.{node['name']}"
    columns = node["columns"].values()
    definitions = ", ".join(f"{column['name']} {column['data_type']}" for column in columns)
    db.execute(f"create table {table} ({definitions})")
    names = ", ".join(column["name"] for column in columns)
    files = [_local(file) for file in rows.inputFiles()]
    if None not in files:
        # Read where they lie: a mart may be larger than the memory of this process.
        source = "read_parquet(?, hive_partitioning = true, hive_types_autocast = false)"
        if files:
            db.execute(f"insert into {table} select {names} from {source}", [[*map(str, files)]])
    else:
        db.register("rows_of_mart", rows.toArrow())
        db.execute(f"insert into {table} select {names} from rows_of_mart")
        db.unregister("rows_of_mart")
    db.execute(f"comment on table {table} is '{_quoted(node['description'])}'")
    for column in columns:
        db.execute(
            f"comment on column {table}.{column['name']} is '{_quoted(column['description'])}'"
        )


def _local(address: str) -> Path | None:
    """Where an address is on this machine's file systems; Spark writes `file:/…`."""
    parts = urlsplit(address)
    return Path(url2pathname(parts.path)) if parts.scheme in ("", "file") else None


def _quoted(text: str) -> str:
    return text.replace("'", "''")
