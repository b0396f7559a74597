"""A fleet of any size as a data dir: a book and a landing zone in the public formats."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

SITES = (("NO-OSL1", "NO", "Europe/Oslo"), ("FI-HEL1", "FI", "Europe/Helsinki"))


@dataclass(frozen=True)
class Fleet:
    """`machines` on `days` days of October 2026 in intervals of `minutes`."""

    machines: int
    days: int
    minutes: int
    contracts: int

    @property
    def readings(self) -> int:
        return self.machines * self.days * 24 * 60 // self.minutes

    @property
    def first_day(self) -> date:
        return date(2026, 10, 1)


SCALES = {
    "small": Fleet(machines=200, days=3, minutes=5, contracts=20),
    "medium": Fleet(machines=2_000, days=10, minutes=5, contracts=100),
    "full": Fleet(machines=10_000, days=31, minutes=5, contracts=200),
}


def write_book(fleet: Fleet, book: Path) -> None:
    """A sound book: every machine metered and assigned, contracts with tiers and monthly fees."""
    (book / "plans").mkdir(parents=True)
    files = {
        "sites.csv": ["site_id,name,country,region,timezone,tax_jurisdiction,default_rated_kw"]
        + [f"{site},{site},{country},nordics,{zone},{country},10" for site, country, zone in SITES],
        "machines.csv": ["machine_id,site_id,meter_id,valid_from"]
        + [f"m{n},{SITES[n % 2][0]},meter-{n},2026-01-01" for n in range(fleet.machines)],
        "customers.csv": ["customer_id,name", "acme,Acme"],
        "payers.csv": [
            "payer_id,name,country,currency,email,payment_terms_days,consolidation,"
            "address_line1,city",
            "ACME,Acme,NO,EUR,acme@example.com,30,one,Main Street 1,Oslo",
        ],
        "contracts.csv": ["contract_id,customer_id,payer_id,plan_id,billing_timezone,valid_from"]
        + [f"K-{n},acme,ACME,metered,Europe/Oslo,2026-01-01" for n in range(fleet.contracts)],
        "assignments.csv": ["machine_id,contract_id,valid_from"]
        + [f"m{n},K-{n % fleet.contracts},2026-01-01" for n in range(fleet.machines)],
        "tax_rules.csv": ["tax_code,rate_percent,valid_from", "NO25,25,2020-01-01"],
        "plans/metered.yml": [
            "plan_id: metered",
            "description: Metered hosting",
            "currency: EUR",
            "versions:",
            "- version: 1",
            "  valid_from: 2026-01",
            "  charges:",
            "  - {code: energy, model: graduated, per: site,",
            '     tiers: [{up_to: "10000", rate: "0.0825"}, {rate: "0.0790"}]}',
            '  - {code: hosting, model: recurring, per: machine, amount: "42.00"}',
        ],
    }
    for name, lines in files.items():
        (book / name).write_text("\n".join(lines) + "\n")


def write_landing(fleet: Fleet, landing: Path) -> None:
    """One batch a site and day, every twentieth reading restated in a second one."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    for number, (site, _, _) in enumerate(SITES):
        for offset in range(fleet.days):
            day = fleet.first_day + timedelta(days=offset)
            folder = landing / "readings" / f"site_id={site}" / f"date={day}"
            folder.mkdir(parents=True)
            for batch, keep in (("a", "true"), ("b", "(machine + slot) % 20 = 0")):
                connection.execute(
                    f"""
                    copy (
                        select '{site}' as site_id, 'bench' as source,
                            'meter-' || machine as meter_id,
                            'energy' as metric, 'interval' as kind, 'Wh' as unit,
                            timestamptz '{day} 00:00:00+00'
                                + slot * interval {fleet.minutes} minutes as interval_start,
                            interval_start + interval {fleet.minutes} minutes as interval_end,
                            (200 + (machine * 7 + slot * 13) % 300
                                + if('{batch}' = 'b', 1, 0))::decimal(24, 9) as value,
                            'good' as quality, '{site}-{day}-{batch}' as batch_id,
                            timestamptz '{day} 00:00:00+00' + interval 30 hours
                                + if('{batch}' = 'b', interval 1 hour, interval 0 hour)
                                as ingested_at,
                            date '{day}' as date
                        from range({number}, {fleet.machines}, 2) as m(machine),
                            range({24 * 60 // fleet.minutes}) as s(slot)
                        where {keep}
                        order by meter_id, interval_start
                    ) to '{folder}/{site}-{day}-{batch}.parquet' (format parquet, compression zstd)
                    """
                )
    connection.close()
