"""Calls to Xero: each one sent exactly as meant, with its answer as text before anything reads it.

xero-python knows what each call looks like (path, query, headers) and gets a transport of ours in
place of its own: that one retries dropped writes silently, sends money as binary floats, and raises
while parsing an answer after Xero has committed. Here limits are waited for, tokens renewed and
reads repeated; a write whose outcome is not known is reported as such, and whoever holds the ledger
decides. What is sent and what an answer means is not known here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx
from xero_python.accounting import AccountingApi  # type: ignore[import-untyped]

from exporters.xero.auth import Tokens, tokens_for
from exporters.xero.config import XeroConfig
from exporters.xero.errors import (
    AccessDeniedError,
    DayLimitError,
    RefusedError,
    UnavailableError,
    UncertainError,
)
from exporters.xero.pacing import Pace
from exporters.xero.parts import in_parts
from exporters.xero.wire import Json, decode, encode, items

Kind = Literal["invoice", "credit_note"]
CreditKind = Literal["overpayment", "prepayment"]
PAGE_SIZE = 100
CONTACT_PAGE_SIZE = 1000
ADDRESS_LENGTH = 1500
READ_ATTEMPTS = 3
LIMIT_ATTEMPTS = 6
LONGEST_WAIT = 120


@dataclass(frozen=True)
class Answer:
    """What Xero answered with success: text as it came, and the server's time."""

    text: str
    server_time: datetime
    content: Any


class Transport:
    """Stands where the SDK expects its own client; sends with httpx."""

    def __init__(
        self,
        config: XeroConfig,
        http: httpx.Client,
        tokens: Tokens,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
        timer: Callable[[], float],
    ) -> None:
        self._config, self._http, self._tokens = config, http, tokens
        self._clock, self._sleep = clock, sleep
        self._pace = Pace(timer, sleep)
        self._counting = threading.Lock()
        self.calls = 0
        self.writes = 0
        self.day_limit_left: int | None = None

    def select_header_accept(self, accepts: Sequence[str]) -> str:  # noqa: ARG002
        """The SDK asks which form of answer we want."""
        return "application/json"

    def select_header_content_type(self, types: Sequence[str]) -> str:
        """The SDK asks which form of body we send."""
        return types[0] if types else "application/json"

    def call_api(
        self,
        url: str,
        method: str,
        path_params: Mapping[str, object],
        query_params: Iterable[tuple[str, object]],
        header_params: Mapping[str, object],
        body: object = None,
        **_: object,
    ) -> Answer:
        """One call as the SDK describes it."""
        for name, value in path_params.items():
            url = url.replace("{" + name + "}", quote(str(value), safe=""))
        params = [(name, _plain(value)) for name, value in query_params]
        headers = {name: _plain(value) for name, value in header_params.items()}
        content: bytes | None = None
        if isinstance(body, bytes):
            content = body
        elif body is not None:
            content = encode(body).encode()
        request = self._http.build_request(
            method, url, params=httpx.QueryParams(tuple(params)), headers=headers, content=content
        )
        return self._read(request) if method == "GET" else self._write(request)

    def _read(self, request: httpx.Request) -> Answer:
        """A read may be repeated: it changes nothing."""
        problem = ""
        for attempt in range(READ_ATTEMPTS):
            if attempt:
                self._sleep(2.0 ** (attempt - 1))
            try:
                response = self._send(request)
            except httpx.TransportError as error:
                problem = f"no answer ({type(error).__name__})"
                continue
            if response.status_code >= 500:
                problem = f"status {response.status_code}"
                continue
            self._refuse(response)
            try:
                return _answer(response, self._clock)
            except ValueError:
                problem = "an answer that is no JSON"
        raise UnavailableError(
            f"Xero: {request.method} {request.url.path} gave {problem}, {READ_ATTEMPTS} times"
        )

    def _write(self, request: httpx.Request) -> Answer:
        """A write is sent once; what is not known to be done or not done is uncertain."""
        with self._counting:
            self.writes += 1
        what = f"Xero: {request.method} {request.url.path}"
        try:
            response = self._send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise UnavailableError(f"{what}: no connection ({error})") from None
        except httpx.TransportError as error:
            raise UncertainError(f"{what}: {type(error).__name__}", answered=False) from None
        if response.status_code >= 500:
            raise UncertainError(
                f"{what}: status {response.status_code}", answered=True, raw=response.text
            )
        self._refuse(response)
        try:
            return _answer(response, self._clock)
        except ValueError:
            raise UncertainError(
                f"{what}: the answer is no JSON", answered=True, raw=response.text
            ) from None

    def _send(self, request: httpx.Request) -> httpx.Response:
        """Send, renewing the token once and waiting for limits; both mean "not done"."""
        token = self._tokens.current()
        renewed = False
        for attempt in range(LIMIT_ATTEMPTS):
            request.headers["Authorization"] = f"Bearer {token}"
            minute = self._pace.wait()
            response = self._send_once(request, minute)
            if response.status_code == 401 and not renewed:
                token, renewed = self._tokens.renewed(token), True
                continue
            if response.status_code != 429:
                return response
            seconds = self._until_free(response)
            if seconds is None:
                self._sleep(2.0**attempt)
            else:
                self._pace.limited(minute, seconds)
        raise UnavailableError(
            f"Xero keeps limiting {request.method} {request.url.path}; try again later"
        )

    def _send_once(self, request: httpx.Request, minute: int) -> httpx.Response:
        with self._counting:
            self.calls += 1
        try:
            response = self._http.send(request)
        except BaseException:
            self._pace.unanswered()
            raise
        self._pace.answered(minute, response.headers)
        left = response.headers.get("X-DayLimit-Remaining", "")
        if left.isdigit():
            self.day_limit_left = int(left)
        return response

    def _until_free(self, response: httpx.Response) -> float | None:
        """Seconds until the limit is over that was met; None if Xero does not say."""
        problem = response.headers.get("X-Rate-Limit-Problem", "").lower()
        given = response.headers.get("Retry-After", "")
        wait = float(given) if given.isdigit() else None
        if problem == "day" or response.headers.get("X-DayLimit-Remaining") == "0":
            seconds = 3600.0 if wait is None else wait
            raise DayLimitError(_server_time(response, self._clock) + timedelta(seconds=seconds))
        if wait is not None and wait > LONGEST_WAIT:
            raise UnavailableError(f"Xero asks to wait {wait:.0f} seconds; try again later")
        return None if problem == "concurrent" else wait

    def _refuse(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in (401, 403):
            raise AccessDeniedError(
                f"Xero refuses access ({status}) to {response.request.url.path}: "
                f"{_detail(response)} - connect the app to this organisation with all its scopes"
            )
        if status >= 400:
            raise RefusedError(_messages(response), status=status, raw=response.text)


class XeroClient:
    """The calls that billing makes, to one organisation; several threads may call at once."""

    def __init__(
        self,
        config: XeroConfig,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
        timer: Callable[[], float] = time.monotonic,
        http: httpx.Client | None = None,
    ) -> None:
        timeout = httpx.Timeout(config.read_seconds, connect=config.connect_seconds)
        # A proxy of the environment is for the real Xero, not for one on this machine.
        local = httpx.URL(config.api_url).host in ("127.0.0.1", "localhost", "::1")
        self._http = http or httpx.Client(timeout=timeout, trust_env=not local)
        self._owns_http = http is None
        self.tenant = config.tenant_id
        self._wanted = config.scopes
        tokens = self._tokens = tokens_for(config, self._http, clock)
        self._transport = Transport(
            config, self._http, tokens, clock=clock, sleep=sleep, timer=timer
        )
        self._api = AccountingApi(self._transport, base_url=config.api_url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._owns_http:
            self._http.close()

    @property
    def calls(self) -> int:
        """Requests sent so far."""
        return self._transport.calls

    @property
    def writes(self) -> int:
        """Writes attempted so far."""
        return self._transport.writes

    @property
    def day_limit_left(self) -> int | None:
        """Calls that Xero still takes today, as its last answer told."""
        return self._transport.day_limit_left

    def missing_scopes(self) -> list[str]:
        """The scopes that we ask for and the token does not have, as far as Xero says."""
        granted = self._tokens.granted()
        return [one for one in self._wanted if granted and not _covered(one, granted)]

    # Reading

    def settings(self, name: str) -> list[Json]:
        """Organisations, Accounts, TaxRates, TrackingCategories, Currencies, …"""
        call = {
            "Organisations": self._api.get_organisations,
            "Accounts": self._api.get_accounts,
            "TaxRates": self._api.get_tax_rates,
            "TrackingCategories": self._api.get_tracking_categories,
            "Currencies": self._api.get_currencies,
            "BrandingThemes": self._api.get_branding_themes,
            "InvoiceReminders": self._api.get_invoice_reminders,
        }[name]
        return items(call(self.tenant).content, name)

    def contacts(self) -> list[Json]:
        """All contacts, archived ones too."""
        pages = _all_pages(
            lambda page: _typed(
                self._api.get_contacts(
                    self.tenant, page=page, include_archived=True, page_size=CONTACT_PAGE_SIZE
                )
            ),
            "Contacts",
        )
        return [contact for answer in pages for contact in items(answer.content, "Contacts")]

    def contacts_by_id(self, contact_ids: Sequence[str]) -> list[Json]:
        """These contacts, whatever their state."""
        return [
            contact
            for part in _for_address(contact_ids)
            for contact in items(
                self._api.get_contacts(self.tenant, i_ds=part, include_archived=True).content,
                "Contacts",
            )
        ]

    def by_number(self, kind: Kind, numbers: Sequence[str]) -> list[Json]:
        """All documents with these numbers, with lines: bills and deleted ones too."""
        if kind == "credit_note":
            chosen = [f'CreditNoteNumber=="{number}"' for number in numbers]
            pages = (self._pages(kind, where=" OR ".join(part)) for part in _for_address(chosen))
        else:
            pages = (self._pages(kind, invoice_numbers=part) for part in _for_address(numbers))
        name = "CreditNotes" if kind == "credit_note" else "Invoices"
        return [
            document
            for answers in pages
            for answer in answers
            for document in items(answer.content, name)
        ]

    def by_id(self, kind: Kind, xero_id: str) -> Json | None:
        """One document with lines; None when Xero knows none of that id."""
        call = self._api.get_credit_note if kind == "credit_note" else self._api.get_invoice
        try:
            answer = call(self.tenant, xero_id, unitdp=4)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise
        found = items(answer.content, "CreditNotes" if kind == "credit_note" else "Invoices")
        return found[0] if found else None

    def modified(self, kind: Kind, since: datetime | None) -> Iterator[Answer]:
        """Pages of sales documents changed since an instant (UTC), or of all."""
        sale = "ACCRECCREDIT" if kind == "credit_note" else "ACCREC"
        options: dict[str, object] = {"where": f'Type=="{sale}"', "order": "UpdatedDateUTC ASC"}
        if since is not None:
            options["if_modified_since"] = since
        return self._pages(kind, **options)

    def credits(self, kind: CreditKind, since: datetime | None) -> Iterator[Answer]:
        """Pages of overpayments or prepayments changed since an instant (UTC), or of all."""
        overpaid = kind == "overpayment"
        call = self._api.get_overpayments if overpaid else self._api.get_prepayments
        options: dict[str, object] = {} if since is None else {"if_modified_since": since}
        return _all_pages(
            lambda page: _typed(call(self.tenant, page=page, page_size=PAGE_SIZE, **options)),
            "Overpayments" if overpaid else "Prepayments",
        )

    def reconciled_payments(self, account_id: str) -> Iterator[Json]:
        """Payments on a bank account that are marked as reconciled."""
        where = f'Account.AccountID==Guid("{account_id}") AND IsReconciled==true'
        pages = _all_pages(
            lambda page: _typed(
                self._api.get_payments(self.tenant, where=where, page=page, page_size=PAGE_SIZE)
            ),
            "Payments",
        )
        return (found for answer in pages for found in items(answer.content, "Payments"))

    def reconciled_bank_transactions(self, account_id: str) -> Iterator[Json]:
        """Money spent or received on a bank account that is marked as reconciled."""
        where = f'BankAccount.AccountID==Guid("{account_id}") AND IsReconciled==true'
        pages = _all_pages(
            lambda page: _typed(
                self._api.get_bank_transactions(
                    self.tenant, where=where, page=page, page_size=PAGE_SIZE
                )
            ),
            "BankTransactions",
        )
        return (found for answer in pages for found in items(answer.content, "BankTransactions"))

    def _pages(self, kind: Kind, **options: object) -> Iterator[Answer]:
        """Page by page: without `page` Xero would answer no lines."""
        credit = kind == "credit_note"
        call = self._api.get_credit_notes if credit else self._api.get_invoices
        return _all_pages(
            lambda page: _typed(
                call(self.tenant, page=page, page_size=PAGE_SIZE, unitdp=4, **options)
            ),
            "CreditNotes" if credit else "Invoices",
        )

    def attachments(self, kind: Kind, xero_id: str) -> list[str]:
        """Names of the files on a document."""
        if kind == "credit_note":
            answer = self._api.get_credit_note_attachments(self.tenant, xero_id)
        else:
            answer = self._api.get_invoice_attachments(self.tenant, xero_id)
        return [str(file.get("FileName")) for file in items(answer.content, "Attachments")]

    def online_url(self, invoice_id: str) -> str | None:
        """Where the customer sees and pays an approved invoice."""
        found = items(
            self._api.get_online_invoice(self.tenant, invoice_id).content, "OnlineInvoices"
        )
        url = found[0].get("OnlineInvoiceUrl") if found else None
        return url if isinstance(url, str) and url else None

    # Writing; each under an idempotency key of the caller

    def create_contacts(self, contacts: Sequence[Json], key: str) -> Answer:
        """PUT: creates only; answers an outcome per contact."""
        return _typed(
            self._api.create_contacts(
                self.tenant,
                {"Contacts": list(contacts)},
                summarize_errors=False,
                idempotency_key=key,
            )
        )

    def create(self, kind: Kind, documents: Sequence[Json], key: str) -> Answer:
        """PUT: creates only; answers an outcome per document."""
        if kind == "credit_note":
            call, body = self._api.create_credit_notes, {"CreditNotes": list(documents)}
        else:
            call, body = self._api.create_invoices, {"Invoices": list(documents)}
        return _typed(
            call(self.tenant, body, summarize_errors=False, unitdp=4, idempotency_key=key)
        )

    def approve(self, kind: Kind, xero_ids: Sequence[str], key: str) -> Answer:
        """POST of nothing but id and status AUTHORISED."""
        if kind == "credit_note":
            call, name, id_key = (
                self._api.update_or_create_credit_notes,
                "CreditNotes",
                "CreditNoteID",
            )
        else:
            call, name, id_key = self._api.update_or_create_invoices, "Invoices", "InvoiceID"
        body = {name: [{id_key: xero_id, "Status": "AUTHORISED"} for xero_id in xero_ids]}
        return _typed(
            call(self.tenant, body, summarize_errors=False, unitdp=4, idempotency_key=key)
        )

    def attach(self, kind: Kind, xero_id: str, name: str, content: bytes, key: str) -> Answer:
        """PUT of a file that the customer sees online; adds it also when one of that name is there
        (look first: only PUT of the SDK can say that it shows online)."""
        if kind == "credit_note":
            call = self._api.create_credit_note_attachment_by_file_name
        else:
            call = self._api.create_invoice_attachment_by_file_name
        return _typed(
            call(self.tenant, xero_id, name, content, include_online=True, idempotency_key=key)
        )

    def create_payment(self, payment: Json, key: str) -> Answer:
        """PUT of one payment of an invoice."""
        return _typed(
            self._api.create_payments(
                self.tenant, {"Payments": [payment]}, summarize_errors=False, idempotency_key=key
            )
        )

    def allocate(self, credit_note_id: str, allocation: Json, key: str) -> Answer:
        """PUT of one allocation of a credit note to an invoice."""
        return _typed(
            self._api.create_credit_note_allocation(
                self.tenant,
                credit_note_id,
                {"Allocations": [allocation]},
                summarize_errors=False,
                idempotency_key=key,
            )
        )


def _all_pages(call: Callable[[int], Answer], name: str) -> Iterator[Answer]:
    """Pages until the last by Xero's own count, or, where it gives none, until one is not full.

    A page that begins as the one before ends it too: some servers do not know pages.
    """
    page, before = 1, None
    while True:
        answer = call(page)
        found = items(answer.content, name)
        if page > 1 and (not found or found[0] == before):
            return
        yield answer
        about = answer.content.get("pagination") if isinstance(answer.content, dict) else None
        count = about.get("pageCount") if isinstance(about, dict) else None
        if (page >= count) if isinstance(count, int) else (len(found) < PAGE_SIZE):
            return
        page, before = page + 1, found[0] if found else None


def _for_address(words: Sequence[str]) -> Iterator[list[str]]:
    """Parts that fit into an address, and whose documents fit on a page."""
    between = len(quote(" OR ", safe=""))
    return in_parts(
        words,
        most=PAGE_SIZE,
        room=ADDRESS_LENGTH,
        size=lambda word: len(quote(word, safe="")) + between,
    )


def _typed(answer: Answer) -> Answer:
    """The SDK carries no types; what comes through it is what Transport returned."""
    return answer


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, list | tuple):
        return ",".join(_plain(item) for item in value)
    return str(value)


def _answer(response: httpx.Response, clock: Callable[[], datetime]) -> Answer:
    return Answer(response.text, _server_time(response, clock), decode(response.text))


def _server_time(response: httpx.Response, clock: Callable[[], datetime]) -> datetime:
    try:
        return parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return clock()


def _detail(response: httpx.Response) -> str:
    try:
        content = response.json()
    except ValueError:
        return "no reason given"
    if not isinstance(content, dict):
        return "no reason given"
    return str(content.get("Detail") or content.get("Message") or content.get("Title") or "?")


def _messages(response: httpx.Response) -> tuple[str, ...]:
    """The reasons in a 4xx, whatever its form."""
    try:
        content = response.json()
    except ValueError:
        return (f"status {response.status_code} without a reason",)
    if not isinstance(content, dict):
        return (f"status {response.status_code} without a reason",)
    found = [
        str(fault["Message"])
        for element in items(content, "Elements")
        for fault in items(element, "ValidationErrors")
        if fault.get("Message")
    ]
    return tuple(found) or (_detail(response),)


_BROAD = "accounting.transactions"  # what apps of before 2026 have in place of the narrow ones


def _covered(scope: str, granted: frozenset[str]) -> bool:
    """Whether a scope is among those granted, itself or in a wider one."""
    ways = {scope, scope.removesuffix(".read")}
    if scope.split(".")[1] in ("invoices", "payments", "banktransactions"):
        ways |= {_BROAD, f"{_BROAD}.read"} if scope.endswith(".read") else {_BROAD}
    return not ways.isdisjoint(granted)
