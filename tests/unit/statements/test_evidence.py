"""Evidence recomputes statements: of random books every line of every model, on the folder alone,
and whoever alters anything is found out.

The second way to the amounts is the folder's SQL; the first are the warehouse's models. They share
no code.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from exporters.ledger import Actor, Ledger, tables
from exporters.statements.evidence import EvidenceError
from exporters.statements.evidence.steps import STEPS, steps_for
from exporters.statements.evidence.workshop import SQL
from tests.unit.rating.warehouse import RatingWarehouse
from tests.unit.statements.evidence_of_packs import RUN, Place, run_alone

SEED = int(os.environ.get("M2C_EVIDENCE_SEED", "1"))
MODELS = {
    *("per_unit", "graduated", "volume", "package", "stairstep", "time_of_use", "index", "demand"),
    *("recurring", "pass_through", "percentage", "discount", "minimum_commit", "credit"),
}
_FIRST = "select min(line_key) from altered"


def alter(folder: Path, name: str, change: str, *, hide: bool) -> None:
    """Change rows of a file; `hide` writes the manifest to match."""
    path = folder / "data" / f"{name}.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"create table altered as from '{path}'")
        connection.execute(change)
        connection.execute(f"copy altered to '{path}' (format parquet)")
    if hide:
        manifest = folder / "manifest.json"
        said = json.loads(manifest.read_text(encoding="utf-8"))
        for file in said["files"]:
            if file["path"] == f"data/{name}.parquet":
                file["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        manifest.write_text(json.dumps(said), encoding="utf-8")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> RatingWarehouse:
    return RatingWarehouse(tmp_path_factory.mktemp("ledger"))


@pytest.fixture(scope="module")
def place(warehouse: RatingWarehouse, tmp_path_factory: pytest.TempPathFactory) -> Place:
    # A hostile name on the way to every file.
    return Place(SEED, 10, tmp_path_factory.mktemp("it's a\nplace"), warehouse)


@pytest.fixture(scope="module")
def chosen(place: Place) -> list[str]:
    """Few statements that have every charge model."""
    left, found = set(MODELS), []
    by_models = sorted(place.statements(), key=lambda one: -len(place.models(one)))
    for statement in by_models:
        if place.models(statement) & left:
            left -= place.models(statement)
            found.append(statement)
    assert not left or SEED != 1, f"no statement has {left}"
    return found


def test_every_line_of_every_model_is_recomputed(
    place: Place, chosen: list[str], tmp_path: Path
) -> None:
    wrong = {}
    for number, statement in enumerate(chosen):
        made = place.evidence(statement, tmp_path / str(number))
        if not made.agrees:
            wrong[statement] = made.describe()
        assert made.verdict.lines > 0
    assert wrong == {}


@pytest.fixture(scope="module")
def folder(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Evidence of a statement with metered lines, moved away from where it was written."""
    statement = next(
        one for one in place.statements() if place.models(one) & {"per_unit", "graduated"}
    )
    written = tmp_path_factory.mktemp("written") / "evidence"
    made = place.evidence(statement, written)
    assert made.readings > 0
    moved = tmp_path_factory.mktemp("else") / "where it's read"
    shutil.move(written, moved)
    return moved


def test_the_folder_alone_recomputes_the_total(folder: Path) -> None:
    said = run_alone(folder)
    assert "ALL EQUAL" in said
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert RUN in readme
    for step in (folder / "sql").iterdir():
        assert step.name in readme


@pytest.mark.parametrize("hide", [True, False], ids=["manifest too", "manifest not"])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("landed_readings", "update altered set value = value + 1"),
        ("statement_lines", "update altered set amount = amount + 1"),
        (
            "statement_lines",
            "delete from altered where line_key = (select min(line_key) from altered)",
        ),
        ("statement", "update altered set total = total + 1"),
        ("contract_terms", "update altered set payer_id = 'other'"),
    ],
    ids=["a reading", "a line", "a line gone", "the total", "the contract"],
)
def test_tampering_shows(folder: Path, tmp_path: Path, name: str, change: str, hide: bool) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    alter(copy, name, change, hide=hide)
    said = run_alone(copy)
    assert "NOT EQUAL" in said
    assert ("1 altered or missing" in said) is not hide


def test_a_file_that_is_altered_without_effect_shows_too(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "README.md").write_text("pay to another account\n", encoding="utf-8")
    assert "NOT EQUAL" in run_alone(copy)


def test_names_of_others_are_text(place: Place, chosen: list[str]) -> None:
    """Without `out` a statement gets a folder of its own below the data dir, whatever its name."""
    made = place.evidence(chosen[0], None)
    assert made.folder.parent == place.root / "evidence"
    assert made.agrees
    again = place.evidence(chosen[0], None)
    assert again.folder == made.folder


def test_nothing_but_evidence_is_replaced(place: Place, chosen: list[str], tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "manifest.json").write_text('{"format": "something else"}', encoding="utf-8")
    with pytest.raises(EvidenceError, match="is not empty and holds no evidence"):
        place.evidence(chosen[0], mine)
    assert [path.name for path in mine.iterdir()] == ["manifest.json"]
    with pytest.raises(EvidenceError, match=r"no statement '\.\./x'"):
        place.evidence("../x", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_every_step_is_there_and_named() -> None:
    assert {path.stem for path in SQL.glob("*.sql")} == set(STEPS)
    everything = steps_for(MODELS, estimates=True, has_credits=True, adjustments=True)
    assert everything == [step for step in STEPS if step != "04_no_estimates"]
    least = steps_for([], estimates=False, has_credits=False, adjustments=False)
    assert "06_quarter_hours" not in least
    assert "11_per_unit" not in least
    assert "04_no_estimates" in least


# --- issued, then late data ---


class Tick:
    """A clock that is set by hand."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


def content_hash(lines: list[dict[str, Any]]) -> str:
    """The hash that is approved and issued: over every column but book_version, by line_key."""
    texts = [
        json.dumps(
            [
                format(value, "f") if isinstance(value, Decimal) else value and str(value)
                for name, value in line.items()
                if name != "book_version"
            ],
            separators=(",", ":"),
            ensure_ascii=False,
        )
        for line in lines
    ]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def issue(ledger: Ledger, place: Place, statement: str) -> list[dict[str, Any]]:
    """Issue a statement as it stands in the marts; its lines."""
    with duckdb.connect(str(place.marts)) as marts:
        cursor = marts.execute(
            "select * from statement_lines where statement_id = ? order by line_key", [statement]
        )
        names = [column[0] for column in cursor.description or ()]
        lines = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        digest = content_hash(lines)
        total = sum((line["amount"] + line["tax_amount"] for line in lines), Decimal(0))
        marts.execute(
            "update statements set state = 'issued', statement_number = 'N-0001', "
            "content_hash = ?, issued_at = ? where statement_id = ?",
            [digest, ledger.clock(), statement],
        )
    head = lines[0]
    ledger.record(
        tables.close_decisions,
        period=head["period"],
        statement_id=statement,
        content_hash=digest,
        decision="auto",
        reason="",
        total=total,
        currency=head["currency"],
    )
    ledger.record(
        tables.issued_statements,
        statement_id=statement,
        statement_number="N-0001",
        series="N",
        series_no=1,
        period=head["period"],
        statement_kind=head["statement_kind"],
        payer_id=head["payer_id"],
        seller_id="s",
        currency=head["currency"],
        net=sum((line["amount"] for line in lines), Decimal(0)),
        tax=sum((line["tax_amount"] for line in lines), Decimal(0)),
        total=total,
        content_hash=digest,
        book_version=head["book_version"],
        code_version="c",
        issue_date=date(2027, 1, 1),
        due_date=date(2027, 2, 1),
    )
    frozen = {column.name for column in tables.issued_lines.columns}
    with ledger.transaction() as tx:
        tx.record_many(
            tables.issued_lines,
            [
                {name: value for name, value in line.items() if name in frozen}
                | {"statement_number": "N-0001", "line_no": number}
                for number, line in enumerate(lines, start=1)
            ],
        )
    return lines


def adjusted(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The adjustments of a statement's lines, by the rule of the specification, on the statement of
    the month after."""
    month = date.fromisoformat(f"{before[0]['period']}-28") + timedelta(days=7)
    period = f"{month:%Y-%m}"
    new = {line["line_key"]: line for line in now}
    found = []
    for old in before:
        line = new.get(old["line_key"])
        assert line is None or line["tax_code"] == old["tax_code"]
        amount = (line["amount"] if line else Decimal(0)) - old["amount"]
        if amount:
            found.append(
                {
                    **old,
                    "period": period,
                    "statement_id": f"{old['payer_id']}/{period}/later",
                    "line_key": f"adj/{period}/{old['line_key']}",
                    "classification": "adjustment",
                    "adjusts_period": old["period"],
                    "quantity": (line["quantity"] if line else Decimal(0)) - old["quantity"],
                    "amount": amount,
                    "tax_amount": (line["tax_amount"] if line else Decimal(0)) - old["tax_amount"],
                }
            )
    return found


def test_what_was_issued_and_what_was_adjusted_both_come_out(
    warehouse: RatingWarehouse, tmp_path: Path
) -> None:
    place = Place(SEED + 1, 4, tmp_path / "place", warehouse)
    statement = next(
        one
        for one in place.statements()
        if place.models(one) & {"per_unit", "time_of_use", "volume"}
        and not place.models(one) & {"credit"}
    )
    clock = Tick(datetime(2030, 1, 1, tzinfo=UTC))
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    with Ledger.open(url, clock=clock, actor=Actor("t", "t", "t")) as ledger:
        before = issue(ledger, place, statement)
        late = place.land_late(lambda value: value * 2, at=datetime(2030, 2, 1, tzinfo=UTC))
        now = place.rated_again(warehouse, late)
        lines = adjusted(before, now)
        assert lines
        place.add_lines(lines)
        issued = place.evidence("N-0001", tmp_path / "issued", ledger)
        later = place.evidence(lines[0]["statement_id"], tmp_path / "later", ledger)
    assert issued.agrees, issued.describe()
    assert issued.landed_until == datetime(2030, 1, 1, tzinfo=UTC)
    assert issued.left_out > 0
    assert later.agrees, later.describe()
    assert "ALL EQUAL" in run_alone(tmp_path / "issued")
    alter(
        tmp_path / "issued",
        "ledger_facts",
        'update altered set fact = replace(fact, \'"amount":"\', \'"amount":"1\') '
        "where table_name = 'issued_lines'",
        hide=True,
    )
    assert "NOT EQUAL" in run_alone(tmp_path / "issued")
