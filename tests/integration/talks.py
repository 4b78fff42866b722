"""Sessions that may be reset at any time, since something fails: at both ends then, and never with a false end."""

import errno
import select
import socket
from pathlib import Path
from typing import Callable

from ends import LIMIT, Address, End, Server, background, connect_client, pattern

ESTABLISHED = "01"  # in /proc/net/tcp
RESETS = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


class Cut(Exception):
    """The session was reset."""


class HalfEnd(End):
    """Remembers whether it has sent its end, and whether it has seen a reset, of which the kernel tells only once."""

    finished = False
    was_reset = False

    @classmethod
    def connected(cls, to: Address) -> "HalfEnd":
        client = connect_client(to)
        made = cls(client.sock, "client")
        made.was_reset = made.reset_in_connect = client.reset_in_connect
        return made

    def send(self, length: int, block: int = 1 << 20) -> None:
        try:
            super().send(length, block)
        except RESETS:
            self.was_reset = True
            raise

    def finish(self) -> None:
        try:
            super().finish()
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
            raise Cut from None
        self.finished = True

    def _read(self, most: int) -> int:
        try:
            return super()._read(most)
        except RESETS:
            self.was_reset = True
            raise


def close_left_over(server: Server) -> None:
    """Connections of sessions that were reset before they were accepted here."""
    while select.select([server.sock], [], [], 0)[0]:
        server.accept().close()


def other_end_is_there(sock: socket.socket) -> bool:
    """Of a connection of this machine. That of a dial which failed, and whose socket is closed, may come late on a busy machine, and then it
    stands before that of the session."""
    try:
        port = sock.getpeername()[1]
    except OSError:  # reset
        return False
    connections = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(int(columns[1].rpartition(":")[2], 16) == port and columns[3] == ESTABLISHED for columns in connections)


class Talk:
    """A session that may be reset at any time, at both ends then, and that never ends falsely."""

    def __init__(self, server: Server, through: Address):
        close_left_over(server)
        self.client, self.server = HalfEnd.connected(through), None
        if self.client.reset_in_connect:
            return
        poll = select.poll()
        poll.register(server.sock, select.POLLIN)
        poll.register(self.client.sock, select.POLLIN | select.POLLRDHUP)
        while self.server is None:
            ready = [fd for fd, _ in poll.poll(LIMIT * 1000)]
            assert ready, "the client hangs: neither a connection to the server nor a reset"
            if server.sock.fileno() not in ready:
                return
            accepted = server.accept()
            if other_end_is_there(accepted):
                self.server = HalfEnd(accepted, "server")
            else:
                accepted.close()

    def play(self, script: Callable[["Talk"], None]) -> bool:
        """Whether it went through to its end; a reset is no error. Afterwards both ends are closed."""
        try:
            if self.server is None:
                raise Cut
            script(self)
            return True
        except (*RESETS, Cut):
            self.read_out(self.client, self.server)
            if self.server is not None:
                self.read_out(self.server, self.client)
            return False
        finally:
            for end in (self.client, self.server):
                if end is not None:
                    end.close()

    @staticmethod
    def read_out(end: HalfEnd, source: HalfEnd | None) -> None:
        """What was reset at one end is reset at the other too, unless that one's flow was over before."""
        if end.sock.fileno() < 0 or end.was_reset:
            return
        try:
            while end._read(1 << 20):
                pass
        except RESETS:
            return
        except TimeoutError:
            raise AssertionError(f"{end.side}: it hangs after {end.received} bytes") from None
        sent = source.sent if source is not None else 0
        assert source is not None and source.finished and end.received == sent, \
            f"{end.side}: a false end after {end.received} bytes of {sent}"


def half_close(talk: Talk) -> None:
    talk.client.send(1000)
    talk.client.finish()
    talk.server.receive(1000)
    talk.server.expect_end()
    talk.server.send(2000)
    talk.server.finish()
    talk.client.receive(2000)
    talk.client.expect_end()


def held(talk: Talk) -> None:
    """Across a leg to the server that is never let go early: the client's end comes behind the server's."""
    talk.client.send(1000)
    talk.client.finish()
    talk.server.receive(1000)
    talk.server.send(2000)
    talk.server.finish()
    talk.client.receive(2000)
    talk.client.expect_end()
    talk.server.expect_end()


def bulk(talk: Talk) -> None:
    """Pipes, and full buffers. The client reads all the time: a leg that has failed waits for the other one's reader (R4)."""
    reading = background(lambda: talk.client.receive(700_000))
    try:
        talk.client.send(700_000)
        talk.client.finish()
        talk.server.send(700_000)
        talk.server.finish()
        talk.server.receive(700_000)
    finally:
        reading.exception(2 * LIMIT)
    reading.result()
    talk.server.expect_end()
    talk.client.expect_end()


def urgent(talk: Talk) -> None:
    talk.server.sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    talk.client.send(100)
    talk.server.receive(100)
    talk.client.sock.send(pattern("client", 100, 1), socket.MSG_OOB)
    talk.client.sent += 1
    talk.client.send(100)
    talk.client.finish()
    talk.server.receive(101)
    talk.server.expect_end()
    talk.server.finish()
    talk.client.expect_end()


def client_resets(talk: Talk) -> None:
    talk.client.send(1000)
    talk.client.reset()
    talk.server.expect_reset_not_end()


def server_resets(talk: Talk) -> None:
    talk.client.send(1000)
    talk.client.finish()
    talk.server.send(1000)
    talk.server.reset()
    talk.client.expect_reset_not_end()
