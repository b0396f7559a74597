"""What is rendered for people into a data dir, from Dagster and from the terminal alike: statements
under `reports/<period>/`, and the review sheet beside them. One process at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection

from exporters.ledger import Ledger
from exporters.statements import (
    RenderedReview,
    RenderedStatement,
    render_review,
    render_statements,
    waiting_statements,
)
from orchestration.locks import hold
from orchestration.settings import DataDir


def render_period(
    data_dir: DataDir,
    period: str,
    *,
    only: Collection[str] | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> list[RenderedStatement]:
    """Render a period's statements, or only those named by id or number: issued ones under their
    number, others as previews. What is unchanged stays as it is."""
    with hold(
        data_dir.locks, "reports", purpose=f"rendering statements of {period}", on_wait=on_wait
    ):
        return render_statements(
            data_dir.marts,
            period,
            data_dir.reports / period,
            only=only,
            book_dir=data_dir.book,
        )


def review_period(
    data_dir: DataDir, period: str, ledger: Ledger, *, previews: bool = True
) -> RenderedReview:
    """Write the review sheet; with `previews` the statements that wait for a person are rendered
    first, so that he can look at them before he approves."""
    if previews:
        waiting = waiting_statements(data_dir.marts, period, ledger=ledger)
        if waiting:
            render_period(data_dir, period, only=waiting)
    with hold(data_dir.locks, "reports", purpose=f"writing the review sheet of {period}"):
        return render_review(data_dir.marts, period, data_dir.reports / period, ledger=ledger)
