"""What `m2c close` says of batches that it could not read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from orchestration import cli
from orchestration.settings import DataDir


@pytest.mark.parametrize(
    ("refused", "code"), [([], 0), ([{"path": "b.parquet", "reason": "column value"}], 1)]
)
def test_refused_batches_are_in_the_answer(
    billed_data_dir: DataDir, monkeypatch: pytest.MonkeyPatch, refused: list[Any], code: int
) -> None:
    report = {"words": ["2026-05: 1 statement"], "exit_code": 0}
    monkeypatch.setattr(cli, "close_period", lambda *_, **__: (report, refused))
    done = CliRunner().invoke(
        cli.cli, ["--data-dir", str(billed_data_dir.root), "close", "2026-05", "--json"]
    )
    answer = json.loads(done.stdout)
    assert (answer["refused_batches"], answer["exit_code"]) == (refused, code)
