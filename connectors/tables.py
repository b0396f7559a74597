"""What a landed row must be: columns, types and rules of the three landing tables, written once.

Every rule is a condition in DuckDB's SQL, so that the same text checks a file someone filled by
hand (``connectors.manifest``) and a batch a connector just fetched (``connectors.landing``). The
landing zone is a public interface; its description for people is the page on metering. Not here:
where files are, or what becomes of a row that breaks a rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from connectors.units import KINDS, METRICS, UNITS

IDENTIFIER: Final = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
CLASSIFICATIONS: Final = ("recurring", "variable", "exception", "disputed")
QUALITIES: Final = ("good", "estimated", "suspect")
METER_ID_LENGTH: Final = 128

INSTANT: Final = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A condition that a row must not meet, the field it is about and what was expected."""

    field: str
    broken: str
    expected: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """One landing table: its columns, its identity and its rules in order."""

    name: str
    partition: str
    instant: str
    schema: pa.Schema
    # Within one partition and one batch, these name a row.
    key: tuple[str, ...]
    # What a re-fetch compares to decide whether an answer changed.
    content: tuple[str, ...]
    # Which column says best whose row it is, for messages.
    subject: str
    rules: tuple[Rule, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns in their order."""
        return tuple(self.schema.names)

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns that hold text."""
        return tuple(field.name for field in self.schema if pa.types.is_string(field.type))

    def rules_of_texts(self) -> tuple[Rule, ...]:
        """Return the rules that depend on nothing but texts, so that they hold for all rows that
        have the same texts."""
        return tuple(rule for rule in self.rules if not self._reads_more_than_texts(rule))

    def rules_of_rows(self) -> tuple[Rule, ...]:
        """Return the other rules."""
        return tuple(rule for rule in self.rules if self._reads_more_than_texts(rule))

    def _reads_more_than_texts(self, rule: Rule) -> bool:
        others = set(self.columns) - set(self.texts)
        return not others.isdisjoint(re.findall(r"\w+", rule.broken))

    def fault_expression(self) -> str:
        """Return SQL giving the number of the first rule a row breaks, null if none."""
        whens = " ".join(
            f"WHEN {rule.broken} THEN {number}" for number, rule in enumerate(self.rules)
        )
        return f"CASE {whens} END"


def _quoted(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _words(values: tuple[str, ...]) -> str:
    return ", ".join(values)


def _present(*fields: str) -> tuple[Rule, ...]:
    return tuple(
        Rule(field=field, broken=f"{field} IS NULL", expected="a value is required")
        for field in fields
    )


def _identifier(field: str) -> Rule:
    return Rule(
        field=field,
        broken=f"NOT regexp_full_match({field}, '{IDENTIFIER}')",
        expected="expected an identifier: 1 to 64 of A-Z a-z 0-9 _ . -, beginning with a letter or "
        "digit",
    )


def _optional_identifier(field: str) -> Rule:
    plain = _identifier(field)
    return Rule(
        field=field,
        broken=f"({field} IS NOT NULL AND {plain.broken})",
        expected=f"{plain.expected}, or nothing",
    )


def _one_of(field: str, values: tuple[str, ...]) -> Rule:
    return Rule(
        field=field,
        broken=f"{field} NOT IN ({_quoted(values)})",
        expected=f"expected one of {_words(values)}",
    )


def _finite(field: str) -> Rule:
    return Rule(
        field=field,
        broken=f"NOT isfinite({field})",
        expected="expected an instant",
    )


def _text(field: str, length: int) -> Rule:
    return Rule(
        field=field,
        broken=f"(length({field}) NOT BETWEEN 1 AND {length} "
        f"OR regexp_matches({field}, '\\p{{Cc}}'))",
        expected=f"expected 1 to {length} characters, none of them a control character",
    )


_CURRENCY: Final = Rule(
    field="currency",
    broken="NOT regexp_full_match(currency, '[A-Z]{3}')",
    expected="expected an ISO 4217 code such as EUR",
)
_FETCH: Final = (
    *_present("batch_id"),
    _identifier("batch_id"),
    *_present("ingested_at"),
    _finite("ingested_at"),
)


def _unit_rules() -> tuple[Rule, ...]:
    return tuple(
        Rule(
            field="unit",
            broken=f"(metric = '{metric}' AND unit NOT IN ({_quoted(units)}))",
            expected=f"{metric} comes in {_words(units)}",
        )
        for metric, units in UNITS.items()
    )


READINGS: Final = Table(
    name="readings",
    partition="site_id",
    instant="interval_start",
    subject="meter_id",
    schema=pa.schema(
        [
            ("site_id", pa.string()),
            ("source", pa.string()),
            ("meter_id", pa.string()),
            ("metric", pa.string()),
            ("kind", pa.string()),
            ("unit", pa.string()),
            ("interval_start", INSTANT),
            ("interval_end", INSTANT),
            ("value", pa.decimal128(24, 9)),
            ("quality", pa.string()),
            ("batch_id", pa.string()),
            ("ingested_at", INSTANT),
        ]
    ),
    key=("meter_id", "metric", "kind", "interval_start", "interval_end"),
    content=("unit", "value", "quality"),
    rules=(
        *_present("site_id"),
        _identifier("site_id"),
        *_present("source", "meter_id"),
        _text("meter_id", METER_ID_LENGTH),
        *_present("metric"),
        _one_of("metric", METRICS),
        *_present("kind"),
        _one_of("kind", KINDS),
        Rule(
            field="kind",
            broken="((metric = 'power') <> (kind = 'gauge'))",
            expected="gauge goes with power and nothing else, the other metrics come as interval "
            "or register",
        ),
        *_present("unit"),
        *_unit_rules(),
        *_present("interval_start"),
        _finite("interval_start"),
        Rule(
            field="interval_end",
            broken="(kind = 'interval' AND interval_end IS NULL)",
            expected="an interval needs its end",
        ),
        Rule(
            field="interval_end",
            broken="(kind <> 'interval' AND interval_end IS NOT NULL)",
            expected="a register or gauge has no end",
        ),
        Rule(
            field="interval_end",
            broken="(interval_end IS NOT NULL AND NOT isfinite(interval_end))",
            expected="expected an instant",
        ),
        Rule(
            field="interval_end",
            broken="(interval_end IS NOT NULL AND interval_end <= interval_start)",
            expected="expected an instant after interval_start",
        ),
        *_present("value", "quality"),
        _one_of("quality", QUALITIES),
        *_FETCH,
    ),
)

CHARGE_EVENTS: Final = Table(
    name="charge_events",
    partition="site_id",
    instant="occurred_at",
    subject="event_id",
    schema=pa.schema(
        [
            ("event_id", pa.string()),
            ("site_id", pa.string()),
            ("machine_id", pa.string()),
            ("contract_id", pa.string()),
            ("service_code", pa.string()),
            ("classification", pa.string()),
            ("occurred_at", INSTANT),
            ("quantity", pa.decimal128(18, 6)),
            ("unit", pa.string()),
            ("unit_amount", pa.decimal128(18, 6)),
            ("currency", pa.string()),
            ("description", pa.string()),
            ("batch_id", pa.string()),
            ("ingested_at", INSTANT),
        ]
    ),
    key=("event_id",),
    content=(
        "machine_id",
        "contract_id",
        "service_code",
        "classification",
        "occurred_at",
        "quantity",
        "unit",
        "unit_amount",
        "currency",
        "description",
    ),
    rules=(
        *_present("event_id"),
        _identifier("event_id"),
        *_present("site_id"),
        _identifier("site_id"),
        _optional_identifier("machine_id"),
        _optional_identifier("contract_id"),
        *_present("service_code"),
        _identifier("service_code"),
        *_present("classification"),
        _one_of("classification", CLASSIFICATIONS),
        *_present("occurred_at"),
        _finite("occurred_at"),
        *_present("quantity", "unit", "unit_amount", "currency"),
        _CURRENCY,
        *_present("description"),
        *_FETCH,
    ),
)

INDEX_PRICES: Final = Table(
    name="index_prices",
    partition="index_id",
    instant="hour_start",
    subject="index_id",
    schema=pa.schema(
        [
            ("index_id", pa.string()),
            ("hour_start", INSTANT),
            ("price", pa.decimal128(18, 6)),
            ("currency", pa.string()),
            ("batch_id", pa.string()),
            ("ingested_at", INSTANT),
        ]
    ),
    key=("index_id", "hour_start"),
    content=("price", "currency"),
    rules=(
        *_present("index_id"),
        _identifier("index_id"),
        *_present("hour_start"),
        _finite("hour_start"),
        Rule(
            field="hour_start",
            broken="epoch_us(hour_start) % 3600000000 <> 0",
            expected="expected the beginning of an hour (UTC)",
        ),
        *_present("price", "currency"),
        _CURRENCY,
        *_FETCH,
    ),
)

TABLES: Final[Mapping[str, Table]] = {
    table.name: table for table in (READINGS, CHARGE_EVENTS, INDEX_PRICES)
}
