"""Reading marts: exact types, and words for every way in which they may not be there."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from exporters.marts import MartsError, open_marts, reading


def test_values_are_exact(marts: Any) -> None:
    marts.put("acme/2026-10/all")
    with open_marts(marts.path) as opened:
        line = opened.lines("acme/2026-10/all")[0]
        assert line["unit_price"] == Decimal("0.081234567")
        built_at = opened.build_info()["built_at"]
        assert built_at == datetime(2026, 11, 2, 3, tzinfo=UTC)
        assert built_at.tzinfo is UTC
        assert opened.rows("SELECT current_setting('TimeZone') AS zone") == [{"zone": "UTC"}]
        assert opened.statement("nothing") is None
        assert set(opened.payers()) == {"acme"}
        with pytest.raises(duckdb.InvalidInputException):
            opened.rows("DELETE FROM payers")


def test_lines_are_in_bytewise_order(marts: Any) -> None:
    marts.put("acme/2026-10/all", amounts=tuple(("1.00", "0.00") for _ in range(11)))
    with open_marts(marts.path) as opened:
        keys = [line["line_key"] for line in opened.lines("acme/2026-10/all")]
    assert keys == sorted(keys)
    assert [key.split("/")[4] for key in keys[:3]] == ["energy1", "energy10", "energy11"]


def test_readers_do_not_mind_a_new_file(marts: Any) -> None:
    marts.put("acme/2026-10/all")
    with open_marts(marts.path) as opened:
        marts.put("bolt/2026-10/all")
        assert [row["payer_id"] for row in opened.statements("2026-10")] == ["acme"]
    with open_marts(marts.path) as opened:
        assert len(opened.statements()) == 2


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MartsError, match="run m2c build first"):
        open_marts(tmp_path / "marts.duckdb")
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file(tmp_path: Path) -> None:
    path = tmp_path / "marts.duckdb"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(MartsError, match="cannot read the published marts"):
        open_marts(path)


def test_marts_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "marts.duckdb"
    duckdb.connect(str(path)).close()
    with reading(path) as opened, pytest.raises(MartsError, match="run m2c build first"):
        opened.statements()


def test_marts_that_are_too_old(marts: Any) -> None:
    marts.put("acme/2026-10/all")
    with open_marts(marts.path) as opened:
        opened.require_built_since(datetime(2026, 11, 2, 3, tzinfo=UTC))
        with pytest.raises(MartsError, match="built at 2026-11-02 03:00:00 UTC, before"):
            opened.require_built_since(datetime(2026, 11, 2, 4, tzinfo=UTC))
