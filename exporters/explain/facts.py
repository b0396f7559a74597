"""Rows of the published marts that an explanation is made of, one function a question.

Every query names the period and the contract, by which the marts are sorted, so that only a few
blocks of a file of years are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from exporters.explain.model import Row
from exporters.marts import Marts

Rows = list[dict[str, Any]]

_LINE = """
select lines.*, statements.state, statements.statement_number, statements.issued_at,
    statements.issue_date, payers.name as payer_name, payers.minor_units
from statement_lines as lines
left join statements on lines.statement_id = statements.statement_id
left join payers on lines.payer_id = payers.payer_id
"""


def line(marts: Marts, line_key: str) -> Row | None:
    """The statement line with its statement's state, or None."""
    found = marts.rows(_LINE + "where lines.line_key = $1", [line_key])
    return found[0] if found else None


def lines_of_credit(marts: Marts, contract_id: str, credit_id: str) -> Rows:
    """Every line by which a credit was given or drawn, by period."""
    return marts.rows(
        _LINE
        + "where lines.contract_id = $1 and lines.charge_code = 'credit' "
        + "and lines.line_key = $1 || '/' || lines.period || '/0/credit/-/' || $2 "
        + "order by lines.period",
        [contract_id, credit_id],
    )


def lines_under_key(marts: Marts, original_key: str, payer_id: str) -> Rows:
    """The line of a key and its adjustments to a payer, in the order of their issue; those not
    issued last."""
    return marts.rows(
        _LINE
        + """
        left join adjustments on lines.line_key = adjustments.line_key
        where coalesce(adjustments.original_key, lines.line_key) = $1 and lines.payer_id = $2
        order by statements.issued_at nulls last, lines.period, lines.line_key
        """,
        [original_key, payer_id],
    )


def keys_like(marts: Marts, contract_id: str, period: str) -> list[str]:
    """Keys of a contract's lines in a period; of all its periods if it has none there."""
    rows = marts.rows(
        """
        select line_key from statement_lines
        where contract_id = $1 order by period != $2, period desc, line_key
        """,
        [contract_id, period],
    )
    return [row["line_key"] for row in rows]


def all_keys(marts: Marts) -> list[str]:
    """The keys of all lines."""
    return [row["line_key"] for row in marts.rows("select line_key from statement_lines")]


def adjustment(marts: Marts, line_key: str) -> Row | None:
    """Cause and original key of an adjustment."""
    found = marts.rows("select * from adjustments where line_key = $1", [line_key])
    return found[0] if found else None


def calculation(marts: Marts, line_key: str) -> Row | None:
    """What a line was computed from, as rated now; None if it is not rated now."""
    parts = line_key.split("/")
    found = marts.rows(
        """
        select calculations.*, coalesce(payers.minor_units, 2) as minor_units
        from line_calculations as calculations
        left join payers on calculations.payer_id = payers.payer_id
        where period = $1 and contract_id = $2 and line_key = $3
        """,
        [parts[1] if len(parts) > 1 else "", parts[0], line_key],
    )
    return found[0] if found else None


def calculations_of_charge(marts: Marts, calc: Row) -> Rows:
    """The calculations of all lines of the same charge and segment."""
    return marts.rows(
        """
        select * from line_calculations
        where period = $1 and contract_id = $2 and term_no = $3 and charge_code = $4
        order by line_key
        """,
        _segment(calc),
    )


def rule(marts: Marts, row: Row) -> Row | None:
    """The sentence of the charge that a line is of, with its plan version; None for credits."""
    found = marts.rows(
        """
        select charges.words, charges.plan_id, charges.version as plan_version,
            plan_versions.valid_from_month, plan_versions.valid_to_month
        from charges join plan_versions
            on charges.plan_id = plan_versions.plan_id and charges.version = plan_versions.version
        where charges.plan_id = $1 and charges.version = $2 and charges.code = $3
        """,
        [row["plan_id"], row["plan_version"], row["charge_code"]],
    )
    return found[0] if found else None


def tax_note(marts: Marts, row: Row) -> str | None:
    """What the tax rules say of a line's tax code and rate, if they say something."""
    found = marts.rows(
        """
        select string_agg(distinct note, '; ' order by note) as note from tax_rules
        where tax_code = $1 and rate_percent = $2 and note != ''
        """,
        [row["tax_code"], row["tax_rate_percent"]],
    )
    return found[0]["note"] if found else None


def machines(marts: Marts, calc: Row) -> Rows:
    """line_machines of the segment and charge, at all sites, the largest first."""
    return marts.rows(
        """
        select site_id, band, machine_id, quantity, estimated_quantity, tier_quantity, occupied_us
        from line_machines
        where period = $1 and contract_id = $2 and term_no = $3 and charge_code = $4
        order by site_id, coalesce(tier_quantity, quantity, occupied_us) desc, machine_id
        """,
        _segment(calc),
    )


def days(marts: Marts, calc: Row) -> Rows:
    """line_days of the segment, charge and site, of all bands."""
    return marts.rows(
        """
        select band, usage_date, quantity, estimated_quantity, exact_amount, peak_start,
            peak_quantity
        from line_days
        where period = $1 and contract_id = $2 and term_no = $3 and charge_code = $4
            and site_id = $5
        order by usage_date, band
        """,
        [*_segment(calc), calc["site_id"]],
    )


def bands(marts: Marts, calc: Row) -> Rows:
    """Spans of time of the line's band."""
    return marts.rows(
        """
        select span_start, span_end from line_bands
        where period = $1 and contract_id = $2 and term_no = $3 and charge_code = $4
            and site_id = $5 and band = $6
        order by span_start
        """,
        [*_segment(calc), calc["site_id"], calc["band"]],
    )


def bases(marts: Marts, calc: Row) -> Rows:
    """The lines that a line is computed from, with the amounts in plan currency."""
    return marts.rows(
        """
        select contract_id || '/' || period || '/' || term_no || '/' || base_charge_code || '/'
            || coalesce(base_site_id, '-') || '/' || coalesce(base_band, '-') as line_key,
            base_charge_code as charge_code, base_site_id as site_id, base_band as band, amount
        from line_bases
        where period = $1 and contract_id = $2 and term_no = $3 and charge_code = $4
            and site_id is not distinct from $5
        order by base_charge_code, base_site_id, base_band
        """,
        [*_segment(calc), calc["site_id"]],
    )


def events(marts: Marts, calc: Row) -> Rows:
    """The charge events of a pass-through line."""
    return marts.rows(
        """
        select * from line_events
        where period = $1 and contract_id = $2 and term_no = $3 and charge_code = $4
            and site_id = $5 and band = $6
        order by occurred_at, event_id
        """,
        [*_segment(calc), calc["site_id"], calc["band"]],
    )


def batches(
    marts: Marts, *, site_id: str, contract_id: str, metric: str, first: date, last: date
) -> Rows:
    """Batches whose readings count for a contract at a site, on UTC days from first to last."""
    return marts.rows(
        """
        select usage_date as utc_date, batch_id, ingested_at as fetched_at, meters, readings
        from usage_batches
        where site_id = $1 and usage_date between $2 and $3 and contract_id = $4 and metric = $5
        order by usage_date, ingested_at, batch_id
        """,
        [site_id, first, last, contract_id, metric],
    )


def landed_files(marts: Marts, table: str, site_id: str, first: date, last: date) -> Rows:
    """Files of a site that builds use, of UTC dates from first to last: date and path."""
    return marts.rows(
        """
        select file_date, path from landed_files
        where landing_table = $1 and site_id = $2 and file_date between $3 and $4 and not refused
        order by file_date, path
        """,
        [table, site_id, first, last],
    )


def revisions(marts: Marts, calc: Row, first: date, last: date, since: datetime) -> Rows:
    """Revisions of a contract's usage at the site on local days from first to last, made after
    `since`."""
    return marts.rows(
        """
        select usage_date, machine_id, metered_before, metered_after, estimated_before,
            estimated_after, unit, why, revised_at
        from usage_revisions
        where contract_id = $1 and site_id = $2 and metric = $3
            and usage_date between $4 and $5 and revised_at > $6
        order by revised_at, usage_date, machine_id
        """,
        [calc["contract_id"], calc["site_id"], calc["metric"], first, last, since],
    )


def why_not_adjusted(marts: Marts, row: Row, original_key: str) -> str | None:
    """Why a changed line is left as issued; None where a difference becomes an adjustment."""
    (found,) = marts.rows(
        """
        select adjustment_months,
            (select max(period) from statements where state = 'issued') as last_issued,
            (select adjust from plan_versions where plan_id = $1 and version = $2) as adjust
        from settings
        """,
        [row["plan_id"], row["plan_version"]],
    )
    if found["adjust"] is False:
        return (
            f"Version {row['plan_version']} of plan {row['plan_id']} does not adjust what is "
            "issued."
        )
    if found["last_issued"] is not None:
        year, month = (int(part) for part in original_key.split("/")[1].split("-"))
        last_year, last_month = (int(part) for part in found["last_issued"].split("-"))
        months = (last_year - year) * 12 + last_month - month + 1
        if months > found["adjustment_months"]:
            return f"Lines are adjusted for {found['adjustment_months']} months; this one is older."
    return None


def credit(marts: Marts, credit_id: str) -> Row | None:
    """The credit as the book has it."""
    found = marts.rows("select * from credits where credit_id = $1", [credit_id])
    return found[0] if found else None


def responsibilities(marts: Marts, calc: Row, machine_ids: Sequence[str]) -> Rows:
    """Spans in which machines of the contract stood on meters of the site, in the segment."""
    return marts.rows(
        """
        select machines.machine_id, machines.meter_id,
            greatest(machines.valid_from_at, assignments.valid_from_at, $1) as span_start,
            least(machines.valid_to_at, assignments.valid_to_at, $2) as span_end
        from machines
        join assignments on machines.machine_id = assignments.machine_id
        where machines.site_id = $3 and assignments.contract_id = $4
            and list_contains($5, machines.machine_id)
            and greatest(machines.valid_from_at, assignments.valid_from_at, $1)
                < least(machines.valid_to_at, assignments.valid_to_at, $2)
        order by machines.machine_id, machines.meter_id, span_start
        """,
        [
            calc["segment_start"],
            calc["segment_end"],
            calc["site_id"],
            calc["contract_id"],
            list(machine_ids),
        ],
    )


def set_aside(
    marts: Marts, site_id: str, meters: Sequence[str], metric: str, start: datetime, end: datetime
) -> Rows:
    """What of the meters is not billed and why, between two instants."""
    return marts.rows(
        """
        select meter_id, reason, edit_reason, interval_start, interval_end, batch_id
        from usage_set_aside
        where site_id = $1 and list_contains($2, meter_id) and metric = $3
            and interval_start < $5 and interval_end >= $4
        """,
        [site_id, list(meters), metric, start, end],
    )


def estimates(
    marts: Marts, calc: Row, meters: Sequence[str], start: datetime, end: datetime
) -> Rows:
    """Estimated parts of the contract's gaps in the period, between two instants."""
    return marts.rows(
        """
        select meter_id, method, interval_start, interval_end, estimate_start, estimate_end,
            estimate_quantity, gap_start, gap_end
        from usage_estimates
        where site_id = $1 and list_contains($2, meter_id) and metric = $3 and contract_id = $4
            and period = $5 and interval_start < $7 and interval_end > $6
        order by meter_id, interval_start
        """,
        [
            calc["site_id"],
            list(meters),
            calc["metric"],
            calc["contract_id"],
            calc["period"],
            start,
            end,
        ],
    )


def set_by_hand(
    marts: Marts, site_id: str, meters: Sequence[str], metric: str, start: datetime, end: datetime
) -> Rows:
    """Intervals that the book sets, between two instants."""
    return marts.rows(
        """
        select meter_id, from_at, to_at, quantity, reason, decided_by from reading_edits
        where action = 'set' and site_id = $1 and list_contains($2, meter_id) and metric = $3
            and from_at < $5 and to_at > $4
        order by meter_id, from_at
        """,
        [site_id, list(meters), metric, start, end],
    )


def units(marts: Marts) -> dict[tuple[str, str], Row]:
    """Canonical units in one unit, by metric and unit of a reading."""
    return {
        (row["metric"], row["unit"]): {
            "usage_metric": row["usage_metric"],
            "canonical_unit": row["canonical_unit"],
            "numerator": int(row["numerator"]),
            "denominator": int(row["denominator"]),
        }
        for row in marts.rows("select * from usage_units")
    }


def machine_day(marts: Marts, calc: Row, machine_id: str, day: date) -> Row | None:
    """A machine's usage under the contract on a day of the contract's clock."""
    found = marts.rows(
        """
        select metered_quantity + estimated_quantity as quantity from usage_daily
        where usage_date = $1 and site_id = $2 and machine_id = $3 and contract_id = $4
            and metric = $5
        """,
        [day, calc["site_id"], machine_id, calc["contract_id"], calc["metric"]],
    )
    return found[0] if found else None


def is_only_term_of_day(marts: Marts, calc: Row, start: datetime, end: datetime) -> bool:
    """Whether no other term of the contract holds in [start, end)."""
    (found,) = marts.rows(
        """
        select count(*) as others from contracts
        where contract_id = $1 and term_no != $2 and valid_from_at < $4
            and (valid_to_at is null or valid_to_at > $3)
        """,
        [calc["contract_id"], calc["term_no"], start, end],
    )
    return bool(found["others"] == 0)


def _segment(calc: Row) -> list[object]:
    return [calc["period"], calc["contract_id"], calc["term_no"], calc["charge_code"]]
