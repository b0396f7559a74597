"""A landing zone and published data at a real server that speaks S3's protocol, on loopback."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import botocore.session
import httpx
import pytest
import s3fs

from connectors import objects
from connectors.compaction import compact
from connectors.landing import LandingResult, land
from connectors.manifest import Manifest, scan
from connectors.objects import Objects, StoreError
from connectors.tables import READINGS
from connectors.zones import Folder, zone_at
from tests.unit.connectors.test_compaction import LATER, OVER, WINDOW, Site, reading

if TYPE_CHECKING:
    from tests.s3 import S3


@pytest.fixture(autouse=True)
def _as_set(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    yield
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(s3: S3) -> str:
    return s3.new_bucket()


def landed(zone: Folder, root: Path, *hours: int) -> LandingResult:
    return land(
        Site(READINGS, tuple(reading(hour) for hour in hours)),
        site_id="NO-OSL1",
        window=WINDOW,
        landing_dir=zone,
        rejected_dir=root / "rejected",
        clock=lambda: LATER,
    )


def test_land_scan_and_merge(s3: S3, bucket: str, tmp_path: Path) -> None:
    url = f"s3://{bucket}/a prefix/landing"
    zone = zone_at(url, copy=tmp_path / "copy")
    landed(zone, tmp_path, *range(30))
    landed(zone, tmp_path, 40, 41)
    plain = Folder(tmp_path / "landing")
    for hours in (range(30), (40, 41)):
        landed(plain, tmp_path, *hours)

    def in_folder() -> dict[str, bytes]:
        root = plain.folder
        found = [path for path in root.glob("readings/**/*.parquet") if path.is_file()]
        return {f"a prefix/landing/{p.relative_to(root).as_posix()}": p.read_bytes() for p in found}

    assert s3.objects(bucket) == in_folder()
    again = landed(zone_at(url, copy=tmp_path / "another copy"), tmp_path, *range(30))
    assert again.rows_unchanged == 30

    def scanned(where: Folder) -> Manifest:
        return scan(where, tmp_path / f"manifest of {where.folder.name}")

    for where in (zone, plain):
        assert len(compact(where, scanned(where), before=OVER).days) == 1
    merged = {n: c for n, c in s3.objects(bucket).items() if "/.merges/" not in n}
    assert merged == in_folder()
    there, here = scanned(zone), scanned(plain)
    assert [(f.sha256, f.rows_digest) for f in there.files] == [
        (f.sha256, f.rows_digest) for f in here.files
    ]
    assert [f.name for f in there.files] == [f"s3://{bucket}/{name}" for name in sorted(merged)]


def test_large_objects_travel_whole(bucket: str, tmp_path: Path) -> None:
    """Beyond what goes in one piece."""
    source = tmp_path / "marts.duckdb"
    with source.open("wb") as stream:
        for number in range(110):
            stream.write(bytes([number]) * 1_000_000)
    store = Objects(f"s3://{bucket}")
    assert store.put(source, "x/marts.duckdb").size == 110_000_000
    target = tmp_path / "back"
    assert list(store.fetch([("x/marts.duckdb", target)])) == [("x/marts.duckdb", 110_000_000)]
    assert target.read_bytes() == source.read_bytes()


def test_missing_bucket_is_no_empty_landing_zone(tmp_path: Path) -> None:
    zone = zone_at("s3://no-such-bucket/landing", copy=tmp_path / "copy")
    for act in (lambda: landed(zone, tmp_path, 1), lambda: scan(zone, tmp_path / "manifest")):
        with pytest.raises(StoreError, match="not there: The specified bucket does not exist") as e:
            act()
        assert str(e.value).startswith("s3://no-such-bucket/landing/")


def test_wrong_credentials(
    s3: S3, bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "connectors")
    httpx.post(f"{s3.endpoint}/moto-api/reset-auth", content=b"0")
    try:
        with pytest.raises(StoreError, match="it refuses: ") as raised:
            scan(zone_at(f"s3://{bucket}/landing", copy=tmp_path / "copy"), tmp_path / "manifest")
    finally:
        httpx.post(f"{s3.endpoint}/moto-api/reset-auth", content=b"Infinity")
    said = str(raised.value) + caplog.text
    assert f"s3://{bucket}/landing/.merges" in said
    assert s3.env["AWS_SECRET_ACCESS_KEY"] not in said


def test_no_credentials(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    assert botocore.session.get_session().get_credentials() is None
    with pytest.raises(StoreError, match=r"it refuses: .*AWS_ACCESS_KEY_ID"):
        Objects(f"s3://{bucket}").list("readings")


@pytest.mark.parametrize("how", ["nobody listens", "nobody answers"])
def test_store_that_does_not_answer(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"connect_timeout": 0.2, "read_timeout": 0.2, "retries": {"max_attempts": 1}}
    monkeypatch.setitem(objects._S3_OPTIONS, "config_kwargs", config)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if how == "nobody answers":
            server.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(StoreError, match=r"s3://b/landing/\.merges: it does not answer") as e:
            scan(zone_at("s3://b/landing", copy=tmp_path / "copy"), tmp_path / "manifest")
    assert "run" in str(e.value)


def test_an_object_that_breaks_off(
    s3: S3, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What arrived of it is not used, and the copy has no trace of it."""
    url = f"s3://{bucket}/landing"
    landed(zone_at(url, copy=tmp_path / "copy"), tmp_path, 1)
    (name,) = s3.objects(bucket)

    async def broken(_self: object, _path: str, target: str, **_: object) -> None:
        Path(target).write_bytes(b"PAR1")
        raise ConnectionResetError("Connection reset by peer")

    monkeypatch.setattr(s3fs.S3FileSystem, "_get_file", broken)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreError, match="Connection reset by peer") as raised:
        scan(zone_at(url, copy=tmp_path / "other"), tmp_path / "manifest")
    assert str(raised.value).startswith(f"s3://{bucket}/{name}: it does not answer")
    assert not list((tmp_path / "other").glob("**/*.parquet"))
