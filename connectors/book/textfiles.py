"""The two kinds of file of a book, read without losing where anything stood.

CSV and YAML are read as text: no type is guessed, no duplicate key swallowed, no line lost. What
comes out keeps the line of every row and key, so that a fault can name it. YAML follows the rules
of version 1.2 (NO is a country and 22:00 a time of day), except that a number stays text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from connectors.book.faults import Findings
from connectors.book.scalars import Scalar

Path_ = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|nan)", re.I)
_BOOLEANS = {"true", "True", "TRUE", "false", "False", "FALSE"}
_NULLS = {"", "~", "null", "Null", "NULL"}
_TEXT_TAGS = {"tag:yaml.org,2002:str", "!"}
_MERGE = "<<"
_MOST_NODES = 500_000


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One record: the line it begins on and its values by column, empty ones left out."""

    line: int
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A file's records, and all values of damaged ones, those with too few or too many.

    `sound` is False where records may have been lost, so that nothing can be called unknown.
    """

    rows: tuple[CsvRow, ...] = ()
    damaged: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    sound: bool = True


# The key that names a thing, and what such a thing is called.
_NAMED_BY: Mapping[str, str] = {
    "plan_id": "plan",
    "version": "version",
    "code": "charge",
    "calendar_id": "calendar",
    "band": "band",
    "seller_id": "seller",
    "policy_id": "policy",
    "stage": "stage",
}


@dataclass(frozen=True, slots=True)
class YamlFile:
    """A parsed file: plain dicts, lists and text, and the line of every path in it."""

    name: str
    data: Any
    lines: Mapping[Path_, int]

    def line(self, path: Path_) -> int | None:
        """Line of the key, else of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def subject(self, path: Path_) -> str | None:
        """What the things around a key are called, outermost first; None if nothing is named."""
        names = []
        inside = self.data
        for step in (None, *path):
            if step is not None:
                try:
                    inside = inside[step]
                except (KeyError, IndexError, TypeError):
                    break
            for key, noun in _NAMED_BY.items():
                if isinstance(inside, dict) and isinstance(inside.get(key), str):
                    names.append(f"{noun} {inside[key]}")
                    break
        return ", ".join(names) or None


def read_text(path: Path, name: str, findings: Findings) -> str | None:
    """The file as text; None (and a fault) if it is not UTF-8. A byte order mark is skipped."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = content[error.start : error.start + 1].hex()
        findings.fault(
            name, line, None, f"byte 0x{found}", "is not UTF-8 text; save the file as UTF-8"
        )
        return None


def read_csv(
    path: Path,
    name: str,
    columns: tuple[str, ...],
    required: tuple[str, ...],
    findings: Findings,
) -> CsvTable:
    """Records of a file with a header row. Unknown columns are faults and otherwise left out."""
    text = read_text(path, name, findings)
    if text is None:
        return CsvTable(sound=False)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[CsvRow] = []
    damaged: set[str] = set()
    header: list[str] | None = None
    line = 1
    try:
        for record in reader:
            start, line = line, reader.line_num + 1
            if not any(record):
                continue
            if header is None:
                header = record
                if not _check_header(name, start, header, columns, required, findings):
                    return CsvTable(sound=False)
                continue
            if len(record) == len(header):
                # Reversed, so that of a column standing there twice the first one counts.
                pairs = [*zip(header, record, strict=True)][::-1]
                values = {c: v for c, v in pairs if v != "" and c in columns}
                rows.append(CsvRow(start, values))
                continue
            damaged.update(record)
            message = f"has {len(record)} values where the header has {len(header)} columns"
            if len(record) > len(header):
                message += "; a value with a comma in it must stand in double quotes"
            findings.fault(name, start, None, ",".join(record), message)
    except csv.Error as error:
        findings.fault(name, line, None, None, f"is not CSV: {error}")
        return CsvTable(tuple(rows), frozenset(damaged), sound=False)
    if header is None:
        findings.fault(
            name, 1, None, None, "expected a header row with the columns " + ", ".join(columns)
        )
        return CsvTable(sound=False)
    return CsvTable(tuple(rows), frozenset(damaged), frozenset(required) - set(header))


def _check_header(
    name: str,
    line: int,
    header: list[str],
    columns: tuple[str, ...],
    required: tuple[str, ...],
    findings: Findings,
) -> bool:
    if len(header) == 1 and header[0] not in columns and re.search(r"[;\t|]", header[0]):
        findings.fault(name, line, None, header[0], "columns are separated by commas")
        return False
    for column in dict.fromkeys(header):
        if header.count(column) > 1:
            findings.fault(name, line, column, column, "this column stands in the header twice")
        if column not in columns:
            findings.fault(
                name, line, column, column, "unknown column; expected " + ", ".join(columns)
            )
    for column in required:
        if column not in header:
            findings.fault(name, line, column, None, "this column is required and missing")
    return True


def read_yaml(path: Path, name: str, findings: Findings) -> YamlFile | None:
    """The one document of a file; None (and faults) if it is not sound YAML."""
    text = read_text(path, name, findings)
    if text is None:
        return None
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        findings.fault(name, line, None, None, f"is not YAML: {error.problem or error.context}")
        return None
    except yaml.YAMLError as error:
        findings.fault(name, 1, None, None, f"is not YAML: {error}")
        return None
    builder = _Builder(name, findings)
    before = len(findings.faults)
    data = None if node is None else builder.build(node, ())
    if len(findings.faults) > before:
        return None
    return YamlFile(name, data, builder.lines)


class _Builder:
    """Turns nodes into plain values, remembering lines and refusing what would be guessed."""

    def __init__(self, name: str, findings: Findings) -> None:
        self.name = name
        self.findings = findings
        self.lines: dict[Path_, int] = {}
        self._open: list[yaml.Node] = []
        self._nodes = 0

    def build(self, node: yaml.Node, path: Path_) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._nodes += 1
        if self._nodes > _MOST_NODES or any(node is other for other in self._open):
            if self._nodes <= _MOST_NODES or self._nodes == _MOST_NODES + 1:
                self._fault(line, path, "refers to itself or unfolds to far too much")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path, line)
        self._open.append(node)
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
        finally:
            self._open.pop()
        raise TypeError(f"unexpected YAML node {node!r}")  # pragma: no cover - there are three

    def _scalar(self, node: yaml.ScalarNode, path: Path_, line: int) -> Any:
        text = str(node.value)
        if node.tag not in _TEXT_TAGS:
            self._fault(line, path, f"tags such as {node.tag} are not used", text)
            return None
        if node.style is not None:
            return text
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            return Scalar(text.lower(), "bool")
        if _INT.fullmatch(text):
            return Scalar(text, "int")
        if _FLOAT.fullmatch(text):
            return Scalar(text, "float")
        return text

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(line, path, "a key must be plain text")
                continue
            key = str(key_node.value)
            if key == _MERGE and key_node.style is None:
                merged = self._merge(value_node, path, line)
                continue
            if key in own:
                message = f"this key stands here twice (first line {self.lines[(*path, key)]})"
                value = value_node.value if isinstance(value_node, yaml.ScalarNode) else None
                self._fault(line, (*path, key), message, value)
                continue
            self.lines[(*path, key)] = line
            own[key] = self.build(value_node, (*path, key))
        return {**merged, **own}

    def _merge(self, node: yaml.Node, path: Path_, line: int) -> dict[str, Any]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                self._fault(line, path, "<< takes a mapping or a list of mappings")
                continue
            merged = {**self.build(source, path), **merged}
        return merged

    def _fault(self, line: int, path: Path_, message: str, value: str | None = None) -> None:
        self.findings.fault(self.name, line, path_text(path) or None, value, message)


def path_text(path: Path_) -> str:
    """`("versions", 0, "charges", 2, "rate")` gives `versions[0].charges[2].rate`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else ("." if text else "") + part
    return text


def plain(value: Any) -> Any:
    """YAML values as ordinary Python ones, for configuration that other packages read."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Scalar):
        if value.kind == "bool":
            return value == "true"
        if value.kind == "float":
            return float(value)
        return int(value, 0) if value.lstrip("+-")[:2] in {"0x", "0o"} else int(value)
    return value


def validate(
    model: type[Model],
    data: object,
    *,
    findings: Findings,
    file: str,
    path: Path_ = (),
    source: YamlFile | CsvRow,
    ignore_missing: frozenset[str] = frozenset(),
) -> Model | None:
    """An instance of `model`, or None and a fault for each thing that is wrong with `data`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            # pydantic marks a fault of a key itself by a last step of its own.
            place: Path_ = (*path, *(step for step in problem["loc"] if step != "[key]"))
            value = problem["input"]
            if problem["type"] == "missing" and place[-1] in ignore_missing:
                continue
            if problem["type"] == "too_short" and value:
                continue  # an entry of it has a fault of its own
            line = source.line if isinstance(source, CsvRow) else source.line(place)
            findings.fault(
                file,
                line,
                path_text(place) or None,
                # A secret pasted into the book by mistake must not be repeated anywhere.
                "(not shown)" if "secrets" in place else _blamed(problem["type"], value),
                _message(problem["type"], problem["msg"], model, problem["loc"]),
                None if isinstance(source, CsvRow) else source.subject(place),
            )
        return None


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Column or key names in the order of the model."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def required_of(model: type[BaseModel]) -> tuple[str, ...]:
    """Names of those that must have a value."""
    return tuple(
        field.alias or name for name, field in model.model_fields.items() if field.is_required()
    )


def _blamed(kind: str, value: object) -> str | None:
    if kind == "missing" or value is None:
        return None
    if isinstance(value, dict | list):
        return None
    return str(value)


def _message(kind: str, message: str, model: type[BaseModel], place: tuple[str | int, ...]) -> str:
    if kind == "book":
        return message
    if kind == "missing":
        return "a value is required"
    if kind == "extra_forbidden":
        if len(place) > 1:
            return "unknown key"
        return "unknown key; expected " + ", ".join(keys_of(model))
    if kind in {"model_type", "dict_type", "mapping_type"}:
        return "expected a mapping of keys to values"
    if kind in {"list_type", "tuple_type"}:
        return "expected a list"
    if kind == "too_short":
        return "expected at least one entry"
    return message
