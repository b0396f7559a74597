"""What of the book and the ledger a statement depends on: written as the folder's tables.

A contract's month is rated whole, as bases, tiers and commitments reach over lines; where nothing
reaches over sites, only the sites of the statement's lines are taken.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from exporters.statements.evidence.model import Row
from exporters.statements.evidence.workshop import Workshop

CREDIT: Final = "credit"
METERED: Final = frozenset(
    {
        *("per_unit", "graduated", "volume", "package", "stairstep"),
        *("time_of_use", "index", "demand"),
    }
)
_OVER_SITES: Final = """
    model = 'minimum_commit'
    or (model in ('graduated', 'volume') and per = 'contract')
    or (model = 'discount' and max_amount is not null)
"""
_MONEY: Final = "decimal(18, 2)"
_QUANTITY: Final = "decimal(18, 6)"
_LINE: Final = {
    "period": "varchar",
    "statement_id": "varchar",
    "statement_kind": "varchar",
    "payer_id": "varchar",
    "customer_id": "varchar",
    "contract_id": "varchar",
    "plan_id": "varchar",
    "plan_version": "integer",
    "book_version": "varchar",
    "charge_code": "varchar",
    "charge_model": "varchar",
    "classification": "varchar",
    "site_id": "varchar",
    "region": "varchar",
    "band": "varchar",
    "description": "varchar",
    "quantity": _QUANTITY,
    "unit": "varchar",
    "unit_price": "decimal(38, 9)",
    "amount": _MONEY,
    "currency": "varchar",
    "tax_code": "varchar",
    "tax_rate_percent": "decimal(9, 4)",
    "tax_amount": _MONEY,
    "estimated_quantity": _QUANTITY,
    "line_key": "varchar",
    "adjusts_period": "varchar",
}
_STATEMENT: Final = {
    "statement_id": "varchar",
    "statement_number": "varchar",
    "state": "varchar",
    "period": "varchar",
    "statement_kind": "varchar",
    "payer_id": "varchar",
    "currency": "varchar",
    "net": _MONEY,
    "tax": _MONEY,
    "total": _MONEY,
    "content_hash": "varchar",
    "book_version": "varchar",
    "issued_at": "timestamptz",
}
_ISSUED: Final = {
    "statement_number": "varchar",
    "line_key": "varchar",
    "original_key": "varchar",
    "payer_id": "varchar",
    "currency": "varchar",
    "tax_code": "varchar",
    "quantity": _QUANTITY,
    "amount": _MONEY,
    "tax_amount": _MONEY,
}
_DRAWN: Final = {
    "credit_id": "varchar",
    "line_key": "varchar",
    "period": "varchar",
    "amount": _MONEY,
    "currency": "varchar",
}


@dataclass(frozen=True, kw_only=True)
class Stated:
    """A statement as it stands in marts and ledger.

    `before` are the lines that were issued before it, `drawn` the credit lines of months before it
    or issued before it, `facts` the ledger's facts of it with their links of the hash chain,
    `disputes` the last word on each disputed line and event while its lines were what they are.
    """

    statement: Row
    lines: Sequence[Row]
    before: Sequence[Row]
    drawn: Sequence[Row]
    facts: Sequence[Sequence[object]]
    disputes: Sequence[Row]
    units: Sequence[Row]

    @property
    def is_exception(self) -> bool:
        """Whether it bills one event alone."""
        return bool(self.statement["statement_kind"] == "exception")

    @property
    def rated(self) -> dict[tuple[str, str], bool]:
        """The contracts and months to be rated; False where only credits are."""
        found: dict[tuple[str, str], bool] = {}
        for line in self.lines:
            key = (line["contract_id"], line["adjusts_period"] or line["period"])
            found[key] = found.get(key, False) or line["charge_model"] != CREDIT
        return found


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What the chosen part of the book asks of the landing zone.

    `sites` None: any. `meters` are (site_id, meter_id); `metrics` those that its charges price.
    """

    contracts: Sequence[str]
    machines: Sequence[str]
    sites: Collection[str] | None
    models: frozenset[str]
    metrics: Sequence[str]
    meters: Sequence[tuple[str, str]]
    indices: Sequence[str]
    start: Any
    end: Any


def write_statement(shop: Workshop, stated: Stated) -> None:
    """The statement, its lines, and what was issued and drawn before it."""
    statement = stated.statement
    shop.put("statement", _STATEMENT, [[statement[name] for name in _STATEMENT]])
    shop.put("statement_lines", _LINE, [[line[name] for name in _LINE] for line in stated.lines])
    shop.put("issued_before", _ISSUED, [[row[name] for name in _ISSUED] for row in stated.before])
    columns = ("scope", "subject", "state", "by", "reason")
    shop.put(
        "disputes",
        {"said_by" if name == "by" else name: "varchar" for name in columns},
        [[row[name] for name in columns] for row in stated.disputes],
    )
    shop.put(
        "credits_drawn_before", _DRAWN, [[row[name] for name in _DRAWN] for row in stated.drawn]
    )
    shop.put(
        "ledger_facts",
        {
            "seq": "bigint",
            "table_name": "varchar",
            "row_id": "bigint",
            "fact": "varchar",
            "row_hash": "varchar",
            "prev_hash": "varchar",
            "hash": "varchar",
        },
        stated.facts,
    )
    shop.put(
        "units",
        {
            "metric": "varchar",
            "unit": "varchar",
            "usage_metric": "varchar",
            "canonical_unit": "varchar",
            "numerator": "bigint",
            "denominator": "bigint",
        },
        [
            [
                *(row["metric"], row["unit"], row["usage_metric"], row["canonical_unit"]),
                *(int(row["numerator"]), int(row["denominator"])),
            ]
            for row in stated.units
        ],
    )
    shop.put(
        "rated",
        {"contract_id": "varchar", "period": "varchar", "has_charges": "boolean"},
        [[*key, has_charges] for key, has_charges in stated.rated.items()],
    )


def write_contracts(shop: Workshop, stated: Stated) -> Needs:
    """Terms, plans, charges, machines: what says which usage is priced how. Tells what that asks of
    the landing zone."""
    shop.write(
        "contract_terms",
        """
        select contract_id, term_no, customer_id, payer_id, plan_id, billing_timezone,
            valid_from_at, valid_to_at, first_month
        from book.contract_terms
        where contract_id in (select contract_id from 'data/rated.parquet')
        """,
    )
    shop.write(
        "months",
        """
        select timezone, period, start_at, end_at from book.zone_months
        where timezone in (select billing_timezone from 'data/contract_terms.parquet')
            and period in (select period from 'data/rated.parquet')
        """,
    )
    terms = "(select plan_id from 'data/contract_terms.parquet')"
    shop.write("plans", f"select * from book.plans where plan_id in {terms}")
    shop.write("plan_versions", f"select * from book.plan_versions where plan_id in {terms}")
    shop.write(
        "assignments",
        """
        select machine_id, contract_id, valid_from_at, valid_to_at from book.assignments
        where contract_id in (select contract_id from 'data/rated.parquet')
        """,
    )
    _write_placements(shop, "machine_id in (select machine_id from 'data/assignments.parquet')")
    shop.run("01_contracts")
    # Of a statement that bills one event alone, only that event's charge is asked for.
    codes = [line["charge_code"] for line in stated.lines] if stated.is_exception else None
    shop.write(
        "charges",
        """
        select charges.* from book.charges as charges
        where (plan_id, version) in (
                select (plan_id, plan_version) from segments where has_charges
            )
            and ($codes is null or list_contains($codes, code))
        """,
        codes=codes,
    )
    shop.write(
        "plan_versions",
        """
        select * from book.plan_versions
        where (plan_id, version) in (select (plan_id, plan_version) from segments)
        """,
    )
    models = frozenset(shop.values("select distinct model from 'data/charges.parquet'"))
    sites = _sites(shop, stated)
    of_version = "(plan_id, version, code) in (select (plan_id, version, code) from charges)"
    shop.execute("create or replace temp view charges as select * from 'data/charges.parquet'")
    for name in ("charge_tiers", "charge_rates", "charge_bases", "charge_service_codes"):
        shop.write(name, f"select * from book.{name} where {of_version}")
    shop.write(
        "charge_sites",
        f"""
        select * from book.charge_sites
        where {of_version} and ($sites is null or list_contains($sites, site_id))
        """,
        sites=sites,
    )
    in_sites = "($sites is null or list_contains($sites, site_id))"
    (bounds,) = shop.rows(
        "select min(segment_start) as starts, max(segment_end) as ends from segments"
    )
    meters: list[tuple[str, str]] = []
    if models & METERED:
        found = shop.rows(
            f"select distinct site_id, meter_id from billed_spans where {in_sites} order by all",
            sites=sites,
        )
        meters = [(row["site_id"], row["meter_id"]) for row in found]
    shop.table("meters", {"site_id": "varchar", "meter_id": "varchar"}, meters)
    return Needs(
        contracts=[contract for contract, _ in stated.rated],
        machines=shop.values("select distinct machine_id from 'data/assignments.parquet'"),
        sites=sites,
        models=models,
        metrics=shop.values(
            "select distinct metric from 'data/charges.parquet' where metric is not null order by 1"
        ),
        meters=meters,
        indices=shop.values(
            "select distinct index_id from 'data/charges.parquet' where index_id is not null"
        ),
        start=bounds["starts"],
        end=bounds["ends"],
    )


def _sites(shop: Workshop, stated: Stated) -> list[str] | None:
    over_sites = shop.values(f"select count(*) from 'data/charges.parquet' where {_OVER_SITES}")
    if over_sites[0] and not stated.is_exception:
        return None
    return sorted({line["site_id"] for line in stated.lines if line["site_id"] is not None})


def _write_placements(shop: Workshop, where: str, **given: object) -> None:
    shop.write(
        "placements",
        f"""
        select machine_id, site_id, meter_id, valid_from_at, valid_to_at, metrics, rated_kw
        from book.placements where {where}
        """,
        **given,
    )


def write_places(shop: Workshop, needs: Needs, first: Any, last: Any) -> None:
    """Machines on their meters between two instants (UTC, without zone), with whoever else stood
    there; sites, clocks and edits."""
    between = (
        "valid_from_at at time zone 'UTC' < $last "
        "and (valid_to_at is null or valid_to_at at time zone 'UTC' > $first)"
    )
    _write_placements(
        shop,
        f"""
        (
            list_contains($machines, machine_id)
            and ($sites is null or list_contains($sites, site_id))
        )
        or ((site_id, meter_id) in (select (site_id, meter_id) from meters) and {between})
        """,
        machines=list(needs.machines),
        sites=needs.sites,
        first=first,
        last=last,
    )
    shop.write(
        "reading_edits",
        """
        select * exclude (row_no) from book.reading_edits
        where (site_id, meter_id) in (select (site_id, meter_id) from meters)
        """,
    )
    shop.write(
        "sites",
        """
        select site_id, name, country, region, timezone, tax_jurisdiction, default_rated_kw,
            estimation
        from book.sites
        where site_id in (
            select site_id from 'data/placements.parquet'
            union select site_id from 'data/statement_lines.parquet'
            union select site_id from 'data/landed_events.parquet'
        )
        """,
    )
    shop.write(
        "time_zones",
        """
        select timezone,
            greatest(from_at at time zone 'UTC', $first) as from_at,
            least(to_at at time zone 'UTC', $last) as to_at,
            cast(utc_offset_seconds as bigint) as utc_offset_seconds
        from book.zone_spans
        where from_at at time zone 'UTC' < $last and to_at at time zone 'UTC' > $first
            and timezone in (
                select timezone from 'data/sites.parquet'
                union select billing_timezone from 'data/contract_terms.parquet'
            )
        """,
        first=first,
        last=last,
    )


def write_money(shop: Workshop, needs: Needs) -> None:
    """Payers, routes, taxes, credits, exchange rates, calendars and the book's index prices."""
    shop.write(
        "payer_routes",
        "select * from book.payer_routes where list_contains($contracts, contract_id)",
        contracts=list(needs.contracts),
    )
    shop.write(
        "payers",
        """
        select payer_id, country, currency, minor_units, consolidation from book.payers
        where payer_id in (
            select payer_id from 'data/payer_routes.parquet'
            union select payer_id from 'data/contract_terms.parquet'
            union select payer_id from 'data/statement.parquet'
        )
        """,
    )
    shop.write(
        "tax_rules",
        """
        select site_jurisdiction, payer_country, charge_code, tax_code, rate_percent,
            valid_from, valid_to, note
        from book.tax_rules
        where (payer_country is null
                or payer_country in (select country from 'data/payers.parquet'))
            and (site_jurisdiction is null
                or site_jurisdiction in (select tax_jurisdiction from 'data/sites.parquet'))
        """,
    )
    shop.write(
        "credits",
        """
        select * from book.credits
        where exists (
            select 1 from 'data/statement_lines.parquet' as lines
            where lines.charge_model = 'credit'
                and lines.line_key = contract_id || '/' || lines.period || '/0/credit/-/'
                || credit_id
        )
        """,
    )
    shop.write(
        "index_prices",
        """
        select * from book.index_prices
        where list_contains($indices, index_id)
            and hour_start at time zone 'UTC' > cast($first as timestamp) - interval 1 hour
            and hour_start at time zone 'UTC' < $last
        """,
        indices=list(needs.indices),
        first=needs.start,
        last=needs.end,
    )
    currencies = """
        select currency from 'data/plans.parquet'
        union select currency from 'data/payers.parquet'
        union select currency from 'data/landed_events.parquet'
        union select currency from 'data/landed_index_prices.parquet'
        union select currency from 'data/index_prices.parquet'
        union select currency from 'data/credits.parquet'
        union select currency from 'data/credits_drawn_before.parquet'
    """
    shop.write(
        "fx_rates",
        f"""
        select * from book.fx_rates
        where base in ({currencies}) and quote in ({currencies})
            and date <= (select cast(max(end_at) as date) + 1 from 'data/months.parquet')
            and date >= (
                select least(
                    cast($first as date), min(cast(period || '-01' as date))
                ) - 9 from 'data/credits_drawn_before.parquet'
            )
        """,
        first=needs.start,
    )
    shop.write(
        "calendars",
        "select * from book.calendars "
        "where calendar_id in (select calendar_id from 'data/charges.parquet')",
    )
    shop.write(
        "calendar_bands",
        "select * from book.calendar_bands "
        "where calendar_id in (select calendar_id from 'data/calendars.parquet')",
    )
    shop.write(
        "holidays",
        """
        select * from book.holidays
        where country in (select country_holidays from 'data/calendars.parquet')
            and date between cast($first as date) - 1 and cast($last as date) + 1
        """,
        first=needs.start,
        last=needs.end,
    )
