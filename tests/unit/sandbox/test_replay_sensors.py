"""Sensors: which may be billed, shown on small recordings where the answer is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from connectors.sandbox.replay.sensors import Judgement, enclosure_of, judge

START = datetime(2025, 6, 3, tzinfo=UTC)


def recording(series: Mapping[tuple[str, str], Sequence[int]]) -> pl.DataFrame:
    """A recording with a sample a minute, a second of jitter from node to node."""
    rows = [
        (node, sensor, START + timedelta(minutes=minute, seconds=number % 7), value)
        for number, ((node, sensor), values) in enumerate(series.items())
        for minute, value in enumerate(values)
    ]
    return pl.DataFrame(
        rows,
        schema={
            "node": pl.String,
            "sensor": pl.String,
            "at": pl.Datetime("us", "UTC"),
            "value": pl.Int64,
        },
        orient="row",
    )


def reasons(judgement: Judgement) -> dict[tuple[str, str], str]:
    return {(r.node, r.sensor): r.reason for r in judgement.refused}


def accepted(judgement: Judgement) -> set[tuple[str, str, str]]:
    return {(a.node, a.sensor, a.feed) for a in judgement.accepted}


@pytest.mark.parametrize(
    ("node", "enclosure"),
    [
        ("holy8a27208", "8a272"),
        ("holygpu8a27201", "8a272"),
        ("holy7c0919", None),
        ("lichtmandce04", None),
    ],
)
def test_enclosures_by_name(node: str, enclosure: str | None) -> None:
    assert enclosure_of(node) == enclosure


def test_siblings_that_repeat_a_moving_value_share_its_sensor_whatever_its_name() -> None:
    series = {
        (f"holy8a{enclosure}0{node}", "Blade Input"): [100, 110, 100, 130 + enclosure]
        for enclosure in (101, 102, 103)
        for node in (1, 2)
    }
    judgement = judge(recording(series))
    reason = reasons(judgement)["holy8a10101", "Blade Input"]
    assert "shared enclosure 8a101, repeated by holy8a10102" in reason
    assert "100% of the minutes (median of 3 enclosures" in reason
    assert not judgement.accepted


def test_an_equal_constant_is_no_sharing() -> None:
    series = {
        (f"holy8a{enclosure}0{node}", "Sys Power"): [10] * 5
        for enclosure in (101, 102, 103, 104)
        for node in (1, 2)
    }
    assert len(judge(recording(series)).accepted) == 8


def test_siblings_that_move_apart_do_not_share() -> None:
    series = {
        (f"holy8a{enclosure}0{node}", "Sys Power"): [10, 200 + node, 210 - node, 220 + node]
        for enclosure in (101, 102, 103)
        for node in (1, 2)
    }
    assert len(judge(recording(series)).accepted) == 6


def test_a_name_that_says_enclosure_is_believed_without_siblings() -> None:
    judgement = judge(recording({("holy8a10101", "Chassis Power"): [250, 250]}))
    found = reasons(judgement)
    assert "no sibling of which is recorded" in found["holy8a10101", "Chassis Power"]
    assert found["holy8a10101", ""] == "the node has no power sensor of its own"


def test_a_sensor_stuck_at_the_top_is_refused_and_its_healthy_likes_are_not() -> None:
    series = {(f"node{number}", "Sys Power"): [100, 120] for number in range(4)}
    series["node9", "Sys Power"] = [2555, 2555]
    judgement = judge(recording(series))
    assert reasons(judgement)["node9", "Sys Power"].startswith("stuck at 2555 W")
    assert len(judgement.accepted) == 4


def test_the_busiest_of_alike_nodes_is_not_stuck() -> None:
    series = {("a", "Sys Power"): [230, 230], ("b", "Sys Power"): [180, 230]}
    assert len(judge(recording(series)).accepted) == 2


def test_two_feeds_are_two_meters_and_their_sum_is_refused() -> None:
    judgement = judge(
        recording(
            {
                ("n", "PSU1 AC In Pwr"): [250, 260],
                ("n", "PSU2 AC In Pwr"): [150, 150],
                ("n", "Sys Power"): [400, 410],
                ("n", "PSU1 DC Out Pwr"): [220, 230],
                ("n", "CPU Power"): [100, 100],
            }
        )
    )
    assert accepted(judgement) == {("n", "PSU1 AC In Pwr", "a"), ("n", "PSU2 AC In Pwr", "b")}
    assert judgement.accepted[0].meter_id == "n/PSU1 AC In Pwr"
    found = reasons(judgement)
    assert found["n", "Sys Power"].startswith("the sum of the node's two feeds")
    assert found["n", "PSU1 DC Out Pwr"].startswith("what a power supply gives out")
    assert found["n", "CPU Power"].startswith("a part of the node")


def test_one_feed_of_two_is_not_the_node() -> None:
    judgement = judge(recording({("n", "PSU 1 AC In Pwr"): [20, 25], ("n", "Sys Power"): [30, 30]}))
    assert accepted(judgement) == {("n", "Sys Power", "node")}


def test_a_dead_sensor_is_not_a_machine_that_draws_nothing() -> None:
    judgement = judge(recording({("n", "Pwr Consumption"): [0, 0, 0]}))
    assert "dead sensor" in reasons(judgement)["n", "Pwr Consumption"]


def test_unknown_sensors_are_refused() -> None:
    judgement = judge(recording({("n", "Mystery"): [5, 6]}))
    assert reasons(judgement)["n", "Mystery"].startswith("unknown sensor")


def test_every_sensor_is_judged_once() -> None:
    frame = recording(
        {("a", "Sys Power"): [1, 2], ("a", "Mem Power"): [1, 1], ("b", "Chassis Power"): [50, 50]}
    )
    judgement = judge(frame)
    judged = [(x.node, x.sensor) for x in (*judgement.accepted, *judgement.refused) if x.sensor]
    assert sorted(judged) == sorted(frame.select("node", "sensor").unique().iter_rows())
