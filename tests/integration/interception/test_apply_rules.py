"""finhold run --apply-rules: the rules come and go with it, however it ends."""

import os
import re
import signal
import socket
import subprocess

import pytest
from diverting import GATEWAY, SIDECAR, run, script, state
from admin import Admin
from finhold import config_text, wait_until
from private_network import private_network
from privileges import GID, UID, USER, expect_only, mask, unprivileged

BOTH = [SIDECAR, GATEWAY]
APPLY = ("--apply-rules",)


@pytest.fixture
def network():
    with private_network() as made:
        yield made


@pytest.fixture
def apply(start, public_path):
    """Starts finhold with --apply-rules."""
    def start_one(*routes: dict, user: str = "", **options: object):
        path = public_path / "apply.toml"
        path.write_text(config_text(list(routes), {}, user))
        return start(arguments=("--config", str(path), *APPLY), **options)

    return start_one


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def expect_loaded(routes: list[dict], tmp_path) -> None:
    """Exactly what the printed script loads, but for whose it is."""
    loaded = state()
    table = loaded["nft list ruleset"]
    assert "flags owner" in table
    loaded["nft list ruleset"] = re.sub(r"table inet finhold-lock .*?\n}\n", "", table, flags=re.S)
    loaded["nft list ruleset"] = re.sub(r" # progname \S+|\tflags owner\n\n?", "", loaded["nft list ruleset"])
    with private_network():
        run(script(tmp_path, routes))
        assert state() == loaded


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_rules_go_with_finhold(network, apply, tmp_path, number):
    before = state()
    for _ in range(2):
        finhold = apply(*BOTH)
        expect_loaded(BOTH, tmp_path)
        if number == signal.SIGKILL:
            finhold.kill()
            wait_until(lambda: state() == before)
        else:
            finhold.signal(number)
            finhold.await_exit()
            assert finhold.found("rules removed")
            assert state() == before


def test_a_set_that_somebody_has_left_is_replaced(network, apply, tmp_path):
    before = state()
    run(script(tmp_path, BOTH))
    finhold = apply(SIDECAR)
    expect_loaded([SIDECAR], tmp_path)
    finhold.stop()
    assert state() == before


def test_the_table_goes_with_the_keeper_whatever_ends_that(network, apply, tmp_path):
    """Both at once, so that nobody is left to remove anything: no connection is diverted to nobody."""
    before = state()
    finhold = apply(*BOTH)
    [keeper] = children(finhold.pid)
    os.kill(keeper, signal.SIGSTOP)
    finhold.kill()
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: "finhold" not in state()["nft list ruleset"])
    finhold = apply(SIDECAR)  # takes away the routing that was left, too
    finhold.stop()
    assert state() == before


def test_finhold_ends_when_its_rules_have_gone_with_the_keeper(network, apply):
    """So that it is started again: by itself it could not load them."""
    finhold = apply(*BOTH)
    [keeper] = children(finhold.pid)
    os.kill(keeper, signal.SIGKILL)
    line = finhold.await_event("the process that keeps the rules was ended by somebody")
    assert line.level == "error" and "stops, to be started again" in line.line
    finhold.await_exit(1)
    assert len(finhold.found("the process that keeps the rules")) == 1
    assert not finhold.found("cannot")


def test_the_keeper_outlives_every_signal_that_a_unit_gets(network, apply):
    """SIGABRT of a watchdog goes to all of its processes."""
    finhold = apply(*BOTH)
    [keeper] = children(finhold.pid)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        os.kill(keeper, number)
    os.kill(finhold.pid, signal.SIGKILL)
    finhold.kill()
    wait_until(lambda: "finhold" not in state()["nft list ruleset"] and "5382" not in state()["ip rule"])


def flush() -> None:
    subprocess.run(["nft", "flush", "ruleset"], check=True)


def test_others_cannot_flush_its_table(network, apply, tmp_path):
    finhold = apply(*BOTH)
    flush()
    refused = subprocess.run(["nft", "delete", "table", "inet", "finhold"], capture_output=True, text=True)
    assert refused.returncode != 0 and "not permitted" in refused.stderr
    expect_loaded(BOTH, tmp_path)
    finhold.stop()


def remove_a_rule(family: str) -> None:
    subprocess.run(["ip", family, "rule", "del", "priority", "538"], check=True)


def remove_a_route(family: str) -> None:
    """Not by "flush", which looks whether there are more, and takes the one that was added meanwhile."""
    subprocess.run(["ip", family, "route", "del", "local", "default", "dev", "lo", "table", "5382"], check=True)


@pytest.mark.parametrize("remove", [remove_a_rule, remove_a_route])
@pytest.mark.parametrize("family", ["-4", "-6"])
def test_policy_routing_that_somebody_removes_is_added_again(network, apply, tmp_path, family, remove):
    finhold = apply(*BOTH)
    remove(family)
    line = finhold.await_event("somebody has removed the policy routing")
    assert line.level == "warning" and "systemd-networkd" in line.line
    finhold.await_event("the policy routing of --apply-rules is there again")
    expect_loaded(BOTH, tmp_path)
    finhold.stop()


def test_missing_rules_are_no_good_health(network, start, public_path, tmp_path):
    """Who removes them again at once has to wait; meanwhile finhold is not well, and says so."""
    path = public_path / "apply.toml"
    path.write_text(config_text([GATEWAY], {"admin": {"listen": "127.0.0.1:0"}}))
    finhold = start(arguments=("--config", str(path), *APPLY))
    admin = Admin(finhold)
    assert admin.metrics()["finhold_rules_loaded"] == 1
    for times in (1, 2):
        remove_a_rule("-4")
        finhold.await_events("somebody has removed the policy routing", times)
        if times == 2:
            assert admin.ask("/healthz")[0] == 503
            assert admin.metrics()["finhold_rules_loaded"] == 0
        finhold.await_events("the policy routing of --apply-rules is there again", times)
    assert admin.ask("/healthz")[0] == 200
    numbers = admin.metrics()
    assert (numbers["finhold_rules_loaded"], numbers["finhold_rules_restored_total"]) == (1, 2)
    expect_loaded([GATEWAY], tmp_path)
    finhold.stop()


def test_a_restart_waits_for_the_removal(network, apply, tmp_path):
    before = state()
    for _ in range(3):
        apply(*BOTH).kill()
    finhold = apply(*BOTH)
    expect_loaded(BOTH, tmp_path)
    finhold.stop()
    assert state() == before


def test_the_keeper_leaves_the_signals_of_a_terminal_to_finhold(network, apply):
    finhold = apply(SIDECAR)
    [keeper] = children(finhold.pid)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(keeper, number)
    assert "table inet finhold {" in state()["nft list ruleset"]
    finhold.stop()
    assert finhold.found("rules removed")


def test_a_start_that_fails_leaves_nothing(network, apply):
    before = state()
    taken = socket.create_server(("127.0.0.1", 15002))
    finhold = apply(*BOTH, wait=False)
    finhold.await_exit(1)
    assert finhold.found("cannot listen")
    assert state() == before
    taken.close()


def test_rules_that_do_not_load_are_told_of_and_leave_nothing(network, apply):
    """A device lo that is down has no local route."""
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    before = state()
    finhold = apply(GATEWAY, wait=False)
    finhold.await_exit(1)
    assert "route replace local default dev lo table 5382" in finhold.await_event("cannot load the rules").line
    assert state() == before


def test_a_failure_is_seen_although_finhold_was_started_with_sigchld_ignored(network, apply):
    """As some supervisors start their programs: then no exit code can be had."""
    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    code = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    finhold = apply(GATEWAY, prefix=("/usr/bin/python3", "-c", code), wait=False)
    finhold.await_exit(1)
    assert "route replace local default dev lo table 5382" in finhold.await_event("cannot load the rules").line


@pytest.mark.parametrize("user", [USER, ""])
def test_only_the_keeper_may_change_the_network(network, apply, tmp_path, user):
    before = state()
    finhold = apply(SIDECAR, user=user)
    ids = (UID, GID) if user else (0, 0)
    expect_only(finhold.pid, mask("NET_RAW"), *ids, threads=3)
    [keeper] = children(finhold.pid)
    with open(f"/proc/{keeper}/status", encoding="ascii") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    assert status["Name"] == "finhold-rules"
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == mask("NET_ADMIN")
    assert status["Uid"].split()[1] == str(ids[0])
    finhold.stop()
    assert state() == before


def test_an_unprivileged_user_with_net_admin(network, apply, tmp_path):
    before = state()
    finhold = apply(SIDECAR, prefix=unprivileged("NET_ADMIN", "NET_RAW"))
    expect_loaded([SIDECAR], tmp_path)
    expect_only(finhold.pid, mask("NET_RAW"), UID, GID)
    finhold.stop()
    assert state() == before


def test_without_net_admin_the_error_names_it(network, apply):
    finhold = apply(SIDECAR, prefix=unprivileged("NET_RAW"), wait=False)
    finhold.await_exit(1)
    assert "--apply-rules needs CAP_NET_ADMIN" in finhold.await_event("cannot load the rules").line


def test_one_finhold_in_a_network_has_rules(network, apply, tmp_path):
    first = apply(SIDECAR)
    second = apply({**GATEWAY, "listen": "[::]:15009"}, wait=False)
    second.await_exit(1)
    line = second.await_event("cannot load the rules").line
    assert f"another finhold (pid {children(first.pid)[0]}, uid 0) has rules in this network namespace" in line
    expect_loaded([SIDECAR], tmp_path)
    first.stop()


def test_a_user_without_rights_cannot_keep_finhold_from_its_rules(network, apply, tmp_path):
    code = "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.bind('\\0finhold-rules'); " \
           "s.listen(0); print('taken', flush=True); input()"
    user = subprocess.Popen([*unprivileged(), "/usr/bin/python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    user.stdout.readline()
    made = subprocess.run([*unprivileged(), "nft", "add table inet finhold-lock"], capture_output=True)
    assert made.returncode != 0
    finhold = apply(SIDECAR)
    expect_loaded([SIDECAR], tmp_path)
    finhold.stop()
    user.communicate(b"\n")
