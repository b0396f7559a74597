"""What a machine draws, as a pure function of seed, meter and time.

Whole watts from whole-number arithmetic, so that every platform, process and test gets the same
reading. The shape is that of a busy server: a steady share of the rated power that differs from
meter to meter, a little more by day, a little less on Sundays, and noise.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal

# Share of the daily mean by UTC hour, in thousandths.
_BY_HOUR = (
    900, 890, 885, 885, 890, 910, 950, 990, 1030, 1060, 1080, 1090,
    1095, 1095, 1090, 1080, 1065, 1050, 1035, 1020, 1000, 970, 940, 915,
)  # fmt: skip
_SUNDAY = 930
_LOWEST_SHARE, _SHARE_SPREAD = 450, 250
_NOISE = 40


def draw(seed: int, *parts: object) -> int:
    """A number below 2^64 that depends on nothing but its arguments."""
    text = "\x1f".join((str(seed), *(str(part) for part in parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def watts(seed: int, *, site_id: str, meter_id: str, at: datetime, rated_kw: Decimal) -> int:
    """Mean power in whole watts of the slot that starts at `at`; never above the rated power."""
    rated_w = int(rated_kw * 1000)
    share = _LOWEST_SHARE + draw(seed, "share", site_id, meter_id) % _SHARE_SPREAD
    moment = at.astimezone(UTC)
    shape = _BY_HOUR[moment.hour]
    if moment.isoweekday() == 7:
        shape = shape * _SUNDAY // 1000
    noise = (
        1000
        - _NOISE
        + draw(seed, "noise", site_id, meter_id, int(at.timestamp())) % (2 * _NOISE + 1)
    )
    return max(1, rated_w * share * shape * noise // 1_000_000_000)
