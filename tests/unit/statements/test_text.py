"""Text and file names of outside origin."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.statements.files import stems_for
from exporters.statements.text import file_stem, one_line, web_link


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, ""),
        ("  a\r\n\tb ", "a b"),
        ("=1+1", "=1+1"),
        ("a\x00b", "a b"),
        ("x\u2028y", "x y"),
        ("\u202eabc\u202c", "abc"),
        ("\u200f\u05e9\u05dc", "\u200f\u05e9\u05dc"),
        ("in\u200bvoi\u00adce\ufeff", "invoice"),
        ("\U000e0041b\ufffe\ufdd0", "b"),
        ("\U0001f469\u200d\U0001f527", "\U0001f469\u200d\U0001f527"),
        ("\ud800x", "x"),
    ],
)
def test_one_line(text: str | None, shown: str) -> None:
    assert one_line(text) == shown


@given(st.text())
def test_one_line_is_settled(text: str) -> None:
    once = one_line(text)
    assert one_line(once) == once
    assert "\n" not in once


@pytest.mark.parametrize("good", ["BOREALIS-0007", "a", "a.b_c-d"])
def test_good_names_stay(good: str) -> None:
    assert file_stem(good) == good


@given(st.text(max_size=300))
def test_names_stay_in_their_folder(identifier: str) -> None:
    stem = file_stem(identifier)
    for path in (PurePosixPath(f"{stem}.pdf"), PureWindowsPath(f"{stem}.pdf")):
        assert path.name == f"{stem}.pdf"
        assert not path.is_absolute()
    assert 0 < len(stem) < 120
    assert not stem.startswith(".")


@given(st.lists(st.text(max_size=20), unique=True, max_size=6))
def test_names_are_told_apart(identifiers: list[str]) -> None:
    stems = stems_for([(identifier, None) for identifier in identifiers])
    assert len({stem.casefold() for stem in stems.values()}) == len(identifiers)


def test_names_that_differ_in_case_only() -> None:
    stems = stems_for([("ACME/2026-10/all", "ACME-0001"), ("acme/2026-10/all", "acme-0001")])
    assert len({stem.casefold() for stem in stems.values()}) == 2


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://in.xero.com/x?a=1", True),
        ("http://127.0.0.1:8080/x", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("https://", False),
        ("//x.example", False),
        ("https://x.example/\nSet-Cookie: a", False),
        ("https://[bad", False),
        ("", False),
        (None, False),
    ],
)
def test_links(url: str | None, safe: bool) -> None:
    assert web_link(url) == (url if safe else None)
