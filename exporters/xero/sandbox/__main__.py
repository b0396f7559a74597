"""`python -m exporters.xero.sandbox`: the local Xero as a process, until it is interrupted."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from exporters.xero.sandbox.app import LocalXero
from exporters.xero.sandbox.seed import TENANT_ID, Seed, seed_from_book
from exporters.xero.sandbox.server import environment


def main(arguments: list[str] | None = None) -> int:
    """Serve on 127.0.0.1; prints the environment that points the exporter here."""
    parser = argparse.ArgumentParser(prog="python -m exporters.xero.sandbox", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="SQLite file of the organisation")
    parser.add_argument("--port", type=int, default=8790)
    parser.add_argument(
        "--book",
        type=Path,
        help="published marts file, or folder of compiled book tables, to shape the organisation",
    )
    parser.add_argument("--name", default="Local Hosting Ltd", help="the organisation's name")
    parser.add_argument("--tenant-id", default=TENANT_ID)
    parser.add_argument("--minute-limit", type=int, default=60, help="requests a minute")
    parser.add_argument("--day-limit", type=int, default=5000, help="requests a day")
    parser.add_argument("--now", help="ISO instant at which the server's clock starts")
    options = parser.parse_args(arguments)
    if options.book is None:
        seed = Seed(name=options.name, tenant_id=options.tenant_id)
    elif options.book.exists():
        seed = seed_from_book(options.book, name=options.name, tenant_id=options.tenant_id)
    else:
        parser.error(f"--book {options.book}: there is no such file or folder")
    clock = None
    if options.now:
        start, began = datetime.fromisoformat(options.now), datetime.now(UTC)
        if start.tzinfo is None:
            parser.error(f"--now {options.now}: give the instant with its offset, such as …Z")
        clock = lambda: start.astimezone(UTC) + (datetime.now(UTC) - began)  # noqa: E731
    app = LocalXero(
        options.state,
        seed=seed,
        clock=clock,
        minute_limit=options.minute_limit,
        day_limit=options.day_limit,
    )
    tenant = str(app.org.settings()["OrganisationID"])
    for name, value in environment(f"http://127.0.0.1:{options.port}", tenant_id=tenant).items():
        sys.stdout.write(f"{name}={value}\n")
    sys.stdout.flush()
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=options.port,
        log_level="warning",
        date_header=False,
        server_header=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
