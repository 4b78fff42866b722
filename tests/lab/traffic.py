"""One end of one TCP connection that does a list of steps and says how that went, as one JSON line.

usage: traffic.py listen|connect ADDRESS PORT [--patience SECONDS] [--from PORT] STEP...

steps   send:N      N bytes, then the next step
        stream:S    some bytes every 50 ms for S seconds
        read:N      N bytes must come
        read-end    everything up to the end of the other side
        end         half-close: shutdown(SHUT_WR)
        wait:S      do nothing for S seconds, but notice a reset
        say:WORD    print WORD
        reset       close by a RST

The bytes of each direction are numbered records ("c00000000000042" and a newline from the side that
connects, "s..." from the one that listens), and what arrives is compared with them by content: a byte lost,
repeated or moved is found. `listen` takes one connection and prints "listening" when it is ready for it.
"""

import argparse
import json
import select
import signal
import socket
import struct
import sys
import time

RECORD = 16
LIFETIME = 90  # seconds; whatever happens, this process does not outlive it


class Failed(Exception):
    """The steps could not go on; the arguments are the outcome and a sentence."""


def pattern(letter: str, start: int, length: int) -> bytes:
    """The bytes [start, start + length) of a direction."""
    first, last = start // RECORD, (start + length + RECORD - 1) // RECORD
    text = "".join(f"{letter}{number:014d}\n" for number in range(first, last))
    return text.encode()[start - first * RECORD :][:length]


def text_of(address: tuple) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class End:
    def __init__(self, connection: socket.socket, ours: str, theirs: str, peer: tuple):
        self.connection = connection
        self.peer = peer  # getpeername() fails once it was reset
        self.ours = ours
        self.theirs = theirs
        self.sent = 0
        self.received = 0

    def do(self, step: str) -> None:
        name, _, value = step.partition(":")
        if name == "send":
            self.send(int(value))
        elif name == "stream":
            self.stream(float(value))
        elif name == "read":
            while (missing := int(value) - self.received) > 0:
                if not self.read(min(missing, 65536)):
                    raise Failed("cut", f"the end came {missing} bytes early")
        elif name == "read-end":
            while self.read(65536):
                pass
        elif name == "end":
            self.connection.shutdown(socket.SHUT_WR)
        elif name == "wait":
            self.wait(float(value))
        elif name == "say":
            print(value, flush=True)
        elif name == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            raise SystemExit(f"traffic.py: unknown step '{step}'")

    def send(self, length: int) -> None:
        stop = self.sent + length
        while self.sent < stop:
            block = pattern(self.ours, self.sent, min(65536, stop - self.sent))
            self.connection.sendall(block)
            self.sent += len(block)

    def stream(self, seconds: float) -> None:
        stop = time.monotonic() + seconds
        while time.monotonic() < stop:
            self.send(2000)
            self.wait(0.05)

    def read(self, limit: int) -> bool:
        block = self.connection.recv(limit)
        if block != pattern(self.theirs, self.received, len(block)):
            raise Failed("wrong-bytes", f"between {self.received} and {self.received + len(block)}")
        self.received += len(block)
        return bool(block)

    def wait(self, seconds: float) -> None:
        """A reset is an error event on a socket of which nothing else is asked; EPIPE if it has ended."""
        poll = select.poll()
        poll.register(self.connection, 0)
        stop = time.monotonic() + seconds
        while (rest := stop - time.monotonic()) > 0:
            if not poll.poll(rest * 1000):
                return
            error = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, "noticed while waiting")
            time.sleep(min(rest, 0.05))  # both directions are over: POLLHUP stays up


def connected(arguments: argparse.Namespace) -> End:
    family = socket.AF_INET6 if ":" in arguments.address else socket.AF_INET
    here = (arguments.address, arguments.port)
    if arguments.role == "connect":
        connection = socket.socket(family)
        if arguments.from_port:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            connection.bind(("", arguments.from_port))
        connection.settimeout(arguments.patience)
        connection.connect(here)
        return End(connection, "c", "s", here)
    with socket.create_server(here, family=family) as listener:
        print("listening", flush=True)
        connection, there = listener.accept()
    connection.settimeout(arguments.patience)
    return End(connection, "s", "c", there)


def main() -> None:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("role", choices=("listen", "connect"))
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--patience", type=float, default=15, help="how long one read or write may take")
    parser.add_argument("--from", dest="from_port", type=int, default=0, help="the own port of `connect`")
    parser.add_argument("steps", nargs="+")
    arguments = parser.parse_args()
    signal.alarm(LIFETIME)

    started = time.monotonic()
    result = {"outcome": "complete", "step": "", "why": "", "sent": 0, "received": 0}
    end = None
    step = "connect"
    try:
        end = connected(arguments)
        result.update(self=text_of(end.connection.getsockname()), peer=text_of(end.peer))
        started = time.monotonic()
        for step in arguments.steps:
            end.do(step)
    except Failed as failure:
        result.update(outcome=failure.args[0], step=step, why=failure.args[1])
    except TimeoutError as error:
        # The same class is the silence of our own patience and the kernel's ETIMEDOUT.
        result.update(outcome="timed-out" if error.errno else "silence", step=step, why=str(error))
    except (ConnectionResetError, BrokenPipeError) as error:
        result.update(outcome="reset", step=step, why=str(error))
    except OSError as error:
        result.update(outcome="error", step=step, why=str(error))
    if end:
        result.update(sent=end.sent, received=end.received)
        end.connection.close()
    result["seconds"] = round(time.monotonic() - started, 2)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    sys.exit(main())
