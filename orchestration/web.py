"""Dagster's web UI and daemon on a data dir, bound to loopback, until interrupted.

The UI has no sign-in of its own, so it never binds to another address.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from orchestration.instance import prepare_home
from orchestration.sandboxes import Sandboxes
from orchestration.settings import DataDir


def serve(data_dir: DataDir, *, port: int) -> int:
    """Run the UI in the foreground; on a demo data dir the local sites and Xero run beside it."""
    home = prepare_home(data_dir)
    with ExitStack() as stack:
        env = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "M2C_DATA_DIR": str(data_dir.root),
            "M2C_LOG_LEVEL": "INFO",
        }
        if Sandboxes.belong_to(data_dir):
            env |= stack.enter_context(Sandboxes(data_dir)).env
        # Ends with this process however that ends; a UI left behind would keep the port.
        command = [sys.executable, "-m", "orchestration.tethered"]
        command += [str(Path(sys.executable).parent / "dagster"), "dev"]
        command += ["-m", "orchestration.definitions", "-h", "127.0.0.1", "-p", str(port)]
        sys.stderr.write(f"  Dagster opens on http://127.0.0.1:{port} (stop it with Ctrl-C)\n")
        try:
            return subprocess.run(command, env=env, check=False).returncode
        except KeyboardInterrupt:
            return 0
