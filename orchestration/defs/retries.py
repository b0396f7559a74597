"""What is tried again by itself where nobody watches: a store that does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from connectors.objects import StoreError
from orchestration.instance import FROM_TERMINAL_TAG

_RETRIES = 3
_RETRY_SECONDS = 300


@contextmanager
def store_retried(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Run the step again later when a store fails; in a terminal a person is told at once."""
    try:
        yield
    except StoreError as error:
        if FROM_TERMINAL_TAG in context.run.tags:
            raise
        raise dg.RetryRequested(max_retries=_RETRIES, seconds_to_wait=_RETRY_SECONDS) from error
