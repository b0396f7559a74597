"""Spark as an operator runs it: a Spark Connect server, with a master and workers or alone, on
loopback.

Each is a process group of its own that a test may kill. Tables and catalog lie in one folder, so
that a server that is started again finds what the one before left.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

START_S: Final = 120
LACKING: Final = (
    None
    if find_spec("pyspark") and find_spec("dbt.adapters.spark") and shutil.which("java")
    else "apt-get install default-jre-headless, then make spark"
)
# The work of these tests is small: the quick compiler of the virtual machine is the faster one. Its
# cache would be too small for the classes that Spark makes.
QUICK: Final = {
    "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=512m -XX:+UseSerialGC"
}


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class Cluster:
    """A running server with so many workers, or one that does all work itself."""

    home: Path
    workers: int = 0
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _master_port: int = field(default_factory=_free_port)
    _server_port: int = field(default_factory=_free_port)

    @property
    def remote(self) -> str:
        """The address of its Spark Connect server."""
        return f"sc://127.0.0.1:{self._server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What makes `m2c` build there."""
        return {"M2C_ENGINE": "spark", "SPARK_REMOTE": self.remote}

    def __enter__(self) -> Cluster:
        self.home.mkdir(parents=True, exist_ok=True)
        try:
            if self.workers:
                self._start_class("master", "master.Master", "--port", str(self._master_port))
                self._await_port("master", self._master_port)
            for number in range(self.workers):
                self.start_worker(number)
            self.start_server()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self._running)):
            self.kill(name)

    def start_worker(self, number: int) -> None:
        """Start a worker of one core."""
        self._start_class(
            f"worker-{number}",
            "worker.Worker",
            *("--cores", "1", "--memory", "1g", "--work-dir", str(self.home / "work")),
            self._master_url,
        )

    def start_server(self) -> None:
        """Start the Spark Connect server, which is the driver."""
        settings = {
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": self._server_port,
            "spark.driver.memory": "2g",
            "spark.executor.memory": "768m",
            "spark.executor.extraJavaOptions": QUICK["JAVA_TOOL_OPTIONS"],
            "spark.ui.enabled": "false",
            "spark.sql.catalogImplementation": "hive",
            "spark.sql.warehouse.dir": self.home / "tables",
            "spark.hadoop.javax.jdo.option.ConnectionURL": (
                f"jdbc:derby:;databaseName={self.home / 'catalog'};create=true"
            ),
            "spark.sql.shuffle.partitions": 2,
        }
        named = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
        connect = "org.apache.spark.sql.connect.service.SparkConnectServer"
        self._start(
            "server",
            *("spark-submit", "--master", self._master_url, "--class", connect, *named),
            "spark-internal",
        )
        self._await_port("server", self._server_port)

    def kill(self, name: str) -> None:
        """End a process and those it started, without a word: `worker-0`, `server`."""
        process = self._running.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    @contextmanager
    def session(self) -> Iterator[Any]:
        """A session of its own at the server."""
        from pyspark.sql import SparkSession

        opened = SparkSession.builder.remote(self.remote).create()
        try:
            yield opened
        finally:
            opened.stop()

    def forget_tables(self) -> None:
        """Drop all tables, as a catalog is of one data dir."""
        with self.session() as session:
            for (schema,) in session.sql("show schemas").collect():
                if schema != "default":
                    session.sql(f"drop schema {schema} cascade")

    @property
    def _master_url(self) -> str:
        return f"spark://127.0.0.1:{self._master_port}" if self.workers else "local[2]"

    def _start_class(self, name: str, of_spark: str, *arguments: str) -> None:
        address = ("--host", "127.0.0.1", "--webui-port", "0")
        self._start(
            name, "spark-class", f"org.apache.spark.deploy.{of_spark}", *address, *arguments
        )

    def _start(self, name: str, program: str, *arguments: str) -> None:
        import pyspark

        folder = Path(pyspark.__file__).parent
        with (self.home / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(folder / "bin" / program), *arguments],
                cwd=self.home,
                env=os.environ | QUICK | {"SPARK_HOME": str(folder), "SPARK_LOCAL_IP": "127.0.0.1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _await_port(self, name: str, port: int) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._running[name].poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.2)
        raise RuntimeError(f"{name} did not start: {(self.home / f'{name}.log').read_text()}")
