"""What finhold tells of itself over HTTP."""

import http.client
import json
import re
import socket
from typing import Any

from ends import Address
from finhold import PATIENCE, Finhold, wait_until

ON = {"listen": "127.0.0.1:0"}  # [admin]


class Admin:
    def __init__(self, finhold: Finhold):
        host, _, port = finhold.await_event("status page")["address"].rpartition(":")
        self.address: Address = (host.strip("[]"), int(port))
        self.url = f"http://{host}:{port}/"

    def ask(self, path: str, method: str = "GET", headers: dict[str, str] | None = None,
            body: bytes | None = None) -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), {key.lower(): value for key, value in answer.getheaders()}
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        code, text, _ = self.ask("/status.json")
        assert code == 200, text
        return json.loads(text)

    def metrics(self) -> dict[str, float]:
        """By name and labels, as they are written."""
        code, text, _ = self.ask("/metrics")
        assert code == 200, text
        return {name: float(value) for name, value in re.findall(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", text, re.M)}

    def await_metric(self, name: str, value: float) -> None:
        wait_until(lambda: self.metrics().get(name) == value, lambda: f"{name} {self.metrics().get(name)}, not {value}")

    def await_route(self, name: str = "main", **values: Any) -> dict[str, Any]:
        def route() -> dict[str, Any]:
            return next(one for one in self.status()["routes"] if one["name"] == name)

        wait_until(lambda: values.items() <= route().items(), lambda: f"{route()}, not {values}")
        return route()

    def raw(self, data: bytes) -> bytes:
        """All that comes back for it."""
        with socket.create_connection(self.address, timeout=PATIENCE) as sock:
            sock.sendall(data)
            return b"".join(iter(lambda: sock.recv(65536), b""))
