"""The models of the dbt project, rendered and run on an in-memory DuckDB without dbt.

A model is a Jinja template of SQL over other models and sources. Here the templates are rendered
with the project's own macros, every ``ref`` and ``source`` being a table of one database, and the
project's own loop over days fills them. Which models there are is found by following what the
wanted ones read, up to tables that are given. What dbt itself does (contracts, tests, publishing)
is tested elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

import duckdb
import jinja2
import jinja2.runtime

PROJECT = Path(__file__).parents[3] / "dbt_project"
DAYS = "int_metering__days"


@dataclass(frozen=True)
class Model:
    """A rendered model: its SQL, what it is made into, and what the loop is told about it.

    ``first`` is its SQL where its table is not there yet, ``after`` what is run behind it.
    """

    name: str
    sql: str
    first: str
    materialized: str
    meta: Mapping[str, Any]
    after: str


class Project:
    """The project's templates, rendered on one warehouse.

    ``given`` are the tables that exist: sources as ``<source>__<table>``, models by their name.
    """

    def __init__(self, query: Any, given: Collection[str], *, engine: str = "duckdb") -> None:
        self._given = {*given, "units", "stg_landing__readings"}
        self._environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined,
            extensions=["jinja2.ext.do"],
        )
        self._environment.globals.update(
            source=lambda source, table: f"{source}__{table}",
            env_var=lambda _, default="": default,
            run_query=query,
            run_started_at="2026-06-01 00:00:00+00:00",
            exceptions=_Complaints,
            execute=False,
            **{"return": _Returned.throw},
            load_relation=lambda _: None,
            target={"database": "warehouse", "type": engine},
        )
        # Macros of dbt's own machinery (publishing, names of schemas) need a running dbt.
        texts = [
            path.read_text(encoding="utf-8")
            for path in sorted((PROJECT / "macros").rglob("*.sql"))
            if path.stem not in ("publish_marts", "generate_schema_name")
            and (path.parent.name != "spark" or path.stem == "functions")
        ]
        # A materialization is dbt's own block.
        texts = [re.sub(r"(?s){% materialization.*?{% endmaterialization %}", "", t) for t in texts]
        # The staging view of these tests follows the days in hand by itself.
        texts.append("{% macro take_readings_in_hand(days) %}{% endmacro %}")
        # Compiled in here, macros may `return` what is no text.
        with patch.object(jinja2.runtime, "Macro", _Macro):
            self.macros: Any = self._environment.from_string("".join(texts)).module
        # Models see macros as globals: to compile them into every model would take seconds.
        self._environment.globals.update(
            {name: macro for name, macro in vars(self.macros).items() if callable(macro)}
        )

    def expression(self, call: str) -> str:
        """The SQL of a macro call."""
        return self._environment.from_string("{{ " + call + " }}").render().strip()

    def models(self, wanted: Collection[str]) -> list[Model]:
        """Render every model that the wanted ones need, each after those that it reads."""
        paths = {path.stem: path for path in (PROJECT / "models").rglob("*.sql")}
        done: dict[str, Model] = {}

        def render(name: str) -> None:
            if name in done or name in self._given:
                return
            needed: list[str] = []
            config: dict[str, Any] = {}

            def ref(other: str) -> str:
                needed.append(other)
                return other

            def configure(**options: Any) -> str:
                config.update(options)
                return ""

            template = self._environment.from_string(paths[name].read_text(encoding="utf-8"))
            given = {"ref": ref, "config": configure, "this": name}
            first = template.render(given)
            sql = template.render(given | {"load_relation": lambda relation: relation})
            after = self._environment.from_string(config.get("post_hook", "")).render(ref=ref)
            for other in needed:
                render(other)
            told = not name.startswith("int_metering__")
            done[name] = Model(
                name,
                re.sub(r"\n\s*\n+", "\n", sql),
                re.sub(r"\n\s*\n+", "\n", first),
                config.get("materialized", "table" if told else "view"),
                config.get("meta", {}),
                after,
            )

        for name in wanted:
            render(name)
        return list(done.values())


class _Returned(Exception):  # noqa: N818 - no error
    """A macro ends and gives a value that is no text, as dbt's `return` has it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def throw(cls, value: Any) -> NoReturn:
        raise cls(value)


class _Macro(jinja2.runtime.Macro):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except _Returned as returned:
            return returned.value


class _Complaints:
    @staticmethod
    def raise_compiler_error(text: str) -> NoReturn:
        raise AssertionError(text)


@dataclass(frozen=True)
class _Answer:
    rows: Sequence[tuple[Any, ...]]


class Warehouse:
    """A database with the given tables, which a subclass makes and fills, and the models on them.

    Readings stand in the table ``landed``, in the columns of the landing zone.
    """

    def __init__(self, given: Collection[str], wanted: Collection[str], *, threads: int) -> None:
        self._warehouse = duckdb.connect(config={"threads": threads})
        self._warehouse.execute("set TimeZone = 'UTC'")
        units = PROJECT / "seeds" / "units.csv"
        self._warehouse.execute(f"create table units as from read_csv('{units}')")
        self._project = Project(self._query, given)
        self._models = self._project.models([DAYS, *wanted])
        self._plan = [
            {
                "name": model.name,
                "relation": model.name,
                "now": f"{model.name}__now",
                "kept": model.materialized == "kept",
                "meta": model.meta,
            }
            for model in self._models
            if model.materialized in ("in_hand", "kept")
        ]
        self._made = False

    def _query(self, sql: str) -> _Answer:
        answer = self._warehouse.execute(sql)
        return _Answer(answer.fetchall() if answer.description else [])

    def _forget(self) -> None:
        """Take away what is kept from one run to the next."""
        if self._made:
            for model in self._models:
                if model.materialized == "kept":
                    self._warehouse.execute(f"delete from {model.name}")
                if model.materialized == "rated" or model.sql != model.first:
                    self._warehouse.execute(f"drop table if exists {model.name}")
            self._warehouse.execute(f"drop table if exists {DAYS}")

    def _compute(self) -> None:
        """Compute every model from the given tables as they are."""
        self._note_manifest()
        if not self._made:
            self._make()
        for model in self._models:
            if model.materialized == "in_hand":
                self._warehouse.execute(f"delete from {model.name}")
        wanted = next(model.sql for model in self._models if model.name == DAYS)
        self._project.macros.compute_days(DAYS, wanted, self._plan, "these rules")
        for model in self._models:
            if model.materialized == "table":
                sql = model.sql if self._has(model.name) else model.first
                self._warehouse.execute(f"create or replace table {model.name} as {sql}")
                if model.after:
                    self._warehouse.execute(model.after)
            elif model.materialized == "ephemeral":
                self._warehouse.execute(f"create or replace view {model.name} as {model.sql}")
            elif model.materialized == "rated":
                self._keep_rated(model)

    def _keep_rated(self, model: Model) -> None:
        if not self._has(model.name):
            self._warehouse.execute(f"create table {model.name} as {model.sql}")
            return
        self._warehouse.execute(f"create or replace temp table rated_now as {model.sql}")
        self._warehouse.execute(
            f"delete from {model.name} where (contract_id, period) in"
            " (select (contract_id, period) from int_rating__scope where is_due)"
        )
        self._warehouse.execute(f"insert into {model.name} from rated_now")

    def _has(self, table: str) -> bool:
        found = self._warehouse.execute(
            "select 1 from duckdb_tables() where table_name = $table", {"table": table}
        )
        return found.fetchone() is not None

    def _make(self) -> None:
        self._warehouse.execute(
            "create table int_metering__days_in_hand(site_id varchar, usage_date date)"
        )
        self._warehouse.execute(
            "create view stg_landing__readings as select landed.* from landed"
            " semi join int_metering__days_in_hand as days on landed.site_id = days.site_id"
            " and cast(landed.interval_start at time zone 'UTC' as date) = days.usage_date"
        )
        for model in self._models:
            if model.materialized == "view":
                self._warehouse.execute(f"create view {model.name} as {model.sql}")
            elif model.materialized in ("in_hand", "kept"):
                self._warehouse.execute(f"create view {model.name}__now as {model.sql}")
                self._warehouse.execute(
                    f"create table if not exists {model.name} as from {model.name}__now limit 0"
                )
        self._made = True

    def _note_manifest(self) -> None:
        self._warehouse.execute("delete from manifest__readings")
        self._warehouse.execute(
            """
            insert into manifest__readings
            select
                site_id, date, 'a file', count(*),
                cast(sum(cast(hash(said) as hugeint)) % 18446744073709551616 as varchar), false
            from (
                select site_id, cast(interval_start at time zone 'UTC' as date) as date,
                    cast(landed as varchar) as said
                from landed
            )
            group by site_id, date
            """
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self._warehouse.execute(query).fetchall()
