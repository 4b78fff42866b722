"""A finhold whose configuration file changes while it runs."""

import signal
import socket
from pathlib import Path
from typing import Any, Callable

from ends import Address
from finhold import PATIENCE, Event, Finhold, config_text

WORKERS = 2


def free_address(host: str = "127.0.0.1") -> Address:
    """Where nobody listens at the moment: for a listener whose port must be known beforehand."""
    with socket.socket() as sock:
        sock.bind((host, 0))
        return sock.getsockname()


class Reloading:
    """`start`: the fixture of conftest. Routes and tables as for config_text()."""

    def __init__(self, start: Callable[..., Finhold], path: Path, *routes: dict, popen: dict | None = None,
                 arguments: tuple[str, ...] = (), prefix: tuple[str, ...] = (), **tables: Any):
        self.path = path
        self.ports = self.write(*routes, **tables) if routes else 0  # none: the file is there already
        self.finhold = start(arguments=("--config", str(path), *arguments), popen=popen, prefix=prefix)
        self.seen = 0  # events that were looked at

    def write(self, *routes: dict, user: str = "", **tables: Any) -> int:
        """Returns how many listening sockets that makes."""
        tables["limits"] = {"workers": WORKERS, **tables.get("limits", {})}
        self.path.write_text(config_text(list(routes), tables, user))
        return WORKERS * (len(routes) + len(tables.get("far", [])))

    def await_next(self, *messages: str) -> Event:
        """The next line that begins with one of these, each once."""
        finhold = self.finhold
        with finhold._news:
            while True:
                while self.seen < len(finhold.events):
                    event = finhold.events[self.seen]
                    self.seen += 1
                    if event.message.startswith(messages):
                        return event
                assert finhold._news.wait(PATIENCE) and not finhold._over, finhold.log()

    def signal(self) -> Event:
        self.finhold.signal(signal.SIGHUP)
        return self.await_next("reloaded", "nothing was reloaded")

    def reload(self, *routes: dict, **tables: Any) -> Event:
        """With that file; it must succeed."""
        ports = self.write(*routes, **tables)
        event = self.signal()
        assert event.message == "reloaded", self.finhold.log()
        self.finhold.descriptors += ports - self.ports
        self.ports = ports
        return event

    def fail(self) -> list[str]:
        """Must be refused; the reasons."""
        before = len(self.finhold.events)
        event = self.signal()
        assert event.message.startswith("nothing was reloaded"), self.finhold.log()
        return [each["error"] for each in self.finhold.events[before:] if each.level == "error" and "error" in each.fields]
