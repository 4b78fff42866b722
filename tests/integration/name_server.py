"""A name server for a network of a test's own. It answers for the names that it knows, and for the others nobody does."""

import socket
import struct
import threading
from contextlib import contextmanager
from typing import Iterator


class NameServer:
    """On port 53 of 127.0.0.1, in a thread. `names`: their IPv4 addresses; a test may change it. Without a dot at the end."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self.asked: list[str] = []  # each question for an IPv4 address, as it came
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._sock.bind(("127.0.0.1", 53))
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self) -> None:
        while True:
            question, sender = self._sock.recvfrom(512)
            if not question:
                return
            labels, at = [], 12
            while question[at]:
                labels.append(question[at + 1:at + 1 + question[at]].decode())
                at += 1 + question[at]
            at += 1
            wanted = struct.unpack("!H", question[at:at + 2])[0]
            name = ".".join(labels)
            if wanted == 1:
                self.asked.append(name)
            address = self.names.get(name)
            if address is None:
                continue
            record = b""
            if wanted == 1:
                record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(address)
            header = question[:2] + struct.pack("!HHHHH", 0x8180, 1, 1 if record else 0, 0, 0)
            self._sock.sendto(header + question[12:at + 4] + record, sender)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._sock.getsockname())
        self._thread.join(5)
        self._sock.close()


@contextmanager
def name_server(**names: str) -> Iterator[NameServer]:
    """name_server(good="127.0.0.1"): good.test is there."""
    made = NameServer({f"{name}.test": address for name, address in names.items()})
    try:
        yield made
    finally:
        made.close()
