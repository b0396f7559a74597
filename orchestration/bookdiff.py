"""The book as it was at a revision of git, beside the one in the working copy."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from connectors.book import Book, BookError, WordsChange, changed_words, load_book
from orchestration.settings import SettingsError


def words_since(book_dir: Path, revision: str) -> list[WordsChange]:
    """The sentences of plans that differ between a revision and the working copy.

    Raises SettingsError, in words, where there is no git work tree, no such revision, or no sound
    book in it; BookError for faults of the working copy.
    """
    now = load_book(book_dir)
    with _checked_out(book_dir, revision) as folder:
        try:
            before = load_book(folder)
        except BookError as error:
            raise SettingsError(f"the book at revision {revision} is not sound: {error}") from error
    return changed_words(before, now)


def book_of_version(book_dir: Path, version: str) -> tuple[Book, str] | None:
    """The book of a version and the commit that holds it, looked for in the newest commits that
    changed it; None if none of them does, or if the book is not under version control."""
    try:
        found = _git(book_dir, ["log", f"-{_COMMITS}", "--format=%H", "--", "."])
    except _GitError:
        return None
    for commit in found.decode().split():
        try:
            with _checked_out(book_dir, commit) as folder:
                book = load_book(folder)
        except (BookError, SettingsError):
            continue
        if book.version == version:
            return book, commit
    return None


_COMMITS = 100


@contextmanager
def _checked_out(book_dir: Path, revision: str) -> Iterator[Path]:
    """The folder of the book as the revision holds it, in a folder that goes afterwards."""
    try:
        top, prefix = _words(book_dir, "--show-toplevel"), _words(book_dir, "--show-prefix")
    except _GitError as error:
        raise SettingsError(
            f"{book_dir} is not in a git work tree, so there is no revision to compare with: put "
            f"the book under version control ({error})"
        ) from error
    try:
        commit = _git(
            book_dir,
            ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"],
        )
    except _GitError as error:
        raise SettingsError(
            f"git knows no revision {revision!r}; write for example HEAD~1, a branch or a commit"
        ) from error
    try:
        # In a folder below the top, git would look for that folder within the tree.
        tree = f"{commit.decode().strip()}:{prefix.rstrip('/')}"
        archive = _git(Path(top), ["archive", "--format=tar", tree])
    except _GitError as error:
        raise SettingsError(
            f"revision {revision} has no book at {prefix or book_dir}; it was committed later, or "
            f"never ({error})"
        ) from error
    with TemporaryDirectory(prefix="m2c-book-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)


def _words(folder: Path, question: str) -> str:
    return _git(folder, ["rev-parse", question]).decode().removesuffix("\n")


class _GitError(Exception):
    """Git refused; its words."""


def _git(folder: Path, arguments: Sequence[str]) -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, check=False
        )
    except OSError as error:
        raise _GitError(f"git cannot be run: {error}") from error
    if done.returncode != 0:
        raise _GitError(done.stderr.decode("utf-8", "replace").strip() or "git said nothing")
    return done.stdout
