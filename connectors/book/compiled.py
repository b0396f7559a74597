"""The compiled book: typed Parquet tables, one row a thing, for SQL.

All tables are always written, empty ones too, so that a model never meets a missing file. A file
whose content would not change is left alone: what reads it can tell by its time that nothing is
new.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.book.iso import CURRENCY_DIGITS
from connectors.book.localtime import zone_months, zone_spans
from connectors.book.model import Book
from connectors.book.plans import AmountTier, Metered, RateTier
from connectors.book.tariffs import unit_of
from connectors.book.words import charge_sentences, version_words

TEXT = pa.string()
INSTANT = pa.timestamp("us", tz="UTC")
DATE = pa.date32()
INT = pa.int32()
BOOL = pa.bool_()
MONEY = pa.decimal128(24, 9)
PERCENT = pa.decimal128(18, 4)
TAX = pa.decimal128(9, 4)
FX = pa.decimal128(24, 12)
PRICE = pa.decimal128(18, 6)

Rows = Iterable[Mapping[str, Any]]


def _text(names: str) -> list[tuple[str, pa.DataType]]:
    return [(name, TEXT) for name in names.split()]


_SPAN = [("valid_from_at", INSTANT), ("valid_to_at", INSTANT)]

SCHEMAS: Mapping[str, pa.Schema] = {
    name: pa.schema(columns)
    for name, columns in {
        "book_info": [("book_version", TEXT), ("seller_count", INT)],
        "settings": [
            ("adjustment_months", INT),
            ("close_grace_days", INT),
            ("tolerance_percent", PERCENT),
            ("payments_fresh_hours", INT),
            ("max_machines_per_run", INT),
            ("lookback_days", INT),
        ],
        "sites": [
            *_text("site_id name country region timezone tax_jurisdiction"),
            ("expected_interval_minutes", INT),
            ("default_rated_kw", MONEY),
            ("estimation", TEXT),
        ],
        "placements": [
            *_text("machine_id site_id meter_id"),
            *_SPAN,
            *_text("metrics model"),
            ("rated_kw", MONEY),
            ("asset_tag", TEXT),
            ("never_suspend", BOOL),
            ("row_no", INT),
        ],
        "placement_metrics": [
            *_text("site_id meter_id machine_id"),
            ("valid_from_at", INSTANT),
            ("metric", TEXT),
        ],
        "customers": _text("customer_id name parent_customer_id email language"),
        "payers": [
            *_text("payer_id name country currency"),
            ("minor_units", INT),
            ("email", TEXT),
            ("payment_terms_days", INT),
            *_text(
                "consolidation tax_number po_number approval_owner payment_methods dunning_policy"
            ),
            ("auto_approve_limit", MONEY),
            *_text("language address_line1 address_line2 postal_code city seller_id"),
        ],
        "contract_terms": [
            ("contract_id", TEXT),
            ("term_no", INT),
            *_text("customer_id payer_id plan_id billing_timezone"),
            *_SPAN,
            *_text("po_number first_month"),
        ],
        "assignments": [*_text("machine_id contract_id"), *_SPAN],
        "payer_routes": [*_text("contract_id site_id charge_code payer_id"), ("priority", INT)],
        "tax_rules": [
            *_text("site_jurisdiction payer_country charge_code tax_code"),
            ("rate_percent", TAX),
            ("valid_from", DATE),
            ("valid_to", DATE),
            ("note", TEXT),
        ],
        "fx_rates": [("date", DATE), *_text("base quote"), ("rate", FX)],
        "index_prices": [
            ("index_id", TEXT),
            ("hour_start", INSTANT),
            ("price", PRICE),
            ("currency", TEXT),
        ],
        "credits": [
            *_text("credit_id contract_id kind"),
            ("amount", MONEY),
            ("currency", TEXT),
            *_SPAN,
            ("note", TEXT),
        ],
        "holidays": [("country", TEXT), ("date", DATE), ("name", TEXT)],
        "alerts": [*_text("contract_id measure"), ("threshold", MONEY)],
        "reading_edits": [
            *_text("site_id meter_id metric"),
            ("from_at", INSTANT),
            ("to_at", INSTANT),
            ("action", TEXT),
            ("quantity", MONEY),
            *_text("reason by"),
            ("row_no", INT),
        ],
        "plans": [*_text("plan_id description currency"), ("minor_units", INT)],
        "plan_versions": [
            ("plan_id", TEXT),
            ("version", INT),
            *_text("valid_from_month valid_to_month"),
            ("adjust", BOOL),
            ("words", TEXT),
        ],
        "charges": [
            ("plan_id", TEXT),
            ("version", INT),
            ("charge_no", INT),
            *_text("code model description words metric unit per"),
            ("rate", MONEY),
            ("amount", MONEY),
            ("prorate", TEXT),
            ("size", MONEY),
            ("price", MONEY),
            ("included", MONEY),
            *_text("calendar_id index_id"),
            ("multiplier", PERCENT),
            ("adder", MONEY),
            ("window_minutes", INT),
            ("markup_percent", PERCENT),
            ("itemise", BOOL),
            ("percent", PERCENT),
            ("first_months", INT),
            ("max_amount", MONEY),
            ("bill_while_suspended", BOOL),
            ("is_site_limited", BOOL),
        ],
        "charge_sites": [("plan_id", TEXT), ("version", INT), *_text("code site_id")],
        "charge_tiers": [
            ("plan_id", TEXT),
            ("version", INT),
            ("code", TEXT),
            ("tier_no", INT),
            ("from_quantity", MONEY),
            ("up_to", MONEY),
            ("rate", MONEY),
            ("amount", MONEY),
        ],
        "charge_rates": [
            ("plan_id", TEXT),
            ("version", INT),
            *_text("code band"),
            ("rate", MONEY),
        ],
        "charge_bases": [("plan_id", TEXT), ("version", INT), *_text("code base_code")],
        "charge_service_codes": [("plan_id", TEXT), ("version", INT), *_text("code service_code")],
        "calendars": _text("calendar_id country_holidays default_band"),
        "calendar_bands": [
            ("calendar_id", TEXT),
            ("band_no", INT),
            *_text("band day_type"),
            ("from_minute", INT),
            ("to_minute", INT),
        ],
        "zone_spans": [
            ("timezone", TEXT),
            ("from_at", INSTANT),
            ("to_at", INSTANT),
            ("utc_offset_seconds", INT),
        ],
        "zone_months": [
            *_text("timezone period"),
            ("start_at", INSTANT),
            ("end_at", INSTANT),
        ],
        "sellers": [
            ("seller_id", TEXT),
            ("is_default", BOOL),
            *_text(
                "legal_name address_line1 address_line2 postal_code city country tax_number "
                "registration_number email logo xero_tenant_id"
            ),
        ],
        "seller_bank_accounts": [
            *_text("seller_id currency iban bic account bank"),
            ("post_payments", BOOL),
            *_text("xero_account no_bank_feed"),
        ],
        "webhook_endpoints": [
            *_text("endpoint_id url secrets events customers payers description"),
            ("active", BOOL),
            ("private", BOOL),
        ],
        "xero_accounts": _text("charge_code account_code"),
        "xero_tax_types": _text("tax_code tax_type"),
        "xero_tracking": _text("dimension category"),
        "xero_options": _text("branding_theme statement_url"),
        "dunning_policies": [
            ("policy_id", TEXT),
            ("only_above", MONEY),
            ("business_days_only", BOOL),
        ],
        "dunning_stages": [
            ("policy_id", TEXT),
            ("stage_no", INT),
            ("stage", TEXT),
            ("days_overdue", INT),
            *_text("action template responsible copy_to requires"),
            ("notice_days", INT),
            ("approval", TEXT),
        ],
    }.items()
}


def compile_book(book: Book, out_dir: Path) -> list[Path]:
    """Write every table to `<out_dir>/<table>.parquet`; gives all paths, changed or not.

    Each file is written beside its place and renamed, so a reader never sees half of one; files
    whose bytes are already right are not touched.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, table in tables(book).items():
        path = out_dir / f"{name}.parquet"
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        content = buffer.getvalue()
        if not (path.is_file() and path.read_bytes() == content):
            temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            temporary.write_bytes(content)
            temporary.replace(path)
        paths.append(path)
    return paths


def tables(book: Book) -> dict[str, pa.Table]:
    """Every table of the compiled book by name."""
    return {name: _table(schema, _ROWS[name](book)) for name, schema in SCHEMAS.items()}


def _table(schema: pa.Schema, rows: Rows) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for row in rows:
        if row.keys() != columns.keys():
            raise ValueError(f"columns {sorted(row)} are not those of the schema {schema.names}")
        for name, value in row.items():
            columns[name].append(value)
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _joined(values: Iterable[str]) -> str | None:
    return "|".join(values) or None


def _placements(book: Book) -> Rows:
    for p in book.placements:
        yield {
            "machine_id": p.machine_id,
            "site_id": p.site_id,
            "meter_id": p.meter_id,
            "valid_from_at": p.valid_from_at,
            "valid_to_at": p.valid_to_at,
            "metrics": "|".join(p.metrics),
            "model": p.model,
            "rated_kw": p.rated_kw,
            "asset_tag": p.asset_tag,
            "never_suspend": p.never_suspend,
            "row_no": p.row_no,
        }


def _placement_metrics(book: Book) -> Rows:
    for p in book.placements:
        for metric in p.metrics:
            yield {
                "site_id": p.site_id,
                "meter_id": p.meter_id,
                "machine_id": p.machine_id,
                "valid_from_at": p.valid_from_at,
                "metric": metric,
            }


def _payers(book: Book) -> Rows:
    for payer in book.payers:
        yield {
            **payer.model_dump(),
            "minor_units": CURRENCY_DIGITS[payer.currency],
            "payment_methods": _joined(payer.payment_methods),
        }


def _terms(book: Book) -> Rows:
    for t in book.terms:
        yield {
            "contract_id": t.contract_id,
            "term_no": t.term_no,
            "customer_id": t.customer_id,
            "payer_id": t.payer_id,
            "plan_id": t.plan_id,
            "billing_timezone": t.billing_timezone,
            "valid_from_at": t.valid_from_at,
            "valid_to_at": t.valid_to_at,
            "po_number": t.po_number,
            "first_month": t.first_month,
        }


def _assignments(book: Book) -> Rows:
    for a in book.assignments:
        yield {
            "machine_id": a.machine_id,
            "contract_id": a.contract_id,
            "valid_from_at": a.valid_from_at,
            "valid_to_at": a.valid_to_at,
        }


def _credits(book: Book) -> Rows:
    for c in book.credits:
        yield {
            "credit_id": c.credit_id,
            "contract_id": c.contract_id,
            "kind": c.kind,
            "amount": c.amount,
            "currency": c.currency,
            "valid_from_at": c.valid_from_at,
            "valid_to_at": c.valid_to_at,
            "note": c.note,
        }


def _reading_edits(book: Book) -> Rows:
    for entry in book.reading_edits:
        edit = entry.edit
        yield {
            "site_id": edit.site_id,
            "meter_id": edit.meter_id,
            "metric": edit.metric,
            "from_at": edit.from_,
            "to_at": edit.to,
            "action": edit.action,
            "quantity": edit.quantity,
            "reason": edit.reason,
            "by": edit.by,
            "row_no": entry.row_no,
        }


def _plans(book: Book) -> Rows:
    for plan in book.plans:
        yield {
            "plan_id": plan.plan_id,
            "description": plan.description,
            "currency": plan.currency,
            "minor_units": CURRENCY_DIGITS[plan.currency],
        }


def _plan_versions(book: Book) -> Rows:
    for plan in book.plans:
        for version in plan.versions:
            yield {
                "plan_id": plan.plan_id,
                "version": version.version,
                "valid_from_month": version.valid_from_month,
                "valid_to_month": version.valid_to_month,
                "adjust": version.adjust,
                "words": version_words(plan, version, book.calendars).text,
            }


def _each_charge(book: Book) -> Iterator[tuple[dict[str, Any], Any]]:
    for plan in book.plans:
        for version in plan.versions:
            for charge in version.charges:
                key = {"plan_id": plan.plan_id, "version": version.version, "code": charge.code}
                yield key, charge


_CHARGE_FIELDS = (
    "per",
    "rate",
    "amount",
    "prorate",
    "size",
    "price",
    "included",
    "index_id",
    "multiplier",
    "adder",
    "window_minutes",
    "markup_percent",
    "itemise",
    "percent",
    "first_months",
    "max_amount",
)


def _charges(book: Book) -> Rows:
    sentences = {
        (plan.plan_id, version.version): charge_sentences(
            version.charges, plan.currency, book.calendars
        )
        for plan in book.plans
        for version in plan.versions
    }
    numbers: Counter[tuple[str, int]] = Counter()
    for key, charge in _each_charge(book):
        version = (key["plan_id"], key["version"])
        numbers[version] += 1
        yield {
            **key,
            "charge_no": numbers[version],
            "model": charge.model,
            "description": charge.description,
            "words": sentences[version][charge.code],
            "metric": charge.metric if isinstance(charge, Metered) else None,
            "unit": unit_of(charge),
            **{name: getattr(charge, name, None) for name in _CHARGE_FIELDS},
            "calendar_id": getattr(charge, "calendar", None),
            "bill_while_suspended": charge.bill_while_suspended,
            "is_site_limited": charge.sites is not None or charge.regions is not None,
        }


def _charge_sites(book: Book) -> Rows:
    for key, charge in _each_charge(book):
        for site_id in book.site_ids(charge):
            yield {**key, "site_id": site_id}


def _charge_tiers(book: Book) -> Rows:
    for key, charge in _each_charge(book):
        below: Any = 0
        for number, tier in enumerate(getattr(charge, "tiers", ()), 1):
            yield {
                **key,
                "tier_no": number,
                "from_quantity": below,
                "up_to": tier.up_to,
                "rate": tier.rate if isinstance(tier, RateTier) else None,
                "amount": tier.amount if isinstance(tier, AmountTier) else None,
            }
            below = tier.up_to


def _charge_rates(book: Book) -> Rows:
    for key, charge in _each_charge(book):
        for band, rate in getattr(charge, "rates", {}).items():
            yield {**key, "band": band, "rate": rate}


def _charge_bases(book: Book) -> Rows:
    for key, charge in _each_charge(book):
        for base in getattr(charge, "charges", ()):
            yield {**key, "base_code": base}


def _charge_service_codes(book: Book) -> Rows:
    for key, charge in _each_charge(book):
        for service in getattr(charge, "service_codes", ()):
            yield {**key, "service_code": service}


def _calendars(book: Book) -> Rows:
    for calendar in book.calendars:
        yield {
            "calendar_id": calendar.calendar_id,
            "country_holidays": calendar.country_holidays,
            "default_band": calendar.default_band,
        }


def _calendar_bands(book: Book) -> Rows:
    for calendar in book.calendars:
        for number, band in enumerate(calendar.bands, 1):
            for day in band.days:
                yield {
                    "calendar_id": calendar.calendar_id,
                    "band_no": number,
                    "band": band.band,
                    "day_type": day,
                    "from_minute": band.from_,
                    "to_minute": band.to,
                }


def _zones(book: Book) -> list[str]:
    return sorted(
        {site.timezone for site in book.sites.values()}
        | {term.billing_timezone for term in book.terms}
    )


def _zone_spans(book: Book) -> Rows:
    for zone in _zones(book):
        for span in zone_spans(zone):
            yield {
                "timezone": zone,
                "from_at": span.from_at,
                "to_at": span.to_at,
                "utc_offset_seconds": span.utc_offset_seconds,
            }


def _zone_months(book: Book) -> Rows:
    for zone in _zones(book):
        for month in zone_months(zone):
            yield {
                "timezone": zone,
                "period": month.period,
                "start_at": month.start_at,
                "end_at": month.end_at,
            }


def _sellers(book: Book) -> Rows:
    for number, seller in enumerate(book.sellers):
        yield {**seller.model_dump(exclude={"bank_accounts"}), "is_default": number == 0}


def _seller_bank_accounts(book: Book) -> Rows:
    for seller in book.sellers:
        for currency, account in seller.bank_accounts.items():
            yield {
                "seller_id": seller.seller_id,
                "currency": currency,
                **account.model_dump(),
            }


def _webhook_endpoints(book: Book) -> Rows:
    for one in book.webhooks:
        listed = {name: _joined(getattr(one, name)) for name in ("events", "customers", "payers")}
        yield {**one.model_dump(exclude={"secret"}), **listed, "secrets": _joined(one.secret)}


def _xero_tracking(book: Book) -> Rows:
    for dimension, category in book.xero.tracking.model_dump().items():
        if category is not None:
            yield {"dimension": dimension, "category": category}


def _dunning_policies(book: Book) -> Rows:
    for policy in book.dunning_policies:
        yield policy.model_dump(exclude={"stages"})


def _dunning_stages(book: Book) -> Rows:
    for policy in book.dunning_policies:
        for number, stage in enumerate(policy.stages, 1):
            yield {
                **stage.model_dump(),
                "policy_id": policy.policy_id,
                "stage_no": number,
                "copy_to": _joined(stage.copy_to),
                "requires": _joined(stage.requires),
            }


def _models(name: str) -> Callable[[Book], Rows]:
    return lambda book: [row.model_dump() for row in getattr(book, name)]


_ROWS: Mapping[str, Callable[[Book], Rows]] = {
    "book_info": lambda book: [{"book_version": book.version, "seller_count": len(book.sellers)}],
    "settings": lambda book: [book.settings.model_dump()],
    "sites": lambda book: [site.model_dump() for site in book.sites.values()],
    "placements": _placements,
    "placement_metrics": _placement_metrics,
    "customers": _models("customers"),
    "payers": _payers,
    "contract_terms": _terms,
    "assignments": _assignments,
    "payer_routes": _models("payer_routes"),
    "tax_rules": _models("tax_rules"),
    "fx_rates": _models("fx_rates"),
    "index_prices": _models("index_prices"),
    "credits": _credits,
    "holidays": _models("holidays"),
    "alerts": _models("alerts"),
    "reading_edits": _reading_edits,
    "plans": _plans,
    "plan_versions": _plan_versions,
    "charges": _charges,
    "charge_sites": _charge_sites,
    "charge_tiers": _charge_tiers,
    "charge_rates": _charge_rates,
    "charge_bases": _charge_bases,
    "charge_service_codes": _charge_service_codes,
    "calendars": _calendars,
    "calendar_bands": _calendar_bands,
    "zone_spans": _zone_spans,
    "zone_months": _zone_months,
    "sellers": _sellers,
    "seller_bank_accounts": _seller_bank_accounts,
    "webhook_endpoints": _webhook_endpoints,
    "xero_accounts": lambda book: [
        {"charge_code": code, "account_code": account}
        for code, account in book.xero.accounts.items()
    ],
    "xero_tax_types": lambda book: [
        {"tax_code": code, "tax_type": kind} for code, kind in book.xero.tax_types.items()
    ],
    "xero_tracking": _xero_tracking,
    "xero_options": lambda book: [
        {"branding_theme": book.xero.branding_theme, "statement_url": book.xero.statement_url}
    ],
    "dunning_policies": _dunning_policies,
    "dunning_stages": _dunning_stages,
}
