"""`python -m orchestration.tethered PROGRAM …`: a program that ends with who started it."""

from __future__ import annotations

import os
import signal
import sys

from orchestration.processes import die_with_parent

if __name__ == "__main__":
    die_with_parent(death_signal=signal.SIGTERM)
    os.execvp(sys.argv[1], sys.argv[1:])
