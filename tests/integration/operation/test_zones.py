"""Link-local addresses, each of an interface: in a network of its own, whose two interfaces have the same one."""

import socket
import subprocess

import pytest
from ends import LIMIT, Session, connect, expect_refusal
from finhold import BINARY, route_to
from pair import await_tunnels, far_table, through_tunnel, tunnel_table
from private_network import private_network

ADDRESS = "fe80::1"


@pytest.fixture
def network():
    with private_network() as made:
        for interface in ("one", "two"):
            made.ip("link", "add", interface, "type", "veth", "peer", "name", f"{interface}-end")
            made.ip("link", "set", f"{interface}-end", "up")
            made.ip("address", "add", f"{ADDRESS}/64", "dev", interface, "nodad")
            made.ip("link", "set", interface, "up")
        yield made


class ZonedServer:
    """ends.Server, on an interface: a pair of address and port does not name it."""

    def __init__(self, interface: str, port: int = 0):
        self.sock = socket.socket(socket.AF_INET6)
        self.sock.bind((ADDRESS, port, 0, socket.if_nametoindex(interface)))
        self.sock.listen()
        self.sock.settimeout(LIMIT)
        self.port = self.sock.getsockname()[1]
        self.text = f"[{ADDRESS}%{interface}]:{self.port}"

    def accept(self) -> socket.socket:
        return self.sock.accept()[0]

    def close(self) -> None:
        self.sock.close()


@pytest.fixture
def servers(network):
    """The same address and port on both interfaces."""
    one = ZonedServer("one")
    two = ZonedServer("two", one.port)
    yield {"one": one, "two": two}
    one.close()
    two.close()


def exchange(client: socket.socket, server: socket.socket) -> None:
    session = Session(client, server)
    for source, sink in ((session.client, session.server), (session.server, session.client)):
        source.send(1000)
        sink.receive(1000)
        source.finish()
        sink.expect_end(1000)
    session.close()


@pytest.mark.parametrize("interface", ["one", "two"])
def test_a_server_is_dialed_over_its_interface(network, start, servers, interface):
    finhold = start(route_to(servers[interface].text))
    exchange(connect(finhold.address()), servers[interface].accept())
    ending = finhold.ending()
    assert (ending["ending"], ending["server"]) == ("finished", servers[interface].text), ending


def test_listeners_at_one_address_of_two_interfaces(network, start):
    """Each has its own clients, and the log says whence they came."""
    routes = [route_to(f"[{ADDRESS}%{interface}]:1", listen=f"[{ADDRESS}%{interface}]:7000", name=interface)
              for interface in ("one", "two")]
    finhold = start(*routes)
    for interface in ("one", "two"):
        assert finhold.address(interface) == (f"{ADDRESS}%{interface}", 7000)
        expect_refusal(finhold.address(interface))  # nobody listens at port 1
        ending = finhold.ending(route=interface)
        assert ending["client"].startswith(f"[{ADDRESS}%{interface}]:"), ending
        assert (ending["ending"], ending["server"]) == ("server-refused", f"[{ADDRESS}%{interface}]:1"), ending


def test_an_interface_that_has_gone_resets_the_client(network, start, servers):
    finhold = start(route_to(servers["two"].text))
    network.ip("link", "del", "two")
    expect_refusal(finhold.address())
    assert finhold.ending()["ending"] == "server-unreachable"
    assert "No such device" in finhold.await_event("cannot connect to the server").line


@pytest.mark.parametrize("key, value, words", [
    ("server", f"[{ADDRESS}%nowhere]:7000", '"nowhere" is no interface of this machine; "ip link" lists them'),
    ("server", f"[{ADDRESS}]:7000", f'"{ADDRESS}" is link-local, so it needs the interface that it is on'),
    ("listen", f"[{ADDRESS}%nowhere]:7000", '"nowhere" is no interface of this machine; "ip link" lists them'),
    ("listen", f"[{ADDRESS}]:7000", f'"{ADDRESS}" is link-local, so it needs the interface that it is on'),
    ("source", f"{ADDRESS}%nowhere", '"nowhere" is no interface of this machine; "ip link" lists them'),
])
def test_a_wrong_interface_is_told_with_its_line(network, tmp_path, key, value, words):
    keys = {"name": "a", "listen": "127.0.0.1:7000", "server": "192.0.2.1:7000", key: value}
    file = tmp_path / "zones.toml"
    file.write_text("[[route]]\n" + "".join(f'{name} = "{text}"\n' for name, text in keys.items()))
    line = 2 + list(keys).index(key)
    checked = subprocess.run([BINARY, "check", "--config", str(file)], capture_output=True, text=True)
    assert checked.returncode == 2
    assert checked.stderr.startswith(f"{file}:{line}:{len(key) + 4}: {key}: "), checked.stderr
    assert words in checked.stderr


@pytest.mark.parametrize("over", ["plain", "tls"])
def test_a_near_end_names_an_interface_of_the_far_end(network, start, servers, authority, over):
    """Near has no such interface: it is in a network of its own, and its tunnel comes from there by a wire."""
    authority = authority if over == "tls" else None
    network.ip("address", "add", "192.0.2.1/24", "dev", "one")
    far = start(far=[far_table([], authority, listen="192.0.2.1:0", allow=[f"[{ADDRESS}%two]:1-65535"])])
    holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 100"], stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        inside = ("nsenter", "-t", str(holder.pid), "-n")
        network.ip("link", "add", "wire", "type", "veth", "peer", "name", "end", "netns", str(holder.pid))
        network.ip("address", "add", "198.51.100.1/24", "dev", "wire")
        network.ip("link", "set", "wire", "up")
        for command in ("ip link set lo up", "ip address add 198.51.100.2/24 dev end", "ip link set end up",
                        "ip route add default via 198.51.100.1"):
            subprocess.run([*inside, *command.split()], check=True)
        routes = [through_tunnel(servers[interface].text, name=interface, listen="198.51.100.2:0")
                  for interface in ("one", "two")]
        near = start(*routes, prefix=inside, limits={"workers": 1},
                     tunnel=[tunnel_table(far.address("far"), authority)])
        await_tunnels(near, 1, far)
        exchange(connect(near.address("two")), servers["two"].accept())
        assert far.ending(ending="finished")["server"] == servers["two"].text
        expect_refusal(near.address("one"))
        assert near.ending(route="one")["ending"] == "not-allowed"
        near.stop()
    finally:
        holder.kill()
        holder.wait()
