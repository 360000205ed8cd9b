"""A small HTTP server in a thread: GET and HEAD of a few fixed paths, nothing else."""

import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from etl import __version__
from etl.errors import ConfigError

MOST_CONNECTIONS: Final = 16
"""Connections served at once; more are closed unanswered, so that nobody can pile up threads."""


class Reply(NamedTuple):
    """An answer."""

    status: int
    content_type: str
    body: bytes


Route = Callable[[str], Reply]
"""From the request's `Accept` header to an answer."""


class Server(ThreadingHTTPServer):
    """Takes its address when made, and serves routes from `start` on. Raises ConfigError."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listen: tuple[str, int]) -> None:
        self.routes: Mapping[str, Route] = {}
        self._thread: threading.Thread | None = None
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        try:
            info = socket.getaddrinfo(*listen, type=socket.SOCK_STREAM)[0]
            self.address_family = info[0]
            super().__init__(info[4][:2], _Handler)  # type: ignore[arg-type]
        except (OSError, UnicodeError) as error:
            host, port = listen
            reason = getattr(error, "strerror", None) or "no such host"
            what = f"service.listen: can't listen on {host} port {port}: {reason}"
            hint = "choose another address in [service], or stop what listens there"
            raise ConfigError(what, hint) from None

    def server_bind(self) -> None:
        """Bind, without asking for this host's name, which may take a name server's time."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    @property
    def address(self) -> str:
        """Where it listens, the port that was found for 0 included."""
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if self.address_family == socket.AF_INET6 else f"{host}:{port}"

    def start(self, routes: Mapping[str, Route]) -> None:
        """Serve in a thread."""
        self.routes = routes
        self._thread = threading.Thread(target=self.serve_forever, name="service", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Serve no more, and give the address back."""
        if self._thread is not None:
            self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread per connection, up to a limit."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection and make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is nobody's error."""


class _Handler(BaseHTTPRequestHandler):
    timeout = 5
    server: Server

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _refuse(self) -> None:
        self._send(Reply(405, "text/plain", b"only GET and HEAD\n"))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815

    def _answer(self) -> None:
        route = self.server.routes.get(urlsplit(self.path).path)
        if route is None:
            self._send(Reply(404, "text/plain", b"there is /healthz, /readyz and /metrics\n"))
            return
        try:
            reply = route(self.headers.get("Accept") or "")
        except Exception:
            logging.getLogger("etl.monitor").exception("a probe failed")
            reply = Reply(500, "text/plain", b"a bug: see the log\n")
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Cache-Control", "no-store")
        if reply.status == 405:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def version_string(self) -> str:
        return f"gumloop-etl/{__version__}"

    def log_message(self, format: str, *args: Any) -> None:
        """No access log: probes come every few seconds."""
