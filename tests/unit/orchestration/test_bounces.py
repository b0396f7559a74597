"""Returned mail of a data dir: what the environment says of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporters.ledger import Actor, Ledger
from orchestration.bounces import bounce_address, take_returned_mail
from orchestration.settings import DataDir, SettingsError
from tests.unit.collections import returned_mails as mails

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    actor = Actor(name="t", os_user="t", host="t")
    return Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}", clock=lambda: NOW, actor=actor)


def test_where_bounces_go() -> None:
    assert bounce_address({}) is None
    assert bounce_address({"M2C_BOUNCE_ADDRESS": "bounces+@x.example"}) == "bounces+@x.example"
    with pytest.raises(SettingsError, match="M2C_BOUNCE_ADDRESS"):
        bounce_address({"M2C_BOUNCE_ADDRESS": "a@x.example, b@x.example"})


def test_the_drop_folder_of_a_data_dir(data_dir: DataDir, ledger: Ledger) -> None:
    data_dir.bounces_inbox.mkdir(parents=True)
    (data_dir.bounces_inbox / "away.eml").write_bytes(mails.OUT_OF_OFFICE)
    (data_dir.bounces_inbox / "odd.eml").write_bytes(mails.RIDDLE)
    with ledger:
        report = take_returned_mail(data_dir, ledger, clock=lambda: NOW, env={}, apply=True)
    assert report.exit_code == 1
    assert [path.name[13:] for path in data_dir.bounces_taken.iterdir()] == ["away.eml"]
    assert [path.name for path in data_dir.bounces_inbox.glob("*.eml")] == ["odd.eml"]


def test_what_cannot_be_used_is_said_before_anything_is_taken(
    data_dir: DataDir, ledger: Ledger
) -> None:
    far = {"M2C_BOUNCES_IMAP_URL": "imaps://me@mail.example/", "M2C_BOUNCES_IMAP_PASSWORD": "x"}
    with ledger:
        for env, words in (
            ({"M2C_BOUNCES_IMAP_URL": "imap://me@mail.example/"}, "unencrypted"),
            (far | {"M2C_NOW": "2026-12-01T09:00:00Z"}, "this is a rehearsal"),
        ):
            with pytest.raises(SettingsError, match=words):
                take_returned_mail(data_dir, ledger, clock=lambda: NOW, env=env, apply=True)
