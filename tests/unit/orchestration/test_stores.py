"""`M2C_LANDING_URL` and `M2C_PUBLISHED_URL`: which places they name, and what goes there."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.objects import StoreError
from connectors.zones import StoreZone
from exporters.statements import RenderedStatement
from orchestration import stores
from orchestration.settings import DataDir, SettingsError


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    found = DataDir(tmp_path / "data")
    found.marts.parent.mkdir(parents=True)
    found.marts.write_bytes(b"marts")
    return found


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("M2C_LANDING_URL", "M2C_PUBLISHED_URL", "M2C_NOW", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


def rendered(folder: Path, number: str | None) -> RenderedStatement:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number or 'preview'}.pdf"
    path.write_bytes(path.name.encode())
    return RenderedStatement(
        statement_id=f"P/2026-10/{number}",
        statement_number=number,
        payer_id="P",
        paths={"pdf": path},
        changed=(),
    )


def test_without_urls_everything_is_in_the_data_dir(data_dir: DataDir) -> None:
    assert stores.landing_zone(data_dir).folder == data_dir.root / "landing"
    assert stores.copy_marts(data_dir) is None
    assert stores.copy_statements(data_dir, "2026-10", []) == []
    assert stores.lacking_at_url(data_dir, {"readings/x": 1}) is None


def test_a_folder_elsewhere(
    data_dir: DataDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    (there / "readings").mkdir(parents=True)
    (there / "readings" / "a.parquet").write_bytes(b"1234")
    monkeypatch.setenv("M2C_LANDING_URL", there.as_uri())
    zone = stores.landing_zone(data_dir, to_write=True)
    assert (zone.folder, zone.is_shared) == (there, False)
    lacking = stores.lacking_at_url(
        data_dir, {"readings/a.parquet": 4, "readings/b.parquet": 1, "readings/c.parquet": 1}
    )
    assert lacking is not None
    assert lacking.paths == ("readings/b.parquet", "readings/c.parquet")
    assert f"{there}, which a restore does not change" in lacking.describe()
    assert stores.lacking_at_url(data_dir, {"readings/a.parquet": 4}) is None


def test_marts_and_issued_statements_are_put_to_a_folder(
    data_dir: DataDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("M2C_PUBLISHED_URL", str(tmp_path / "for analysts"))
    address = stores.copy_marts(data_dir)
    assert address is not None
    assert address.endswith("/marts.duckdb")
    folder = data_dir.reports / "2026-10"
    stores.copy_statements(data_dir, "2026-10", [rendered(folder, "INV-1"), rendered(folder, None)])
    root = tmp_path / "for analysts"
    found = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert found == {"marts.duckdb": b"marts", "statements/2026-10/INV-1.pdf": b"INV-1.pdf"}


def test_a_copy_that_fails_says_that_the_marts_are_here(
    data_dir: DataDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    there.write_text("in the way")
    monkeypatch.setenv("M2C_PUBLISHED_URL", there.as_uri())
    with pytest.raises(StoreError, match="The marts are published here") as raised:
        stores.copy_marts(data_dir)
    assert str(raised.value).startswith(there.as_uri())
    there.unlink()
    stores.copy_marts(data_dir)  # as the next build does
    assert (there / "marts.duckdb").read_bytes() == b"marts"


@pytest.mark.parametrize(
    ("endpoint", "refused"),
    [("", True), ("https://s3.example.com", True), ("http://127.0.0.1:9000", False)],
)
def test_a_rehearsal_writes_to_no_other_machine(
    data_dir: DataDir, monkeypatch: pytest.MonkeyPatch, endpoint: str, refused: bool
) -> None:
    monkeypatch.setenv("M2C_LANDING_URL", "s3://bucket/landing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("M2C_NOW", "2026-11-04T06:00:00Z")
    assert isinstance(stores.landing_zone(data_dir), StoreZone)
    if refused:
        with pytest.raises(SettingsError, match="M2C_LANDING_URL is s3://bucket/landing, on anot"):
            stores.landing_zone(data_dir, to_write=True)
    else:
        assert stores.landing_zone(data_dir, to_write=True).folder == data_dir.landing_copy
    monkeypatch.delenv("M2C_NOW")
    stores.landing_zone(data_dir, to_write=True)
