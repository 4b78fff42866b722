"""A server for many clients at once, who count on every answer."""

import threading

from ends import End, Server


class Responder:
    """Reads to the end, and then answers with as many bytes, `most` at most. It checks every byte."""

    def __init__(self, most: int = 5000) -> None:
        self.server = Server()
        self.most = most
        self.served = 0
        self.problems: list[str] = []
        self._lock = threading.Lock()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        self.server.sock.settimeout(None)
        while True:
            try:
                sock = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(End(sock, "server"),), daemon=True).start()

    def _serve(self, end: End) -> None:
        end.sock.settimeout(60)
        try:
            while end._read(1 << 20):
                pass
            end.send(min(end.received, self.most))
            end.finish()
            end.close()
            with self._lock:
                self.served += 1
        except BaseException as problem:  # noqa: BLE001: told at the end
            self.problems.append(repr(problem))

    def close(self) -> None:
        self.server.close()
        self._accepting.join()
