"""Commands about Xero: publish, payments, and the group `xero`."""

from __future__ import annotations

import os
import time
import webbrowser
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click
import httpx

from orchestration.commands.base import FILE, PERIOD, cli, command
from orchestration.ledger import open_ledger
from orchestration.settings import SettingsError, clock_from_env
from orchestration.steps import App, publish_period, read_payments
from orchestration.terminal import DONE, NEEDS_PERSON

if TYPE_CHECKING:
    from connectors.book.documents import Seller

# What talks to Xero takes a second to load, and every other command would pay for it.

_BOOK_SECONDS = 60.0


@command(cli)
@click.argument("period", type=PERIOD)
@click.option("--apply", is_flag=True, help="Act; without it only the plan is shown.")
def publish(app: App, period: str, apply: bool) -> int:
    """Bring a month's issued statements to Xero, each exactly once."""
    return app.answer(publish_period(app, period, apply=apply))


@command(cli)
def payments(app: App) -> int:
    """Read from Xero what was paid since the last time."""
    report = read_payments(app)
    if not app.terminal.as_json:
        return app.answer(report)
    app.terminal.json(report["documents"])
    return int(report["exit_code"])


@cli.group()
def xero() -> None:
    """The connection to Xero: set it up, look whether all is ready, be told of changes."""


@command(xero)
@click.option("--port", default=8765, show_default=True, help="Port of the redirect URI.")
@click.option("--no-browser", is_flag=True, help="Print the address, open nothing.")
@click.option("--wait", default=300, show_default=True, help="Seconds to wait for consent.")
@click.option("--tenant", help="The organisation that is to be billed: is it connected and named?")
def connect(app: App, port: int, no_browser: bool, wait: int, tenant: str | None) -> int:
    """Let this program into your organisations in Xero: a person consents in the browser, once.

    The app in Xero needs http://localhost:PORT/callback among its redirect URIs. For a custom
    connection (M2C_XERO_GRANT=client_credentials, the default) nothing has to be connected: then
    this tries the credentials.
    """
    from exporters.xero import XeroConfig
    from exporters.xero import connect as connecting
    from exporters.xero.auth import tokens_for

    config = XeroConfig.from_environment(os.environ, data_dir=app.data_dir.root)
    clock = clock_from_env()
    sellers = _sellers(app)
    if any(one.post_payments for seller in sellers for one in seller.bank_accounts.values()):
        config = config.for_posting()  # which asks for more rights
    words = []
    with httpx.Client(timeout=30.0) as http:
        if config.grant == "client_credentials":
            token = tokens_for(config, http, clock).current()
            found = connecting.organisations_of(config, token, http=http)
            words.append(
                "M2C_XERO_GRANT is client_credentials: no consent is needed, and the credentials "
                "are good"
            )
        else:
            with connecting.Callback(port) as callback:
                consent = callback.consent(config)
                app.terminal.note(f"open this address and allow access: {consent.url}")
                if not no_browser:
                    webbrowser.open(consent.url)
                code = callback.code(seconds=wait)
            found = connecting.finish(config, consent, code, http=http, clock=clock)
    wanted = _wanted_tenants(sellers)
    problems = connecting.missing(found, wanted)
    if tenant is not None:
        stands_against = connecting.choose(found, tenant, wanted)
        if wanted:
            problems += stands_against
        else:
            say = f"export M2C_XERO_TENANT_ID={tenant}, or set xero_tenant_id of the seller"
            problems = stands_against or [say]
    return app.answer(
        {
            "organisations": [{"tenant_id": one.tenant_id, "name": one.name} for one in found],
            "problems": problems,
            "words": [
                *(f"connected: {one.name} ({one.tenant_id})" for one in found),
                *words,
                *problems,
            ],
            "exit_code": NEEDS_PERSON if problems else DONE,
        }
    )


def _sellers(app: App) -> tuple[Seller, ...]:
    """The sellers of the book; none without a book."""
    from connectors.book import load_book

    return load_book(app.data_dir.book).sellers if app.data_dir.book.is_dir() else ()


def _wanted_tenants(sellers: Iterable[Seller]) -> dict[str, str]:
    """Whose organisation each tenant is that the book or the environment names."""
    wanted = {}
    if tenant := os.environ.get("M2C_XERO_TENANT_ID"):
        wanted[tenant] = "M2C_XERO_TENANT_ID"
    for seller in sellers:
        if seller.xero_tenant_id:
            wanted[seller.xero_tenant_id] = f"seller {seller.seller_id}"
    return wanted


class _TenantsOfBook:
    """The organisations that the book names now, read once a minute at most; all (none named) while
    the book cannot be read: a poll too many harms nobody."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._known: frozenset[str] = frozenset()
        self._until = 0.0

    def __call__(self) -> frozenset[str]:
        from connectors.book import BookError

        if time.monotonic() >= self._until:
            try:
                self._known = frozenset(_wanted_tenants(_sellers(self._app)))
            except BookError:
                self._known = frozenset()
            self._until = time.monotonic() + _BOOK_SECONDS
        return self._known


@command(xero)
@click.argument("period", type=PERIOD, required=False)
def preflight(app: App, period: str | None) -> int:
    """Look whether Xero is ready for what the book would send; nothing is sent.

    With a PERIOD its issued statements are looked at too, each with what would hold it back.
    """
    from exporters.xero import XeroConfig
    from exporters.xero.checkup import check_up

    config = XeroConfig.from_environment(os.environ, data_dir=app.data_dir.root)
    there = app.data_dir.has_ledger()
    with (
        app.terminal.step("asking Xero"),
        open_ledger(app.data_dir, acting_as="preflight") if there else nullcontext() as ledger,
    ):
        report = check_up(app.data_dir.marts, ledger, period, config=config, clock=clock_from_env())
    return app.answer({**report.as_dict(), "words": report.describe()})


@command(xero)
@click.option("--port", default=8791, show_default=True, help="Port to listen on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
def webhooks(app: App, port: int, host: str) -> int:
    """Be told by Xero that something changed, until interrupted; the next poll reads what it was.

    M2C_XERO_WEBHOOK_KEY is the webhook's signing key. Xero calls https://YOUR-HOST/xero: whatever
    takes TLS in front of this passes the request on unchanged.
    """
    import uvicorn

    from exporters.xero.webhooks import receiver

    key = os.environ.get("M2C_XERO_WEBHOOK_KEY")
    if not key:
        raise SettingsError("M2C_XERO_WEBHOOK_KEY must be set: the signing key of Xero's webhook")
    application = receiver(
        key,
        app.data_dir.xero_wakes,
        clock=clock_from_env(),
        tenants=_TenantsOfBook(app),
    )
    app.terminal.note(f"listening for Xero on http://{host}:{port}/xero (stop it with Ctrl-C)")
    uvicorn.run(application, host=host, port=port, log_level="warning", server_header=False)
    return DONE


@command(xero)
@click.option("--port", default=8790, show_default=True, help="Port on loopback.")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="Its SQLite file.")
@click.option("--marts", type=FILE, help="Published marts that say what the organisation needs.")
@click.option("--webhook-url", help="Where it tells of changes, such as that of m2c xero webhooks.")
def sandbox(
    app: App, port: int, state: Path | None, marts: Path | None, webhook_url: str | None
) -> int:
    """A local Xero to try things on, with a page to look at, until interrupted.

    It starts with the accounts, tax rates and tracking that the book asks for, keeps what it holds
    in the data dir, and prints the variables that point m2c at it.
    """
    from exporters.xero.sandbox import Seed, StateInUseError, XeroSandbox, seed_from_book

    shape = marts or (app.data_dir.marts if app.data_dir.marts.exists() else None)
    place = state or app.data_dir.sandbox / "xero.sqlite"
    seed = seed_from_book(shape) if shape else Seed()
    try:
        server = XeroSandbox(state=place, port=port, seed=seed)
    except OSError as error:
        raise SettingsError(
            f"port {port} of this machine cannot be used ({error.strerror}): name another one with "
            "--port, or stop what listens there"
        ) from None
    except StateInUseError as error:
        raise SettingsError(str(error)) from None
    with server as local:
        words = [f"export {name}={value}" for name, value in local.environment().items()]
        if webhook_url:
            key = os.environ.get("M2C_XERO_WEBHOOK_KEY", "")
            if not local.admin.call("webhook", url=webhook_url, key=key)["intent_to_receive"]:
                words.append(f"{webhook_url} does not take webhooks signed with that key")
        app.terminal.lines([f"a local Xero: {local.url}/ (stop it with Ctrl-C)", *words])
        try:
            local.wait()
        except KeyboardInterrupt:
            app.terminal.note("stopped; what it holds is kept")
    return DONE
