"""A browser without a window: Debian's chromium, driven by its chromedriver over WebDriver (W3C), which is plain HTTP."""

import base64
import json
import os
import re
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from finhold import PATIENCE, wait_until

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars"]
TAB, SPACE = "\ue004", " "
START_LIMIT = 90  # seconds: a browser is the largest program here, and the first test that needs it reads it from the disk


class Browser:
    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory()
        self._driver = subprocess.Popen(["/usr/bin/chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True, env={**os.environ, "HOME": self._home.name})
        self._session = ""
        self._port = 0
        for line in self._driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                self._port = int(found[1])
                break
        assert self._port, "chromedriver does not start"
        options = {"binary": "/usr/bin/chromium", "args": [*FLAGS, f"--user-data-dir={self._home.name}/profile"]}
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}, START_LIMIT)
        self._session = "/session/" + made["sessionId"]

    def _call(self, method: str, path: str, body: Any = None, limit: float = PATIENCE) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{self._session}{path}", method=method,
                                         data=None if method != "POST" else json.dumps(body or {}).encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=limit) as answer:
            return json.load(answer)["value"]

    def close(self) -> None:
        try:
            if self._session:
                self._call("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait()
            self._driver.stdout.close()
            self._home.cleanup()

    def open(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    def run(self, script: str) -> Any:
        """What a JavaScript function body returns."""
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def text(self, selector: str) -> str:
        return self.run(f"return document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def await_text(self, selector: str, wanted: str, there: bool = True) -> None:
        wait_until(lambda: (wanted in self.text(selector)) == there, lambda: f"{selector}: {self.text(selector)!r}")

    def press(self, keys: str) -> None:
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": strokes}]})

    def as_phone(self, width: int = 360, height: int = 740) -> None:
        self._call("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": {
            "width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}})

    def without_scripts(self) -> None:
        self._call("POST", "/goog/cdp/execute", {"cmd": "Emulation.setScriptExecutionDisabled", "params": {"value": True}})

    def source(self) -> str:
        return self._call("GET", "/source")

    def complaints(self) -> list[str]:
        """What the page's console was told of: errors of scripts, and all that the content policy forbade. Not that a busy
        finhold had no numbers for once, which the page says itself, and asks again."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})
                if not (entry["source"] == "network" and "/status.json" in entry["message"])]

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))
