"""The two ends of a relayed connection: sockets that send a pattern and check the one they get."""

import array
import select
import socket
import struct
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Callable

Address = tuple[str, int]
LIMIT = 15  # seconds that one read or write may take

FULL_AFTER, COMPUTED = 0.4, 0.05  # seconds, and seconds of processor time

RECORD = 8
SALT = {"client": 0x_C11E_0000_0000_0000, "server": 0x_5E2F_0000_0000_0000}
RESETS = (104, 32)  # ECONNRESET; EPIPE, if the end had been read before (MECHANISMS.md, section 6)


def text_of(address: Address) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def pattern(sender: str, start: int, length: int) -> bytes:
    """The bytes [start, start + length) that this side sends: each record of 8 bytes is unique."""
    first, last = start // RECORD, (start + length + RECORD - 1) // RECORD
    records = array.array("Q", range(SALT[sender] + first, SALT[sender] + last))
    records.byteswap()
    return records.tobytes()[start - first * RECORD:][:length]


class End:
    """One end. It knows how far both directions have come, and checks every byte by its place."""

    def __init__(self, sock: socket.socket, side: str):
        self.sock = sock
        self.side = side
        self.other = "server" if side == "client" else "client"
        self.sent = 0
        self.received = 0
        self.reset_in_connect = False
        sock.settimeout(LIMIT)

    def _bytes(self, sender: str, start: int, length: int) -> bytes:
        return pattern(sender, start, length)

    # Sending.

    def send(self, length: int, block: int = 1 << 20) -> None:
        stop = self.sent + length
        while self.sent < stop:
            data = self._bytes(self.side, self.sent, min(block, stop - self.sent))
            self.sock.sendall(data)
            self.sent += len(data)

    def send_while_it_goes(self) -> int:
        """Fills everything between here and a reader that does not read; how much that took. It is full when nothing more goes
        in for FULL_AFTER seconds in which this thread has computed for COMPUTED: on a busy machine who is between here and
        there had as much time, and would have made room."""
        before, data, since = self.sent, memoryview(b""), None
        self.sock.setblocking(False)
        poll = select.poll()
        poll.register(self.sock, select.POLLOUT)
        while since is None or time.monotonic() - since[0] < FULL_AFTER or time.thread_time() - since[1] < COMPUTED:
            data = data or memoryview(self._bytes(self.side, self.sent, 1 << 20))
            try:
                count = self.sock.send(data)
                self.sent, data, since = self.sent + count, data[count:], None
            except BlockingIOError:
                since = since or (time.monotonic(), time.thread_time())
                poll.poll(max(0, since[0] + FULL_AFTER - time.monotonic()) * 1000)
        self.sock.settimeout(LIMIT)
        return self.sent - before

    def finish(self) -> None:
        """The half-close."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # Receiving.

    def _read(self, most: int) -> int:
        data = self.sock.recv(most)
        expected = self._bytes(self.other, self.received, len(data))
        assert data == expected, f"wrong bytes at {self.side} between {self.received} and {self.received + len(data)}"
        self.received += len(data)
        return len(data)

    def receive(self, length: int) -> None:
        stop = self.received + length
        while self.received < stop:
            got = self._read(min(1 << 20, stop - self.received))
            assert got, f"{self.side}: the end came after {self.received} bytes, not {stop}"

    def receive_until(self, total: int) -> None:
        self.receive(total - self.received)

    def expect_end(self, total: int | None = None) -> None:
        """An orderly end, after exactly that many bytes (none: after what was received)."""
        total = self.received if total is None else total
        while self._read(1 << 20):
            pass
        assert self.received == total, f"{self.side}: {self.received} bytes before the end, not {total}"
        assert self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0

    def expect_reset(self, limit: float = LIMIT) -> None:
        """A reset that arrives by itself: nothing is written, nothing is read."""
        if self.reset_in_connect:
            return
        poll = select.poll()
        poll.register(self.sock, 0)
        assert poll.poll(limit * 1000), f"{self.side}: no reset within {limit} s"
        error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        assert error in RESETS, f"{self.side}: error {error} is no reset"

    def expect_reset_not_end(self) -> int:
        """Reads what there is (the beginning of what was sent); then a reset, never an end."""
        if self.reset_in_connect:
            return 0
        with suppress(ConnectionResetError):
            while self._read(1 << 20):
                pass
            raise AssertionError(f"{self.side}: a clean end after {self.received} bytes, not a reset")
        return self.received

    def expect_nothing(self, seconds: float = 0.3) -> None:
        """No byte, no end and no reset for that long."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | select.POLLRDHUP)
        assert not (got := poll.poll(seconds * 1000)), f"{self.side}: events {got[0][1]:#x}, not silence"


class Session:
    """A client that has connected through finhold to a server, or directly."""

    def __init__(self, client: socket.socket, server: socket.socket):
        self.client = End(client, "client")
        self.server = End(server, "server")

    def flow(self, name: str) -> tuple[End, End]:
        """Source and sink of "to_server" or "to_client"."""
        return (self.client, self.server) if name == "to_server" else (self.server, self.client)

    def close(self) -> None:
        self.client.close()
        self.server.close()


class Server:
    """A listening socket of the tests."""

    def __init__(self, host: str = "127.0.0.1", backlog: int = 4096, port: int = 0):
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((host, port))
        self.sock.listen(backlog)
        self.sock.settimeout(LIMIT)
        self.address: Address = self.sock.getsockname()[:2]

    def accept(self) -> socket.socket:
        return self.sock.accept()[0]

    def session(self, through: Address, receive_buffer: int = 0) -> Session:
        """One session over `through`: the address of a finhold, or our own."""
        return Session(connect(through, receive_buffer=receive_buffer), self.accept())

    def fill(self) -> list[socket.socket]:
        """For a backlog of 0: fills it, so that the next to connect waits until accept()."""
        waiting = [connect(self.address)]
        blocked = socket.socket()
        blocked.setblocking(False)
        blocked.connect_ex(self.address)
        assert not select.select([], [blocked], [], 0.05)[1], "the backlog takes more than one"
        blocked.close()
        return waiting

    def close(self) -> None:
        """A thread that is blocked in accept() comes back by that: close() alone leaves it there, and a system call that is begun
        again (after a stop, say) takes the number of the descriptor, which is another test's by then."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def with_zone(address: Address) -> tuple:
    """As connect(2) takes a link-local address."""
    host, _, zone = address[0].partition("%")
    return (host, address[1], 0, socket.if_nametoindex(zone)) if zone else address


def connect(address: Address, limit: float = LIMIT, receive_buffer: int = 0, own_port: bool = False) -> socket.socket:
    """`own_port`: one that no other socket of this network has; else those to other addresses may have the same."""
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(limit)
    if own_port:
        sock.bind(("", 0))
    sock.connect(address)
    return sock


def connect_client(address: Address) -> End:
    """One that may be reset at once, which connect() itself sees if it has not returned yet: expect_reset() is content then."""
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    end = End(sock, "client")
    try:
        sock.connect(with_zone(address))
    except ConnectionResetError:
        end.reset_in_connect = True
    return end


def expect_refusal(address: Address) -> None:
    """A reset, at once or while connect() has not returned yet; never a clean end of nothing."""
    client = connect_client(address)
    assert client.expect_reset_not_end() == 0
    client.close()


def connect_from(address: Address, source: str) -> socket.socket:
    return socket.create_connection(address, timeout=10, source_address=(source, 0))


def expect_refusal_of(address: Address, source: str) -> None:
    try:
        client = End(connect_from(address, source), "client")
    except ConnectionResetError:
        return
    client.expect_reset_not_end()
    client.close()


def listens(port: int) -> bool:
    sockets = "".join(Path(f"/proc/thread-self/net/{name}").read_text() for name in ("tcp", "tcp6"))
    lines = (line.split() for line in sockets.splitlines())
    return any(line[1].endswith(f":{port:04X}") and line[3] == "0A" for line in lines)


def unused_address(host: str = "127.0.0.1") -> Address:
    """Where nobody listens: bound, so that nobody else gets it, and not listening."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.bind((host, 0))
    reserved.append(sock)
    return sock.getsockname()[:2]


reserved: list[socket.socket] = []


def background(action: Callable[[], object]) -> Future:
    """Runs it in a thread; result() waits for it and raises what it raised."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(action())
        except BaseException as error:  # noqa: BLE001: it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def seconds_of(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started
