"""Rate plans: a model a charge model, as the table of charge models lists their fields.

Here: which keys a charge takes and what each must look like. What a charge may refer to, and what a
version must hold together, is in connectors.book.tariffs; what it costs is the warehouse's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from connectors.book.scalars import (
    BillableMetric,
    BillingCurrency,
    ChargeCode,
    DemandUnit,
    EnergyMetric,
    Identifier,
    Money,
    Month,
    Multiplier,
    Percent,
    PerGraduated,
    PerRecurring,
    PerSite,
    PerVolume,
    PositiveCount,
    PositiveQuantity,
    Prorate,
    Quantity,
    Rate,
    SignedMoney,
    Text,
    Unit,
    WindowMinutes,
    YamlBool,
)

Group = Literal["metered", "recurring", "pass_through", "percentage", "discount", "minimum_commit"]

# Charges work in this order, and may name only charges of an earlier number.
ORDER: Mapping[Group, int] = {
    "metered": 1,
    "recurring": 1,
    "pass_through": 1,
    "percentage": 2,
    "discount": 3,
    "minimum_commit": 4,
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Charge(_Part):
    """What every charge has."""

    group: ClassVar[Group]

    code: ChargeCode
    model: Text
    description: Text | None = None
    sites: Annotated[tuple[Identifier, ...] | None, Field(min_length=1)] = None
    regions: Annotated[tuple[Identifier, ...] | None, Field(min_length=1)] = None
    bill_while_suspended: YamlBool = True


class Metered(Charge):
    """A charge of usage."""

    group: ClassVar[Group] = "metered"

    metric: BillableMetric = "energy"
    unit: Unit | None = None


class RateTier(_Part):
    """Quantity up to and including `up_to`, in the charge's unit; the last tier is open."""

    up_to: PositiveQuantity | None = None
    rate: Rate


class AmountTier(_Part):
    """As RateTier, with an amount for the whole."""

    up_to: PositiveQuantity | None = None
    amount: Money


class PerUnit(Metered):
    """Usage times rate."""

    per: PerSite = "site"
    rate: Rate


class Graduated(Metered):
    """Each part of the usage at the rate of its tier."""

    per: PerGraduated = "site"
    tiers: Annotated[tuple[RateTier, ...], Field(min_length=1)]


class Volume(Metered):
    """All usage at the rate of the tier it reaches."""

    per: PerVolume = "site"
    tiers: Annotated[tuple[RateTier, ...], Field(min_length=1)]


class Package(Metered):
    """Whole packages above what is included."""

    per: PerSite = "site"
    size: PositiveQuantity
    price: Money
    included: Quantity = Field(default="0", validate_default=True)


class Stairstep(Metered):
    """The amount of the step reached."""

    per: PerSite = "site"
    tiers: Annotated[tuple[AmountTier, ...], Field(min_length=1)]


class TimeOfUse(Metered):
    """A rate for each band of a calendar."""

    per: PerSite = "site"
    calendar: Identifier
    rates: Annotated[Mapping[Identifier, Rate], Field(min_length=1)]


class Index(Metered):
    """Hourly market price, times multiplier, plus adder per MWh."""

    metric: EnergyMetric = "energy"
    per: PerSite = "site"
    index_id: Identifier
    multiplier: Multiplier = Field(default="1", validate_default=True)
    adder: SignedMoney = Field(default="0", validate_default=True)


class Demand(Metered):
    """The greatest mean power over a window."""

    metric: EnergyMetric = "energy"
    unit: DemandUnit | None = None
    per: PerSite = "site"
    window_minutes: WindowMinutes
    rate: Rate


class Recurring(Charge):
    """A monthly fee."""

    group: ClassVar[Group] = "recurring"

    amount: Money
    per: PerRecurring = "contract"
    prorate: Prorate = "time"


class PassThrough(Charge):
    """Services as they happened, with a markup."""

    group: ClassVar[Group] = "pass_through"

    service_codes: Annotated[tuple[Identifier, ...], Field(min_length=1)]
    markup_percent: Percent = Field(default="0", validate_default=True)
    itemise: YamlBool = True


class Percentage(Charge):
    """A share of other charges, on top."""

    group: ClassVar[Group] = "percentage"

    percent: Percent
    charges: Annotated[tuple[Identifier, ...], Field(min_length=1)]


class Discount(Charge):
    """A share of other charges, taken off."""

    group: ClassVar[Group] = "discount"

    percent: Percent
    charges: Annotated[tuple[Identifier, ...], Field(min_length=1)]
    first_months: PositiveCount | None = None
    max_amount: Money | None = None


class MinimumCommit(Charge):
    """What is missing to an agreed minimum."""

    group: ClassVar[Group] = "minimum_commit"

    amount: Money
    charges: Annotated[tuple[Identifier, ...], Field(min_length=1)]


CHARGE_MODELS: Mapping[str, type[Charge]] = {
    "per_unit": PerUnit,
    "graduated": Graduated,
    "volume": Volume,
    "package": Package,
    "stairstep": Stairstep,
    "time_of_use": TimeOfUse,
    "index": Index,
    "demand": Demand,
    "recurring": Recurring,
    "pass_through": PassThrough,
    "percentage": Percentage,
    "discount": Discount,
    "minimum_commit": MinimumCommit,
}


class VersionHead(_Part):
    """A version without what its charges say in detail."""

    version: PositiveCount
    valid_from: Month
    adjust: YamlBool = True
    charges: Annotated[tuple[Any, ...], Field(min_length=1)]


class PlanHead(_Part):
    """A plan without what its versions say in detail."""

    plan_id: Identifier
    description: Text | None = None
    currency: BillingCurrency
    versions: Annotated[tuple[Any, ...], Field(min_length=1)]
