"""Events on their way to real servers on loopback that check every signature: what answers and
faults lead to, in which order, and that nothing is lost when a run dies."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from exporters.ledger import tables
from exporters.webhooks import (
    EventsReport,
    Sender,
    Wanted,
    enable,
    note_events,
    owe_again,
    send_events,
    send_test,
    settle,
)
from tests.integration.webhooks.receiver import Got, Receiver, Reply
from tests.unit.webhooks.world import ENV, OTHER_SECRET, Story, endpoint, story_at

DAY = timedelta(days=1)


@dataclass
class Post:
    """A story whose endpoints are real servers."""

    story: Story
    stack: ExitStack
    slept: list[float] = field(default_factory=list)
    timeout: float = 5.0

    def receiver(self, **more: Any) -> Receiver:
        return self.stack.enter_context(Receiver(**more).serving())

    def endpoints(self, *found: Any) -> None:
        """These are in the book, and known."""
        self.story.built(endpoints=found)
        note_events(self.story.ledger, self.story.world)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.story.now += timedelta(seconds=seconds)

    def send(self, **more: Any) -> EventsReport:
        return send_events(
            self.story.ledger,
            self.story.world,
            **{
                "env": ENV,
                "clock": lambda: self.story.now,
                "apply": True,
                "sender": lambda: Sender(timeout=self.timeout),
                "chance": lambda: 0.0,
                "sleep": self.sleep,
                **more,
            },
        )

    def attempts(self) -> list[dict[str, Any]]:
        table = tables.webhook_attempts
        return self.story.ledger.query(select(table).order_by(table.c.id))

    def statuses(self) -> list[str]:
        return [row["status"] for row in self.attempts()]


@pytest.fixture
def post(ledger_url: str) -> Iterator[Post]:
    story = story_at(ledger_url)
    with ExitStack() as stack:
        stack.callback(story.ledger.close)
        yield Post(story, stack)


def types(receiver: Receiver) -> list[str]:
    return [got.type for got in receiver.taken]


def always(reply: Reply) -> Callable[[Got], Reply]:
    return lambda _got: reply


def test_events_arrive_signed_once_and_in_order(post: Post) -> None:
    erp, crm = post.receiver(), post.receiver()
    post.endpoints(
        endpoint("erp", erp.url), endpoint("crm", crm.url, events=("invoice.paid", "payment.*"))
    )
    post.story.issue()
    post.story.see()
    post.story.see(due="0.00", paid="1000.00", status="PAID")
    plan = post.send(apply=False)
    assert (erp.got, plan.noted, plan.exit_code) == ([], 3, 0)
    assert plan.describe()[-1] == "nothing was sent: --apply sends"
    report = post.send()
    assert types(erp) == ["invoice.issued", "invoice.published", "invoice.paid"]
    assert types(crm) == ["invoice.paid"]
    assert (erp.got, crm.got) == (erp.taken, crm.taken)  # all signatures were right
    assert [(one.delivered, one.waiting) for one in report.endpoints] == [(3, {}), (1, {})]
    assert report.exit_code == 0
    event = erp.taken[0]
    assert event.event is not None
    assert event.event["data"]["total"] == "1000.00"
    assert event.headers["content-type"] == "application/json"
    assert event.headers["host"] == f"127.0.0.1:{erp.port}"
    assert (crm.taken[0].id, crm.taken[0].body) == (erp.taken[2].id, erp.taken[2].body)
    post.send()
    assert len(erp.got) == 3
    assert post.story.ledger.verify() == ()


def test_a_server_that_fails_is_tried_by_the_schedule_and_then_given_up(post: Post) -> None:
    erp = post.receiver(answer=always(Reply(500, body=b"out of\r\norder \x1b[31m" + b"!" * 500)))
    post.endpoints(endpoint("erp", erp.url))
    post.story.issue()
    start = post.story.now
    at = []
    for _ in range(9):
        report = post.send()
        at.append(str(post.story.now - start))
        (one,) = report.endpoints
        if one.next_at is not None:
            assert report.exit_code == 0
            post.story.now = one.next_at - timedelta(minutes=1)
            waits = len(erp.got)
            post.send()
            assert len(erp.got) == waits
            post.story.now += timedelta(minutes=1)
    assert at == [  # the second attempt is made in the first run, 5 s after the first
        *("0:00:05", "0:05:05", "0:35:05", "2:35:05", "7:35:05", "17:35:05"),
        *("1 day, 7:35:05", "2 days, 3:35:05", "3 days, 3:35:05"),
    ]
    assert post.slept == [5.0]
    assert post.statuses() == ["failed"] * 9 + ["given_up"]
    assert len({got.id for got in erp.got}) == len({got.body for got in erp.got}) == 1
    answer = post.attempts()[0]["answer"]
    assert answer.startswith("out of order [31m!!!")
    assert len(answer) <= 200
    assert "\x1b" not in answer
    assert report.exit_code == 1
    assert "1 given up; send them with m2c events replay --endpoint erp --given-up" in "\n".join(
        report.describe()
    )
    post.story.now += DAY
    assert post.send().exit_code == 1
    assert len(erp.got) == 10
    # It is sent again when somebody asks for it.
    erp.answer = always(Reply())
    with post.story.ledger.transaction() as tx:
        owe_again(tx, post.story.world.endpoints[0], Wanted(given_up=True))
    report = post.send()
    assert (report.exit_code, report.endpoints[0].delivered) == (0, 1)
    assert erp.taken[0].id == erp.got[0].id
    assert erp.taken[0].headers["webhook-timestamp"] >= erp.got[0].headers["webhook-timestamp"]


def test_what_was_given_up_may_be_settled(post: Post) -> None:
    erp = post.receiver(answer=always(Reply(500)))
    post.endpoints(endpoint("erp", erp.url))
    post.story.issue()
    while "given_up" not in post.statuses():
        post.send()
        post.story.now += DAY
    assert post.send(apply=False).exit_code == 1
    words = settle(post.story.ledger, post.story.world, "erp", by="Kari", reason="not needed")
    assert words == ["erp: 1 given up settled, by Kari: not needed"]
    assert post.send(apply=False).exit_code == 0
    post.story.issue("ACME-0002")
    while post.statuses().count("given_up") < 2:
        post.send()
        post.story.now += DAY
    assert post.send(apply=False).exit_code == 1  # that is another one


@pytest.mark.sqlite_only
def test_a_dead_endpoint_holds_nobody_else_up(post: Post) -> None:
    post.timeout = 1.0
    hangs = post.receiver(answer=always(Reply(hang=30.0)))
    trickles = post.receiver(answer=always(Reply(trickle=0.2)))
    drops = post.receiver(answer=always(Reply(drop=True)))
    works = post.receiver()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    post.endpoints(
        endpoint("drops", drops.url),
        endpoint("hangs", hangs.url),
        endpoint("nobody", nobody),
        endpoint("trickles", trickles.url),
        endpoint("unknown", "https://no-such-host.invalid/"),
        endpoint("works", works.url),
    )
    for n in range(1, 6):
        post.story.issue(f"ACME-{n:04}")
    began = time.monotonic()
    report = post.send()
    assert time.monotonic() - began < 20
    assert len(works.taken) == 5
    found = {one.endpoint_id: one for one in report.endpoints}
    # After its second failure each is left alone for this run.
    assert {name: one.failed for name, one in found.items()} == {
        "works": 0,
        **dict.fromkeys(("drops", "hangs", "nobody", "trickles", "unknown"), 2),
    }
    assert all(sum(found[name].waiting.values()) == 5 for name in found if name != "works")
    assert found["hangs"].last_answer == "no answer within 1 s"
    assert found["trickles"].last_answer == "no answer within 1 s"
    assert "ConnectError" in str(found["nobody"].last_answer)
    assert report.exit_code == 0


@pytest.mark.sqlite_only
def test_a_status_counts_whatever_becomes_of_the_rest_of_the_answer(post: Post) -> None:
    post.timeout = 1.0
    erp = post.receiver(answer=always(Reply(200, body=b"thanks", unfinished=True)))
    post.endpoints(endpoint("erp", erp.url))
    post.story.issue()
    report = post.send()
    assert (report.endpoints[0].delivered, post.attempts()[0]["answer"]) == (1, "thanks")


@pytest.mark.sqlite_only
def test_nothing_of_one_endpoint_is_sent_to_another(post: Post) -> None:
    one = post.receiver(answer=always(Reply(headers={"set-cookie": "a=b; Path=/"})))
    post.endpoints(endpoint("erp", one.url), endpoint("crm", one.url))
    for n in range(1, 4):
        post.story.issue(f"ACME-{n:04}")
    post.send()
    assert len(one.taken) == 6
    assert not any("cookie" in got.headers for got in one.got)


def test_an_endpoint_that_is_gone_is_not_sent_to_until_somebody_says_so(post: Post) -> None:
    erp = post.receiver(answer=always(Reply(410)))
    post.endpoints(endpoint("erp", erp.url))
    post.story.issue("ACME-0001")
    post.story.issue("ACME-0002")
    report = post.send()
    assert len(erp.got) == 1
    assert report.exit_code == 1
    assert "answered 410 Gone on 2026-11-01" in str(report.endpoints[0].blocked)
    post.story.now += 10 * DAY
    post.story.issue("ACME-0003")
    assert post.send().exit_code == 1
    assert len(erp.got) == 1
    erp.answer = always(Reply())
    enable(post.story.ledger, post.story.world, "erp", by="Kari", reason="it was a mistake")
    report = post.send()
    assert (report.exit_code, len(erp.taken)) == (0, 3)


@pytest.mark.sqlite_only
def test_an_endpoint_that_moved_is_sent_to_again(post: Post) -> None:
    old, new = post.receiver(answer=always(Reply(410))), post.receiver()
    post.endpoints(endpoint("erp", old.url))
    post.story.issue()
    post.send()
    post.endpoints(endpoint("erp", new.url))
    assert post.send().exit_code == 0
    assert types(new) == ["invoice.issued"]


@pytest.mark.sqlite_only
@pytest.mark.parametrize("status", [302, 308, 304, 401, 502])
def test_redirects_are_not_followed_and_nothing_but_2xx_is_a_delivery(
    post: Post, status: int
) -> None:
    other = post.receiver()
    erp = post.receiver(answer=always(Reply(status, {"location": other.url})))
    post.endpoints(endpoint("erp", erp.url))
    post.story.issue()
    post.send()
    assert (other.got, erp.taken) == ([], [])
    assert post.statuses() == ["failed"] * 2
    assert post.attempts()[0]["http_status"] == status


@pytest.mark.sqlite_only
def test_an_endpoint_that_asks_for_time_gets_it(post: Post) -> None:
    erp = post.receiver(answer=always(Reply(429, {"retry-after": "1200"})))
    other = post.receiver()
    post.endpoints(endpoint("erp", erp.url), endpoint("other", other.url))
    for n in range(1, 4):
        post.story.issue(f"ACME-{n:04}")
    report = post.send()
    assert (len(erp.got), len(other.taken)) == (1, 3)
    asked_until = post.story.now + timedelta(seconds=1200)
    assert report.endpoints[0].next_at == asked_until
    erp.answer = always(Reply())
    post.story.now = asked_until - timedelta(minutes=1)
    post.send()
    assert len(erp.got) == 1
    post.story.now = asked_until
    post.send()
    assert [got.event["data"]["statement_number"] for got in erp.taken if got.event] == [
        f"ACME-{n:04}" for n in range(1, 4)
    ]


@pytest.mark.sqlite_only
def test_an_event_that_is_refused_holds_up_only_what_is_about_the_same(post: Post) -> None:
    erp = post.receiver(
        answer=lambda got: Reply(422 if got.event and "0001" in got.body.decode() else 200)
    )
    post.endpoints(endpoint("erp", erp.url))
    post.story.issue("ACME-0001")
    post.story.issue("ACME-0002")
    post.story.see("ACME-0001")
    post.story.see("ACME-0002")
    post.send()
    assert types(erp) == ["invoice.issued", "invoice.published"]
    assert {got.type for got in erp.got if "0001" in got.body.decode()} == {"invoice.issued"}
    erp.answer = always(Reply())
    post.story.now += timedelta(hours=1)
    post.send()
    numbers = [got.event["data"]["statement_number"] for got in erp.taken if got.event]
    assert numbers == ["ACME-0002", "ACME-0002", "ACME-0001", "ACME-0001"]
    assert types(erp)[2:] == ["invoice.issued", "invoice.published"]


@pytest.mark.sqlite_only
def test_time_asked_for_one_event_is_not_a_pause_of_all(post: Post) -> None:
    erp = post.receiver(
        answer=lambda got: Reply(409, {"retry-after": "7200"}) if b"0001" in got.body else Reply()
    )
    post.endpoints(endpoint("erp", erp.url))
    post.story.issue("ACME-0001")
    post.send()
    asked_until = post.story.now + timedelta(hours=2)
    post.story.issue("ACME-0002")
    report = post.send()
    assert len(erp.taken) == 1
    assert report.endpoints[0].next_at == asked_until


@pytest.mark.sqlite_only
def test_after_an_outage_everything_arrives_in_order(post: Post) -> None:
    erp = post.receiver(answer=always(Reply(503)))
    post.endpoints(endpoint("erp", erp.url))
    for n in range(1, 9):
        post.story.issue(f"ACME-{n:04}")
        post.send()
        post.story.now += timedelta(minutes=20)
    erp.answer = always(Reply())
    post.story.now += DAY
    post.send()
    numbers = [got.event["data"]["statement_number"] for got in erp.taken if got.event]
    assert numbers == [f"ACME-{n:04}" for n in range(1, 9)]


@pytest.mark.sqlite_only
def test_secrets_may_be_exchanged_while_events_go_out(post: Post) -> None:
    erp = post.receiver()
    post.endpoints(endpoint("erp", erp.url))
    post.story.issue("ACME-0001")
    post.send()
    post.endpoints(endpoint("erp", erp.url, secrets=("HOOK_NEW", "HOOK")))
    post.story.issue("ACME-0002")
    post.send()
    erp.secret = OTHER_SECRET
    post.story.issue("ACME-0003")
    post.send()
    post.endpoints(endpoint("erp", erp.url, secrets=("HOOK_NEW",)))
    post.story.issue("ACME-0004")
    post.send()
    assert len(erp.taken) == len(erp.got) == 4
    assert [got.headers["webhook-signature"].count("v1,") for got in erp.got] == [1, 2, 2, 1]


@pytest.mark.sqlite_only
def test_an_endpoint_without_its_secret_waits_and_says_what_lacks(post: Post) -> None:
    erp, crm = post.receiver(), post.receiver()
    post.endpoints(endpoint("erp", erp.url, secrets=("HOOK_LOST",)), endpoint("crm", crm.url))
    post.story.issue()
    report = post.send()
    assert report.exit_code == 1
    assert "HOOK_LOST is not set" in "\n".join(report.describe())
    assert (erp.got, len(crm.taken)) == ([], 1)
    report = post.send(env={**ENV, "HOOK_LOST": ENV["HOOK"]})
    assert (report.exit_code, len(erp.taken)) == (0, 1)


@pytest.mark.sqlite_only
def test_an_endpoint_that_is_not_active_waits(post: Post) -> None:
    erp = post.receiver()
    post.endpoints(endpoint("erp", erp.url, active=False, secrets=("HOOK_LOST",)))
    post.story.issue()
    report = post.send()
    assert (report.exit_code, erp.got) == (0, [])
    assert report.endpoints[0].waiting == {"invoice.issued": 1}
    post.endpoints(endpoint("erp", erp.url))
    post.send()
    assert types(erp) == ["invoice.issued"]


@pytest.mark.sqlite_only
def test_events_that_never_happen_are_told_and_the_others_sent(post: Post) -> None:
    erp = post.receiver()
    post.endpoints(endpoint("erp", erp.url, events=("invoice.issued", "invoice.payed")))
    post.story.issue()
    report = post.send()
    assert (report.exit_code, types(erp)) == (1, ["invoice.issued"])
    assert "events that never happen: invoice.payed" in "\n".join(report.describe())


@pytest.mark.sqlite_only
def test_a_name_that_leads_inside_is_not_called_unless_the_book_says_so(post: Post) -> None:
    erp = post.receiver(host="localhost")
    inside = endpoint("erp", erp.url, private=False)
    post.endpoints(inside)
    post.story.issue()
    report = post.send()
    assert erp.got == []
    assert "private: true in webhooks.yml" in str(report.endpoints[0].last_answer)
    post.endpoints(replace(inside, private=True))
    post.story.now += DAY
    post.send()
    assert len(erp.taken) == 1
    assert erp.taken[0].headers["host"] == f"localhost:{erp.port}"


@pytest.mark.sqlite_only
def test_proxies_are_asked_for_hosts_outside_alone(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, erp = post.receiver(), post.receiver()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    outside = endpoint("outside", "http://erp.example.com/events", private=False)
    post.endpoints(endpoint("erp", erp.url), outside)
    post.story.issue()
    post.send()
    assert [got.path for got in erp.taken] == ["/events"]
    assert [got.path for got in proxy.taken] == ["http://erp.example.com/events"]


@pytest.mark.sqlite_only
def test_tls_is_of_the_name_in_the_book(
    post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    names = {"localhost": Receiver(host="localhost"), "elsewhere": Receiver(host="localhost")}
    for name, receiver in names.items():
        key, certificate = tmp_path / f"{name}.key", tmp_path / f"{name}.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
                *("-keyout", str(key), "-out", str(certificate)),
            ],
            check=True,
            capture_output=True,
        )
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate, key)
        post.stack.enter_context(receiver.serving(tls))
    post.endpoints(endpoint("erp", names["localhost"].url))
    post.story.issue("ACME-0001")
    report = post.send()
    assert names["localhost"].got == []  # nobody vouches for it
    assert "CERTIFICATE_VERIFY_FAILED" in str(report.endpoints[0].last_answer)
    both = "".join((tmp_path / f"{name}.pem").read_text() for name in names)
    (tmp_path / "trusted.pem").write_text(both)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    post.story.now += DAY
    post.send()
    assert types(names["localhost"]) == ["invoice.issued"]
    # A certificate that is trusted, of another name than the one in the book.
    post.endpoints(endpoint("erp", names["elsewhere"].url))
    post.story.issue("ACME-0002")
    report = post.send()
    assert names["elsewhere"].got == []
    assert "mismatch" in str(report.endpoints[0].last_answer)


@pytest.mark.sqlite_only
def test_a_run_ends_in_time_and_the_next_goes_on(post: Post) -> None:
    erp = post.receiver()
    post.endpoints(endpoint("erp", erp.url))
    for n in range(1, 6):
        post.story.issue(f"ACME-{n:04}")
    ticks = iter(range(100))
    report = post.send(timer=lambda: float(next(ticks)), limit=4.5)
    assert 0 < len(erp.taken) < 5
    assert "the time of a run is over; the next goes on" in report.describe()
    post.send()
    assert len(erp.taken) == len({got.id for got in erp.taken}) == 5


@pytest.mark.sqlite_only
def test_with_a_clock_that_stands_still_no_retry_is_waited_for(post: Post) -> None:
    erp = post.receiver(answer=always(Reply(500)))
    post.endpoints(endpoint("erp", erp.url))
    post.story.issue()
    slept: list[float] = []
    post.send(sleep=slept.append)
    assert (len(erp.got), slept) == (1, [5.0])


def test_two_runs_at_once_lose_nothing(post: Post, ledger_url: str) -> None:
    erp, crm = post.receiver(), post.receiver()
    post.endpoints(endpoint("crm", crm.url), endpoint("erp", erp.url))
    for n in range(1, 21):
        post.story.issue(f"ACME-{n:04}")
    other = story_at(ledger_url)
    other.world, other.now = post.story.world, post.story.now
    second = Post(other, post.stack)
    failures: list[BaseException] = []

    def run(one: Post) -> None:
        try:
            one.send()
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in (post, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.ledger.close()
    assert failures == []
    for receiver in (erp, crm):
        bodies: dict[str, set[bytes]] = {}
        for got in receiver.taken:
            bodies.setdefault(got.id, set()).add(got.body)
        assert len(bodies) == 20
        assert all(len(found) == 1 for found in bodies.values())
    assert len(post.story.events()) == 20
    assert post.send().endpoints[0].waiting == {}
    assert post.story.ledger.verify() == ()


_DIES = """
import os, signal, sys
from exporters.webhooks import send_events
from exporters.webhooks.delivering import Delivering
from tests.unit.webhooks.world import ENV, endpoint, story_at
from dataclasses import replace

story = story_at(sys.argv[1])
story.world = replace(story.world, endpoints=(endpoint("erp", sys.argv[2]),))
done = Delivering._done
seen = []

def dies(self, lane, owed, answer):
    seen.append(owed)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    done(self, lane, owed, answer)

Delivering._done = dies
send_events(story.ledger, story.world, env=ENV, clock=lambda: story.now, apply=True)
"""


def test_killed_between_sending_and_noting_it_is_sent_again_under_its_id(
    post: Post, ledger_url: str
) -> None:
    erp = post.receiver()
    post.endpoints(endpoint("erp", erp.url))
    for n in range(1, 6):
        post.story.issue(f"ACME-{n:04}")
    note_events(post.story.ledger, post.story.world)
    died = subprocess.run(
        [sys.executable, "-c", _DIES, ledger_url, erp.url],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(erp.taken) == 3
    assert post.statuses() == ["delivered"] * 2
    post.send()
    ids = [got.id for got in erp.taken]
    assert len(set(ids)) == 5
    assert ids[2] == ids[3]
    assert erp.taken[2].body == erp.taken[3].body
    assert post.statuses() == ["delivered"] * 5


@pytest.mark.sqlite_only
def test_a_test_event_is_sent_at_once_and_leaves_no_trace(post: Post) -> None:
    erp = post.receiver()
    post.endpoints(endpoint("erp", erp.url))
    facts = post.story.ledger.head().facts
    report = send_test(post.story.world.endpoints[0], env=ENV)
    assert (report.exit_code, types(erp)) == (0, ["endpoint.test"])
    assert "took the test event" in report.describe()[0]
    erp.answer = always(Reply(500, body=b"no such tenant"))
    report = send_test(post.story.world.endpoints[0], env=ENV)
    assert report.exit_code == 1
    assert report.describe()[0].endswith("500 no such tenant")
    assert post.story.ledger.head().facts == facts
