"""Many clients in a process of their own, so that it can be killed, and leave children behind.

    python3 clients.py HOST PORT COUNT

connects and prints the local ports as JSON; then carries out the commands of its standard input, one a line,
on all its connections, and answers each with a line."""

import json
import os
import socket
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ends import Address, connect


def linger(sock: socket.socket) -> None:
    """close() waits until all is acknowledged; for a time it is closed and has its process still."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))


COMMANDS = {
    "close": socket.socket.close,
    "linger": linger,
    "half-close": lambda sock: sock.shutdown(socket.SHUT_WR),
    "shut-down": lambda sock: sock.shutdown(socket.SHUT_RDWR),
}


def answers(socks: list[socket.socket]) -> list[str]:
    """What each has got, to the end."""
    texts = []
    for sock in socks:
        text = b""
        while data := sock.recv(100):
            text += data
        texts.append(text.decode())
    return texts


def leave_child() -> None:
    """A child that keeps every descriptor until standard input ends."""
    if os.fork() == 0:
        while os.read(0, 100):
            pass
        os._exit(0)


def main(host: str, port: str, count: str) -> None:
    socks = [connect((host, int(port))) for _ in range(int(count))]
    print(json.dumps([sock.getsockname()[1] for sock in socks]), flush=True)
    for line in sys.stdin:
        answer: Any = None
        for command in line.split():
            if command == "leave-child":
                leave_child()
            elif command == "answers":
                answer = answers(socks)
            else:
                with ThreadPoolExecutor(20) as pool:  # a close that lingers takes a tick of the kernel's clock
                    list(pool.map(COMMANDS[command], socks))
        print(json.dumps(answer), flush=True)


class Clients:
    """The tests' hold on such a process."""

    def __init__(self, address: Address, count: int):
        self.process = subprocess.Popen(
            [sys.executable, "-B", __file__, *map(str, address), str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answer(self) -> Any:
        return json.loads(self.process.stdout.readline())

    def order(self, commands: str) -> None:
        """Answered by answer()."""
        self.process.stdin.write(commands + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """The process, but not a child of it."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
