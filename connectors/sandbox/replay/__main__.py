"""`python -m connectors.sandbox.replay`: serves recorded readings until it is stopped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from connectors.sandbox.replay.book import derive_book
from connectors.sandbox.replay.recorded import RecordingError
from connectors.sandbox.replay.serve import run


def main(arguments: list[str] | None = None) -> int:
    """Derives the book if asked, then serves; 0 when stopped, 3 when it could not start."""
    parser = argparse.ArgumentParser(
        prog="python -m connectors.sandbox.replay", description=__doc__
    )
    parser.add_argument("--realdata", type=Path, required=True, help="folder of the recordings")
    parser.add_argument("--state", type=Path, required=True, help="folder for the drops")
    parser.add_argument("--book", type=Path, help="write the derived book here first")
    parser.add_argument(
        "--until-stdin-ends", action="store_true", help="stop when standard input is closed"
    )
    given = parser.parse_args(arguments)
    try:
        if given.book is not None:
            derive_book(given.realdata, given.book)
        run(
            realdata_dir=given.realdata,
            state_dir=given.state,
            is_stopped_by_stdin=given.until_stdin_ends,
        )
    except RecordingError as problem:
        sys.stderr.write(f"{problem}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
