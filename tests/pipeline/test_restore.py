"""A month that was issued and published, backed up, lost and restored: the same marts after a
rebuild, and nothing is sent before the ledger was reconciled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from tests.pipeline.conftest import CLOSE, PERIOD, Place


def differing(one: Place, other: Place) -> set[str]:
    """The published tables that do not hold the same rows."""
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        for name, place in (("a", one), ("b", other)):
            con.execute(f"attach '{place / 'published/marts.duckdb'}' as {name} (read_only)")
        listed = "select table_name from duckdb_tables() where database_name = ? order by all"
        tables = con.execute(listed, ["a"]).fetchall()
        assert tables == con.execute(listed, ["b"]).fetchall()
        found = set()
        for (table,) in tables:
            (count,) = con.execute(
                f'select count(*) from ((from a."{table}" except all from b."{table}")'
                f' union all (from b."{table}" except all from a."{table}"))'
            ).fetchone() or (0,)
            if count:
                found.add(table)
        return found


def test_a_restored_month(invoiced: Any, tmp_path: Path) -> None:
    env = {"M2C_NOW": CLOSE}
    place = invoiced.place.copy_to(tmp_path / "data")
    assert place.run("build", **env).code == 0  # after publishing
    backup = place.run("backup", str(tmp_path / "nas"), "--json", **env)
    assert backup.code == 0, backup.err
    assert place.run("ledger", "verify", **env).code == 0
    told = backup.json()
    new = Place(tmp_path / "new")

    restore = new.run("restore", str(tmp_path / "nas"), "--json", **env)

    assert restore.code == 0, restore.err
    assert restore.json()["backup"] == told["backup"]
    build = new.run("build", **env)
    assert build.code == 0, build.err
    # The ledger knows besides that it was restored, and the warehouse counts its runs anew.
    assert differing(place, new) <= {"build_info"}

    with new.xero() as xero:
        online = {**env, **xero.environment()}
        refused = new.run("publish", PERIOD, "--apply", **online)
        assert refused.code == 1
        assert "run m2c reconcile" in refused.err
        assert new.run("publish", PERIOD, **online).code in (0, 1)  # the plan may be looked at
        reminded = new.run("remind", "--apply", **online)
        assert reminded.code == 1
        assert "run m2c reconcile" in reminded.err
        unconnected = new.run("reconcile", "--json", **env)
        assert unconnected.code == 1
        assert unconnected.json()["xero"] == "not_compared"
        reconciled = new.run("reconcile", "--json", **online)
        assert reconciled.code == 0, reconciled.out
        assert reconciled.json()["xero"] == "compared"
        # This Xero is an empty one: what is gone there is for a person, and not made again.
        published = new.run("publish", PERIOD, "--apply", **online)
        assert published.code == 1
        assert "no longer in Xero" in published.out
        assert [r for r in xero.admin.requests() if r["method"] in ("PUT", "POST")
                and "connect/token" not in r["path"]] == []  # fmt: skip
    # What was issued is issued; nothing new is.
    assert new.run("issue", PERIOD, **env).code == 0
    assert new.run("ledger", "verify", "--against", str(tmp_path / "nas"), **env).code == 0
    again = new.run("restore", str(tmp_path / "nas"), **env)
    assert again.code == 1
    assert "is not empty" in again.err


def test_a_ledger_put_back_by_hand_is_found_by_the_next_build(issued: Any) -> None:
    env = {"M2C_NOW": CLOSE}
    copy = issued / "before.sqlite"
    assert issued.run("ledger", "backup", str(copy), **env).code == 0
    held = issued.run("hold", "ABAY", "--by", "anna", "--reason", "on the telephone", **env)
    assert held.code == 0, held.err
    for suffix in ("", "-wal", "-shm"):
        (issued / f"ledger/ledger.sqlite{suffix}").unlink(missing_ok=True)
    (issued / "ledger/ledger.sqlite").write_bytes(copy.read_bytes())

    verified = issued.run("ledger", "verify", **env)
    assert verified.code == 1
    assert "published/marts.duckdb" in verified.out
    assert issued.run("build", **env).code == 0  # would replace what the marts know
    refused = issued.run("remind", "--apply", **env, M2C_XERO_CLIENT_ID="x")
    assert refused.code in (1, 2)
    reconciled = issued.run("reconcile", "--json", **env)
    assert reconciled.code == 0, reconciled.out
    assert reconciled.json()["complete"]
    assert issued.run("ledger", "verify", **env).code == 0
