"""Starts a program as systemd does under socket activation (sd_listen_fds(3)).

usage: activate.py DESCRIPTOR:NAME... -- PROGRAM ARGUMENT..."""

import fcntl
import os
import sys

FIRST = 3  # SD_LISTEN_FDS_START

end = sys.argv.index("--")
passed = [each.split(":", 1) for each in sys.argv[1:end]]
# Out of the way first: one may stand where another one is to go.
copies = [fcntl.fcntl(int(fd), fcntl.F_DUPFD_CLOEXEC, FIRST + len(passed)) for fd, _ in passed]
for number, fd in enumerate(copies, FIRST):
    os.dup2(fd, number, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(passed)),
                  LISTEN_FDNAMES=":".join(name for _, name in passed))
os.execv(sys.argv[end + 1], sys.argv[end + 1:])
