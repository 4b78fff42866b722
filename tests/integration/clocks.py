"""Clocks that a test sets: those of the finholds that are started with them, nobody else's. What the kernel does by its own clock
(its timers, how long epoll_wait() sleeps) goes on as ever: so a jump is what a program sees that was stopped, or a
machine that slept, for that long."""

import mmap
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

PRELOADED = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

// Nanoseconds that each clock is ahead: what counts time, and what tells the date; and how often somebody has asked.
static long long none[3];
static volatile long long* clocks = none;

__attribute__((constructor)) static void open_clocks(void) {
  const int file = open(getenv("FINHOLD_CLOCKS"), O_RDWR | O_CLOEXEC);
  void* const found = mmap(0, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (found != MAP_FAILED) clocks = found;
}

int clock_gettime(clockid_t which, struct timespec* now) {
  const int is_date = which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE;
  const int is_shifted = is_date || which == CLOCK_MONOTONIC || which == CLOCK_MONOTONIC_COARSE || which == CLOCK_MONOTONIC_RAW ||
                         which == CLOCK_BOOTTIME;
  const int result = (int)syscall(SYS_clock_gettime, which, now);
  if (result != 0 || !is_shifted) return result;
  __sync_fetch_and_add(&clocks[2], 1);
  const long long sum = now->tv_sec * 1000000000LL + now->tv_nsec + clocks[is_date];
  now->tv_sec = sum / 1000000000LL;
  now->tv_nsec = sum % 1000000000LL;
  return 0;
}

time_t time(time_t* result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval* result, void* zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  result->tv_sec = now.tv_sec;
  result->tv_usec = now.tv_nsec / 1000;
  return 0;
}
"""

HOUR = 3600


class Clocks:
    def __init__(self, directory: Path):
        source, self.library, self.file = (directory / name for name in ("clocks.c", "clocks.so", "clocks"))
        source.write_text(PRELOADED)
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", self.library, source], check=True)
        self.file.write_bytes(bytes(24))
        with self.file.open("r+b") as file:
            self._values = mmap.mmap(file.fileno(), 24)

    def popen(self) -> dict[str, Any]:
        """For finholds that go by them."""
        options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return {"env": {**os.environ, "ASAN_OPTIONS": options, "LD_PRELOAD": str(self.library), "FINHOLD_CLOCKS": str(self.file)}}

    def time_passes(self, seconds: int) -> None:
        """All at once, for the clock that cannot be set."""
        self._add(0, seconds)

    def set_date(self, seconds: int) -> None:
        """By so many seconds, forwards or backwards."""
        self._add(1, seconds)

    def asked(self) -> int:
        """How often: whoever waits asks before and after, so who spins does it all the time."""
        return struct.unpack_from("q", self._values, 16)[0]

    def _add(self, place: int, seconds: int) -> None:
        before = struct.unpack_from("q", self._values, 8 * place)[0]
        struct.pack_into("q", self._values, 8 * place, before + seconds * 1_000_000_000)

    def close(self) -> None:
        self._values.close()
