"""A serving process as a child of ours that cannot outlive us.

The child holds the read end of a pipe whose write end is ours; when we go, by whatever death, the
pipe closes and the child stops itself and everything it started.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from connectors.sandbox.serving import ENDPOINTS_FILE

_ROOT = Path(__file__).parents[2]


class SandboxError(RuntimeError):
    """The stand-ins did not start or did not obey; the message says why."""


class Child:
    """One `python -m module …` that writes its endpoints into `state_dir` when it is ready."""

    def __init__(self, module: str, arguments: Sequence[str], *, state_dir: Path) -> None:
        self._state_dir = state_dir
        self.log = state_dir / "sandbox.log"
        state_dir.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments, "--until-stdin-ends"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=_ROOT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def wait_ready(self, *, timeout_seconds: float) -> dict[str, object]:
        """The endpoints once everything answers; stops the child and raises if it cannot start."""
        endpoints = self._state_dir / ENDPOINTS_FILE
        deadline = time.monotonic() + timeout_seconds
        while self._process.poll() is None and time.monotonic() < deadline:
            if endpoints.is_file():
                content: dict[str, object] = json.loads(endpoints.read_text(encoding="utf-8"))
                if content["pid"] == self.pid:
                    return content
            time.sleep(0.02)
        self.stop()
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-2000:].strip()
        raise SandboxError(f"the stand-ins did not start; {self.log} ends with:\n{tail}")

    def stop(self) -> None:
        """Stops the child and waits for it; harmless when it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
