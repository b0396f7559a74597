"""Landed files by the names that marts have for them, and where they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from exporters.landed import LandedFiles

URL = "s3://bucket/it's a prefix"
NAMES = [
    "landing/readings/a.parquet",
    f"{URL}/readings/b.parquet",
    "/mnt/elsewhere/readings/c.parquet",
]


@pytest.fixture
def brought() -> list[Path]:
    return []


@pytest.fixture
def landed(tmp_path: Path, brought: list[Path]) -> LandedFiles:
    def bring(paths: Sequence[Path]) -> None:
        brought.extend(paths)

    return LandedFiles(data_dir=tmp_path, url=URL, copy=tmp_path / "cache/landing", bring=bring)


def test_each_name_has_its_path_and_each_path_its_name(
    landed: LandedFiles, brought: list[Path], tmp_path: Path
) -> None:
    paths = landed.paths(NAMES)
    assert paths == [
        tmp_path / NAMES[0],
        tmp_path / "cache/landing/readings/b.parquet",
        Path(NAMES[2]),
    ]
    assert brought == [paths[1]]
    assert [landed.name(str(path)) for path in paths] == NAMES
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select {landed.name_sql('path')} from (select unnest($paths) as path)",
            {"paths": [str(path) for path in paths]},
        ).fetchall()
    assert [name for (name,) in found] == NAMES


def test_a_data_dir_alone_brings_nothing(tmp_path: Path) -> None:
    landed = LandedFiles.of(tmp_path)
    assert landed.paths([NAMES[0], NAMES[2]]) == [tmp_path / NAMES[0], Path(NAMES[2])]
    assert landed.name(str(tmp_path / NAMES[0])) == NAMES[0]
    assert LandedFiles.of(landed) is landed


def test_names_below_another_address_are_not_of_the_copy(
    landed: LandedFiles, brought: list[Path]
) -> None:
    """A prefix that only begins alike is another landing zone."""
    (path,) = landed.paths([f"{URL}-old/readings/b.parquet"])
    assert not path.is_relative_to(landed.copy or "")
    assert brought == []
