"""A variant of a book: the same book in another folder, with one plan changed or added.

What a price would have brought is asked of a variant, so that the book itself stays untouched until
somebody decides. Which contracts are on the plan may be said; nothing else of the book differs.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.book.faults import BookError, Findings
from connectors.book.textfiles import plain, read_yaml

# Before the first month of any contract: the variant's version is in force whenever it is asked.
_ALWAYS = "2000-01"


@dataclass(frozen=True)
class PlanVariant:
    """The plan of a variant: which version of the file counts, and since when the file dates it."""

    plan_id: str
    version: str
    valid_from_month: str
    is_new: bool


def write_variant(
    book_dir: Path,
    plan_file: Path,
    target: Path,
    *,
    contracts: Collection[str] = (),
    by_date: bool = False,
) -> PlanVariant:
    """Write the book of `book_dir` to the folder `target`, with the plan of `plan_file` in it.

    The last version of the file counts for every month, whatever its valid_from says, for that is
    the one being decided; with `by_date` each version counts when it says. All terms of `contracts`
    get this plan. Raises BookError where the file is no plan or names no plan_id; whether the
    variant is sound is for `load_book` to say.
    """
    document = _plan_of(plan_file)
    shutil.copytree(book_dir, target, ignore=shutil.ignore_patterns(".*"))
    plans = target / "plans"
    plans.mkdir(exist_ok=True)
    replaced = [path for path in _plan_files(plans) if _plan_id_of(path) == document["plan_id"]]
    for path in replaced:
        path.unlink()
    last = document["versions"][-1]
    if not by_date:
        document = {**document, "versions": [{**last, "valid_from": _ALWAYS}]}
    name = replaced[0].name if replaced else f"{plan_file.stem}.yml"
    if (plans / name).exists():
        name = f"whatif-{name}"
    # JSON is YAML, and leaves no doubt about what is text.
    (plans / name).write_text(json.dumps(document, ensure_ascii=False, indent=2), encoding="utf-8")
    _move_contracts(target / "contracts.csv", frozenset(contracts), document["plan_id"])
    return PlanVariant(
        plan_id=document["plan_id"],
        version=str(last.get("version", "")),
        valid_from_month=str(last.get("valid_from", "")),
        is_new=not replaced,
    )


def _plan_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".yml", ".yaml"))


def _plan_id_of(path: Path) -> object:
    document = _read(path, Findings())
    return document.get("plan_id") if isinstance(document, dict) else None


def _plan_of(path: Path) -> dict[str, Any]:
    findings = Findings()
    document = _read(path, findings)
    if not findings.faults:
        expected = "expected a plan: a mapping with plan_id, currency and versions"
        if not isinstance(document, dict):
            findings.fault(path.name, None, None, None, expected)
        else:
            if not isinstance(document.get("plan_id"), str):
                findings.fault(path.name, None, "plan_id", None, "is missing; " + expected)
            versions = document.get("versions")
            if not isinstance(versions, list) or not all(isinstance(v, dict) for v in versions):
                findings.fault(path.name, None, "versions", None, "expected a list of versions")
            elif not versions:
                findings.fault(path.name, None, "versions", None, "expected at least one version")
    if findings.faults:
        raise BookError(findings.faults)
    assert isinstance(document, dict)
    return document


def _read(path: Path, findings: Findings) -> object:
    source = read_yaml(path, path.name, findings)
    return None if source is None else plain(source.data)


def _move_contracts(path: Path, contracts: frozenset[str], plan_id: str) -> None:
    if not contracts:
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or ())
        rows = list(reader)
    for row in rows:
        if row.get("contract_id") in contracts:
            row["plan_id"] = plan_id
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
