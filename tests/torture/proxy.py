"""A TCP proxy in front of PostgreSQL that loses the answer to a COMMIT."""

import socket
import threading
from contextlib import suppress

COMMIT = b"COMMIT\0"


class Proxy:
    """Passes bytes on. At the `at`-th COMMIT, the server gets it and the client no answer."""

    def __init__(self, port: int, at: int) -> None:
        self.port_behind = port
        self.at = at
        self.commits = 0
        self.lost = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port_behind))
                doomed = threading.Event()
                for target, ends in ((self._up, (client, server)), (self._down, (server, client))):
                    threading.Thread(target=target, args=(*ends, doomed), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if COMMIT in data and self._strikes():
                    doomed.set()
                server.sendall(data)
        _cut(server)

    def _down(self, server: socket.socket, client: socket.socket, doomed: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if doomed.is_set():
                    # The server has answered: the transaction is committed.
                    self.lost += 1
                    break
                client.sendall(data)
        _cut(client)
        _cut(server)

    def _strikes(self) -> bool:
        with self._lock:
            self.commits += 1
            return self.commits == self.at


def _cut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
