"""A landing zone at an object store: what lies there, what the copy holds, whatever happens."""

from __future__ import annotations

import datetime as dt
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from connectors import zones
from connectors.compaction import Compaction, compact
from connectors.landing import LandingResult, land
from connectors.manifest import Manifest, scan
from connectors.objects import Objects, StoreAddressError, StoreError, local_folder
from connectors.tables import READINGS, TABLES
from connectors.zones import Folder, StoreZone, files_of, zone_at
from tests.unit.connectors.test_compaction import HOUR, LATER, OVER, WINDOW, Site, event, reading

Hook = Callable[[str, str], None]


class Watched(MemoryFileSystem):
    """A store in memory that counts what is asked of it and lets a test step in before."""

    store: dict[str, Any] = {}  # noqa: RUF012 - the base class keeps it so
    pseudo_dirs = [""]  # noqa: RUF012
    cachable = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked: list[tuple[str, str]] = []
        self.before: Hook = lambda _verb, _path: None

    def _ask(self, verb: str, path: str) -> None:
        self.asked.append((verb, path))
        self.before(verb, path)

    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        self._ask("list", path)
        return super().find(path, *args, **kwargs)

    def get_file(self, path: str, target: str, **kwargs: Any) -> None:
        self._ask("get", path)
        super().get_file(path, target, **kwargs)

    def put_file(self, source: str, path: str, **kwargs: Any) -> None:
        self._ask("put", path)
        super().put_file(source, path, **kwargs)

    def rm_file(self, path: str) -> None:
        self._ask("remove", path)
        super().rm_file(path)

    def count(self, verb: str) -> int:
        return sum(1 for asked, _ in self.asked if asked == verb)


class Machine:
    """A data dir whose landing zone is at a store."""

    def __init__(self, store: Watched, url: str, root: Path) -> None:
        self.store, self.url, self.root = store, url, root
        self.now = LATER
        self.copy = root / "cache" / "landing"

    def zone(self) -> StoreZone:
        return StoreZone(Objects(self.url, self.store), self.copy)

    def land(self, *rows: tuple[object, ...], zone: Folder | None = None) -> LandingResult:
        self.now += HOUR
        return land(
            Site(READINGS, rows),
            site_id="NO-OSL1",
            window=WINDOW,
            landing_dir=zone or self.zone(),
            rejected_dir=self.root / "rejected",
            clock=lambda: self.now,
        )

    def scan(self) -> Manifest:
        return scan(self.zone(), self.root / "manifest")

    def compact(self) -> Compaction:
        return compact(self.zone(), self.scan(), before=OVER)

    def objects(self) -> list[str]:
        """Names of the landed objects."""
        root = self.store._strip_protocol(self.url)
        found = MemoryFileSystem.find(self.store, f"{root}/{READINGS.name}")
        return sorted(path.removeprefix(f"{root}/") for path in found)

    def rows(self) -> list[tuple[Any, ...]]:
        """All rows of all good files as the manifest lists them, sorted."""
        files = [f.path for f in self.scan().files if not f.refused]
        frame = pl.read_parquet(files, hive_partitioning=False).select(READINGS.columns)
        return sorted(frame.rows(), key=repr)


@pytest.fixture
def store() -> Iterator[Watched]:
    Watched.store.clear()
    Watched.pseudo_dirs[:] = [""]
    yield Watched()
    Watched.store.clear()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones, "_PAUSE_SECONDS", 0)


@pytest.fixture
def machine(store: Watched, tmp_path: Path) -> Machine:
    return Machine(store, f"memory://{uuid.uuid4().hex}/a prefix", tmp_path / "one")


@pytest.fixture
def other(machine: Machine, tmp_path: Path) -> Machine:
    """Another machine with the same landing zone."""
    return Machine(machine.store, machine.url, tmp_path / "two")


def three_fetches(machine: Machine) -> None:
    machine.land(*(reading(hour) for hour in range(30)))
    machine.land(reading(1, 2), reading(2, 2), reading(25, 2))
    machine.land(reading(2, 3), reading(0, 1, "m-2"))


# --- landing and listing -------------------------------------------------------------------------


def test_objects_are_what_a_folder_would_hold(machine: Machine, tmp_path: Path) -> None:
    done = machine.land(*(reading(hour) for hour in range(30)))
    folder = Folder(tmp_path / "landing")
    machine.now -= HOUR
    plain = machine.land(*(reading(hour) for hour in range(30)), zone=folder)
    names = [path.relative_to(folder.folder).as_posix() for path in plain.files]
    assert machine.objects() == sorted(names)
    assert list(done.as_dict()["files"]) == [f"{machine.url}/{name}" for name in names]
    root = machine.store._strip_protocol(machine.url)
    for name, path in zip(names, plain.files, strict=True):
        assert machine.store.cat_file(f"{root}/{name}") == path.read_bytes()


def test_landing_again_writes_nothing_and_a_change_writes_itself(machine: Machine) -> None:
    machine.land(reading(1), reading(2))
    again = machine.land(reading(1), reading(2))
    assert (again.rows_unchanged, again.files) == (2, ())
    changed = machine.land(reading(1), reading(2, 5))
    assert (changed.rows_unchanged, changed.rows_landed) == (1, 1)
    assert len(machine.objects()) == 2


def test_another_machine_knows_what_is_landed(machine: Machine, other: Machine) -> None:
    machine.land(reading(1), reading(2))
    again = other.land(reading(1), reading(2))
    assert (again.rows_unchanged, again.files) == (2, ())


def test_manifest_reads_the_copy_and_names_the_object(machine: Machine) -> None:
    machine.land(reading(1))
    (file,) = machine.scan().files
    assert file.path.is_relative_to(machine.copy)
    assert file.name == f"{machine.url}/{machine.objects()[0]}"
    (row,) = pq.read_table(machine.root / "manifest" / "readings.parquet").to_pylist()
    assert (row["path"], row["url"], row["rows"]) == (str(file.path), file.name, 1)


def test_listed_once_a_scan_and_fetched_once_ever(machine: Machine, other: Machine) -> None:
    three_fetches(machine)
    machine.store.asked.clear()
    first = other.scan()
    assert len(first.files) == 5
    assert machine.store.count("get") == 5
    assert sum(path.endswith("/readings") for _, path in machine.store.asked) == 1
    machine.store.asked.clear()
    assert other.scan().as_dict() == first.as_dict() | {"new": 0}
    assert machine.scan().as_dict()["files"] == 5  # has what it landed itself
    assert machine.store.count("get") == 0


def test_a_lost_copy_is_only_fetched_again(machine: Machine) -> None:
    three_fetches(machine)
    before = machine.scan()
    shutil.rmtree(machine.copy)
    after = machine.scan()
    assert after.files == before.files
    assert (after.new, after.changed, after.removed) == ((), (), ())


def test_a_damaged_copy_is_fetched_again(machine: Machine) -> None:
    three_fetches(machine)
    rows = machine.rows()
    file = machine.scan().files[0].path
    file.write_bytes(b"x" * file.stat().st_size)
    assert machine.rows() == rows


def test_an_object_that_was_replaced_is_a_changed_file(machine: Machine) -> None:
    machine.land(reading(1))
    machine.land(reading(2))
    machine.scan()
    one, two = (f"{machine.store._strip_protocol(machine.url)}/{n}" for n in machine.objects())
    machine.store.pipe_file(one, machine.store.cat_file(two))
    found = machine.scan()
    assert len(found.changed) == 1


def test_removed_objects_go_from_manifest_and_copy(machine: Machine) -> None:
    three_fetches(machine)
    machine.scan()
    (name, *left) = machine.objects()
    machine.store.rm_file(f"{machine.store._strip_protocol(machine.url)}/{name}")
    found = machine.scan()
    assert found.removed == (machine.copy / name,)
    zone = machine.zone()
    folders = [machine.copy / table for table in TABLES]
    assert not (machine.copy / name).exists()
    zone.refresh(*folders)
    kept = [path for folder in folders for path in files_of(zone, folder)]
    assert [path.relative_to(machine.copy).as_posix() for path in kept] == left


def test_removed_reading_is_landed_again(machine: Machine) -> None:
    """What a copy still holds says nothing: a person has taken the object away."""
    machine.land(reading(1))
    machine.scan()
    machine.store.rm_file(f"{machine.store._strip_protocol(machine.url)}/{machine.objects()[0]}")
    assert machine.land(reading(1)).rows_landed == 1


def test_copies_stay_while_somebody_reads_them(machine: Machine) -> None:
    from connectors.merges import beside_others

    machine.land(reading(1))
    machine.land(reading(2))
    machine.scan()
    name = machine.objects()[0]
    machine.store.rm_file(f"{machine.store._strip_protocol(machine.url)}/{name}")
    with beside_others(machine.zone()):
        assert machine.scan().removed == (machine.copy / name,)
        assert (machine.copy / name).exists()
    machine.scan()
    assert not (machine.copy / name).exists()


def test_refused_file_is_told_by_its_address(machine: Machine) -> None:
    machine.land(reading(1))
    root = machine.store._strip_protocol(machine.url)
    name = "readings/site_id=NO-OSL1/date=2026-05-10/half.parquet"
    machine.store.pipe_file(f"{root}/{name}", b"PAR1half")
    machine.store.pipe_file(f"{root}/readings/site_id=NO-OSL1/march.csv", b"a,b")
    machine.store.pipe_file(f"{root}/readings/.hidden.parquet", b"nobody's")
    found = machine.scan().as_dict()["refused"]
    assert isinstance(found, list)
    assert [refused["path"] for refused in found] == [
        f"{machine.url}/{name}",
        f"{machine.url}/readings/site_id=NO-OSL1/march.csv",
    ]


def test_nothing_where_there_was_something_is_refused(machine: Machine) -> None:
    machine.land(reading(1))
    machine.scan()
    slip = Machine(machine.store, machine.url + "x", machine.root)
    with pytest.raises(StoreError, match=r"a prefixx: no landed file is there"):
        slip.scan()
    shutil.rmtree(machine.root / "manifest")
    assert slip.scan().files == ()


# --- things that change or break meanwhile -------------------------------------------------------


def test_an_object_that_goes_after_the_listing_is_listed_again(
    machine: Machine, other: Machine
) -> None:
    three_fetches(machine)
    gone: list[str] = []

    def remove_first(verb: str, path: str) -> None:
        if verb == "get" and not gone:
            gone.append(path)
            MemoryFileSystem.rm_file(machine.store, path)

    machine.store.before = remove_first
    found = other.scan()
    assert len(found.files) == 4
    assert gone[0].removeprefix("/") not in {file.name for file in found.files}


def test_half_an_object_is_never_used(machine: Machine, other: Machine) -> None:
    machine.land(reading(1))

    def cut(path: str, target: str, **_: Any) -> None:
        Path(target).write_bytes(machine.store.cat_file(path)[:100])

    machine.store.get_file = cut  # type: ignore[method-assign]
    with pytest.raises(StoreError, match=r"parquet \(100 of [\d,]+ bytes\) changed or went"):
        other.scan()
    assert not list(other.copy.glob("readings/**/*.parquet"))
    del machine.store.get_file
    assert len(other.scan().files) == 1


def test_a_merge_during_the_listing_is_seen_whole(machine: Machine, other: Machine) -> None:
    """Rows of a day that is merged between two pages are neither missed nor seen twice."""
    three_fetches(machine)
    rows = machine.rows()
    found = machine.scan()
    merging: list[str] = []

    def merge(verb: str, path: str) -> None:
        if verb == "list" and path.endswith("/charge_events") and not merging:
            merging.append(path)
            compact(machine.zone(), found, before=OVER)

    machine.store.before = merge
    seen = other.rows()
    assert merging
    assert seen == rows
    assert [Path(name).name.count(".merged-") for name in machine.objects()] == [1, 1]


def test_a_merge_that_goes_on_is_waited_for(
    machine: Machine, other: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_fetches(machine)
    machine.scan()
    zone = other.zone()
    note = zone.folder / ".merges" / "0.json"
    path = f"{machine.store._strip_protocol(machine.url)}/.merges/0.json"
    machine.store.pipe_file(path, b"{}")
    with pytest.raises(StoreError, match="being merged there by another machine"):
        zone.refresh(zone.folder / "readings")
    assert zone.stat(note) is None
    monkeypatch.setattr(zones, "_PAUSE_SECONDS", 0.2)
    timer = threading.Timer(0.1, MemoryFileSystem.rm_file, (machine.store, path))
    timer.start()
    zone.refresh(zone.folder / "readings")
    timer.join()
    assert len(list(files_of(zone, zone.folder / "readings"))) == 5


# --- merging -------------------------------------------------------------------------------------


def test_merging_keeps_every_row(machine: Machine, other: Machine) -> None:
    three_fetches(machine)
    rows = machine.rows()
    done = machine.compact()
    assert len(machine.objects()) == 2
    assert [day.as_dict()["merged"] for day in done.days] == [
        f"{machine.url}/{name}" for name in machine.objects()
    ]
    assert machine.rows() == rows == other.rows()
    assert other.compact().days == ()
    assert not [path for path in machine.store.store if path.endswith((".json", ".tmp"))]


def test_a_day_that_grew_meanwhile_is_left(machine: Machine) -> None:
    three_fetches(machine)
    found = machine.scan()
    root = machine.store._strip_protocol(machine.url)
    first = f"{root}/{machine.objects()[0]}"
    machine.store.pipe_file(first, machine.store.cat_file(first) + b" ")
    done = compact(machine.zone(), found, before=OVER)
    assert done.left[0].name == f"{machine.url}/readings/site_id=NO-OSL1/date=2026-05-10"
    assert "changed meanwhile" in done.left[0].reason


class KilledError(BaseException):
    """Stands for the end of the process: nothing catches it."""


def _changes(machine: Machine, found: Manifest, nth: int) -> bool:
    """Merge, killed before the nth change of the store; whether it was."""
    left = nth

    def kill(verb: str, _path: str) -> None:
        nonlocal left
        if verb in ("put", "remove"):
            left -= 1
            if left < 0:
                raise KilledError

    machine.store.before = kill
    try:
        compact(machine.zone(), found, before=OVER)
    except KilledError:
        return True
    finally:
        machine.store.before = lambda _verb, _path: None
    return False


@pytest.mark.parametrize("who", ["the same machine", "another"])
def test_killed_merge_loses_nothing_and_shows_nothing_twice(
    machine: Machine, other: Machine, who: str
) -> None:
    three_fetches(machine)
    rows = machine.rows()
    found = machine.scan()
    objects = dict(Watched.store)
    kept = shutil.copytree(machine.root, machine.root.with_name("kept"))
    for nth in range(100):
        Watched.store.clear()
        Watched.store.update(objects)
        for one in (machine, other):
            shutil.rmtree(one.root, ignore_errors=True)
        shutil.copytree(kept, machine.root)
        killed = _changes(machine, found, nth)
        next_one = machine if who == "the same machine" else other
        assert next_one.rows() == rows, f"killed before change {nth}"
        assert not [path for path in Watched.store if path.endswith(".json")]
        next_one.compact()
        assert next_one.rows() == rows
        assert len(machine.objects()) == 2
        if not killed:
            break
    assert nth > 8


def test_killed_landing_is_done_again_with_the_same_result(machine: Machine) -> None:
    days = [reading(hour) for hour in range(72)]
    left = 1

    def kill(asked: str, _path: str) -> None:
        nonlocal left
        if asked == "put":
            left -= 1
            if left < 0:
                raise KilledError

    machine.store.before = kill
    with pytest.raises(KilledError):
        machine.land(*days)
    machine.store.before = lambda _verb, _path: None
    assert len(machine.objects()) == 1
    again = machine.land(*days)
    assert (again.rows_unchanged, again.rows_landed) == (24, 48)
    assert len(machine.rows()) == 72


def test_killed_between_store_and_copy(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(StoreZone, "_keep", killed)
        with pytest.raises(KilledError):
            machine.land(reading(1))
    assert machine.land(reading(1)).rows_unchanged == 1
    assert len(machine.rows()) == 1


# --- addresses -----------------------------------------------------------------------------------


def test_paths_and_file_addresses_are_folders(tmp_path: Path) -> None:
    for url in (str(tmp_path / "a b"), (tmp_path / "a b").as_uri()):
        zone = zone_at(url, copy=tmp_path / "copy")
        assert type(zone) is Folder
        assert zone.folder == tmp_path / "a b"
    assert local_folder("memory://a") is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://key:hush@bucket/x", "credentials do not belong into an address"),
        ("file://host/x", "write file:///absolute/path"),
        ("file:x", "write file:///absolute/path"),
        ("s4://bucket/x", "Protocol not known: s4"),
        ("s3://", "it names no bucket"),
    ],
)
def test_addresses_that_cannot_be_used(url: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(StoreAddressError, match=said) as raised:
        zone_at(url, copy=tmp_path)
    assert "hush" not in str(raised.value)


def test_where_a_put_is_not_atomic_a_rename_is(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"whole")
    seen: list[str] = []

    class Slow(LocalFileSystem):
        cachable = False

        def put_file(self, path: str, target: str, **kwargs: Any) -> None:
            seen.append(Path(target).name)
            super().put_file(path, target, **kwargs)
            assert not (tmp_path / "there" / "x" / "marts.duckdb").exists()

    objects = Objects((tmp_path / "there").as_uri(), Slow())
    found = objects.put(source, "x/marts.duckdb")
    assert found.size == 5
    assert seen[0].startswith(".marts.duckdb.")
    assert [path.name for path in (tmp_path / "there" / "x").iterdir()] == ["marts.duckdb"]
    assert list(objects.list("x")) == ["x/marts.duckdb"]


def test_a_full_disk_here_is_no_fault_of_the_store(machine: Machine, other: Machine) -> None:
    machine.land(reading(1))

    def full(_path: str, target: str, **_: Any) -> None:
        raise OSError(28, "No space left on device", target)

    machine.store.get_file = full  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space left"):
        other.scan()


def test_stamps_follow_time_and_tag() -> None:
    from connectors.objects import _object

    at = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
    one = _object("s3://b/x", {"size": 1, "LastModified": at, "ETag": '"a"'})
    assert one.stamp_ns // 10**9 == int(at.timestamp())
    assert one == _object("s3://b/x", {"size": 1, "LastModified": at, "ETag": '"a"'})
    for url, tag in (("s3://b/x", '"b"'), ("s3://b/y", '"a"')):
        assert one != _object(url, {"size": 1, "LastModified": at, "ETag": tag})


def test_events_are_compared_with_all_days_of_their_site(machine: Machine) -> None:
    for row, expected in ((event(1), 1), (event(1), 0), (event(30), 1)):
        done = land(
            Site(TABLES["charge_events"], (row,)),
            site_id="NO-OSL1",
            window=WINDOW,
            landing_dir=machine.zone(),
            rejected_dir=machine.root / "rejected",
            clock=lambda: machine.now,
            table="charge_events",
        )
        assert done.rows_landed == expected
        machine.now += HOUR
