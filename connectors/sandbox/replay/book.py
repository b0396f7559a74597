"""The book for the recordings: everything a person would have decided, derived from the data.

Machines are the nodes with a sensor of their own, placed for the recorded day only: nothing is
known of them before and after, and a month of silence that nobody recorded is no fault. Names,
prices and payers are made up; which sensor may be billed is not (see `sensors`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import yaml

from connectors.sandbox.replay.recorded import (
    CSV_SITE,
    FEED_SITE,
    LOG_SITE,
    PROMETHEUS_SITE,
    RECORDED_DAY,
    Recorded,
    read_recorded,
)
from connectors.sandbox.replay.sensors import Accepted, Refused
from connectors.sandbox.replay.sources import sources_of

_ZONE = "America/New_York"
_RECORDED_FROM = f"{RECORDED_DAY}T00:00:00Z"
_RECORDED_TO = f"{RECORDED_DAY + timedelta(days=1)}T00:00:00Z"
_HOUSE = "front-electric-meter"
_SITES = {
    CSV_SITE: ("Holyoke, hall 7c and others (CSV)", "holyoke", 1, "2"),
    PROMETHEUS_SITE: ("Holyoke, hall 8a (Prometheus)", "holyoke", 1, "2"),
    LOG_SITE: ("Holyoke, nodes with raw logs", "holyoke", 1, "2"),
    FEED_SITE: ("House on a utility's feed", "households", 15, "12"),
}
_CONTRACTS = {
    "R-CPU": ("research-cpu", "RESEARCH", "research-power"),
    "R-GPU": ("research-gpu", "RESEARCH", "research-power"),
    "R-LAB": ("lichtman-lab", "RESEARCH", "research-power"),
    "H-1": ("household", "HOUSEHOLD", "house-power"),
}


@dataclass(frozen=True, slots=True)
class DerivedBook:
    """What was derived, for a summary and for landing."""

    accepted: tuple[Accepted, ...]
    refused: tuple[Refused, ...]
    days: Mapping[str, tuple[date, date]]
    """By site the first and last UTC day with readings, both included."""
    periods: tuple[str, ...]
    """The months that have usage, oldest first."""

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites of the book."""
        return tuple(self.days)


def derive_book(realdata_dir: Path, book_dir: Path) -> DerivedBook:
    """Writes a whole book for the recordings into `book_dir`; same recordings, same bytes."""
    recorded = read_recorded(realdata_dir)
    write_book(recorded, book_dir)
    feed = recorded.feed
    house_last = (feed.end - timedelta(microseconds=1)).date()
    return DerivedBook(
        accepted=recorded.judgement.accepted,
        refused=recorded.judgement.refused,
        days={
            FEED_SITE: (feed.start.date(), house_last),
            **dict.fromkeys((CSV_SITE, PROMETHEUS_SITE, LOG_SITE), (RECORDED_DAY, RECORDED_DAY)),
        },
        periods=(f"{feed.start:%Y-%m}", f"{RECORDED_DAY:%Y-%m}"),
    )


def write_book(recorded: Recorded, book_dir: Path) -> None:
    """Writes the book's files; a book that stands there is replaced file by file."""
    (book_dir / "plans").mkdir(parents=True, exist_ok=True)
    feed = recorded.feed
    house = (_instant(feed.start), _instant(feed.end))
    _write_csv(
        book_dir / "sites.csv",
        (
            "site_id,name,country,region,timezone,tax_jurisdiction,"
            "expected_interval_minutes,default_rated_kw,estimation"
        ),
        (
            (site_id, name, "US", region, _ZONE, "US-MA", minutes, rated_kw, "none")
            for site_id, (name, region, minutes, rated_kw) in _SITES.items()
        ),
    )
    _write_csv(
        book_dir / "machines.csv",
        "machine_id,site_id,meter_id,valid_from,valid_to",
        [
            *(
                (a.node, recorded.site_of(a.node), a.meter_id, _RECORDED_FROM, _RECORDED_TO)
                for a in recorded.judgement.accepted
            ),
            (_HOUSE, FEED_SITE, feed.meter_id, *house),
        ],
    )
    nodes = sorted({a.node for a in recorded.judgement.accepted})
    _write_csv(
        book_dir / "assignments.csv",
        "machine_id,contract_id,valid_from,valid_to",
        [
            *((node, _contract_of(node), _RECORDED_FROM, _RECORDED_TO) for node in nodes),
            (_HOUSE, "H-1", *house),
        ],
    )
    _write_csv(
        book_dir / "customers.csv",
        "customer_id,name,parent_customer_id",
        [
            ("research", "Research computing", ""),
            ("research-cpu", "Research computing, general nodes", "research"),
            ("research-gpu", "Research computing, GPU nodes", "research"),
            ("lichtman-lab", "Lichtman lab", "research"),
            ("household", "Household", ""),
        ],
    )
    _write_csv(
        book_dir / "payers.csv",
        (
            "payer_id,name,country,currency,email,payment_terms_days,consolidation,"
            "auto_approve_limit,address_line1,postal_code,city"
        ),
        [
            (
                "RESEARCH", "Research Computing Office", "US", "USD", "ap@research.example", 30,
                "one", "5000.00", "1 Example Way", "02138", "Cambridge",
            ),
            (
                "HOUSEHOLD", "A Household", "US", "USD", "home@household.example", 14,
                "one", "5000.00", "2 Example Street", "01040", "Holyoke",
            ),
        ],
    )  # fmt: skip
    research, household = _month(RECORDED_DAY), _month(feed.start.date())
    _write_csv(
        book_dir / "contracts.csv",
        "contract_id,customer_id,payer_id,plan_id,billing_timezone,valid_from,valid_to",
        (
            (contract_id, customer, payer, plan, _ZONE)
            + (household if payer == "HOUSEHOLD" else research)
            for contract_id, (customer, payer, plan) in _CONTRACTS.items()
        ),
    )
    _write_csv(
        book_dir / "tax_rules.csv",
        "site_jurisdiction,payer_country,charge_code,tax_code,rate_percent,valid_from,note",
        [("US-MA", "US", "", "EXEMPT", 0, "2012-01-01", "Not taxed in this replay")],
    )
    _write_documents(recorded, book_dir, household=feed.start.date())


def _write_documents(recorded: Recorded, book_dir: Path, *, household: date) -> None:
    _write_yaml(
        book_dir / "plans" / "research-power.yml",
        {
            "plan_id": "research-power",
            "description": "Research computing, metered power",
            "currency": "USD",
            "versions": [
                {
                    "version": 1,
                    "valid_from": f"{RECORDED_DAY:%Y-%m}",
                    "charges": [
                        {
                            "code": "energy",
                            "description": "Energy",
                            "model": "per_unit",
                            "unit": "kWh",
                            "rate": "0.1425",
                        },
                        {
                            "code": "hosting",
                            "description": "Hosting",
                            "model": "recurring",
                            "per": "machine",
                            "amount": "30.00",
                        },
                    ],
                }
            ],
        },
    )
    _write_yaml(
        book_dir / "plans" / "house-power.yml",
        {
            "plan_id": "house-power",
            "description": "Household, metered power",
            "currency": "USD",
            "versions": [
                {
                    "version": 1,
                    "valid_from": f"{household:%Y-%m}",
                    "charges": [
                        {
                            "code": "energy",
                            "description": "Energy",
                            "model": "graduated",
                            "unit": "kWh",
                            "tiers": [{"up_to": "1000", "rate": "0.1190"}, {"rate": "0.1360"}],
                        },
                    ],
                }
            ],
        },
    )
    _write_yaml(
        book_dir / "seller.yml",
        [
            {
                "seller_id": "replay",
                "legal_name": "Replay Metering LLC",
                "address_line1": "3 Example Square",
                "postal_code": "01040",
                "city": "Holyoke",
                "country": "US",
                "email": "billing@replay.example",
                "bank_accounts": {"USD": {"account": "000123456", "bank": "Example Bank"}},
            }
        ],
    )
    _write_yaml(
        book_dir / "xero.yml",
        {"accounts": {"default": "200"}, "tax_types": {"EXEMPT": "NONE"}},
    )
    _write_yaml(book_dir / "sources.yml", sources_of(recorded))


def _contract_of(node: str) -> str:
    if node.startswith("lichtman"):
        return "R-LAB"
    return "R-GPU" if node.startswith("holygpu") else "R-CPU"


def _month(day: date) -> tuple[str, str]:
    first = day.replace(day=1)
    return first.isoformat(), (first + timedelta(days=31)).replace(day=1).isoformat()


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"


def _write_csv(path: Path, header: str, rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


def _write_yaml(path: Path, content: object) -> None:
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    path.write_text(text, encoding="utf-8")
