"""Bytes for a reader who pauses longer than a kernel keeps an orphan (net.ipv4.tcp_orphan_retries): a
close() by whoever sent them last would lose them; finhold stays until they are read (R1)."""

import time

import pytest
from ends import Server
from private_network import private_network

PAUSE = 4  # seconds; a kernel with tcp_orphan_retries = 1 gives up within two
LENGTH = 500_000  # more than the client's window, less than a send buffer


@pytest.fixture
def impatient_network():
    """It gives up an orphan after one repetition, where most give it eight."""
    with private_network() as network:
        network.set("net.ipv4.tcp_orphan_retries", 1)
        yield network


def test_a_reader_may_pause_longer_than_a_kernel_keeps_an_orphan(impatient_network, finhold_to):
    """The client has ended, the server sends, closes and is gone; the client reads late. Beside it, as
    a control, the same without finhold: there the bytes are lost."""
    server = Server()
    finhold = finhold_to(server)
    through = server.session(finhold.address(), receive_buffer=8192)
    direct = server.session(server.address, receive_buffer=8192)
    for session in (through, direct):
        session.client.finish()
        session.server.expect_end(0)
        session.server.send(LENGTH)
        session.server.close()
    time.sleep(PAUSE)
    through.client.expect_end(LENGTH)
    with pytest.raises((ConnectionResetError, AssertionError)):
        direct.client.expect_end(LENGTH)
    through.client.close()
    finhold.ending(ending="finished", to_client=str(LENGTH))
