"""The machines that stand for payers right now, from the published marts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from exporters.marts import open_marts
from exporters.suspension.model import Machine

# A machine is paused by the outlets that give it power: meters of energy, and where it has none
# (a controller that counts hours) all of them.
_STANDING = """
with moment as (select cast(? as timestamptz) as now_at),

standing as (
    select
        machine_id,
        site_id,
        meter_id,
        never_suspend,
        list_contains(string_split(metrics, '|'), 'energy') as gives_power
    from machines, moment
    where valid_from_at <= now_at and (valid_to_at is null or valid_to_at > now_at)
),

placed as (
    select
        machine_id,
        site_id,
        list(distinct meter_id order by meter_id) as meters,
        list(distinct meter_id order by meter_id) filter (where gives_power) as power_meters,
        bool_or(never_suspend) as never_suspend
    from standing
    group by machine_id, site_id
)

select
    placed.machine_id,
    placed.site_id,
    assignments.contract_id,
    contracts.payer_id,
    coalesce(nullif(placed.power_meters, []), placed.meters) as meters,
    placed.never_suspend
from placed
cross join moment
left join assignments
    on
        placed.machine_id = assignments.machine_id
        and assignments.valid_from_at <= now_at
        and (assignments.valid_to_at is null or assignments.valid_to_at > now_at)
left join contracts
    on
        assignments.contract_id = contracts.contract_id
        and contracts.valid_from_at <= now_at
        and (contracts.valid_to_at is null or contracts.valid_to_at > now_at)
order by placed.site_id, placed.machine_id
"""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Machines by the payer of the contract that they are assigned to; `size` counts all machines
    that stand somewhere."""

    size: int
    by_payer: Mapping[str, tuple[Machine, ...]]
    max_machines_per_run: int
    sites: Mapping[str, str]
    """names by site_id"""

    def of(self, payer_id: str) -> tuple[Machine, ...]:
        return self.by_payer.get(payer_id, ())


def read_fleet(marts_path: Path, *, now: datetime) -> Fleet:
    """The fleet at `now`. Raises MartsError."""
    with open_marts(marts_path) as marts:
        rows = marts.rows(_STANDING, [now])
        sites = {row["site_id"]: row["name"] for row in marts.table("sites")}
        limit = marts.settings()["max_machines_per_run"]
    by_payer: dict[str, list[Machine]] = defaultdict(list)
    for row in rows:
        if row["payer_id"] is None:
            continue
        by_payer[row["payer_id"]].append(
            Machine(
                machine_id=row["machine_id"],
                contract_id=row["contract_id"],
                site_id=row["site_id"],
                meters=tuple(row["meters"]),
                never_suspend=bool(row["never_suspend"]),
            )
        )
    return Fleet(
        size=len({row["machine_id"] for row in rows}),
        by_payer={payer: tuple(machines) for payer, machines in by_payer.items()},
        max_machines_per_run=100 if limit is None else limit,
        sites=sites,
    )
