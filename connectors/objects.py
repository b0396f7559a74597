"""An address at which objects lie, as fsspec reaches it: listed, fetched, put, removed.

An object appears whole or not at all. Where the store promises that of a single put, as object
stores do, it is put under its name; elsewhere under a hidden name beside it, then renamed. Whatever
a store says is raised as ``StoreError`` with the address, the object and its own words; it never
has a credential in it, for those come from the environment, where the store's own client looks for
them, and an address that carries one is not accepted. Not here: what the objects mean.
"""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import os
import posixpath
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

# One put is atomic there, and renaming is copying.
_PUTS_WHOLE: Final = frozenset(
    ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "memory")
)
_AT_ONCE: Final = 16
_S3_OPTIONS: Final = {
    # A get is a get, with no question for the size before it.
    "max_concurrency": 1,
    "config_kwargs": {
        "connect_timeout": 5,
        "read_timeout": 20,
        # The file system above asks five times more.
        "retries": {"mode": "standard", "max_attempts": 2},
        "max_pool_connections": 2 * _AT_ONCE,
    },
}
# Extra packages by protocol, for those that the program itself offers.
_EXTRAS: Final = {"s3": "s3", "s3a": "s3"}
_LOCAL_FAULTS: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG))
# What clients raise that is no OSError, looked up among what is loaded: each store has its own.
_CLIENT_ERRORS: Final = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
)
_ETAGS: Final = ("ETag", "etag", "md5", "md5Hash", "content_md5", "content_settings", "checksum")
_Asked = TypeVar("_Asked")
_Given = TypeVar("_Given")
_MODIFIED: Final = ("LastModified", "last_modified", "mtime", "updated", "modified", "created")


class StoreAddressError(ValueError):
    """An address that cannot be used as it stands; the message says what to write instead."""


class StoreError(Exception):
    """A store did not do what was asked of it, and in its own words why."""

    def __init__(self, url: str, said: str) -> None:
        super().__init__(url, said)
        self.url = url
        self.said = said

    def __str__(self) -> str:
        return f"{self.url}: {self.said}"


@dataclass(frozen=True, kw_only=True)
class Object:
    """An object as a listing has it. ``stamp_ns`` is its time, in nanoseconds since 1970: to the
    second the store's, and below that made of its entity tag. So two objects of one name, size and
    stamp are the same."""

    size: int
    stamp_ns: int


def local_folder(url: str) -> Path | None:
    """The folder of an address that is a path or a ``file:`` URL, None for any other address.

    Raises StoreAddressError for an address that is neither or carries a password.
    """
    if "://" not in url:
        if url.startswith("file:"):
            raise StoreAddressError(f"{url!r}: write file:///absolute/path")
        return Path(url).resolve()
    parts = urlsplit(url)
    if parts.password is not None:
        raise StoreAddressError(
            f"{parts.scheme}://{parts.username}:…@…: credentials do not belong into an address; "
            "they are taken from the environment"
        )
    if parts.scheme in ("file", "local"):
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise StoreAddressError(f"{url!r}: write file:///absolute/path")
        return Path(unquote(parts.path)).resolve()
    return None


class Objects:
    """The objects below one address. Names are relative to it, with slashes."""

    def __init__(self, url: str, filesystem: Any = None) -> None:
        """Make no connection yet. ``filesystem`` stands for the one that the address names.

        Raises StoreAddressError if no package here can reach such an address.
        """
        self.url = url.rstrip("/")
        if self.url.endswith(":"):
            raise StoreAddressError(f"{url}: it names no bucket; write {self.url}//bucket/prefix")
        if filesystem is None:
            filesystem, root = _reach(self.url)
        else:
            root = filesystem._strip_protocol(self.url)
        self._fs = filesystem
        self._root = str(root).rstrip("/")
        protocols = filesystem.protocol
        names = {protocols} if isinstance(protocols, str) else set(protocols)
        self._puts_whole = bool(names & _PUTS_WHOLE)

    def url_of(self, name: str) -> str:
        """An object's address; that of all without a name."""
        return f"{self.url}/{name}" if name not in ("", ".") else self.url

    def list(self, below: str) -> dict[str, Object]:
        """Every object below a name, but for hidden ones that are none of ``below`` itself.

        A name with nothing below it has none; a bucket that does not exist raises StoreError.
        """
        with self._telling(below):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(f"{self._root}/{below}", detail=True)
            except FileNotFoundError:
                if self._puts_whole:  # a bucket that is missing, as prefixes never are
                    raise
                found = {}
        listed = {}
        for path, info in found.items():
            name = self._name_of(path)
            inner = name.removeprefix(f"{below}/").split("/")
            if name == below or any(part.startswith((".", "_")) for part in inner):
                continue
            # Browsers of stores leave an empty object where they show a folder.
            if info.get("type", "file") == "file" and not path.endswith("/"):
                listed[name] = _object(self.url_of(name), info)
        return listed

    def find(self, name: str) -> Object | None:
        """One object, None if there is none."""
        with self._telling(name):
            self._fs.invalidate_cache()
            try:
                info = self._fs.info(f"{self._root}/{name}")
            except FileNotFoundError:
                return None
        return _object(self.url_of(name), info) if info.get("type") == "file" else None

    def fetch(self, wanted: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, int | None]]:
        """Copy objects to files; give each name with its size, None where the object has gone.

        Several at once, which is what makes thousands of small ones quick.
        """

        def get(pair: tuple[str, Path]) -> tuple[str, int | None]:
            name, target = pair
            with self._telling(name, target):
                try:
                    self._fs.get_file(f"{self._root}/{name}", str(target))
                except FileNotFoundError:
                    return name, None
            return name, target.stat().st_size

        yield from _several(get, wanted)

    def put(self, source: Path, name: str) -> Object:
        """Put a file under a name, whole or not at all; return the object.

        An object of that name is replaced.
        """
        path = f"{self._root}/{name}"
        with self._telling(name, source):
            self._fs.invalidate_cache()
            if self._puts_whole:
                self._fs.put_file(str(source), path)
            else:
                folder, last = posixpath.split(path)
                hidden = f"{folder}/.{last}.{uuid.uuid4().hex}.tmp"
                self._fs.makedirs(folder, exist_ok=True)
                try:
                    self._fs.put_file(str(source), hidden)
                    self._fs.mv(hidden, path)
                finally:
                    if self._fs.exists(hidden):
                        self._fs.rm_file(hidden)
        there = self.find(name)
        size = source.stat().st_size
        if there is None or there.size != size:
            found = "nothing" if there is None else f"{there.size:,} bytes"
            raise StoreError(
                self.url_of(name), f"{size:,} bytes were put there and {found} is there now"
            )
        return there

    def put_all(self, wanted: Iterable[tuple[Path, str]]) -> None:
        """Put several files, each whole or not at all."""
        for _ in _several(lambda pair: self.put(*pair), wanted):
            pass

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; one that is gone already is no fault."""

        def remove(name: str) -> None:
            with self._telling(name):
                try:
                    self._fs.rm_file(f"{self._root}/{name}")
                except FileNotFoundError:
                    return

        for _ in _several(remove, names):
            pass

    def _name_of(self, path: str) -> str:
        stripped = str(self._fs._strip_protocol(path))
        return stripped.removeprefix(self._root).lstrip("/")

    @contextmanager
    def _telling(self, name: str, local: Path | None = None) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except _errors() as error:
            if isinstance(error, OSError) and (
                error.errno in _LOCAL_FAULTS or (local is not None and error.filename == str(local))
            ):
                raise  # of this machine's disk
            raise StoreError(self.url_of(name), _in_words(error)) from error


def _several(do: Callable[[_Asked], _Given], what: Iterable[_Asked]) -> Iterator[_Given]:
    """Do something with each, several at once, in order; what fails stops what is not begun."""
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="store")
    try:
        yield from pool.map(do, what)
    finally:
        pool.shutdown(cancel_futures=True)


def _reach(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs  # only where a store is used

    protocol = url.partition("://")[0]
    options: dict[str, Any] = {"use_listings_cache": False}
    if protocol in ("s3", "s3a"):
        options |= _S3_OPTIONS
        # Named, for clients are kept by what they were asked for.
        if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
            options["endpoint_url"] = endpoint
    try:
        filesystem, root = url_to_fs(url, **options)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        hint = f"install meter-to-cash[{extra}]" if extra else str(error)
        raise StoreAddressError(f"{url}: what reaches {protocol}:// is missing: {hint}") from error
    except ValueError as error:
        known = ", ".join(sorted({"file", "gs", "s3", "abfs", "sftp"}))
        raise StoreAddressError(
            f"{url}: {error}; an address begins for example with one of {known}"
        ) from error
    if str(root).strip("/") == "" and protocol != "memory":
        raise StoreAddressError(f"{url}: it names no bucket; write {protocol}://bucket/prefix")
    return filesystem, str(root)


def _errors() -> tuple[type[BaseException], ...]:
    found: list[type[BaseException]] = [OSError]
    for module, name in _CLIENT_ERRORS:
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)


def _in_words(error: BaseException) -> str:
    """What was said, and what a person looks at."""
    said = " ".join((str(error) or type(error).__name__).split())
    kind = type(error).__name__
    if isinstance(error, PermissionError) or "Credentials" in kind:
        return (
            f"it refuses: {said}. Look at the credentials in the environment "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE for S3) and at what they allow"
        )
    if isinstance(error, FileNotFoundError):
        return f"not there: {said}. Look at the bucket and the prefix of the address"
    if isinstance(error, TimeoutError) or "Connect" in kind or "Timeout" in kind:
        return f"it does not answer: {said}. It is tried again by running this again"
    return f"{said} ({kind})"


def _object(url: str, info: dict[str, Any]) -> Object:
    tag = next((str(info[key]) for key in _ETAGS if info.get(key)), "")
    modified = next((info[key] for key in _MODIFIED if info.get(key)), None)
    # The time of one object may come in another form than in a listing.
    if isinstance(modified, str):
        with suppress(ValueError):
            modified = dt.datetime.fromisoformat(modified)
    elif isinstance(modified, int | float):
        modified = dt.datetime.fromtimestamp(modified, dt.UTC)
    seconds = 0
    if isinstance(modified, dt.datetime):
        whole = modified if modified.tzinfo else modified.replace(tzinfo=dt.UTC)
        seconds = int(whole.timestamp())
        tag = tag or whole.astimezone(dt.UTC).isoformat()
    tag = tag or str(modified)
    digest = hashlib.sha256(f"{url}\n{tag}".encode()).digest()
    microseconds = int.from_bytes(digest[:8]) % 1_000_000
    return Object(size=int(info["size"] or 0), stamp_ns=seconds * 10**9 + microseconds * 1_000)


def stamp(path: Path, found: Object) -> None:
    """Give a file the time of the object it is a copy of."""
    os.utime(path, ns=(found.stamp_ns, found.stamp_ns))
