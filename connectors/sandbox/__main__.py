"""`python -m connectors.sandbox`: serves the sites of a book until it is stopped."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, date, datetime
from pathlib import Path

from connectors.sandbox.host import Host, HostError, Options
from connectors.sandbox.places import PlacesError


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no offset; add Z or +hh:mm")
    return moment.astimezone(UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m connectors.sandbox", description=__doc__)
    parser.add_argument("--book", type=Path, required=True, help="folder of the billing book")
    parser.add_argument("--state", type=Path, required=True, help="folder for drops and databases")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same readings")
    parser.add_argument("--from", dest="start", type=date.fromisoformat, required=True)
    parser.add_argument("--to", dest="end", type=date.fromisoformat, required=True)
    parser.add_argument("--as-of", type=_moment, help="what the sites' clock says, with offset")
    parser.add_argument("--no-faults", action="store_true", help="a world without trouble")
    parser.add_argument("--kind", action="append", default=[], metavar="SITE=KIND")
    parser.add_argument(
        "--until-stdin-ends", action="store_true", help="stop when standard input is closed"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs the stand-ins; 0 when they were stopped, 3 when they could not start."""
    given = _parser().parse_args(arguments)
    options = Options(
        book_dir=given.book,
        state_dir=given.state,
        seed=given.seed,
        start=given.start,
        end=given.end,
        as_of=given.as_of,
        has_faults=not given.no_faults,
        kinds=dict(item.split("=", 1) for item in given.kind),
    )
    try:
        Host(options).run(is_stopped_by_stdin=given.until_stdin_ends)
    except (HostError, PlacesError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
