"""A data dir whose landing zone is at an object store is billed to the same lines, and its marts
reach the URL they are published at."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from orchestration.settings import DataDir
from tests.integration.warehouse.test_incremental_builds import FIRST, Fleet
from tests.pipeline.conftest import Made, Place, Shared

if TYPE_CHECKING:
    from tests.s3 import S3

NOW = {"M2C_NOW": "2026-06-03T06:00:00+00:00"}
DAYS = 8
LINES = "select * exclude (book_version) from statement_lines order by line_key"
FILES = "select path from landed_files order by path"


@pytest.fixture(scope="module")
def in_folder(shared: Shared, s3: S3) -> Made:
    """A small fleet landed by hand and built from its own folder, whose marts are to be published
    where nothing takes them. Not to be written to."""

    def make(place: Place) -> dict[str, Any]:
        fleet = Fleet(DataDir(place.data_dir))
        fleet.write_book()
        for day in range(DAYS):
            for site in ("OSL", "KTM"):
                fleet.land(site, day, batch="b1", seed=day)
        fleet.land("OSL", 2, batch="b2", seed=77)
        env = {**NOW, **s3.env, "M2C_PUBLISHED_URL": "s3://no-such-bucket/marts"}
        return {"build": place.run("build", "--json", **env)}

    return shared.get("fleet-in-folder", make)


class AtStore:
    """The same readings at a store: a data dir that has only the book."""

    def __init__(self, s3: S3, folder: Place, root: Path) -> None:
        self.s3 = s3
        self.bucket = s3.new_bucket()
        self.place = Place(root / "data")
        shutil.copytree(folder / "book", self.place / "book")
        self.landing = f"s3://{self.bucket}/meters/landing"
        self.published = f"s3://{self.bucket}/for analysts"
        self.env = {
            **NOW,
            **s3.env,
            "M2C_LANDING_URL": self.landing,
            "M2C_PUBLISHED_URL": self.published,
        }
        client = s3.client()
        for path in (folder / "landing").rglob("*.parquet"):
            name = path.relative_to(folder / "landing").as_posix()
            client.upload_file(str(path), self.bucket, f"meters/landing/{name}")
        client.close()

    def run(self, *arguments: str, **env: str) -> Any:
        return self.place.run(*arguments, **self.env, **env)

    def remote(self, sql: str, scratch: Path) -> list[tuple[Any, ...]]:
        """What those who open the published copy see."""
        scratch.write_bytes(self.s3.objects(self.bucket)["for analysts/marts.duckdb"])
        with duckdb.connect(str(scratch), read_only=True) as marts:
            return marts.execute(sql).fetchall()


def test_same_lines_from_the_store_and_marts_at_their_url(
    in_folder: Made, s3: S3, tmp_path: Path
) -> None:
    plain = in_folder.place
    store = AtStore(s3, plain, tmp_path)
    built = store.run("build", "--json")
    assert built.code == 0, built.err
    assert not (store.place / "landing").exists()
    lines = plain.published(LINES)
    assert len(lines) > 0
    assert store.place.published(LINES) == lines
    assert store.remote(LINES, tmp_path / "remote.duckdb") == lines
    names = [path for (path,) in plain.published(FILES)]
    assert [path for (path,) in store.place.published(FILES)] == [
        f"{store.landing}/{name.removeprefix('landing/')}" for name in names
    ]

    # An answer that reads landed files, from the copy, also when that is gone.
    (line_key,) = plain.published("select line_key from statement_lines order by 1 limit 1")[0]
    asked = ("explain", line_key, "--day", "2026-05-03", "--json")
    here = plain.run(*asked).json()
    shutil.rmtree(store.place / "cache")
    there = store.run(*asked)
    assert there.code == 0, there.err
    assert there.json() == json.loads(json.dumps(here).replace('"landing/', f'"{store.landing}/'))
    ((statement,),) = plain.published("select statement_id from statements order by 1 limit 1")
    written = store.run("evidence", statement, "--out", str(tmp_path / "evidence"), "--json")
    assert written.code == 0, written.err
    with duckdb.connect() as connection:
        files = connection.execute(
            "select distinct file from read_parquet($path) order by file",
            {"path": str(tmp_path / "evidence" / "data" / "landed_readings.parquet")},
        ).fetchall()
    assert {name for (name,) in files} <= {p for (p,) in store.place.published(FILES)}
    assert len(files) >= 2 * DAYS

    # Merging there.
    merged = store.run("compact", "--json")
    assert merged.code == 0, merged.err
    assert merged.json()["files_before"] == 2
    day = FIRST + timedelta(days=2)
    folder = f"meters/landing/readings/site_id=OSL/date={day.date()}/"
    (name,) = [name for name in s3.objects(store.bucket) if name.startswith(folder)]
    assert ".merged-" in name

    # A backup has all of it, and a restore tells what the store lacks.
    backed_up = store.run("backup", str(tmp_path / "backups"), "--json")
    assert backed_up.code == 0, backed_up.err
    assert f"the landed files are those of {store.landing}" in backed_up.out
    other = Place(tmp_path / "restored")
    client = s3.client()
    client.delete_object(Bucket=store.bucket, Key=name)
    client.close()
    restored = other.run("restore", str(tmp_path / "backups"), "--json", **store.env)
    assert restored.code == 1, restored.err
    lacking = name.removeprefix("meters/landing/")
    assert restored.json()["lacking_at_url"] == [lacking]
    assert (other / "landing" / lacking).is_file()
    assert landed_rows(other / "landing") == landed_rows(plain / "landing")


def landed_rows(folder: Path) -> list[tuple[Any, ...]]:
    """Every landed reading, whichever files they are in."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        rows = connection.execute(
            "select * from read_parquet($files, union_by_name = true) order by all",
            {"files": f"{folder}/readings/*/*/*.parquet"},
        ).fetchall()
    assert rows
    return rows


def test_failures_are_told_and_lose_nothing(in_folder: Made, s3: S3, tmp_path: Path) -> None:
    place = in_folder.place.copy_to(tmp_path / "data")
    env = {**NOW, **s3.env}
    failed = in_folder.answers["build"]
    assert failed.code == 3
    assert "s3://no-such-bucket/marts/marts.duckdb: not there: " in failed.err
    assert "The marts are published here" in failed.err
    lines = place.published(LINES)
    assert len(lines) > 0

    lost = place.run("build", "--json", **env, M2C_LANDING_URL="s3://no-such-bucket/landing")
    assert lost.code == 3
    assert "s3://no-such-bucket/landing/.merges: not there: " in lost.err
    assert place.published(LINES) == lines
    wrong = place.run("build", "--json", **env, M2C_LANDING_URL="s4://bucket")
    assert wrong.code == 2
    assert "M2C_LANDING_URL: s4://bucket: Protocol not known: s4" in wrong.err
    for answer in (failed, lost):
        assert s3.env["AWS_SECRET_ACCESS_KEY"] not in answer.out + answer.err
    log = (place / "warehouse" / "logs" / "runs.log").read_text()
    assert s3.env["AWS_SECRET_ACCESS_KEY"] not in log


SOURCES = """
OSL:
  kind: files
  config:
    folder: drops
    readings:
      - pattern: "*.csv"
        format: {type: csv}
        map:
          meter_id: meter
          metric: {fixed: energy}
          kind: {fixed: interval}
          unit: {fixed: Wh}
          start: start
          minutes: 60
          value: wh
"""


def test_sites_land_at_the_store(s3: S3, tmp_path: Path) -> None:
    fleet = Fleet(DataDir(tmp_path / "data"))
    fleet.write_book()
    (fleet.data_dir.book / "sources.yml").write_text(SOURCES)
    drops = tmp_path / "data" / "drops"
    drops.mkdir()
    (drops / "may.csv").write_text(
        "meter,start,end,wh\n"
        "a,2026-05-01T00:00:00Z,2026-05-01T01:00:00Z,100\n"
        "a,2026-05-02T00:00:00Z,2026-05-02T01:00:00Z,200\n"
    )
    bucket = s3.new_bucket()
    place = Place(fleet.data_dir.root)
    env = {**NOW, **s3.env, "M2C_LANDING_URL": f"s3://{bucket}/landing"}
    land = ("land", "--from", "2026-05-01", "--to", "2026-05-02", "--site", "OSL", "--json")
    down = place.run(*land, **{**env, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert down.code == 3
    assert f"s3://{bucket}/landing/.merges: it does not answer: " in down.err
    for landed in (2, 0):
        answer = place.run(*land, **env)
        assert answer.code == 0, answer.err
        (table,) = answer.json()["sites"]["OSL"]["results"]
        assert (table["rows_landed"], table["rows_unchanged"]) == (landed, 2 - landed)
        if landed:
            names = [name.removeprefix(f"s3://{bucket}/") for name in table["files"]]
    assert list(s3.objects(bucket)) == sorted(names)
    assert [Path(name).parent.name for name in names] == ["date=2026-05-01", "date=2026-05-02"]
    assert not (place / "landing").exists()
