"""Whether the published marts say what the hand-written script found, to the last decimal.

A figure about a wrong result is worth nothing, so every measurement ends here. The marts also hold
estimates, which the script does not make; they stand apart in both marts.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb

# Rounding of a line's quantity and of its estimated part, to 6 decimals each.
_LINE_ROUNDING = Decimal("0.000001")


def differences(marts: Path, usage_file: Path, rows_landed: int) -> list[str]:
    """Return in words what the marts and the script's usage disagree on; empty if nothing.

    `rows_landed` is how many rows the landing zone has, each of which must have had its fate.
    """
    with duckdb.connect() as connection:
        connection.execute(f"attach '{marts}' as marts (read_only)")
        connection.execute(f"create view by_hand as select * from read_parquet('{usage_file}')")
        return [
            *_metered_usage(connection),
            *_billed_energy(connection),
            *_bands(connection),
            *_fates(connection, rows_landed),
        ]


def estimated_kwh(marts: Path) -> Decimal:
    """Return what the build filled into gaps: the part of its work that the script lacks."""
    with duckdb.connect(str(marts), read_only=True) as connection:
        found = connection.execute("select sum(estimated_quantity) from usage_daily").fetchone()
    return found[0] if found and found[0] is not None else Decimal(0)


def _metered_usage(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Compare the kWh per contract and site: exactly."""
    yield from _disagreements(
        connection,
        "metered kWh",
        ours="""
            select contract_id, site_id, sum(metered_quantity) as kwh, 0 as tolerance
            from marts.usage_daily where metric = 'energy' group by all
        """,
        theirs="select contract_id, site_id, sum(kwh) as kwh from by_hand group by all",
    )


def _billed_energy(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Compare the kWh on statement lines with metered and estimated usage."""
    yield from _disagreements(
        connection,
        "billed kWh",
        ours=f"""
            select contract_id, site_id, sum(quantity) as kwh,
                count(*) * {_LINE_ROUNDING} as tolerance
            from marts.statement_lines where charge_code = 'energy' group by all
        """,
        theirs="""
            select contract_id, site_id, sum(kwh) as kwh from (
                select contract_id, site_id, kwh from by_hand
                union all
                select contract_id, site_id, estimated_quantity from marts.usage_daily
            ) group by all
        """,
    )


def _bands(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Compare the metered kWh of each band with what lines by time of use bill."""
    yield from _disagreements(
        connection,
        "kWh by band",
        ours=f"""
            select contract_id || ' ' || band as contract_id, site_id,
                sum(quantity - estimated_quantity) as kwh,
                count(*) * {_LINE_ROUNDING} as tolerance
            from marts.statement_lines where charge_model = 'time_of_use' group by all
        """,
        theirs="""
            select contract_id || ' ' || band as contract_id, site_id, sum(kwh) as kwh
            from by_hand join marts.contracts using (contract_id)
            where plan_id = 'day-night' group by all
        """,
    )


def _fates(connection: duckdb.DuckDBPyConnection, rows_landed: int) -> Iterator[str]:
    found = connection.execute(
        "select sum(rows_landed), sum(accepted - assigned - unassigned) "
        "from marts.usage_reconciliation"
    ).fetchone()
    if found != (rows_landed, 0):
        yield f"rows landed and usage lost: {found}; expected {rows_landed} and 0"


def _disagreements(
    connection: duckdb.DuckDBPyConnection, what: str, *, ours: str, theirs: str
) -> Iterator[str]:
    compared = connection.execute(
        f"""
        select contract_id, site_id, ours.kwh, theirs.kwh,
            coalesce(abs(ours.kwh - theirs.kwh) <= tolerance, false) as is_same
        from ({ours}) as ours full join ({theirs}) as theirs using (contract_id, site_id)
        order by contract_id, site_id
        """
    ).fetchall()
    if not compared:
        yield f"{what}: there is nothing to compare"
    for contract_id, site_id, our_kwh, their_kwh, is_same in compared:
        if not is_same:
            yield f"{what} of {contract_id} at {site_id}: {our_kwh}, by hand {their_kwh}"
