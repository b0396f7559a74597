"""When a delivery that failed is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from exporters.webhooks.retries import ATTEMPTS, DELAYS, asked_to_wait, retry

NOW = datetime(2026, 11, 1, 8, tzinfo=UTC)


def test_the_schedule_is_that_of_the_convention() -> None:
    at, spans = NOW, []
    for attempt in range(1, ATTEMPTS):
        again = retry(attempt, now=at, chance=0.0)
        assert again is not None
        at = again.at
        spans.append(str(at - NOW))
    assert spans == [
        *("0:00:05", "0:05:05", "0:35:05", "2:35:05", "7:35:05", "17:35:05"),
        *("1 day, 7:35:05", "2 days, 3:35:05", "3 days, 3:35:05"),
    ]
    assert retry(ATTEMPTS, now=at, chance=0.0) is None


@pytest.mark.parametrize("attempt", range(1, ATTEMPTS))
def test_chance_makes_a_delay_longer_by_a_tenth_at_most(attempt: int) -> None:
    again = retry(attempt, now=NOW, chance=0.999)
    assert again is not None
    delay = DELAYS[attempt - 1]
    assert delay < again.at - NOW < delay * 1.1


def test_an_endpoint_may_ask_for_more_time_but_not_for_ever() -> None:
    again = retry(1, now=NOW, chance=0.0, retry_after=timedelta(minutes=2))
    assert again is not None
    assert again.at == again.pause_until == NOW + timedelta(minutes=2)
    again = retry(2, now=NOW, chance=0.0, retry_after=timedelta(minutes=2))
    assert again is not None
    assert (again.at, again.pause_until) == (
        NOW + timedelta(minutes=5),
        NOW + timedelta(minutes=2),
    )
    again = retry(1, now=NOW, chance=0.0, retry_after=timedelta(days=400))
    assert again is not None
    assert again.at == NOW + timedelta(hours=24)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120),
        (" 7 ", 7),
        ("99999999999999999999", 86400),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("Sun, 01 Nov 2026 08:01:00 GMT", 60),
        ("Sun, 01 Nov 2026 07:59:00 GMT", None),
        ("Sun, 01 Nov 2026 08:01:00", None),
        ("Sun, 99 Nov 2026 08:01:00 GMT", None),
        ("١٢", None),
    ],
)
def test_what_a_header_asks_for(header: str | None, seconds: int | None) -> None:
    wait = asked_to_wait(header, now=NOW)
    assert wait == (None if seconds is None else timedelta(seconds=seconds))
