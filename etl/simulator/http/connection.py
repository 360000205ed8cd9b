"""One client's connection: requests in, answers out in their order, or what faults make of them."""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from etl.simulator.http.faults import Fault
from etl.simulator.http.messages import Answer, MalformedRequestError, Request, take_request

# Linger on, for no time: closing sends RST instead of FIN.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
# So long the first half of an answer has to arrive before the reset destroys it.
RESET_DELAY = 0.02


@dataclass(frozen=True)
class Reply:
    """An answer and how it is to be delivered: *delay* in seconds, *fault* one of the wire."""

    answer: Answer
    delay: float = 0.0
    fault: Fault | None = None


Respond = Callable[[Request], Reply]


class Connection(asyncio.Protocol):
    """Reads requests, pipelined ones too, and answers one after the other."""

    def __init__(
        self,
        respond: Respond,
        connections: "set[Connection]",
        in_flight: "InFlight",
    ) -> None:
        self._respond = respond
        self._connections = connections
        self._in_flight = in_flight
        self._buffer = bytearray()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._set_busy(False)
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._advance()

    def close(self) -> None:
        """Drop the connection at once."""
        self._transport.abort()

    def _advance(self) -> None:
        while not self._busy and self._buffer and not self._transport.is_closing():
            try:
                request = take_request(self._buffer)
            except MalformedRequestError:
                self._refuse()
                return
            if request is None:
                return
            self._set_busy(True)
            self._begin(self._respond(request), request.keep_alive)

    def _set_busy(self, busy: bool) -> None:
        if busy != self._busy:
            self._busy = busy
            self._in_flight.count(1 if busy else -1)

    def _refuse(self) -> None:
        answer = Answer(400, b'{"error":"bad_request"}')
        self._transport.write(answer.head(keep_alive=False) + answer.body)
        self._transport.close()

    def _begin(self, reply: Reply, keep_alive: bool) -> None:
        if reply.delay <= 0:
            self._deliver(reply, keep_alive)
        else:
            self._call_later(reply.delay, lambda: self._deliver(reply, keep_alive))

    def _call_later(self, seconds: float, act: Callable[[], None]) -> None:
        def run() -> None:
            act()
            self._advance()

        self._timer = asyncio.get_running_loop().call_later(seconds, run)

    def _deliver(self, reply: Reply, keep_alive: bool) -> None:
        head, body = reply.answer.head(keep_alive=keep_alive), reply.answer.body
        kind = reply.fault.kind if reply.fault else ""
        if reply.fault and kind in _DELIVERIES:
            _DELIVERIES[kind](self, reply.fault, head, body)
            return
        self._finish(head + body, keep_alive)

    def _finish(self, data: bytes, keep_alive: bool = True) -> None:
        self._transport.write(data)
        if not keep_alive:
            self._transport.close()
        self._set_busy(False)

    def _reset(self, fault: Fault, head: bytes, body: bytes) -> None:
        if fault.params["where"] == "before":
            self._abort()
            return
        self._transport.write(head + body[: len(body) // 2])
        self._call_later(RESET_DELAY, self._abort)

    def _abort(self) -> None:
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._transport.abort()

    def _truncate(self, fault: Fault, head: bytes, body: bytes) -> None:
        self._transport.write(head + body[: int(len(body) * fault.params["fraction"])])
        self._transport.close()

    def _stall(self, fault: Fault, head: bytes, body: bytes) -> None:
        cut = int(len(body) * fault.params["fraction"])
        self._transport.write(head + body[:cut])
        goes_on = fault.params["then"] == "rest"
        rest = (lambda: self._finish(body[cut:])) if goes_on else self._transport.close
        self._call_later(fault.params["seconds"], rest)


class InFlight:
    """How many requests are being answered, now and at most."""

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0

    def count(self, change: int) -> None:
        """Note that a request began (1) or ended (-1)."""
        self.now += change
        self.peak = max(self.peak, self.now)


_DELIVERIES: dict[str, Callable[[Connection, Fault, bytes, bytes], None]] = {
    "reset": Connection._reset,
    "truncate": Connection._truncate,
    "stall": Connection._stall,
}
