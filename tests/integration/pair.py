"""Two finholds that are a pair: near beside the client, far beside the server. To a test that needs only one it looks
like one (see the fixture `relay`): what it waits for must have happened at both ends."""

import contextlib
import os
from typing import Any, Callable, Iterator

from certificates import FAR, Authority
from ends import Address, text_of
from finhold import Event, Finhold, route_to

OVER = os.environ.get("FINHOLD_PAIR")  # "tls" or "plain": such tests run through a pair
LIFE_SIGNS = {"ping_every": "500ms", "ping_timeout": "700ms"}  # for tests of their loss
LOST = 3  # seconds within which a loss is noticed then; generous


def far_table(allowed: list[Address | str], authority: Authority | None = None, listen: str = "127.0.0.1:0",
              **keys: Any) -> dict[str, Any]:
    """One [[far]]. Without an authority: in clear."""
    tls: Any = "off"
    if authority:
        own = authority.far
        tls = {"certificate": own.certificate, "key": own.key, "client_ca": authority.certificate}
    allow = keys.pop("allow", allowed)
    entries = [entry if isinstance(entry, str) else text_of(entry) for entry in allow]
    return {"name": "far", "listen": listen, "tls": tls, "allow": entries, **keys}


def tunnel_table(far: Address, authority: Authority | None = None, name: str = "tunnel", **keys: Any) -> dict[str, Any]:
    """One [[tunnel]]."""
    tls: Any = "off"
    if authority:
        own = authority.near
        tls = {"ca": authority.certificate, "certificate": own.certificate, "key": own.key, "server_name": FAR}
    return {"name": name, "far": text_of(far), "tls": tls, **keys}


def through_tunnel(server: Address | str, name: str = "main", listen: str = "127.0.0.1:0", **keys: Any) -> dict[str, Any]:
    """A route of the near end."""
    route = route_to(server, listen=listen, name=name, **{"tunnel": "tunnel", **keys})
    if "crosses" not in keys:
        del route["crosses"]
    return route


class Pair:
    def __init__(self, near: Finhold, far: Finhold):
        self.near = near
        self.far = far

    def address(self, route: str = "main") -> Address:
        return self.near.address(route)

    # What both say. The bytes are the near end's.

    def endings(self, count: int, **fields: str) -> list[Event]:
        both = {key: value for key, value in fields.items() if key in ("ending", "first_fin")}
        found = self.near.endings(count, **fields)
        self.far.endings(count, **both)
        return found

    def ending(self, **fields: str) -> Event:
        return self.endings(1, **fields)[-1]

    def found(self, message: str, **fields: str) -> list[Event]:
        return self.near.found(message, **fields)

    def log(self) -> str:
        return f"near:\n{self.near.log()}\nfar:\n{self.far.log()}"

    # What they hold.

    def keep_connections(self) -> None:
        """Those that were opened for many sessions stay for a minute after these."""
        self.near.descriptors += len(self.far.found("near end connected"))

    def peak_memory(self) -> int:
        return max(self.near.peak_memory(), self.far.peak_memory())

    def memory_factor(self) -> int:
        return self.near.memory_factor()

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        with self.near.suspended(), self.far.suspended():
            yield


def await_tunnels(near: Finhold, workers: int = 1, far: Finhold | None = None, connections: int = 1) -> None:
    """Its connections stand, and belong to what it has open without a session."""
    near.await_events("tunnel is open", workers)
    if far:
        far.await_events("near end connected", workers * connections)
    near.descriptors = near.settled_descriptors()


def start_pair(start: Callable[..., Finhold], to: Address, authority: Authority | None,
               tables: dict | None = None, far: dict | None = None, tunnel: dict | None = None, **route: Any) -> Pair:
    """`tables` of both ends; keys of [[far]], [[tunnel]] and of the route. One worker at each end."""
    route = {"server": to, **route}
    tables = tables or {}
    tables["limits"] = {"workers": 1, **tables.get("limits", {})}
    far_end = start(far=[far_table([to], authority, **(far or {}))], **tables)
    near_end = start(through_tunnel(**route),
                     tunnel=[tunnel_table(far_end.address("far"), authority, **(tunnel or {}))], **tables)
    await_tunnels(near_end, tables["limits"]["workers"], far_end, (tunnel or {}).get("connections", 1))
    return Pair(near_end, far_end)
