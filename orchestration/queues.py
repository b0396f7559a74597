"""Which jobs run one after the other: they write the same things, or talk to the same system.

Runs of one queue wait in Dagster's run queue, where they cost nothing, and not as processes or pods
that wait for a lock; runs of `m2c` are not queued and take the operating-system lock of the same
name.
"""

from __future__ import annotations

QUEUE_TAG = "m2c/queue"

QUEUE_OF_JOB = {
    **dict.fromkeys(
        ("build", "close", "compact", "issue", "refresh", "remind", "bank", "bounces"), "runs"
    ),
    "webhooks": "webhook-runs",
    **dict.fromkeys(("publish", "payments", "post_payments"), "xero-runs"),
}

TAG_LIMITS = [{"key": QUEUE_TAG, "value": {"applyLimitPerUniqueValue": True}, "limit": 1}]


def queue_tags(job_name: str) -> dict[str, str]:
    """The tag of a job's runs that lets them wait for each other."""
    queue = QUEUE_OF_JOB.get(job_name)
    return {} if queue is None else {QUEUE_TAG: queue}
