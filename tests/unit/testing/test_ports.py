"""Free ports: nobody listens there, and nobody is given them while their server is not up yet."""

from __future__ import annotations

import random
import socket
from pathlib import Path

from torii.testing.ports import free_ports


def test_they_are_free_and_different():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_the_kernel_gives_them_to_nobody():
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(1024 <= port < lowest for port in free_ports(50))


def test_tests_with_the_same_seed_get_different_ones():
    random.seed(7)
    first = free_ports(4)
    random.seed(7)
    assert free_ports(4) != first
