"""What each command of `m2c` is made with: the root group, `--json`, types of arguments."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click

from orchestration import engines
from orchestration.engines import Engine
from orchestration.settings import DataDir, SettingsError, parse_day, parse_period
from orchestration.steps import App
from orchestration.terminal import DONE, Terminal


def command(parent: click.Group, name: str | None = None) -> Callable[..., click.Command]:
    """A command that takes `--json` and gets the App first; its return value is the exit code."""

    def decorate(function: Callable[..., int | None]) -> click.Command:
        @click.pass_context
        def run(context: click.Context, /, *, as_json: bool, **options: Any) -> int:
            app = App(context.obj, Terminal(as_json=as_json), context.command_path)
            return function(app, **options) or DONE

        wrapped = update_wrapper(run, function)
        option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
        made: click.Command = parent.command(name)(option(wrapped))
        return made

    return decorate


def with_reason(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options `--by` and `--reason`, both asked for."""
    function = click.option("--reason", required=True, help="Why, in words; kept in the ledger.")(
        function
    )
    return click.option("--by", required=True, help="Who says so.")(function)


class _Period(click.ParamType):
    name = "YYYY-MM"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        try:
            return parse_period(value)
        except SettingsError as error:
            self.fail(str(error), param, ctx)


class _Day(click.ParamType):
    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            return parse_day(value) if isinstance(value, str) else value
        except SettingsError as error:
            self.fail(str(error), param, ctx)


class _Periods(click.ParamType):
    name = "YYYY-MM..YYYY-MM"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        first, _, last = value.partition("..")
        try:
            span = parse_period(first), parse_period(last or first)
        except SettingsError as error:
            self.fail(str(error), param, ctx)
        if span[1] < span[0]:
            self.fail(f"{span[1]} lies before {span[0]}", param, ctx)
        return span


PERIOD = _Period()
PERIODS = _Periods()
DAY = _Day()
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="M2C_DATA_DIR",
    default="data",
    show_default=True,
    help="The folder that holds book/ and landing/ and everything made from them.",
)
@click.option(
    "--engine",
    type=click.Choice([str(engine) for engine in Engine]),
    envvar=engines.VARIABLE,
    default=str(Engine.DUCKDB),
    show_default=True,
    help="What the warehouse runs on; the same project gives the same lines on both.",
)
@click.version_option(package_name="meter-to-cash", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context, data_dir: Path, engine: str) -> None:
    """Meter to cash: readings of machines in any data centre become invoices, exactly.

    A month goes: land, build, close, approve, issue, publish, payments, remind. Every command can
    be run again at any time; those that act outside show their plan first and act with --apply.
    """
    context.obj = DataDir(data_dir.resolve())
    os.environ["M2C_DATA_DIR"] = str(context.obj.root)
    os.environ[engines.VARIABLE] = engine
