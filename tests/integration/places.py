"""Several networks of a test's own, of which one routes between the others: a client's, a server's, and finhold's where it
is a gateway. A socket belongs to the network in which it was made, so one test may have ends in all of them.

    with routed_places() as places:
        with places.server.inside(): server = Server(SERVER, port=9000)
        with places.gateway.inside(): finhold = start(...)
        with places.client.inside(): client = connect(server.address)
"""

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Iterator

from private_network import CLONE_NEWNET, Network, Ports, enter, unshare

CLIENT, SERVER = "10.77.1.2", "10.77.2.2"
GATEWAY = {"client": "10.77.1.1", "server": "10.77.2.1"}  # as they see it


class Place(Network):
    """One of them. What the calling thread makes inside() is in it: sockets, threads, processes."""

    def __init__(self) -> None:
        with open("/proc/thread-self/ns/net", "rb") as before:
            unshare(CLONE_NEWNET)
            self.descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            enter(before.fileno())
        with self.inside():
            self.ip("link", "set", "lo", "up")

    @contextmanager
    def inside(self) -> Iterator[None]:
        with open("/proc/thread-self/ns/net", "rb") as before:
            enter(self.descriptor)
            try:
                yield
            finally:
                enter(before.fileno())

    def set(self, key: str, value: str | int) -> None:
        with self.inside():
            super().set(key, value)

    def connections(self) -> Ports:
        with self.inside():
            return super().connections()

    def close(self) -> None:
        os.close(self.descriptor)


@dataclass
class Places:
    client: Place
    gateway: Place
    server: Place

    def all(self) -> tuple[Place, Place, Place]:
        return self.client, self.gateway, self.server


def _join(gateway: Place, other: Place, number: int) -> None:
    inside_other = f"/proc/{os.getpid()}/fd/{other.descriptor}"
    with gateway.inside():
        gateway.ip("link", "add", f"g{number}", "type", "veth", "peer", "name", "e", "netns", inside_other)
        gateway.ip("address", "add", f"10.77.{number}.1/24", "dev", f"g{number}")
        gateway.ip("link", "set", f"g{number}", "up")
    with other.inside():
        other.ip("address", "add", f"10.77.{number}.2/24", "dev", "e")
        other.ip("link", "set", "e", "up")
        other.ip("route", "add", "default", "via", f"10.77.{number}.1")


@contextmanager
def routed_places() -> Iterator[Places]:
    """They vanish with the last descriptor, socket and process that is in them."""
    places = Places(Place(), Place(), Place())
    try:
        _join(places.gateway, places.client, 1)
        _join(places.gateway, places.server, 2)
        places.gateway.set("net.ipv4.ip_forward", 1)
        yield places
    finally:
        for place in places.all():
            place.close()
