"""The data dictionary: dbt's docs of the warehouse as one page, opening with the plans in words."""

from __future__ import annotations

import shutil
from pathlib import Path

from connectors.book import Book, load_book, render_words
from orchestration.dbt_runs import run_dbt
from orchestration.locks import hold
from orchestration.settings import DataDir

_MARKS = frozenset("&<>{}%*_`#[]|~\\")


def write_docs(data_dir: DataDir) -> Path:
    """The data dictionary of the warehouse as one self-contained page, which opens with the plans
    of the book in words. Raises RuntimeError, BookError."""
    # A target of its own: the builds' would be parsed anew for the other overview.
    target = data_dir.warehouse / "docs"
    blocks = target / "blocks"
    blocks.mkdir(parents=True, exist_ok=True)
    (blocks / "overview.md").write_text(overview(load_book(data_dir.book)), encoding="utf-8")
    with hold(data_dir.locks, "warehouse", purpose="writing the data dictionary"):
        run_dbt(
            ["docs", "generate", "--static"], target=target, data_dir=data_dir.root, blocks=blocks
        )
    page = data_dir.root / "docs" / "index.html"
    page.parent.mkdir(exist_ok=True)
    shutil.copyfile(target / "static_index.html", page)
    return page


def overview(book: Book) -> str:
    """What the data dictionary opens with, as dbt's docs block: every plan version in words."""
    lines = [
        "{% docs __overview__ %}",
        "# Data dictionary",
        "",
        "Every table and column is described in the tree on the left: under *Project*, `models`,"
        " `marts` are the tables of `published/marts.duckdb`.",
        "",
        f"## Plans in words, book {_as_text(book.version)}",
    ]
    for words in render_words(book):
        lines += ["", f"### {_as_text(words.plan_id)}, version {words.version}"]
        lines += ["", _as_text(words.title), ""]
        lines += [f"- {_as_text(sentence)}" for sentence in words.sentences.values()]
        if words.closing is not None:
            lines += ["", _as_text(words.closing)]
    return "\n".join([*lines, "{% enddocs %}", ""])


def _as_text(words: str) -> str:
    """Words of the book as they are: neither markup, nor Markdown, nor a template."""
    return "".join(f"&#{ord(c)};" if c in _MARKS else c for c in words)
