"""Whatever field of a charge bills, its sentence says: two charges that differ differ in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.book.documents import Calendar
from connectors.book.plans import CHARGE_MODELS, Charge
from connectors.book.scalars import CANONICAL_UNIT
from connectors.book.textfiles import Scalar
from connectors.book.words import charge_sentences
from connectors.units import UNITS

NAMES = st.sampled_from(["energy", "net-out", "net_out", "Energy", "e"])
MONEY = st.sampled_from(["0", "0.08", "1", "42.00", "1000", "1000000"])
PERCENT = st.sampled_from(["0", "5", "7.5", "20", "100"])
BOUNDS = st.lists(
    st.sampled_from(["10", "10.5", "150", "1000", "100000"]), max_size=3, unique=True
).map(lambda bounds: sorted(bounds, key=float))


def listed(*names: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True).map(sorted)


def tiers(price: str) -> st.SearchStrategy[list[dict[str, str]]]:
    def priced(bounds: list[str]) -> st.SearchStrategy[list[dict[str, str]]]:
        return st.tuples(*(MONEY for _ in range(len(bounds) + 1))).map(
            lambda prices: [
                *({"up_to": b, price: p} for b, p in zip(bounds, prices, strict=False)),
                {price: prices[-1]},
            ]
        )

    return BOUNDS.flatmap(priced)


def flag() -> st.SearchStrategy[Scalar]:
    return st.sampled_from(["true", "false"]).map(lambda word: Scalar(word, "bool"))


ANY_CHARGE: Mapping[str, st.SearchStrategy[Any]] = {
    "code": NAMES,
    "description": st.sampled_from([None, "Power", "Power and light", "Night use"]),
    "sites": st.none() | listed("A", "B", "C"),
    "regions": st.none() | listed("nordics", "asia"),
    "bill_while_suspended": flag(),
}
METERED: Mapping[str, st.SearchStrategy[Any]] = {
    # A unit belongs to its metric, so the two are drawn together.
    "metric": st.sampled_from(["energy", "traffic", "runtime", "fuel"]),
    "unit": st.none(),
    "per": st.just("site"),
}
ENERGY = METERED | {"metric": st.just("energy")}
BASES = listed("services", "fuel", "hosting")
FIELDS: Mapping[str, Mapping[str, st.SearchStrategy[Any]]] = {
    "per_unit": METERED | {"rate": MONEY},
    "graduated": METERED
    | {"per": st.sampled_from(["site", "contract", "machine"]), "tiers": tiers("rate")},
    "volume": METERED | {"per": st.sampled_from(["site", "contract"]), "tiers": tiers("rate")},
    "package": METERED
    | {"size": st.sampled_from(["1", "100", "1000"]), "price": MONEY, "included": MONEY},
    "stairstep": METERED | {"tiers": tiers("amount")},
    "time_of_use": METERED
    | {
        "calendar": st.sampled_from(["day-night", "weekend"]),
        "rates": st.tuples(MONEY, MONEY).map(lambda r: {"day": r[0], "night": r[1]}),
    },
    "index": ENERGY
    | {
        "index_id": st.sampled_from(["NO1", "FI"]),
        "multiplier": st.sampled_from(["1", "1.02", "0.9"]),
        "adder": st.sampled_from(["0", "1.5", "-1.5"]),
    },
    "demand": ENERGY
    | {
        "window_minutes": st.sampled_from(["15", "30", "60"]),
        "rate": MONEY,
    },
    "recurring": {
        "amount": MONEY,
        "per": st.sampled_from(["contract", "site", "machine"]),
        "prorate": st.sampled_from(["time", "none"]),
    },
    "pass_through": {
        "service_codes": listed("hands", "parts", "visit"),
        "markup_percent": PERCENT,
        "itemise": flag(),
    },
    "percentage": {"percent": PERCENT, "charges": BASES},
    "discount": {
        "percent": PERCENT,
        "charges": BASES,
        "first_months": st.none() | st.sampled_from(["1", "3", "12"]),
        "max_amount": st.none() | MONEY,
    },
    "minimum_commit": {"amount": MONEY, "charges": BASES},
}
# One spelling each, so that only one thing can be meant.
ONE_VALUE = {
    (model, "per") for model, fields in FIELDS.items() if fields.get("per") is METERED["per"]
}
ONE_VALUE |= {("index", "metric"), ("demand", "metric"), ("demand", "unit")}
CALENDARS = [
    Calendar.model_validate(
        {
            "calendar_id": name,
            "default_band": "night",
            "bands": [{"band": "day", "days": days, "from": "07:00", "to": "22:00"}],
        }
    )
    for name, days in (("day-night", ["mon", "tue"]), ("weekend", ["sat", "sun"]))
]


def sentence(charge: Charge) -> str:
    return charge_sentences([charge], "EUR", CALENDARS)[charge.code]


def built(model: str, values: Mapping[str, Any]) -> Charge:
    given = {name: value for name, value in values.items() if value is not None}
    return CHARGE_MODELS[model].model_validate({"model": model, **given})


def test_every_field_of_every_model_is_tried() -> None:
    assert set(FIELDS) == set(CHARGE_MODELS)
    for model, fields in FIELDS.items():
        assert {"model", *ANY_CHARGE, *fields} == set(CHARGE_MODELS[model].model_fields), model


@pytest.mark.parametrize(
    ("model", "field"),
    [
        (model, field)
        for model, fields in FIELDS.items()
        for field in (*ANY_CHARGE, *fields)
        if (model, field) not in ONE_VALUE
    ],
)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_charge_that_differs_in_a_field_differs_in_words(
    model: str, field: str, data: st.DataObject
) -> None:
    strategies = {**ANY_CHARGE, **FIELDS[model]}
    values = {name: data.draw(strategy, label=name) for name, strategy in strategies.items()}
    if field == "unit":
        units = st.sampled_from(UNITS[values["metric"]])
        values["unit"] = data.draw(units)
        other = data.draw(units.filter(lambda unit: unit != values["unit"]))
    else:
        other = data.draw(strategies[field].filter(lambda value: value != values[field]))
    changed = built(model, values | {field: other})
    assert sentence(built(model, values)) != sentence(changed)


def test_a_unit_left_out_is_the_canonical_one() -> None:
    bare = {"code": "energy", "rate": "1"}
    for metric, unit in CANONICAL_UNIT.items():
        if metric == "power":
            continue
        both = [built("per_unit", {**bare, "metric": metric, "unit": u}) for u in (None, unit)]
        assert len({sentence(charge) for charge in both}) == 1
