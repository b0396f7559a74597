"""Rate plans in plain sentences that finance can sign."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.book.model import Book, Plan, PlanVersion
from connectors.book.plans import Charge


@dataclass(frozen=True, slots=True)
class PlanWords:
    """A plan version in words."""

    plan_id: str
    version: int
    valid_from_month: str
    text: str


def charge_words(charge: Charge, currency: str) -> str:
    """One charge in a sentence."""
    return f"{charge.code}: {charge.model} ({currency})"


def version_words(plan: Plan, version: PlanVersion) -> str:
    """A version, one charge a line."""
    return "\n".join(charge_words(charge, plan.currency) for charge in version.charges)


def render_words(book: Book) -> list[PlanWords]:
    """Every plan version of the book in words."""
    return [
        PlanWords(
            plan.plan_id, version.version, version.valid_from_month, version_words(plan, version)
        )
        for plan in book.plans
        for version in plan.versions
    ]
