"""Webhooks only wake the poll: right signatures leave a mark, wrong ones nothing, and no mark is
lost between the receiver and the poll."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml

from exporters.xero import wakes
from exporters.xero.webhooks import MAX_BODY, is_signed, receiver

KEY = "k/2+signing-key="
TENANT = "5a1e9f10-2f5b-4a64-9d0c-6d3263617368"


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """Where marks are left."""
    return tmp_path / "xero" / "wakes"


@pytest.fixture
def address(marks: Path) -> Iterator[str]:
    """A receiver that serves."""
    application = receiver(KEY, marks, clock=lambda: datetime.now(UTC), tenants=lambda: [TENANT])
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(application, log_level="error", server_header=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/xero"
        server.should_exit = True
        thread.join(10)


def sign(body: bytes, key: str = KEY) -> dict[str, str]:
    mac = hmac.new(key.encode(), body, hashlib.sha256).digest()
    return {"x-xero-signature": base64.b64encode(mac).decode()}


def event(category: str = "INVOICE", tenant: str = TENANT) -> dict[str, str]:
    return {"eventCategory": category, "eventType": "UPDATE", "tenantId": tenant}


def body_of(*events: dict[str, str]) -> bytes:
    return json.dumps({"events": events, "entropy": "X"}).encode()


@pytest.mark.parametrize(
    ("body", "headers", "status", "left"),
    [
        (body_of(event()), None, 200, 1),
        (body_of(event("CREDITNOTE")), None, 200, 1),
        (body_of(), None, 200, 0),
        (body_of(event("CONTACT")), None, 200, 0),
        (body_of(event(tenant="other")), None, 200, 0),
        (body_of(event()), {}, 401, 0),
        (body_of(event()), {"x-xero-signature": "no base64!"}, 401, 0),
        (body_of(event()), sign(body_of(event()), "another key"), 401, 0),
        (body_of(event()) + b" ", sign(body_of(event())), 401, 0),
        (b"signed, and no JSON", None, 200, 1),
        (b"x" * (MAX_BODY + 1), None, 413, 0),
    ],
)
def test_answers(
    address: str, marks: Path, body: bytes, headers: dict[str, str] | None, status: int, left: int
) -> None:
    answer = httpx.post(address, content=body, headers=sign(body) if headers is None else headers)
    assert (answer.status_code, answer.content) == (status, b"")
    assert "set-cookie" not in answer.headers
    assert len(wakes.waiting(marks)) == left


def test_nothing_else_is_served(address: str) -> None:
    assert httpx.get(address).status_code == 405
    assert httpx.post(address + "/other").status_code == 404


def test_the_local_xero_tells_of_a_payment(bench: Any, address: str, marks: Path) -> None:
    assert bench.admin.call("webhook", url=address, key=KEY) == {"intent_to_receive": True}
    assert wakes.waiting(marks) == []
    number = bench.issue()
    bench.publish()
    until = time.monotonic() + 5
    while not wakes.waiting(marks) and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)
    wakes.answered(wakes.waiting(marks))
    bench.admin.pay(number)
    while not wakes.waiting(marks) and time.monotonic() < until + 5:
        time.sleep(0.02)
    (mark,) = wakes.waiting(marks)
    assert json.loads(mark.read_text()) == {"tenants": [TENANT]}
    assert set(bench.sandbox.app.hooks.answers) == {200, 401}


def test_a_receiver_with_another_key_is_not_taken(bench: Any, address: str) -> None:
    assert bench.admin.call("webhook", url=address, key="k") == {"intent_to_receive": False}


def test_marks_left_while_a_poll_runs_are_for_the_next(tmp_path: Path) -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    first = wakes.leave(tmp_path, at=at, tenants=["b", "a"])
    seen = wakes.waiting(tmp_path)
    second = wakes.leave(tmp_path, at=at, tenants=[])
    wakes.answered(seen)
    wakes.answered(seen)
    assert (first.exists(), wakes.waiting(tmp_path)) == (False, [second])


def test_a_half_written_mark_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("exporters.xero.wakes.os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        wakes.leave(tmp_path, at=datetime(2026, 11, 1, tzinfo=UTC), tenants=[TENANT])
    assert len(list(tmp_path.iterdir())) == 1
    assert wakes.waiting(tmp_path) == []


@pytest.mark.parametrize(
    ("seconds", "attempt"),
    [(0, 0), (119, 0), (120, 1), (599, 1), (600, 2), (1799, 2), (1800, 3), (3599, 3), (3600, 4)],
)
def test_a_mark_that_no_poll_answered_is_tried_again(
    tmp_path: Path, seconds: int, attempt: int
) -> None:
    mark = wakes.leave(tmp_path, at=datetime(2026, 11, 1, tzinfo=UTC), tenants=[])
    os.utime(mark, (1_000_000, 1_000_000))
    assert wakes.attempt(mark, now=1_000_000 + seconds) == attempt
    mark.unlink()
    assert wakes.attempt(mark, now=1_000_000 + seconds) == 0


DESCRIPTION = Path(__file__).parents[4] / "shared" / "xero" / "xero_webhooks.yaml"


def test_what_the_local_xero_sends_is_as_described_and_sent_again(
    bench: Any, make_line: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    fails = [500, 500]

    def post(_: str, *, content: bytes, headers: dict[str, str], timeout: float) -> httpx.Response:
        assert timeout == 5.0
        if not is_signed(content, headers["x-xero-signature"], KEY):
            return httpx.Response(401)
        body = json.loads(content)
        if not body["events"]:
            return httpx.Response(200)
        sent.append(body)
        return httpx.Response(fails.pop() if fails else 200)

    monkeypatch.setattr("exporters.xero.sandbox.hooks.httpx.post", post)
    assert bench.admin.call("webhook", url="http://127.0.0.1:9", key=KEY)["intent_to_receive"]
    bench.issue()
    bench.issue(make_line(amount=Decimal("-40.00"), tax_amount=Decimal("-10.00")))
    bench.publish()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        seen = {event["eventCategory"] for body in sent for event in body["events"]}
        if len(sent) > 2 and {"INVOICE", "CREDITNOTE"} <= seen:
            break
        time.sleep(0.02)
    assert {"INVOICE", "CREDITNOTE"} <= seen
    first, second, third = (body["firstEventSequence"] for body in sent[:3])
    assert first == second == third == 1
    notes = [e for b in sent for e in b["events"] if e["eventCategory"] == "CREDITNOTE"]
    assert {note["data"]["Type"] for note in notes} == {"ACCRECCREDIT"}
    if not DESCRIPTION.exists():
        pytest.skip(f"{DESCRIPTION.name} is not beside the repository: shapes are not checked")
    jsonschema = pytest.importorskip("jsonschema")
    described = yaml.safe_load(DESCRIPTION.read_text())["components"]
    check = jsonschema.Draft202012Validator(
        {"$ref": "#/components/schemas/WebhookEvent", "components": described}
    )
    check_note = jsonschema.Draft202012Validator(
        {
            "$ref": "#/components/schemas/CreditNoteWebhookEvent/allOf/1/properties/events/items",
            "components": described,
        }
    )
    for body in sent:
        check.validate(body)
    for note in notes:
        check_note.validate(note)
