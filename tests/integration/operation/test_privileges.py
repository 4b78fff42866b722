"""Privileges: after the start every thread has the least that the routes need, and the user that the
configuration names."""

import os
import signal
import subprocess

import pytest
from ends import Server
from finhold import config_text, route_to
from private_network import private_network
from privileges import GID, UID, USER, expect_only, mask, statuses, unprivileged
from starting import ENVIRONMENT

assert os.geteuid() == 0, "these tests start finhold as several users: run them as root"


def use(finhold, server: Server) -> None:
    """A session, so that every thread exists which is made on demand."""
    session = server.session(finhold.address())
    session.client.send(100)
    session.client.finish()
    session.server.expect_end(100)
    session.close()
    finhold.ending(ending="finished")


@pytest.mark.parametrize("user", [USER, ""])
def test_nothing_is_left_that_no_route_needs(start, server, user):
    """Workers, the log's thread and those that look up names."""
    finhold = start(route_to(f"localhost:{server.address[1]}"), user=user, limits={"workers": 3})
    use(finhold, server)
    uid, gid = (UID, GID) if user else (0, 0)
    expect_only(finhold.pid, 0, uid, gid, threads=1 + 3 + 1 + 1)
    for status in statuses(finhold.pid):
        assert int(status["CapBnd"], 16) == 0
        assert not user or status["Groups"].split() == [str(GID)]


def test_a_port_below_1024_is_bound_before_the_user_is_left(start):
    with private_network():
        server = Server()
        finhold = start(route_to(server.address, listen="127.0.0.1:514"), user=USER)
        use(finhold, server)
        expect_only(finhold.pid, 0, UID, GID)
        server.close()


def test_a_user_cannot_become_another(start, server):
    finhold = start(route_to(server.address), user="daemon", prefix=unprivileged(), wait=False)
    finhold.await_exit(1)
    line = finhold.await_event("cannot give up privileges").line
    assert 'user = \\"daemon\\": to become that user needs CAP_SETUID and CAP_SETGID' in line


@pytest.mark.parametrize("groups", [("--regid=0", "--clear-groups"), (f"--regid={GID}", "--groups=0")])
def test_groups_of_others_are_not_kept(start, server, groups):
    """Whoever has the uid already may still have a group of root's."""
    finhold = start(route_to(server.address), user=USER, prefix=("setpriv", f"--reuid={UID}", *groups), wait=False)
    finhold.await_exit(1)
    assert "no group that is not the user's" in finhold.await_event("cannot give up privileges").line


def test_a_user_may_name_itself(start, server):
    finhold = start(route_to(server.address), user=USER, prefix=unprivileged())
    use(finhold, server)
    expect_only(finhold.pid, 0, UID, GID)


def test_capabilities_that_were_given_for_nothing_are_dropped(start, server):
    finhold = start(route_to(server.address), prefix=unprivileged("NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE"))
    use(finhold, server)
    expect_only(finhold.pid, 0, UID, GID)


INTERCEPT = {"redirect": {"listen": "127.0.0.1:15001", "intercept": "redirect"},
             "unmarked": {"listen": "127.0.0.1:15001", "intercept": "redirect", "mark": 0},
             "tproxy": {"listen": "[::]:15001", "intercept": "tproxy"},
             "client": {"listen": "[::]:15001", "intercept": "tproxy", "source": "client"}}
NEEDED = {"redirect": mask("NET_RAW"), "unmarked": 0, "tproxy": 0, "client": mask("NET_RAW", "NET_BIND_SERVICE")}


@pytest.mark.parametrize("user", [USER, ""])
@pytest.mark.parametrize("kind", INTERCEPT)
def test_what_the_routes_need_is_kept(start, kind, user):
    with private_network():
        finhold = start({"name": "main", **INTERCEPT[kind]}, user=user)
        expect_only(finhold.pid, NEEDED[kind], *((UID, GID) if user else (0, 0)), threads=3)


def can_look_into(pid: int) -> bool:
    """Another process of the same user, without capabilities: what a debugger could read."""
    code = f"open('/proc/{pid}/environ').read(); import os; os.close(os.open('/proc/{pid}/mem', os.O_RDONLY))"
    looked = subprocess.run([*unprivileged(), "/usr/bin/python3", "-c", code], capture_output=True, text=True, check=False)
    assert looked.returncode == 0 or "PermissionError" in looked.stderr, looked.stderr
    return looked.returncode == 0


@pytest.mark.parametrize("dumpable", [None, False, True])
@pytest.mark.parametrize("how", ["user", "started as it"])
def test_other_programs_of_its_user_cannot_look_into_it(start, server, public_path, how, dumpable):
    """Keys and tokens are in its memory. Unless that is wanted, by those who debug it."""
    path = public_path / "f.toml"
    first = "" if dumpable is None else f"dumpable = {str(dumpable).lower()}\n"
    path.write_text(first + config_text([route_to(server.address)], {}, USER if how == "user" else ""))
    prefix = () if how == "user" else unprivileged()
    finhold = start(arguments=("--config", str(path)), prefix=prefix, popen={"env": ENVIRONMENT})
    assert can_look_into(finhold.pid) == (dumpable is True)
    use(finhold, server)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_signals_that_mean_nothing_to_it_do_no_harm(start, server, number):
    finhold = start(route_to(server.address))
    session = server.session(finhold.address())
    finhold.signal(number)
    session.client.send(100)
    session.server.receive(100)
    session.close()
    finhold.ending(ending="finished")
