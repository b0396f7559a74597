"""Where landing zone and published data lie besides the data dir, as the environment says:
`M2C_LANDING_URL` and `M2C_PUBLISHED_URL`, each a path or an address that fsspec reaches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.objects import Objects, StoreAddressError, StoreError, local_folder
from connectors.tables import TABLES
from connectors.zones import Folder, StoreZone, files_of, zone_at
from exporters.collections import is_loopback
from exporters.landed import LandedFiles
from orchestration.locks import hold
from orchestration.rehearsal import refuse_elsewhere
from orchestration.settings import DataDir, SettingsError

if TYPE_CHECKING:
    from exporters.statements import RenderedStatement

LANDING_URL = "M2C_LANDING_URL"
PUBLISHED_URL = "M2C_PUBLISHED_URL"
MARTS = "marts.duckdb"
STATEMENTS = "statements"


def landing_zone(data_dir: DataDir, *, to_write: bool = False) -> Folder:
    """The landing zone: the folder `landing` of the data dir without `M2C_LANDING_URL`.

    Raises SettingsError when the URL cannot be used, or a rehearsal would write to another machine;
    nothing is asked of a store yet.
    """
    url = data_dir.landing_url
    if url is None:
        return Folder(data_dir.landing.resolve())
    if to_write:
        _refuse_in_rehearsal(os.environ, LANDING_URL, url)
    try:
        return zone_at(url, copy=data_dir.landing_copy)
    except StoreAddressError as error:
        raise SettingsError(f"{LANDING_URL}: {error}") from error


def landed_files(data_dir: DataDir) -> LandedFiles:
    """How the files that `landed_files` of the marts names are read here."""
    zone = landing_zone(data_dir)
    if not isinstance(zone, StoreZone):
        return LandedFiles(data_dir=data_dir.root)
    return LandedFiles(data_dir=data_dir.root, url=zone.url, copy=zone.folder, bring=zone.bring)


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """Landed files, by their path below the landing zone, that `place` does not have."""

    place: str
    paths: tuple[str, ...]

    def describe(self) -> str:
        """In words, with what to do."""
        return (
            f"{LANDING_URL} is {self.place}, which a restore does not change: of the landed files "
            f"of the backup it lacks {len(self.paths)}, {self.paths[0]} first; they are in the "
            "folder landing of the data dir. Copy them there in the same layout, unless their days "
            "were merged since"
        )


def lacking_at_url(data_dir: DataDir, sizes: Mapping[str, int]) -> Lacking | None:
    """Which of some landed files, with their sizes, are not at `M2C_LANDING_URL`; None without such
    a URL, or if all are. Raises SettingsError, StoreError, OSError."""
    if data_dir.landing_url is None:
        return None
    zone = landing_zone(data_dir)
    folders = [zone.folder / name for name in TABLES]
    zone.refresh(*folders)
    there = {
        path.relative_to(zone.folder).as_posix(): found[0]
        for folder in folders
        for path in files_of(zone, folder)
        if (found := zone.stat(path)) is not None
    }
    lacking = sorted(path for path, size in sizes.items() if there.get(path) != size)
    return Lacking(place=zone.name_of(zone.folder), paths=tuple(lacking)) if lacking else None


def copy_marts(data_dir: DataDir) -> str | None:
    """Put the published marts to `M2C_PUBLISHED_URL`, whole or not at all; the address they are at
    then, None without such a URL. Raises SettingsError, StoreError, OSError."""
    objects = _published(data_dir)
    if objects is None:
        return None
    try:
        # Not while a build puts others in their place.
        with hold(data_dir.locks, "warehouse", purpose="copying the marts to their URL"):
            objects.put(data_dir.marts, MARTS)
    except StoreError as error:
        raise StoreError(
            error.url,
            f"{error.said}. The marts are published here, and the copy there is the one before; "
            "the next build puts them there",
        ) from error
    return objects.url_of(MARTS)


def copy_statements(
    data_dir: DataDir, period: str, rendered: Iterable[RenderedStatement]
) -> list[str]:
    """Put the files of issued statements below `M2C_PUBLISHED_URL`; their addresses, none without
    such a URL. Raises SettingsError, StoreError, OSError."""
    objects = _published(data_dir)
    if objects is None:
        return []
    wanted = [
        (path, f"{STATEMENTS}/{period}/{path.name}")
        for statement in rendered
        if not statement.is_preview
        for path in statement.paths.values()
    ]
    objects.put_all(wanted)
    return [objects.url_of(name) for _, name in wanted]


def _published(data_dir: DataDir) -> Objects | None:
    url = data_dir.published_url
    if url is None:
        return None
    _refuse_in_rehearsal(os.environ, PUBLISHED_URL, url)
    try:
        folder = local_folder(url)
        # No percent signs: what writes to folders takes an address as it stands.
        return Objects(f"file://{folder}" if folder is not None else url)
    except StoreAddressError as error:
        raise SettingsError(f"{PUBLISHED_URL}: {error}") from error


def _refuse_in_rehearsal(env: Mapping[str, str], name: str, url: str) -> None:
    if "://" not in url or url.startswith(("file:", "memory:")):
        return
    endpoint = ""
    if url.startswith(("s3:", "s3a:")):
        endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or ""
    if is_loopback(endpoint):
        return
    refuse_elsewhere(
        env,
        endpoint or url,
        where=f"{name} is {url}, on another machine",
        remedy="Unset M2C_NOW, or that, or point it at a server on loopback.",
    )
