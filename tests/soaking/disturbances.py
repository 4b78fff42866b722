"""What happens to the finholds meanwhile: reloads, cuts of one pair, scrapes. All of it by the main thread, with which they die."""

import random
import subprocess
import time
from collections import Counter
from typing import Callable

from world import WORKERS, Lasting, World

WRONG = 'nonsense = "here"\n'


class Disturbances:
    """`every`: mean seconds between two of a kind."""

    def __init__(self, world: World, seed: int, reload_every: float = 2, cut_every: float = 5, scrape_every: float = 1):
        self.world = world
        self.dice = random.Random(f"{seed} disturbances")
        self.counts: Counter = Counter()
        self.every: dict[Callable[[], None], float] = {self.reload: reload_every, self.cut: cut_every, self.scrape: scrape_every}
        if "cut" not in world.through:
            del self.every[self.cut]
        self.next = {action: time.monotonic() + self._pause(action) for action in self.every}

    def _pause(self, action: Callable[[], None]) -> float:
        return self.every[action] * self.dice.uniform(0.5, 1.5)

    def turn(self) -> None:
        """All that is due."""
        for action in self.every:
            if time.monotonic() >= self.next[action]:
                action()
                self.next[action] = time.monotonic() + self._pause(action)

    def reload(self) -> None:
        finhold = self.dice.choice(self.world.finholds)
        if self.dice.random() < 0.2:
            finhold.reload(WRONG, "nothing was reloaded")
            self.counts["wrong files"] += 1
        else:
            finhold.variant = 1 - finhold.variant
            finhold.reload(finhold.texts[finhold.variant], "reloaded")
            self.counts["reloads"] += 1

    def cut(self) -> None:
        """One connection of the tunnel or all of them, or the far end. The window is over when near has as many as it keeps."""
        near, far = self.world.finhold("cut-near"), self.world.finhold("cut-far")
        self.world.windows.begin()
        if self.dice.random() < 0.2:
            self.world.restart_far()
            self.counts["far ends killed"] += 1
        else:
            self._kill(far, every=self.dice.random() < 0.5)
            self.counts["cuts"] += 1
        stop = time.monotonic() + 20
        while self._connections(near) < WORKERS:
            assert time.monotonic() < stop, f"cut-near has no tunnel 20 s after a cut:\n{near.log()}"
            time.sleep(0.02)
        time.sleep(0.1)  # a session may yet hear of it
        self.world.windows.end()

    def _kill(self, far: Lasting, every: bool) -> None:
        host, port = far.address("far")
        listed = subprocess.run(["ss", "-Htn", "dst", host, "dport", "=", str(port)], capture_output=True, text=True, check=True)
        own = [line.split()[3].rpartition(":")[2] for line in listed.stdout.splitlines()]
        for sport in own if every else own[:1]:
            subprocess.run(["ss", "-KHtn", "dst", host, "dport", "=", str(port), "sport", "=", sport], stdout=subprocess.DEVNULL, check=True)

    @staticmethod
    def _connections(near: Lasting) -> int:
        return sum(value for name, value in near.admin.metrics().items() if name.startswith("finhold_tunnel_connections"))

    def scrape(self) -> None:
        """What monitoring does."""
        for finhold in self.world.finholds:
            assert finhold.admin.ask("/healthz")[:2] == (200, "alive\n"), finhold.name
            assert finhold.admin.metrics()["finhold_sessions_limit"] > 0, finhold.name
            status = finhold.admin.status()
            assert len(status["sessions_listed"]) <= status["sessions"], finhold.name
        self.counts["scrapes"] += 1
