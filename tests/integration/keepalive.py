"""The kernel's keepalive timer of finhold's sockets, as ss(8) shows it."""

import re
import subprocess

from finhold import wait_until


def leg(local, remote):
    """The line of finhold's socket between these ports."""
    text = subprocess.run(["ss", "-Htno", "sport", "=", f":{local}", "and", "dport", "=", f":{remote}"],
                          capture_output=True, text=True, check=True).stdout
    return text.strip()


def timer(line):
    """Seconds on the keepalive timer; 0 if another one runs, for a moment, or none."""
    # ss writes 1min39sec, 20sec, 6.796ms (6.796 seconds; 6.796sec in Debian 13) and 796ms.
    found = re.search(r"timer:\(keepalive,(?:(\d+)min)?(?:(\d+)(?:\.(\d+))?sec)?(?:(?:(\d+)\.)?(\d+)ms)?,", line)
    if not found:
        return 0
    minutes, seconds, of_them, also_seconds, milliseconds = (int(part or 0) for part in found.groups())
    return minutes * 60 + seconds + also_seconds + (of_them + milliseconds) / 1000


def await_timer(look, low, high):
    wait_until(lambda: low < timer(look()) <= high, look)
