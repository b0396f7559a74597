"""The local Xero's memory: objects by kind and id in one SQLite file, changed in transactions.

A request stages its changes; they become visible and durable together at `commit`, or vanish at
`rollback`. That is what makes a fault "before commit" leave nothing behind.
"""

from __future__ import annotations

import copy
import sqlite3
from pathlib import Path

from exporters.xero.sandbox.wire import Json, dumps, loads

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
    UNIQUE (kind, id));
CREATE TABLE IF NOT EXISTS blobs (id TEXT PRIMARY KEY, content BLOB NOT NULL);
"""


class Store:
    """Objects of the organisation; every object is a JSON mapping. Not thread-safe by itself."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(
            ":memory:" if path is None else str(path), check_same_thread=False, isolation_level=None
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(_SCHEMA)
        self._objects: dict[str, dict[str, Json]] = {}
        self._last_seq = 0
        for kind, key, text in self._db.execute("SELECT kind, id, body FROM objects ORDER BY seq"):
            body = loads(text)
            self._objects.setdefault(kind, {})[key] = body
            self._last_seq = max(self._last_seq, int(body["_seq"]))
        self._staged: dict[tuple[str, str], Json | None] = {}
        self._blobs: dict[str, bytes] = {}

    def get(self, kind: str, key: str) -> Json | None:
        """A copy of one object, with what this request has changed; None when there is none."""
        if (kind, key) in self._staged:
            found = self._staged[kind, key]
        else:
            found = self._objects.get(kind, {}).get(key)
        return copy.deepcopy(found)

    def all(self, kind: str) -> list[Json]:
        """All objects of a kind, oldest first. They are copies, but what is inside them is not:
        set their keys as you like, change nothing deeper."""
        kept = [
            body
            for key, body in self._objects.get(kind, {}).items()
            if (kind, key) not in self._staged
        ]
        staged = [o for k, o in self._staged.items() if k[0] == kind and o is not None]
        return sorted((dict(body) for body in (*kept, *staged)), key=lambda body: body["_seq"])

    def put(self, kind: str, key: str, body: Json) -> None:
        """Stage one object, new or changed."""
        if "_seq" not in body:
            self._last_seq += 1
            body["_seq"] = self._last_seq
        self._staged[kind, key] = copy.deepcopy(body)

    def delete(self, kind: str, key: str) -> None:
        """Stage the removal of one object."""
        self._staged[kind, key] = None

    def put_blob(self, key: str, content: bytes) -> None:
        """Stage the content of a file."""
        self._blobs[key] = content

    def blob(self, key: str) -> bytes | None:
        """The content of a file, or None."""
        if key in self._blobs:
            return self._blobs[key]
        row = self._db.execute("SELECT content FROM blobs WHERE id = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def commit(self) -> list[tuple[str, str, bool]]:
        """Make the staged changes durable and visible, all or none; kind and id of each object
        that is there now, and whether it is new."""
        if not self._staged and not self._blobs:
            return []
        changed = [
            (kind, key, key not in self._objects.get(kind, {}))
            for (kind, key), body in self._staged.items()
            if body is not None
        ]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for (kind, key), body in self._staged.items():
                if body is None:
                    self._db.execute("DELETE FROM objects WHERE kind = ? AND id = ?", (kind, key))
                else:
                    self._db.execute(
                        "INSERT INTO objects (kind, id, body) VALUES (?, ?, ?)"
                        " ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                        (kind, key, dumps(body)),
                    )
            for key, content in self._blobs.items():
                self._db.execute("INSERT OR REPLACE INTO blobs VALUES (?, ?)", (key, content))
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self._db.execute("ROLLBACK")
            raise
        for (kind, key), body in self._staged.items():
            if body is None:
                self._objects.get(kind, {}).pop(key, None)
            else:
                self._objects.setdefault(kind, {})[key] = body
        self.rollback()
        return changed

    def rollback(self) -> None:
        """Forget the staged changes."""
        self._staged.clear()
        self._blobs.clear()

    def close(self) -> None:
        """Close the file."""
        self._db.close()
