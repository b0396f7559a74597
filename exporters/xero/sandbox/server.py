"""Starting and steering the local Xero: a server in a thread, and the client of its admin side.

`XeroSandbox` is for tests and short programs; `python -m exporters.xero.sandbox` runs the same
application as a process. `XeroAdmin` steers either over HTTP and plays the person in Xero.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import uvicorn
from filelock import FileLock, Timeout

from exporters.xero.sandbox.app import LocalXero
from exporters.xero.sandbox.seed import CLIENT_ID, CLIENT_SECRET, Seed
from exporters.xero.sandbox.wire import Json, dumps, loads

START_SECONDS = 20.0


class AdminRefusedError(Exception):
    """The local Xero would not let the person do that; the message says why."""


class StateInUseError(Exception):
    """Another process keeps its organisation in this file, and would not see what we change."""


class XeroAdmin:
    """The person in Xero, and the one who breaks things on purpose. Documents go by number."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(timeout=30, trust_env=False)

    def call(self, action: str, **content: object) -> Any:
        """One admin action. Raises AdminRefusedError with the reason when it is refused."""
        answer = self._http.post(f"{self.url}/_admin/{action}", content=dumps(content).encode())
        if answer.status_code == 404:
            raise AdminRefusedError(f"{action} {content}: there is no such thing")
        if answer.status_code != 200:
            raise AdminRefusedError(f"{action} {content}: {answer.text}")
        return loads(answer.content)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def wait(self, seconds: float = START_SECONDS) -> Json:
        """Wait until the server answers; its health."""
        end = time.monotonic() + seconds
        while True:
            try:
                return dict(self.call("health"))
            except httpx.TransportError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def seed(self, seed: Seed) -> None:
        """Add what `seed` asks for and the organisation has not."""
        content = asdict(seed)
        content["tax_types"] = {k: str(v) for k, v in content["tax_types"].items()}
        self.call("seed", **content)

    def state(self) -> Json:
        """Everything in the organisation, as Xero would answer it."""
        return dict(self.call("state"))

    def invoice(self, number: str) -> Json:
        """The live sales invoice of that number."""
        found = [
            i
            for i in self.state()["invoices"]
            if i["InvoiceNumber"] == number and i["Type"] == "ACCREC" and i["Status"] != "DELETED"
        ]
        if len(found) != 1:
            raise AdminRefusedError(f"there are {len(found)} live sales invoices {number}")
        return dict(found[0])

    def requests(self, *, clear: bool = False) -> list[Json]:
        """The API requests so far (at most 20,000), without their Authorization."""
        return list(self.call("requests", clear=clear))

    def pay(
        self,
        number: str,
        *,
        amount: Decimal | None = None,
        on: date | None = None,
        reference: str = "Bank transfer",
    ) -> Json:
        """Pay what is due, a part of it, or more (the rest becomes an overpayment)."""
        return dict(
            self.call(
                "pay",
                number=number,
                amount=None if amount is None else str(amount),
                on=None if on is None else on.isoformat(),
                reference=reference,
            )
        )

    def reverse_payment(self, payment_id: str) -> None:
        """Take a payment back (bounced, or booked by mistake)."""
        self.call("reverse-payment", payment_id=payment_id)

    def void(self, number: str, *, kind: str = "invoice") -> None:
        """Void an approved document."""
        self.call("void", number=number, kind=kind)

    def delete_draft(self, number: str, *, kind: str = "invoice") -> None:
        """Delete a draft, which frees its number."""
        self.call("delete-draft", number=number, kind=kind)

    def edit(self, number: str, changes: Mapping[str, object], *, kind: str = "invoice") -> None:
        """Edit a document on screen; `LineItems` are merged by position."""
        self.call("edit", number=number, changes=dict(changes), kind=kind)

    def create(self, element: Mapping[str, object], *, kind: str = "invoice") -> Json:
        """Create a document by hand."""
        return dict(self.call("create", kind=kind, element=dict(element)))

    def contact(self, element: Mapping[str, object]) -> Json:
        """Create or edit a contact."""
        return dict(self.call("contact", element=dict(element)))

    def archive_contact(self, contact: str) -> None:
        """Archive a contact, by id or number."""
        self.call("archive-contact", contact=contact)

    def lock(self, until: date | None) -> None:
        """Lock the books up to and including a date, or unlock them."""
        self.call("lock", until=None if until is None else until.isoformat())

    def reminders(self, enabled: bool) -> None:
        """Switch Xero's own invoice reminders."""
        self.call("reminders", enabled=enabled)

    def advance(self, seconds: float) -> None:
        """Move the server's clock."""
        self.call("advance", seconds=str(seconds))

    def fault(self, kind: str, **content: object) -> None:
        """Arm a fault; see `exporters.xero.sandbox.gate.Fault`."""
        seconds = content.pop("seconds", None)
        if seconds is not None:
            content["seconds"] = str(seconds)
        self.call("fault", kind=kind, **content)


class XeroSandbox:
    """The local Xero in a thread, on a free port of 127.0.0.1 (or `port`).

    state: the SQLite file that keeps the organisation; None keeps it in memory. Raises OSError
    where the port cannot be had, StateInUseError where another one runs on that file.
    """

    def __init__(
        self,
        *,
        state: Path | None = None,
        port: int = 0,
        seed: Seed | None = None,
        clock: Callable[[], datetime] | None = None,
        minute_limit: int = 60,
        day_limit: int = 5000,
    ) -> None:
        # The port first: where it is taken, the state may be in use as well.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        self._lock = FileLock(f"{state}.lock", timeout=0) if state is not None else None
        if self._lock is not None:
            state_dir = Path(self._lock.lock_file).parent
            state_dir.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except Timeout:
                self._socket.close()
                raise StateInUseError(
                    f"another local Xero is running on {state}: stop it, or name another state"
                ) from None
        self.app = LocalXero(
            state, seed=seed, clock=clock, minute_limit=minute_limit, day_limit=day_limit
        )
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin = XeroAdmin(self.url)
        config = uvicorn.Config(
            self.app,
            log_level="error",
            date_header=False,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    def __enter__(self) -> Self:
        """Start serving; returns when the server answers."""
        self._thread.start()
        self.admin.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self.admin.close()
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._socket.close()
        if self._lock is not None:
            self._lock.release()

    def wait(self) -> None:
        """Serve until this process is interrupted."""
        while self._thread.is_alive():
            self._thread.join(timeout=1.0)

    def environment(self) -> dict[str, str]:
        """The environment variables that point the exporter here."""
        settings = self.app.org.settings()
        return environment(self.url, tenant_id=str(settings["OrganisationID"]))


def environment(
    url: str, *, tenant_id: str, client_id: str = CLIENT_ID, client_secret: str = CLIENT_SECRET
) -> dict[str, str]:
    """The environment variables that point the exporter at a local Xero under `url`."""
    return {
        "M2C_XERO_API_URL": f"{url}/api.xro/2.0",
        "M2C_XERO_IDENTITY_URL": url,
        "M2C_XERO_CLIENT_ID": client_id,
        "M2C_XERO_CLIENT_SECRET": client_secret,
        "M2C_XERO_TENANT_ID": tenant_id,
    }
