"""Words of mails by language: those built in (`texts/<language>.yml`), with the book's over them.

A book may have `mail/<language>.yml` with only what differs: labels, words of built-in templates,
templates of its own that stages of dunning.yml name, and whole languages. Everything is checked
here, the same for `m2c book check` and for a mail about to be written: unknown keys, unknown
placeholders, what is missing, files that are not YAML. A language whose file has a fault writes no
mail at all (`why_not`), so that nobody gets half a text. How words become a mail is `mail`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from babel import Locale, UnknownLocaleError

from exporters.statements.formats import DEFAULT_LANGUAGE, language_of

_BUILT_IN = Path(__file__).parent / "texts"
BUILT_IN = "built in"
SUSPENDED, RESUMED = "suspended", "resumed"
NOTICES = frozenset({SUSPENDED, RESUMED})
"""Templates of what happened to machines; no stage of a dunning policy uses them."""

_REMINDER_FILLINGS = frozenset({"name", "count", "first_number"})
_NOTICE_FILLINGS = frozenset({"name", "machines"})
_ESCALATION_FILLINGS = frozenset({"payer_id", "name", "address"})
_LABEL_FILLINGS = {"greeting": frozenset({"name"}), "attached": frozenset({"numbers"})}
_TEXT_KEYS = ("name", "subject_one", "subject_many", "opening", "closing")
_PARAGRAPHS = frozenset({"opening", "closing", "body"})
_ESCALATION_KEYS = ("subject", "body")
_SECTIONS = ("labels", "templates", "escalation")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_MOST_BYTES = 1_000_000

Words = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TextFault:
    """What is wrong with a text, so that whoever wrote it can mend it. `line` counts from 1."""

    file: str
    line: int | None
    place: str | None
    value: str | None
    message: str

    def __str__(self) -> str:
        where = self.file + (f" line {self.line}" if self.line else "")
        where += f", {self.place}" if self.place else ""
        said = "" if self.value is None else f" '{self.value}':"
        return f"{where}:{said} {self.message}"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the words of one template in one language come from: `built in`, a file of the book, or
    both, in which case `changed` are the keys that the file has."""

    language: str
    template: str
    source: str
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Texts:
    """The words there are. `faults` are those of the book's files, `broken` the ones among them
    that keep a language from being written, by language; `all_broken` says why none can be."""

    words: Mapping[str, Words]
    origins: tuple[Origin, ...] = ()
    faults: tuple[TextFault, ...] = ()
    broken: Mapping[str, tuple[TextFault, ...]] = field(default_factory=dict)
    all_broken: str | None = None

    @property
    def languages(self) -> frozenset[str]:
        return frozenset(self.words)

    def templates(self) -> frozenset[str]:
        """What a stage of a dunning policy may name, in whatever language there is a text."""
        named = {name for words in self.words.values() for name in words["templates"]}
        return frozenset(named - NOTICES)

    def language_for(self, language: str | None, template: str) -> str:
        """The language a payer's mail is written in: the payer's if there is such a text in it,
        else English, all of it: no mail is half in one and half in the other."""
        wanted = language_of(language, self.languages)
        known = wanted in self.broken or template in self.words[wanted]["templates"]
        return wanted if known else DEFAULT_LANGUAGE

    def why_not(self, language: str | None, template: str) -> str | None:
        """Why no mail can be written with `template` for a payer of `language`; None if it can."""
        if self.all_broken:
            return self.all_broken
        used = self.language_for(language, template)
        if used in self.broken:
            faults = self.broken[used]
            more = f" (and {len(faults) - 1} more: m2c book check)" if len(faults) > 1 else ""
            return f"the book's texts cannot be used: {faults[0]}{more}"
        if template not in self.words[used]["templates"]:
            known = ", ".join(sorted(self.templates()))
            return f"there is no text named {template!r} (there are {known})"
        return None

    def template(self, language: str, template: str) -> Words:
        """name, subject_one, subject_many, opening and closing (lists of paragraphs)."""
        found: Words = self.words[language]["templates"][template]
        return found

    def labels(self, language: str) -> Mapping[str, str]:
        found: Mapping[str, str] = self.words[language]["labels"]
        return found

    def escalation(self) -> Words:
        """The words for our own people, in English."""
        found: Words = self.words[DEFAULT_LANGUAGE]["escalation"]
        return found


@cache
def built_in_texts() -> Texts:
    """The words that come with the program."""
    words = {}
    for path in sorted(_BUILT_IN.glob("*.yml")):
        file = _read(path, path.name)
        words[path.stem] = _plain(file.data)
    origins = tuple(
        Origin(language=language, template=template, source=BUILT_IN)
        for language, those in words.items()
        for template in those["templates"]
    )
    return Texts(words=words, origins=origins)


def read_texts(folder: Path | None) -> Texts:
    """The built-in words with those of a book's folder `mail` over them; None or no such folder:
    the built-in ones. Never raises for what stands in the files: see `Texts.faults`."""
    built_in = built_in_texts()
    if folder is None or not folder.is_dir():
        return built_in
    try:
        paths = sorted(p for p in folder.iterdir() if not p.name.startswith((".", "~")))
    except OSError as error:
        return _none_usable(built_in, folder.name, f"cannot be read: {error.strerror}")
    words = dict(built_in.words)
    origins = {(o.language, o.template): o for o in built_in.origins}
    faults: list[TextFault] = []
    broken: dict[str, tuple[TextFault, ...]] = {}
    files: dict[str, _File] = {}
    for path in paths:
        name = f"{folder.name}/{path.name}"
        problem = _why_no_language(path)
        if problem:
            faults.append(TextFault(file=name, line=None, place=None, value=None, message=problem))
            continue
        files[path.stem] = _read(path, name)
    for language, file in files.items():
        _Check(file, language, built_in).all()
        if file.faults:
            broken[language] = tuple(file.faults)
            faults += file.faults
            words.setdefault(language, {"labels": {}, "templates": {}, "escalation": {}})
            continue
        words[language] = _merged(built_in.words.get(language), file.data or {})
        for template, changed in ((file.data or {}).get("templates") or {}).items():
            known = (language, template) in origins
            origins[language, template] = Origin(
                language=language,
                template=template,
                source=f"{BUILT_IN}, {file.name}" if known else file.name,
                changed=tuple(key for key in _TEXT_KEYS if key in changed),
            )
    return Texts(
        words=words,
        origins=tuple(origins[key] for key in sorted(origins)),
        faults=tuple(faults),
        broken=broken,
    )


def _none_usable(built_in: Texts, file: str, message: str) -> Texts:
    fault = TextFault(file=file, line=None, place=None, value=None, message=message)
    return Texts(
        words=built_in.words,
        origins=built_in.origins,
        faults=(fault,),
        all_broken=f"the book's texts cannot be used: {fault}",
    )


def _why_no_language(path: Path) -> str | None:
    if path.suffix != ".yml" or not path.is_file():
        return "would be overlooked; texts of a language are a file such as de.yml"
    try:
        locale = Locale.parse(path.stem)
    except (UnknownLocaleError, ValueError):
        locale = None
    if locale is None or locale.language != path.stem:
        return "is not called after a language; expected a code such as de.yml or sv.yml"
    return None


# --- files ----------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _File:
    """A file as it was read: plain dicts, lists and text; the line of every path in it."""

    name: str
    data: Any = None
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)
    faults: list[TextFault] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)

    def fault(
        self, path: tuple[str | int, ...], message: str, value: object = None, line: int = 0
    ) -> None:
        at = path
        while at and at not in self.lines:
            at = at[:-1]
        shown = None if value is None else str(value)
        self.faults.append(
            TextFault(
                file=self.name,
                line=line or self.lines.get(at),
                place=_place(path) or None,
                value=shown if shown is None or len(shown) <= 200 else f"{shown[:197]}...",
                message=message,
            )
        )


def _place(path: Iterable[str | int]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else ("." if text else "") + part
    return text


def _read(path: Path, name: str) -> _File:
    file = _File(name=name)
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        file.fault((), f"cannot be read: {error.strerror}")
        return file
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        file.fault((), "is not UTF-8 text; save the file as UTF-8", line=line)
        return file
    if len(content) > _MOST_BYTES:
        file.fault((), "is far too long for texts of mails")
        return file
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        file.fault((), f"is not YAML: {error.problem}", line=mark.line + 1 if mark else 1)
        return file
    except yaml.YAMLError as error:
        file.fault((), f"is not YAML: {error}", line=1)
        return file
    except RecursionError:
        file.fault((), "is nested far too deep", line=1)
        return file
    file.data = None if node is None else _build(file, node, ())
    return file


def _build(file: _File, node: yaml.Node, path: tuple[str | int, ...]) -> Any:
    file.lines.setdefault(path, node.start_mark.line + 1)
    if id(node) in file.seen:
        file.fault(path, "aliases (*name) are not used here; write the text out")
        return None
    file.seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_build(file, item, (*path, i)) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                file.fault(path, "a key must be plain text", line=line)
                continue
            key = str(key_node.value)
            if key in found:
                file.fault((*path, key), "this key stands here twice", line=line)
                continue
            file.lines[(*path, key)] = line
            found[key] = _build(file, value_node, (*path, key))
        return found
    text = str(node.value)
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    return None if plain and text in _NULLS else text


# --- what may stand in one ------------------------------------------------------------------------


class _Check:
    """Writes the faults of one language's file into it."""

    def __init__(self, file: _File, language: str, built_in: Texts) -> None:
        self._file = file
        self._own: Words | None = built_in.words.get(language)
        self._pattern: Words = built_in.words[DEFAULT_LANGUAGE]

    def all(self) -> None:
        data = self._file.data
        if self._file.faults:
            return
        if data is None:
            data = {}
        if not self._mapping(data, (), _SECTIONS):
            return
        for section in _SECTIONS:
            if section in data and not isinstance(data[section], dict):
                self._file.fault((section,), "expected a mapping of keys to texts")
        if self._file.faults:
            return
        self._labels(data.get("labels", {}))
        for name, words in data.get("templates", {}).items():
            self._template(name, words)
        self._escalation(data.get("escalation", {}))
        if self._own is None:
            for name in sorted(set(self._pattern["templates"]) - set(data.get("templates", {}))):
                self._file.fault(("templates", name), self._needed)

    @property
    def _needed(self) -> str:
        return "is missing, and this language has no built-in text to take instead"

    def _labels(self, labels: Mapping[str, Any]) -> None:
        known = tuple(self._pattern["labels"])
        if not self._mapping(labels, ("labels",), known):
            return
        for key, text in labels.items():
            self._text(text, ("labels", key), _LABEL_FILLINGS.get(key, frozenset()))
        for key in known if self._own is None else ():
            if key not in labels:
                self._file.fault(("labels", key), self._needed)

    def _template(self, name: str, words: Any) -> None:
        path = ("templates", name)
        if not _IDENTIFIER.fullmatch(name):
            self._file.fault(
                path, "expected a name of letters, digits, '_', '.' and '-', at most 64", name
            )
            return
        if not isinstance(words, dict):
            self._file.fault(path, "expected a mapping of " + ", ".join(_TEXT_KEYS))
            return
        if not self._mapping(words, path, _TEXT_KEYS):
            return
        fillings = _NOTICE_FILLINGS if name in NOTICES else _REMINDER_FILLINGS
        for key, text in words.items():
            if key in _PARAGRAPHS:
                self._paragraphs(text, (*path, key), fillings)
            else:
                self._line(text, (*path, key), fillings if key != "name" else frozenset())
        if self._own is None or name not in self._own["templates"]:
            for key in _TEXT_KEYS:
                if key not in words:
                    self._file.fault(
                        (*path, key), "is missing, and no built-in template has this name"
                    )

    def _escalation(self, words: Mapping[str, Any]) -> None:
        if not self._mapping(words, ("escalation",), _ESCALATION_KEYS):
            return
        if "subject" in words:
            self._line(words["subject"], ("escalation", "subject"), _ESCALATION_FILLINGS)
        if "body" in words:
            self._paragraphs(words["body"], ("escalation", "body"), _ESCALATION_FILLINGS)

    def _mapping(self, data: Any, path: tuple[str | int, ...], known: tuple[str, ...]) -> bool:
        if not isinstance(data, dict):
            self._file.fault(path, "expected a mapping with " + ", ".join(known))
            return False
        for key in data:
            if key not in known:
                self._file.fault((*path, key), "unknown key; expected " + ", ".join(known), key)
        return all(key in known for key in data)

    def _paragraphs(
        self, value: Any, path: tuple[str | int, ...], fillings: frozenset[str]
    ) -> None:
        if not isinstance(value, list):
            self._text(value, path, fillings)
            return
        for number, text in enumerate(value):
            self._text(text, (*path, number), fillings)

    def _line(self, value: Any, path: tuple[str | int, ...], fillings: frozenset[str]) -> None:
        self._text(value, path, fillings)
        if isinstance(value, str) and "\n" in value.strip():
            self._file.fault(path, "expected one line", value)

    def _text(self, value: Any, path: tuple[str | int, ...], fillings: frozenset[str]) -> None:
        if value is None or (isinstance(value, str) and not value.strip()):
            self._file.fault(path, "a text is required")
            return
        if not isinstance(value, str):
            self._file.fault(path, "expected a text")
            return
        try:
            fields = list(_fields(value))
        except ValueError as error:
            self._file.fault(path, f"{error}; a brace itself is written {{{{ or }}}}", value)
            return
        for name in fields:
            if name not in fillings:
                known = ", ".join(f"{{{one}}}" for one in sorted(fillings)) or "none here"
                self._file.fault(path, f"unknown placeholder {{{name}}}; expected {known}", value)


def _fields(text: str) -> Iterator[str]:
    """The placeholders of a text as they are written between the braces."""
    for _, name, form, conversion in string.Formatter().parse(text):
        if name is not None:
            yield name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")


# --- one over the other ---------------------------------------------------------------------------


def _plain(data: Any) -> Words:
    """Words with paragraphs as lists, whether they were written as one text or several."""
    made = {section: dict(data.get(section) or {}) for section in _SECTIONS}
    made["templates"] = {name: _lists(words) for name, words in made["templates"].items()}
    made["escalation"] = _lists(made["escalation"])
    return made


def _lists(words: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: [value] if key in _PARAGRAPHS and isinstance(value, str) else value
        for key, value in words.items()
    }


def _merged(below: Words | None, data: Any) -> Words:
    above = _plain(data)
    if below is None:
        return above
    templates = dict(below["templates"])
    for name, words in above["templates"].items():
        templates[name] = {**templates.get(name, {}), **words}
    return {
        "labels": {**below["labels"], **above["labels"]},
        "templates": templates,
        "escalation": {**below["escalation"], **above["escalation"]},
    }
