"""Reads a tcpdump capture: which segments crossed, in which direction, when."""

import socket
import struct
from dataclasses import dataclass
from pathlib import Path

FIN, SYN, RST = 0x01, 0x02, 0x04


@dataclass(frozen=True)
class Segment:
    time: float
    flow: str  # "to_server" or "to_client"
    client: str  # address and port, as written by people
    flags: int
    sequence: int
    payload: int  # bytes

    @property
    def fin(self) -> bool:
        return bool(self.flags & FIN)

    @property
    def rst(self) -> bool:
        return bool(self.flags & RST)

    def __str__(self) -> str:
        names = ((FIN, "FIN"), (SYN, "SYN"), (RST, "RST"), (0x10, "ack"))
        flags = " ".join(name for bit, name in names if self.flags & bit)
        return f"{self.time:.3f} {self.flow} {flags} seq={self.sequence} payload={self.payload}"


def read_capture(path: Path, server_port: int) -> list[Segment]:
    """The TCP segments from and to a server's port. A record that is still being written is left out."""
    data = path.read_bytes()
    if len(data) < 24:
        return []
    magic, link_type = struct.unpack_from("<I", data)[0], struct.unpack_from("<I", data, 20)[0]
    if magic != 0xA1B2C3D4 or link_type != 1:
        raise ValueError(f"{path}: not a little-endian Ethernet capture with microseconds")
    segments = []
    at = 24
    while at + 16 <= len(data):
        seconds, micros, kept, _ = struct.unpack_from("<IIII", data, at)
        frame = data[at + 16 : at + 16 + kept]
        at += 16 + kept
        if at > len(data):
            break
        segment = parse_frame(seconds + micros / 1e6, frame, server_port)
        if segment:
            segments.append(segment)
    return segments


def parse_frame(time: float, frame: bytes, server_port: int) -> Segment | None:
    kind = int.from_bytes(frame[12:14], "big")
    if kind == 0x0800 and frame[23] == socket.IPPROTO_TCP:
        header = 14 + (frame[14] & 15) * 4
        addresses = [socket.inet_ntop(socket.AF_INET, frame[at : at + 4]) for at in (26, 30)]
        end = 14 + int.from_bytes(frame[16:18], "big")
    elif kind == 0x86DD and frame[20] == socket.IPPROTO_TCP:
        header = 54
        addresses = [f"[{socket.inet_ntop(socket.AF_INET6, frame[at : at + 16])}]" for at in (22, 38)]
        end = 54 + int.from_bytes(frame[18:20], "big")
    else:
        return None
    source, destination, sequence, _, offset, flags = struct.unpack_from("!HHIIBB", frame, header)
    if server_port not in (source, destination):
        return None
    to_server = destination == server_port
    return Segment(
        time=time,
        flow="to_server" if to_server else "to_client",
        client=f"{addresses[0]}:{source}" if to_server else f"{addresses[1]}:{destination}",
        flags=flags,
        sequence=sequence,
        payload=max(0, end - header - (offset >> 4) * 4),
    )


def fins(segments: list[Segment]) -> list[Segment]:
    return [segment for segment in segments if segment.fin]


def resets(segments: list[Segment]) -> list[Segment]:
    return [segment for segment in segments if segment.rst]


def early_fins(segments: list[Segment], flow: str) -> list[Segment]:
    """The FINs of a flow that crossed while the other flow had not ended yet."""
    others = [segment.time for segment in segments if segment.fin and segment.flow != flow]
    return [
        segment for segment in segments
        if segment.fin and segment.flow == flow and not (others and others[0] <= segment.time)
    ]


def probes(segments: list[Segment], flow: str) -> list[Segment]:
    """Keepalives: empty segments that repeat the last sequence number already sent in their flow."""
    found = []
    next_sequence = None
    for segment in segments:
        if segment.flow != flow or segment.rst:
            continue
        if next_sequence is not None and not segment.payload and not segment.fin:
            if segment.sequence == (next_sequence - 1) % 2**32:
                found.append(segment)
                continue
        length = segment.payload + bool(segment.fin) + bool(segment.flags & SYN)
        next_sequence = (segment.sequence + length) % 2**32
    return found
