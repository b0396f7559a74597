"""A receiver of webhooks on loopback: a real HTTP server that knows the sender by the convention's
own library, keeps what it takes, and answers as a test wants."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from tests.unit.webhooks.world import SECRET


@dataclass(frozen=True)
class Got:
    """A request that came in. event: its payload, None if the signature was wrong."""

    id: str
    path: str
    body: bytes
    event: Mapping[str, Any] | None
    headers: Mapping[str, str]

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])


@dataclass(frozen=True)
class Reply:
    """What is answered. hang: seconds before it; drop: the connection is closed instead.
    trickle: seconds between the letters of its head; unfinished: content is promised that does not
    come."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: float = 0.0
    drop: bool = False
    trickle: float = 0.0
    unfinished: bool = False


@dataclass
class Receiver:
    """`got` has all requests in order, `taken` those that were answered with 2xx."""

    secret: str = SECRET
    answer: Callable[[Got], Reply] = lambda _got: Reply()
    got: list[Got] = field(default_factory=list)
    taken: list[Got] = field(default_factory=list)
    port: int = 0
    scheme: str = "http"
    host: str = "127.0.0.1"
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/events"

    def receive(self, got: Got) -> Reply:
        self.got.append(got)
        reply = Reply(status=401) if got.event is None else self.answer(got)
        self.over.wait(reply.hang)
        if 200 <= reply.status < 300 and not reply.drop:
            self.taken.append(got)
        return reply

    @contextmanager
    def serving(self, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                try:
                    event = Webhook(receiver.secret).verify(body, headers)
                except WebhookVerificationError:
                    event = None
                reply = receiver.receive(
                    Got(headers["webhook-id"], self.path, body, event, headers)
                )
                try:
                    self.reply(reply)
                except OSError:
                    self.close_connection = True  # nobody waits any more

            def reply(self, reply: Reply) -> None:
                if reply.drop:
                    self.close_connection = True
                    return
                if reply.trickle:
                    for letter in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1000:
                        self.wfile.write(bytes([letter]))
                        self.wfile.flush()
                        if receiver.over.wait(reply.trickle):
                            return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(reply.body) + reply.unfinished))
                self.end_headers()
                self.wfile.write(reply.body)
                self.wfile.flush()
                if reply.unfinished:
                    receiver.over.wait(30)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                pass  # a handshake that the sender broke off

        server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
            self.scheme = "https"
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.over.set()
            server.shutdown()
            thread.join()
            server.server_close()
            time.sleep(0)
