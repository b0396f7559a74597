"""The steps of a recomputation: which a statement needs, and what each does in a sentence."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

STEPS: Final = {
    "00_files": "holds every file against the hashes of manifest.json",
    "01_contracts": "each contract's part of the month, its plan version, and which machine was "
    "its on which meter when",
    "02_readings": "which landed readings count: not the impossible, corrected, rejected ones",
    "03_intervals": "readings become intervals with a quantity, and are checked",
    "04_no_estimates": "no site here estimates what readings lack",
    "04_estimates": "gaps are found and filled by the policy of the site",
    "05_usage": "intervals become usage by machine, day and site",
    "06_quarter_hours": "the same by quarter of an hour",
    "10_lines": "the charges, usage in their units, exchange rates",
    "11_per_unit": "a price per unit",
    "12_graduated": "tiers, each at its own rate",
    "13_volume": "all usage at the rate of the tier reached",
    "14_package": "packages begun",
    "15_stairstep": "an amount by the step reached",
    "16_time_of_use": "a rate for each band of the day",
    "17_index": "every hour at its own price",
    "18_demand": "the greatest power of the month",
    "19_recurring": "monthly fees, by time",
    "20_pass_through": "charge events at their own prices",
    "29_bases": "what charges on other charges are computed on",
    "30_percentage": "percentages of other lines",
    "31_discount": "discounts on other lines",
    "32_minimum_commit": "what is short of a commitment",
    "40_payer_and_tax": "payer, currency, tax, statement",
    "41_credits": "credits and what is left of balances",
    "50_adjustments": "what lines of earlier months come to now, less what was issued",
    "90_ledger": "the ledger's facts of the statement, their hashes computed again",
    "95_compare": "every line as stated beside the line as recomputed",
    "99_verdict": "the total and the verdict",
}
LAST: Final = ("00_files", "90_ledger", "99_verdict")
"""What can run only when the folder is complete."""
_ON_CHARGES: Final = frozenset({"percentage", "discount", "minimum_commit"})
_BY_QUARTER: Final = frozenset({"time_of_use", "index", "demand"})


def steps_for(
    models: Collection[str], *, estimates: bool, has_credits: bool, adjustments: bool
) -> list[str]:
    """The steps, in order, for charges of these models."""
    wanted = {
        "04_estimates": estimates,
        "04_no_estimates": not estimates,
        "06_quarter_hours": bool(_BY_QUARTER & set(models)),
        "29_bases": bool(_ON_CHARGES & set(models)),
        "41_credits": has_credits,
        "50_adjustments": adjustments,
    }
    return [
        step
        for step in STEPS
        if wanted.get(step, step[3:] in models if "11" <= step[:2] < "40" else True)
    ]
