"""Headers of the PROXY protocol as other programs send them, and reading what finhold sends."""

import ipaddress
import re
import socket
import struct

from ends import Address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
LONGEST = 4096  # what finhold takes of a v2 header


def v1(source: Address, destination: Address) -> bytes:
    family = "TCP6" if ":" in source[0] else "TCP4"
    return f"PROXY {family} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n".encode()


def v2_block(command: int, family: int, block: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(block)) + block


def v2(source: Address, destination: Address, tlvs: bytes = b"") -> bytes:
    hosts = [ipaddress.ip_address(host) for host, _ in (source, destination)]
    block = hosts[0].packed + hosts[1].packed + struct.pack("!HH", source[1], destination[1])
    return v2_block(PROXY, 0x11 if hosts[0].version == 4 else 0x21, block + tlvs)


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


HEADERS = {"v1": v1, "v2": v2}


def receive(sock: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        got = sock.recv(length - len(data))
        assert got, f"the end came after {data!r}"
        data += got
    return data


def take_header(sock: socket.socket) -> tuple[str, Address, Address]:
    """Reads a header from the beginning of a connection, and not a byte more: version, source,
    destination."""
    start = receive(sock, 12)
    if start == SIGNATURE:
        command, family, length = struct.unpack("!BBH", receive(sock, 4))
        block = receive(sock, length)
        assert command == PROXY
        size = {0x11: 4, 0x21: 16}[family]
        source, destination = (str(ipaddress.ip_address(host)) for host in (block[:size], block[size:2 * size]))
        ports = struct.unpack("!HH", block[2 * size:2 * size + 4])
        return "v2", (source, ports[0]), (destination, ports[1])
    while not start.endswith(b"\r\n"):
        start += receive(sock, 1)
        assert len(start) <= 107
    found = re.fullmatch(rb"PROXY (TCP4|TCP6) (\S+) (\S+) (\d+) (\d+)\r\n", start)
    assert found, start
    family, source, destination = (each.decode() for each in found.groups()[:3])
    assert all((ipaddress.ip_address(host).version == 6) == (family == "TCP6") for host in (source, destination))
    return "v1", (source, int(found[4])), (destination, int(found[5]))
