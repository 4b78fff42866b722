"""A sidecar: in the client's own network namespace rules redirect its connections to finhold, and it knows nothing of
that. The half-close workloads that a box behind it cuts otherwise come through, over IPv4 and IPv6."""

from programs import Finhold
from transparent import BOXES, Workload, check_late_answer, check_stream, late_answer, stream

SOON = {"release_when_quiet": "1s", "nurse_every": "1s"}


def check(workload: Workload, finhold: Finhold, check_one) -> None:
    workload.check_without()
    for family, at_client, at_server in workload.with_finhold():
        # The server sees a connection of finhold's own.
        assert at_server["peer"] != at_client["self"], (at_client, at_server)
        ending = next(each for each in finhold.endings(2) if each["client"] == at_client["self"])
        assert ending["server"] == at_client["peer"], ending
        check_one(workload, family, ending)
        assert {segment.client for segment in workload.segments(family)} != {at_client["self"]}


def test_an_unaware_client_and_a_stream_through_every_box(lab):
    started = []
    for box in BOXES:
        network = lab.network(box)
        finhold = network.intercept("c", "redirect")
        started.append((stream(network, "gc"), finhold))
    for workload, finhold in started:
        check(workload, finhold, check_stream)


def test_an_unaware_client_and_a_late_answer(lab):
    network = lab.network("conntrack")
    finhold = network.intercept("c", "redirect", SOON)
    check(late_answer(network, "gc"), finhold, check_late_answer)
