"""Where the landed files that marts name are read on this machine, and what people find them under.

The mart `landed_files` names a file by its path in the data dir, by its whole path, or, where the
landing zone is at an object store, by its address there; then it is read from a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self


def _has_all(_: Sequence[Path]) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class LandedFiles:
    """`data_dir` is where names that are paths begin. Names below `url` are read below the folder
    `copy`; `bring` fetches those of it that are missing, as far as they exist."""

    data_dir: Path
    url: str | None = None
    copy: Path | None = None
    bring: Callable[[Sequence[Path]], None] = _has_all

    @classmethod
    def of(cls, place: Path | Self) -> Self:
        """Those of a data dir, or those that are given."""
        return place if isinstance(place, cls) else cls(data_dir=Path(str(place)))

    def paths(self, names: Iterable[str]) -> list[Path]:
        """Where files are read, in the order of their names."""
        found = [self._path(name) for name in names]
        if self.copy is not None:
            self.bring([path for path in found if path.is_relative_to(self.copy)])
        return found

    def name(self, path: str) -> str:
        """What people find a file under: the name that the marts have for it."""
        file = Path(path)
        if self.copy is not None and file.is_relative_to(self.copy):
            return f"{self.url}/{file.relative_to(self.copy).as_posix()}"
        if file.is_relative_to(self.data_dir):
            return str(file.relative_to(self.data_dir))
        return path

    def name_sql(self, column: str) -> str:
        """`name` as an expression of DuckDB."""
        places = [(f"{self.data_dir}/", "")]
        if self.copy is not None:
            places.insert(0, (f"{self.copy}/", f"{self.url}/"))
        whens = " ".join(
            f"when starts_with({column}, {_quoted(place)}) "
            f"then {_quoted(name)} || substr({column}, {len(place) + 1})"
            for place, name in places
        )
        return f"case {whens} else {column} end"

    def _path(self, name: str) -> Path:
        if self.url is not None and self.copy is not None and name.startswith(f"{self.url}/"):
            return self.copy / name.removeprefix(f"{self.url}/")
        return self.data_dir / name


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
