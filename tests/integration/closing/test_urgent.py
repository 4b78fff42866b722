"""R10: an urgent byte arrives as urgent, at its place, on every data path. A reader with SO_OOBINLINE
sees the place by SIOCATMARK; what it should see is what it sees on a direct connection."""

import array
import fcntl
import random
import select
import socket
import threading
import time

import pytest
from ends import LIMIT, End, background, pattern

SIOCATMARK = 0x8905
IAC_IP, IAC_DM = b"\xff\xf4", b"\xff\xf2"  # telnet (RFC 854): interrupt process, data mark


@pytest.fixture(params=["auto", "never", "always"])
def path(request) -> dict:
    """Copied or spliced, or as finhold finds best."""
    return {"limits": {"splice": request.param}}


class Urgent:
    """A sender that puts urgent bytes into its pattern, and knows where they are."""

    def __init__(self, end: End):
        self.end = end
        self.places: list[int] = []
        self.data = bytearray()

    def send(self, length: int) -> None:
        self.data += pattern(self.end.side, self.end.sent, length)
        self.end.send(length)

    def send_urgent(self) -> None:
        self.places.append(len(self.data))
        self.data += b"!"
        self.end.sock.send(b"!", socket.MSG_OOB)


class Reader:
    """Reads in line, and notes where the urgent mark was seen."""

    def __init__(self, end: End):
        self.sock = end.sock
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        self.marks: list[int] = []
        self.data = bytearray()
        self._poll = select.poll()
        self._poll.register(self.sock, select.POLLIN)

    def read(self, most: int = 1 << 16) -> bytes:
        """Waits, then asks, then reads: so no read begins at a mark that was not seen."""
        assert self._poll.poll(LIMIT * 1000), f"nothing after {len(self.data)} bytes and marks {self.marks}"
        if at_mark(self.sock):
            self.marks.append(len(self.data))
            most = 1
        block = self.sock.recv(most)
        self.data += block
        return block

    def expect(self, sender: Urgent) -> None:
        """All that was sent, so far."""
        while len(self.data) < len(sender.data):
            assert self.read(), f"the end came after {len(self.data)} bytes"
        self.check(sender)

    def expect_end(self, sender: Urgent) -> None:
        while self.read():
            pass
        self.check(sender)

    def check(self, sender: Urgent) -> None:
        assert self.data == sender.data
        assert self.marks == sender.places


def at_mark(sock: socket.socket) -> bool:
    answer = array.array("i", [0])
    fcntl.ioctl(sock, SIOCATMARK, answer)
    return bool(answer[0])


@pytest.mark.parametrize("before", [0, 1000, 65_536, 262_144, 1_000_000])
@pytest.mark.parametrize("after", [0, 1000])
def test_an_urgent_byte_arrives_at_its_place(relay, flow, path, before, after):
    """Sizes at which a read begins at the mark, or a full buffer or pipe ends there."""
    finhold, session = relay(tables=path)
    source, sink = session.flow(flow)
    sender, reader = Urgent(source), Reader(sink)
    source.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 21)
    sender.send(10)
    reader.expect(sender)
    with finhold.suspended():
        sending = background(lambda: (sender.send(before), sender.send_urgent(), sender.send(after)))
        time.sleep(0.05)
    sending.result()
    reader.expect(sender)
    sender.send(10)
    reader.expect(sender)
    session.close()
    finhold.ending(ending="finished")


def test_urgent_bytes_and_nothing_else(relay, flow, path):
    finhold, session = relay(tables=path)
    source, sink = session.flow(flow)
    sender, reader = Urgent(source), Reader(sink)
    for _ in range(100):
        sender.send_urgent()
        reader.expect(sender)
    session.close()
    finhold.ending(ending="finished")


def test_an_urgent_byte_before_the_server_is_reached(relay, server, start, path):
    """The first byte of a session, sent while finhold still dials."""
    finhold, session = relay(tables=path)
    session.close()
    with finhold.suspended():
        client = socket.create_connection(finhold.address())
        client.send(b"!", socket.MSG_OOB)
    accepted = server.accept()
    reader = Reader(End(accepted, "server"))
    reader.read()
    assert (reader.data, reader.marks) == (b"!", [0])
    client.close()
    accepted.close()
    finhold.endings(2, ending="finished")


def test_of_two_unread_urgent_bytes_the_last_is_urgent(relay, flow, path):
    """As on a direct connection: TCP has one mark."""
    finhold, session = relay(tables=path)
    source, sink = session.flow(flow)
    sender, reader = Urgent(source), Reader(sink)
    with finhold.suspended():
        for _ in range(2):
            sender.send(1000)
            sender.send_urgent()
        sender.send(1000)
    sender.places = sender.places[1:]
    reader.expect(sender)
    session.close()
    finhold.ending(ending="finished")


def stress(source: End, sink: End, seed: int, urgent_bytes: int) -> None:
    """Urgent bytes amid few bytes and bulk, each sent when the one before was seen, so that TCP can carry
    all of them; no other event is awaited, so that they come at any moment of a relay's turn."""
    dice = random.Random(seed)
    sender, reader = Urgent(source), Reader(sink)
    seen = threading.Semaphore(0)

    def pieces(most: int) -> None:
        for _ in range(dice.randint(0, most)):
            low, high = dice.choice([(1, 200), (1, 20_000), (65_536, 65_536), (1, 600_000)])
            sender.send(dice.randint(low, high))

    def send() -> None:
        for _ in range(urgent_bytes):
            pieces(3)
            sender.send_urgent()
            if dice.random() < 0.7:
                pieces(2)
            assert seen.acquire(timeout=LIMIT)
        source.finish()

    def receive() -> None:
        marks = 0
        while reader.read(dice.choice([100, 5_000, 1 << 20])):
            while marks < len(reader.marks):
                marks += 1
                seen.release()

    sending, receiving = background(send), background(receive)
    receiving.result()
    sending.result()
    reader.check(sender)


def both_ways(session, seed: int, urgent_bytes: int) -> None:
    work = [background(lambda source=source, sink=sink, salt=salt: stress(source, sink, seed + salt, urgent_bytes))
            for salt, (source, sink) in enumerate([session.flow("to_server"), session.flow("to_client")])]
    for each in work:
        each.result()


@pytest.mark.parametrize("seed", [10, 20])
def test_marks_amid_bulk_both_ways_are_where_they_were_sent(relay, path, seed):
    finhold, session = relay(tables=path)
    both_ways(session, seed, 100)
    finhold.ending(ending="finished")


def test_a_direct_connection_passes_the_same_test(server):
    session = server.session(server.address)
    both_ways(session, 10, 100)
    session.close()


def test_an_urgent_byte_waits_for_a_slow_reader(relay, flow, path):
    """Everything between the two is full when it is sent."""
    finhold, session = relay(tables=path)
    source, sink = session.flow(flow)
    sender, reader = Urgent(source), Reader(sink)
    source.send_while_it_goes()
    sender.data += pattern(source.side, 0, source.sent)
    sending = background(lambda: (sender.send_urgent(), sender.send(100_000), source.finish()))
    reader.expect_end(sender)
    sending.result()
    session.close()
    finhold.ending(ending="finished")


@pytest.mark.parametrize("crosses", ["client", "server"])
def test_while_a_fin_is_held(relay, path, crosses):
    """Crossing the server: the client has ended, the server sends; and the reverse."""
    finhold, session = relay(crosses, tables=path)
    sink, source = (session.client, session.server) if crosses == "server" else (session.server, session.client)
    sink.finish()
    source.expect_nothing(0.1)  # held
    sender, reader = Urgent(source), Reader(sink)
    for length in (0, 100, 300_000, 100):
        sender.send(length)
        sender.send_urgent()
        sender.send(length)
        reader.expect(sender)
    source.expect_nothing(0.1)
    source.finish()
    reader.expect_end(sender)
    source.expect_end(0)
    session.close()
    finhold.ending(ending="finished", released=f"{source.side}-ended")


def test_the_last_byte_before_an_end(relay, flow, path):
    finhold, session = relay(tables=path)
    source, sink = session.flow(flow)
    sender, reader = Urgent(source), Reader(sink)
    with finhold.suspended():
        sender.send(1000)
        sender.send_urgent()
        source.finish()
    reader.expect_end(sender)
    session.close()
    finhold.ending(ending="finished")


def test_the_last_byte_before_a_held_end(relay, path):
    """It arrives at once, though its FIN does not."""
    finhold, session = relay("server", tables=path)
    sender, reader = Urgent(session.client), Reader(session.server)
    sender.send(100_000)
    sender.send_urgent()
    session.client.finish()
    reader.expect(sender)
    session.server.expect_nothing(0.1)
    session.server.finish()
    reader.expect_end(sender)
    session.client.expect_end(0)
    session.close()
    finhold.ending(ending="finished")


def test_a_reset_behind_an_urgent_byte(relay, flow, path):
    finhold, session = relay(tables=path)
    source, sink = session.flow(flow)
    sender, reader = Urgent(source), Reader(sink)
    with finhold.suspended():
        sender.send(1000)
        sender.send_urgent()
        sender.send(1000)
        source.reset()
    reader.expect(sender)
    with pytest.raises(ConnectionResetError):
        reader.read()
    finhold.ending(ending=f"{source.side}-reset")


def test_synch_of_telnet_and_abor_of_ftp(relay, path):
    """RFC 854 and 959: the data mark is urgent, and a server discards all before it."""
    finhold, session = relay(tables=path)
    server = session.server.sock
    server.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    for _ in range(20):
        session.client.sock.send(b"type ahead\r\n" + IAC_IP)
        session.client.sock.send(IAC_DM, socket.MSG_OOB)
        session.client.sock.send(b"ABOR\r\n")
        await_urgent(server)
        discarded = b""
        while not at_mark(server):
            discarded += server.recv(100)
        assert discarded == b"type ahead\r\n" + IAC_IP + IAC_DM[:1]
        assert receive_exactly(server, 7) == IAC_DM[1:] + b"ABOR\r\n"
    session.close()
    finhold.ending(ending="finished")


def test_a_reader_that_does_not_read_it_in_line(relay, flow, path):
    """It gets the byte by MSG_OOB, and the others without it."""
    finhold, session = relay(tables=path)
    source, sink = session.flow(flow)
    for value in range(50):
        source.sock.send(b"before")
        source.sock.send(bytes([value]), socket.MSG_OOB)
        source.sock.send(b"after")
        await_urgent(sink.sock)
        assert sink.sock.recv(1, socket.MSG_OOB) == bytes([value])
        assert receive_exactly(sink.sock, 11) == b"beforeafter"
    session.close()
    finhold.ending(ending="finished")


def await_urgent(sock: socket.socket) -> None:
    poll = select.poll()
    poll.register(sock, select.POLLPRI)
    assert poll.poll(LIMIT * 1000), "no urgent byte"


def receive_exactly(sock: socket.socket, length: int) -> bytes:
    got = b""
    while len(got) < length:
        block = sock.recv(length - len(got))
        assert block, f"the end after {got!r}"
        got += block
    return got
