"""Commands for who runs Dagster in production: its configuration."""

from __future__ import annotations

from pathlib import Path

import click
import yaml

from orchestration.commands.base import FOLDER, cli, command
from orchestration.steps import App
from orchestration.terminal import DONE


@command(cli, "dagster-config")
@click.option(
    "--write", "folder", type=FOLDER, help="Write it to this folder (a DAGSTER_HOME) instead."
)
def dagster_config(app: App, folder: Path | None) -> int:
    """Check and show the dagster.yaml that the environment makes (M2C_DAGSTER_URL,
    M2C_DAGSTER_CONFIG). It holds no secret: the database is named by its variable."""
    from orchestration import instance_config

    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        instance_config.write(folder)
        written = folder / "dagster.yaml"
        if app.terminal.as_json:
            app.terminal.json({"written": written})
        else:
            app.terminal.lines([str(written)])
        return DONE
    text = instance_config.as_text()
    if app.terminal.as_json:
        app.terminal.json(yaml.safe_load(text))
    else:
        click.echo(text, nl=False)  # to be written to a file as it is: nothing is wrapped
    return DONE
