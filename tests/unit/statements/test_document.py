"""Words of the report: every language says everything."""

from __future__ import annotations

import string
from decimal import Decimal

import pytest

from exporters.statements.document import _round_top, languages, texts


def test_every_language_has_every_text() -> None:
    assert languages() >= {"en", "de", "nb", "fi", "id"}
    english = texts("en")
    for language in languages():
        words = texts(language)
        assert set(words) == set(english), language
        for group in ("metrics", "line", "causes", "credit_kinds"):
            assert set(words[group]) == set(english[group]), (language, group)
        for key, text in english.items():
            for inner, part in (text if isinstance(text, dict) else {key: text}).items():
                same = words[key].get(inner) if isinstance(text, dict) else words[key]
                if isinstance(part, str) and same is not None:
                    assert fields(same) == fields(part), (language, key, inner)
        assert {"EU", "other"} <= set(words["tax_numbers"])
        assert all(name == name.lower() for name in (*words["names"], *words["bands"]))
        sheets = [text for key, text in words.items() if key.startswith("sheet_")]
        assert len(set(sheets)) == len(sheets) == 4
        assert all(len(name) <= 31 and not set(name) & set("[]:*?/\\") for name in sheets)


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize(
    ("value", "top"),
    [("0", "1"), ("1", "1"), ("1.01", "1.5"), ("2700", "3000"), ("8.1", "10"), ("0.034", "0.04")],
)
def test_the_top_of_a_chart_is_round_and_not_below(value: str, top: str) -> None:
    assert _round_top(Decimal(value)) == Decimal(top)
