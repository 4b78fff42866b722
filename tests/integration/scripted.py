"""Either end of a tunnel, scripted with python3-h2: whatever the protocol allows and finhold does not do itself.

    near = ScriptedNear(connect(far.address("far")))           # the client of HTTP/2
    stream = near.request("127.0.0.1:7000")                    # CONNECT
    assert near.answer(stream) == 200
    near.send(stream, b"...", end=True)
    assert near.read(stream, 100) == ...; near.await_end(stream)

A ScriptedFar listens; accept() gives the same for the server's side, with requests instead of answers. Raw
frames (hyperframe's, or bytes) can be sent besides. All of it waits for what it waits for, and fails after some seconds."""

import socket
import ssl
import time
from contextlib import suppress
from typing import Any, Callable

import h2.config
import h2.connection
import h2.events
import h2.settings
from ends import LIMIT, Address, Server
from hyperframe.frame import Frame, GoAwayFrame, PingFrame, RstStreamFrame

Headers = dict[str, str]
PREFACE = 24  # bytes that a client sends first


class Stream:
    """What was heard of one."""

    def __init__(self) -> None:
        self.headers: Headers | None = None  # of the request, or of the answer
        self.data = bytearray()              # not taken by read() yet
        self.unread = 0                      # flow-controlled bytes that no window was given back for
        self.received = 0
        self.ended = False
        self.reset: int | None = None        # the code


class Scripted:
    """One connection. `give_back`: windows are given back as bytes come, and not by give() only. `answers_pings`: what
    comes is a sign of life else, but no answer to a PING."""

    def __init__(self, sock: socket.socket, client: bool, window: int = 65535, give_back: bool = True,
                 answers_pings: bool = True):
        self.sock = sock
        self.give_back = give_back
        self.answers_pings = answers_pings
        sock.settimeout(LIMIT)
        # CONNECT has neither :scheme nor :path, which this library would miss.
        config = h2.config.H2Configuration(client_side=client, header_encoding="utf-8", validate_outbound_headers=False,
                                           validate_inbound_headers=False, normalize_outbound_headers=False)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.local_settings.initial_window_size = window
        self.h2.max_inbound_frame_size = 1 << 20
        self.streams: dict[int, Stream] = {}
        self.goaway: GoAwayFrame | None = None
        self.said: list[str] = []  # GOAWAY, and PING that is not answered
        self.pings_answered: list[bytes] = []
        self.settings_acknowledged = 0
        self.ready = False  # the other side's SETTINGS have come
        self.over: str = ""  # how the connection ended: "end" or "reset"
        self._incoming = bytearray()
        self._preface_expected = not client
        self.h2.initiate_connection()
        self.flush()

    # Bytes.

    def flush(self) -> None:
        data = self.h2.data_to_send()
        with suppress(ConnectionError):
            self.sock.sendall(data)

    def raw(self, *frames: Frame | bytes) -> None:
        """Frames that python3-h2 would not send; it knows nothing of them."""
        self.flush()
        data = b"".join(frame if isinstance(frame, bytes) else frame.serialize() for frame in frames)
        with suppress(ConnectionError):
            self.sock.sendall(data)

    def step(self, seconds: float = LIMIT) -> bool:
        """Takes what comes within that time; whether something came."""
        self.flush()
        if self.over:
            return False
        self.sock.settimeout(max(seconds, 0.001))
        try:
            data = self.sock.recv(1 << 18)
        except TimeoutError:
            return False
        except (ConnectionError, ssl.SSLError):
            self.over = "reset"
            return True
        finally:
            with suppress(OSError):
                self.sock.settimeout(LIMIT)
        if not data:
            self.over = "end"
            return True
        self._incoming += data
        self._feed()
        self.flush()
        return True

    def _feed(self) -> None:
        """Frame by frame, as an error drops the events of a whole call. GOAWAY is kept from the library, which would do
        nothing more after it."""
        at = PREFACE if self._preface_expected else 0
        while len(self._incoming) >= at + 9:
            frame, length = Frame.parse_frame_header(memoryview(self._incoming[at:at + 9]))
            if len(self._incoming) < at + 9 + length:
                break
            if isinstance(frame, GoAwayFrame):
                frame.parse_body(memoryview(bytes(self._incoming[at + 9:at + 9 + length])))
                self.goaway = frame
                self.said.append("GOAWAY")
            elif isinstance(frame, PingFrame) and "ACK" not in frame.flags and not self.answers_pings:
                self.said.append("PING")
            else:
                for event in self.h2.receive_data(bytes(self._incoming[:at + 9 + length])):
                    self._take(event)
            del self._incoming[:at + 9 + length]
            at, self._preface_expected = 0, False

    def go_away(self, last_stream: int, code: int = 0) -> None:
        self.raw(GoAwayFrame(0, last_stream_id=last_stream, error_code=code))

    def _take(self, event: Any) -> None:
        stream = self.streams.setdefault(event.stream_id, Stream()) if getattr(event, "stream_id", 0) else None
        match event:
            case h2.events.RequestReceived() | h2.events.ResponseReceived():
                stream.headers = dict(event.headers)
            case h2.events.DataReceived():
                stream.data += event.data
                stream.received += len(event.data)
                stream.unread += event.flow_controlled_length
                if self.give_back:
                    self.give(event.stream_id)
            case h2.events.StreamEnded():
                stream.ended = True
            case h2.events.StreamReset():
                stream.reset = int(event.error_code)
            case h2.events.PingAckReceived():
                self.pings_answered.append(event.ping_data)
            case h2.events.RemoteSettingsChanged():
                self.ready = True
            case h2.events.SettingsAcknowledged():
                self.settings_acknowledged += 1

    def give(self, stream: int) -> None:
        """The window of what has come."""
        known = self.streams[stream]
        count, known.unread = known.unread, 0
        if count:
            self.h2.acknowledge_received_data(count, stream)

    def wait(self, condition: Callable[[], bool], what: str, limit: float = LIMIT) -> None:
        stop = time.monotonic() + limit
        while not condition():
            rest = stop - time.monotonic()
            assert rest > 0, f"no {what} within {limit} s"
            if not self.step(rest) and self.over:
                raise AssertionError(f"no {what}: the connection is over ({self.over}), {self.goaway}")

    def await_over(self, limit: float = LIMIT) -> str:
        """How the connection is ended by the other side."""
        with suppress(AssertionError):
            self.wait(lambda: bool(self.over), "end of the connection", limit)
        assert self.over, f"the connection is not over after {limit} s"
        return self.over

    def alive(self) -> bool:
        """A PING is answered."""
        before = len(self.pings_answered)
        self.h2.ping(b"12345678")
        with suppress(AssertionError):
            self.wait(lambda: len(self.pings_answered) > before, "answer to PING", 5)
        return len(self.pings_answered) > before

    # Streams.

    def send(self, stream: int, data: bytes, end: bool = False) -> None:
        """As the windows allow; waits for them."""
        view = memoryview(data)
        while len(view):
            self.wait(lambda: self.h2.local_flow_control_window(stream) > 0, f"window for stream {stream}")
            size = min(len(view), self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            self.h2.send_data(stream, bytes(view[:size]))
            self.flush()
            view = view[size:]
        if end:
            self.end(stream)

    def end(self, stream: int) -> None:
        """END_STREAM in a DATA frame of its own, without a byte."""
        self.h2.end_stream(stream)
        self.flush()

    def reset(self, stream: int, code: int) -> None:
        """Also after both have ended, which python3-h2 would not."""
        self.raw(RstStreamFrame(stream, error_code=code))

    def read(self, stream: int, length: int) -> bytes:
        known = self.streams.setdefault(stream, Stream())
        self.wait(lambda: len(known.data) >= length, f"{length} bytes of stream {stream}")
        taken = bytes(known.data[:length])
        del known.data[:length]
        return taken

    def await_end(self, stream: int) -> None:
        known = self.streams.setdefault(stream, Stream())
        self.wait(lambda: known.ended or known.reset is not None, f"end of stream {stream}")
        assert known.ended and known.reset is None, f"stream {stream} was reset: {known.reset}"

    def await_reset(self, stream: int, limit: float = LIMIT) -> int:
        """The code of RST_STREAM. A clean end is none."""
        known = self.streams.setdefault(stream, Stream())
        self.wait(lambda: known.ended or known.reset is not None, f"reset of stream {stream}", limit)
        assert known.reset is not None, f"stream {stream} has ended"
        return known.reset

    def close(self) -> None:
        with suppress(OSError):
            self.sock.close()


class ScriptedNear(Scripted):
    def __init__(self, sock: socket.socket, **options: Any):
        super().__init__(sock, client=True, **options)

    def request(self, authority: str, end: bool = False, **headers: str) -> int:
        """CONNECT. Headers with "_" for "-"."""
        stream = self.h2.get_next_available_stream_id()
        fields = [(":method", "CONNECT"), (":authority", authority)]
        fields += [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.h2.send_headers(stream, fields, end_stream=end)
        self.streams[stream] = Stream()
        self.flush()
        return stream

    def answer(self, stream: int) -> int:
        known = self.streams[stream]
        self.wait(lambda: known.headers is not None or known.reset is not None, f"answer on stream {stream}")
        assert known.headers is not None, f"stream {stream} was reset: {known.reset}"
        return int(known.headers[":status"])

    def refusal(self, stream: int) -> int:
        """The status; 0: a reset without one."""
        known = self.streams[stream]
        self.wait(lambda: known.headers is not None or known.reset is not None, f"answer on stream {stream}")
        return int(known.headers[":status"]) if known.headers else 0

    def open(self, authority: str, **headers: str) -> int:
        stream = self.request(authority, **headers)
        status = self.answer(stream)
        assert status == 200, status
        return stream


class ScriptedFarConnection(Scripted):
    def __init__(self, sock: socket.socket, **options: Any):
        super().__init__(sock, client=False, **options)

        self._accepted: set[int] = set()

    def accept(self) -> int:
        """The stream of the next request."""
        self.wait(lambda: bool(self._waiting()), "request")
        stream = min(self._waiting())
        self._accepted.add(stream)
        return stream

    def _waiting(self) -> set[int]:
        return {number for number, stream in self.streams.items() if stream.headers is not None} - self._accepted

    def respond(self, stream: int, status: int = 200, end: bool = False) -> None:
        self.h2.send_headers(stream, [(":status", str(status))], end_stream=end)
        self.flush()


class ScriptedFar:
    """Listens for near ends. `tls`: a context of a server."""

    def __init__(self, tls: ssl.SSLContext | None = None, **options: Any):
        self.server = Server()
        self.address: Address = self.server.address
        self.tls = tls
        self.options = options

    def accept(self) -> ScriptedFarConnection:
        sock = self.server.accept()
        if self.tls:
            sock = self.tls.wrap_socket(sock, server_side=True)
        return ScriptedFarConnection(sock, **self.options)

    def close(self) -> None:
        self.server.close()
