"""Ends of protocols, as small as they come: what their real servers and clients do on the wire, and print of it.

usage: protocols.py ROLE ADDRESS PORT

    modbus    serves one connection at a time, as most devices do: a register is read, until the client's end
    printer   port 9100: one job is one connection; the next one is taken once this one has ended
    lpd       RFC 1179: one client at a time, receives jobs, acknowledges each part, waits for the client's end
    lpr       three jobs for an lpd, a connection for each
    smtp      RFC 5321: says goodbye and closes; one client at a time, so that one whose end is held keeps the others
    mail      three mails by smtplib, a connection for each
    fastcgi   ends as php-fpm does: shutdown(SHUT_WR) behind the answer, and the rest of the request is awaited
    webserver http.server, which closes a connection that was idle for half a second
    pool      two requests over one pool of urllib3; between them it waits for a line on standard input
"""

import http.server
import select
import smtplib
import socket
import struct
import sys


def say(*words: object) -> None:
    print(*words, flush=True)


def one_at_a_time(serve, address: str, port: int) -> None:
    with socket.create_server((address, port), backlog=16) as listener:
        say("listening")
        number = 0
        while True:
            connection, _ = listener.accept()
            number += 1
            with connection, connection.makefile("rwb") as file:
                say("begins", number)
                serve(connection, file)
            say("over", number)


def modbus(connection: socket.socket, file) -> None:
    while header := file.read(7):  # MBAP: transaction, protocol, length, unit; then the function
        transaction, protocol, length, unit = struct.unpack(">HHHB", header)
        function, _, count = struct.unpack(">BHH", file.read(length - 1))
        answer = struct.pack(">BB", function, 2 * count) + struct.pack(">H", 42) * count
        connection.sendall(struct.pack(">HHHB", transaction, protocol, len(answer) + 1, unit) + answer)


def printer(connection: socket.socket, file) -> None:
    say("printed", len(file.read()))


def lpd(connection: socket.socket, file) -> None:
    assert file.readline() == b"\x02lp\n"
    connection.sendall(b"\0")
    while command := file.readline():
        length = int(command[1:].split()[0])
        connection.sendall(b"\0")
        say("received", command[:1].hex(), len(file.read(length)))
        assert file.read(1) == b"\0"
        connection.sendall(b"\0")


def lpr(address: str, port: int) -> None:
    for job in range(3):
        with socket.create_connection((address, port), timeout=30) as connection:
            for part in (b"\x02lp\n", f"\x02{len('Hc')} cfA00{job}c\n".encode(), b"Hc\0",
                         f"\x03{1000} dfA00{job}c\n".encode(), b"x" * 1000 + b"\0"):
                connection.sendall(part)
                assert connection.recv(1) == b"\0"
    say("sent")


def smtp(connection: socket.socket, file) -> None:
    connection.sendall(b"220 lab\r\n")
    while command := file.readline().upper():
        if command.startswith(b"DATA"):
            connection.sendall(b"354 go on\r\n")
            while file.readline() != b".\r\n":
                pass
            say("received")
        if command.startswith(b"QUIT"):
            return connection.sendall(b"221 bye\r\n")
        connection.sendall(b"250 ok\r\n")


def mail(address: str, port: int) -> None:
    for number in range(3):
        with smtplib.SMTP(address, port, timeout=30) as client:
            client.sendmail("a@lab", ["b@lab"], f"Subject: {number}\r\n\r\nmail\r\n")
    say("sent")


def fastcgi(connection: socket.socket, file) -> None:
    # FCGI_BEGIN_REQUEST, an empty FCGI_PARAMS and an empty FCGI_STDIN; FCGI_STDOUT and FCGI_END_REQUEST.
    file.read(16 + 8 + 8)
    connection.sendall(bytes.fromhex("0106000100050300") + b"hello" + bytes(3) + bytes.fromhex("0103000100080000") + bytes(8))
    connection.shutdown(socket.SHUT_WR)
    file.read()


class Idle(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 0.5

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


class WebServer(http.server.ThreadingHTTPServer):
    def shutdown_request(self, request: socket.socket) -> None:
        super().shutdown_request(request)
        say("closed")


def webserver(address: str, port: int) -> None:
    with WebServer((address, port), Idle) as server:
        say("listening")
        server.serve_forever()


def pool(address: str, port: int) -> None:
    import urllib3

    with urllib3.HTTPConnectionPool(address, port, maxsize=1, timeout=10, retries=False) as connections:
        say(connections.request("GET", "/").status)
        sys.stdin.readline()
        # The server has closed: its end is here at once, or not for a long time.
        kept = connections.pool.queue[-1]
        say("seen" if select.select([kept.sock], [], [], 2)[0] else "unseen")
        try:
            say(connections.request("GET", "/").status)
        except urllib3.exceptions.HTTPError as error:
            say(type(error).__name__)


if __name__ == "__main__":
    name, host, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    role = globals()[name]
    if name in ("modbus", "printer", "lpd", "smtp", "fastcgi"):
        one_at_a_time(role, host, number)
    else:
        role(host, number)
