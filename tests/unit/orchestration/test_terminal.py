"""Text from outside on a terminal: shown, never obeyed."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.terminal import Terminal, shown

HOSTILE = (
    "\x1b]0;owned\x07 \x1b[2J \x9b31m a\rb \x00 \u202egnp\u202c [red]x[/red] :smile: \\[x] "
    "[link=http://e.example]y[/link] \u2066z"
)
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_everything_printed_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(as_json=False)
    terminal.lines([HOSTILE])
    terminal.heading(HOSTILE)
    terminal.table([HOSTILE, "n"], [[HOSTILE, 1], [None, 2]])
    terminal.note(HOSTILE)
    terminal.error(HOSTILE)
    with terminal.step(HOSTILE):
        pass
    out, err = capsys.readouterr()
    for text in (out, err):
        assert not OBEYED.search(text.replace("\n", ""))
        assert r"\x1b]0;owned\x07" in text
        assert r"\u202egnp" in text
        assert "[red]x[/red] :smile:" in text
        assert "[link=http://e.example]y[/link]" in text


@given(st.dictionaries(st.text(), st.text() | st.none()))
def test_json_says_everything_and_commands_nothing(data: dict[str, str | None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        written: list[str] = []
        patch.setattr("sys.stdout.write", written.append)
        Terminal(as_json=True).json(data)
    text = "".join(written)
    assert json.loads(text) == data
    assert not OBEYED.search(text.replace("\n", ""))


@given(st.text())
def test_what_is_harmless_stays(text: str) -> None:
    if not OBEYED.search(text) and "\u2028" not in text and "\u2029" not in text:
        assert shown(text) == text
