"""People switch: what they are told, what counts as done, and what a broken file says."""

from __future__ import annotations

import csv
import datetime as dt
import threading
from pathlib import Path
from typing import Any

import pytest

from connectors.base import PowerControl, SourceContext
from connectors.errors import (
    ConfigError,
    SourceAnswerError,
    SourceRefused,
    SourceUnavailable,
)
from connectors.sources.command_file import CommandFile, Config, build

ORDERED = dt.datetime(2026, 11, 27, 12, 0, 40, tzinfo=dt.UTC)


class Clock:
    now = ORDERED

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "power" / "ET-ADD1"


def control(tmp_path: Path, clock: Clock, **config: Any) -> CommandFile:
    # Addis Ababa is three hours ahead of UTC, all year.
    context = SourceContext(
        site_id="ET-ADD1",
        timezone="Africa/Addis_Ababa",
        secrets={},
        clock=clock,
        data_dir=tmp_path,
    )
    return build(Config(**config), context)


@pytest.fixture
def site(tmp_path: Path, clock: Clock) -> CommandFile:
    return control(tmp_path, clock)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_it_is_power_control(site: CommandFile) -> None:
    assert isinstance(site, PowerControl)


def test_an_order_is_written_with_what_people_need(site: CommandFile, folder: Path) -> None:
    site.power("PDU-7/12", "off")
    assert rows(folder / "orders.csv") == [
        {"meter_id": "PDU-7/12", "state": "off", "ordered_at": "2026-11-27T12:00:40Z"}
    ]
    assert (folder / "states.csv").read_bytes() == b"meter_id,state,at,by\r\n"
    told = (folder / "README.txt").read_text()
    assert "Machines to switch at ET-ADD1" in told
    assert "on the clocks of Africa/Addis_Ababa" in told
    assert site.power_state("PDU-7/12") == "unknown"


def test_the_example_of_the_description_can_be_written_as_it_stands(
    site: CommandFile, folder: Path, clock: Clock
) -> None:
    site.power("m1", "off")
    told = (folder / "README.txt").read_text()
    (example,) = [line.split(":", 1)[1].strip() for line in told.splitlines() if "xample" in line]
    with (folder / "states.csv").open("a") as stream:
        stream.write(example + "\r\n")
    clock.now += dt.timedelta(days=1)
    assert site.power_state("PDU-7/12") == "off"


def test_the_same_order_again_changes_nothing(
    site: CommandFile, folder: Path, clock: Clock
) -> None:
    site.power("m1", "off")
    before = (folder / "orders.csv").stat()
    clock.now += dt.timedelta(hours=1)
    site.power("m1", "off")
    after = (folder / "orders.csv").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_the_newest_order_of_each_meter_stands(
    site: CommandFile, folder: Path, clock: Clock
) -> None:
    site.power("m2", "off")
    site.power("m1", "off")
    clock.now += dt.timedelta(hours=1)
    site.power("m1", "on")
    assert rows(folder / "orders.csv") == [
        {"meter_id": "m1", "state": "on", "ordered_at": "2026-11-27T13:00:40Z"},
        {"meter_id": "m2", "state": "off", "ordered_at": "2026-11-27T12:00:40Z"},
    ]


def test_what_people_wrote_is_never_replaced(site: CommandFile, folder: Path) -> None:
    folder.mkdir(parents=True)
    content = "meter_id;state;at;by\r\nm1;on;2026-11-20 08:00;Abebe\r\n"
    (folder / "states.csv").write_text(content, newline="")
    site.power("m1", "off")
    assert (folder / "states.csv").read_bytes() == content.encode()


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        # Ordered at 15:00:40 in Addis Ababa.
        ("2026-11-27 15:10", "off"),
        ("2026-11-27T12:10:00Z", "off"),
        ("2026-11-27 13:10+01:00", "off"),
        ("27.11.2026 15:10", "off"),
        # Whoever writes whole minutes may have switched within the one of the order.
        ("2026-11-27 15:00", "off"),
        ("2026-11-27 15:00:39", "unknown"),
        ("2026-11-27 14:59", "unknown"),
        ("2026-11-27 12:10", "unknown"),
    ],
)
def test_a_state_counts_if_it_is_not_older_than_the_order(
    site: CommandFile, folder: Path, clock: Clock, at: str, expected: str
) -> None:
    site.power("m1", "off")
    with (folder / "states.csv").open("a") as stream:
        stream.write(f"m1,off,{at},Abebe\r\n")
    clock.now += dt.timedelta(hours=1)
    assert site.power_state("m1") == expected
    assert site.power_state("m2") == "unknown"


def test_the_newest_state_counts_and_of_one_minute_the_lower_row(
    site: CommandFile, folder: Path
) -> None:
    folder.mkdir(parents=True)
    (folder / "states.csv").write_text(
        "meter_id,state,at,by\n"
        "m1,off,2026-11-20 10:00,A\n"
        "m1,on,2026-11-19 10:00,A\n"
        "m2,off,2026-11-20 10:00,A\n"
        "m2,on,2026-11-20 10:00,A\n"
    )
    assert site.power_state("m1") == "off"
    assert site.power_state("m2") == "on"


def test_an_order_back_opens_what_was_confirmed_before(
    site: CommandFile, folder: Path, clock: Clock
) -> None:
    site.power("m1", "off")
    with (folder / "states.csv").open("a") as stream:
        stream.write("m1,off,2026-11-27 15:10,Abebe\r\n")
    clock.now += dt.timedelta(hours=3)
    assert site.power_state("m1") == "off"
    site.power("m1", "on")
    assert site.power_state("m1") == "unknown"


@pytest.mark.parametrize(
    "content",
    [
        "meter_id,state,at,by\nm1,off,2026-11-27 15:00,Zoë\n".encode("utf-8-sig"),
        "meter_id;state;at;by\r\nm1;off;2026-11-27 15:00;Zoë\r\n".encode("cp1252"),
        "meter_id\tstate\tat\tby\r\nm1\toff\t2026-11-27 15:00\tZoë\r\n".encode("utf-16"),
        b"sep=;\r\nmeter_id;state;at;by\r\nm1;off;27.11.2026 15:00;Z\r\n",
        b'"Meter_ID"; State ;At;By;note\r\n;;;;\r\n "m1";OFF;2026-11-27 15:00;Z\r\n;;;;\r\n',
        b"by,at,state,meter_id\nZ,2026-11-27 15:00,off,m1",
    ],
    ids=["bom", "semicolons", "utf-16", "sep", "habits", "order"],
)
def test_a_spreadsheets_habits_are_read(site: CommandFile, folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "states.csv").write_bytes(content)
    assert site.power_state("m1") == "off"


HEAD = "meter_id,state,at,by\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (HEAD + "m1,aus,2026-11-27 15:00,A\n", "line 2, state 'aus': expected on or off"),
        (HEAD + "m1,off,yesterday,A\n", "line 2, at 'yesterday': is not a time in ISO 8601"),
        (HEAD + "m1,off,2026-11-27,A\n", "line 2, at '2026-11-27': has no time of day"),
        (HEAD + "m1,off,11/27/2026 3:00,A\n", "set time_format in sources.yml"),
        (HEAD + "m1,off,2062-11-27 15:00,A\n", "line 2, at '2062-11-27 15:00': lies ahead of now"),
        (HEAD + "\n\nm1,off,2026-11-27 15:00,\n", "line 4, by '': a value is required"),
        (HEAD + ",off,2026-11-27 15:00,A\n", "line 2, meter_id '': a value is required"),
        (HEAD + "m1,off\n", "line 2, at '': a value is required"),
        (HEAD + "m1,off,2026-11-27 15:00,A,B\n", "line 2: has 5 values under 4 columns"),
        ("meter_id,state,by\nm1,off,A\n", "line 1, at: is missing; the first row names"),
        ("meter_id,state,state,at,by\n", "line 1, state: stands there twice"),
        ('meter_id,state,at,by\nm1,"off\n', "is not CSV"),
    ],
)
@pytest.mark.parametrize("meter_id", ["m1", "another"])
def test_a_broken_file_says_where(
    site: CommandFile, folder: Path, content: str, told: str, meter_id: str
) -> None:
    folder.mkdir(parents=True)
    (folder / "states.csv").write_text(content)
    with pytest.raises(SourceAnswerError) as caught:
        site.power_state(meter_id)
    assert str(folder / "states.csv") in str(caught.value)
    assert told in str(caught.value)


def test_orders_that_a_spreadsheet_spoiled_stop_new_ones(site: CommandFile, folder: Path) -> None:
    site.power("m1", "off")
    text = (folder / "orders.csv").read_text().replace("2026-11-27T12:00:40Z", "27.11.26 12:00")
    (folder / "orders.csv").write_text(text)
    for ask in (lambda: site.power("m2", "off"), lambda: site.power_state("m1")):
        with pytest.raises(SourceAnswerError, match=r"orders\.csv line 2, ordered_at '27\.11\.26"):
            ask()
    assert (folder / "orders.csv").read_text() == text


def test_another_way_to_write_times_is_set_and_told(
    tmp_path: Path, folder: Path, clock: Clock
) -> None:
    site = control(tmp_path, clock, time_format="%m/%d/%Y %I:%M %p")
    site.power("m1", "off")
    assert "PDU-7/12,off,11/27/2026 02:05 PM,Anna Berg" in (folder / "README.txt").read_text()
    with (folder / "states.csv").open("a") as stream:
        stream.write("m1,off,11/27/2026 03:00 PM,Abebe\r\n")
    assert site.power_state("m1") == "off"


def test_a_time_the_clocks_show_twice_is_taken_as_the_earlier(tmp_path: Path, clock: Clock) -> None:
    context = SourceContext(
        site_id="NO-OSL1", timezone="Europe/Oslo", secrets={}, clock=clock, data_dir=tmp_path
    )
    site = build(Config(), context)
    clock.now = dt.datetime(2026, 10, 25, 1, 0, tzinfo=dt.UTC)  # 02:00 for the second time
    site.power("m1", "off")
    clock.now += dt.timedelta(hours=1)
    states = tmp_path / "power" / "NO-OSL1" / "states.csv"
    states.write_text(HEAD + "m1,off,2026-10-25 02:30,A\n")
    assert site.power_state("m1") == "unknown"
    states.write_text(HEAD + "m1,off,2026-10-25 02:30+01:00,A\n")
    assert site.power_state("m1") == "off"


def test_orders_given_at_the_same_time_are_all_kept(
    tmp_path: Path, folder: Path, clock: Clock
) -> None:
    threads = [
        threading.Thread(target=control(tmp_path, clock).power, args=(f"m{number}", "off"))
        for number in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {row["meter_id"] for row in rows(folder / "orders.csv")} == {f"m{n}" for n in range(16)}


def test_a_folder_of_its_own_below_the_data_dir_or_anywhere(tmp_path: Path, clock: Clock) -> None:
    control(tmp_path, clock, folder="shared/add1").power("m1", "off")
    assert (tmp_path / "shared" / "add1" / "orders.csv").is_file()
    control(tmp_path, clock, folder=str(tmp_path / "elsewhere")).power("m1", "off")
    assert (tmp_path / "elsewhere" / "orders.csv").is_file()


def test_without_data_dir_a_relative_folder_is_a_fault(clock: Clock) -> None:
    context = SourceContext(site_id="X", timezone="UTC", secrets={}, clock=clock)
    with pytest.raises(ConfigError, match=r"power\.config\.folder"):
        build(Config(), context)


def test_a_disk_that_fails_can_be_tried_again(site: CommandFile, folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("a file where a folder should be")
    with pytest.raises(SourceUnavailable) as caught:
        site.power("m1", "off")
    assert str(folder) in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


def test_what_may_not_be_written_is_refused(
    site: CommandFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "orders.csv")

    monkeypatch.setattr("connectors.sources.command_file.write_atomically", refuse)
    with pytest.raises(SourceRefused, match="may not be read or written"):
        site.power("m1", "off")
