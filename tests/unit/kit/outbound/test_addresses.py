"""Which addresses are the world's."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypereal.kit.outbound import read_allowed
from hypereal.kit.outbound.addresses import is_public

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.1.2.3",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::a00:1",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "168.63.129.17",
    "172.15.0.1",
    "172.32.0.1",
    "191.255.0.1",
    "192.0.1.1",
    "193.0.0.1",
    "223.255.255.255",
    "2606:4700::1",
    "2a00:1450::1",
    "2001:4860:4860::8888",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_ours_or_nobodys_is_refused(address: str):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_the_worlds_is_not(address: str):
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses())
def test_whatever_python_calls_special_is_never_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address):
    special = address.is_private or address.is_multicast or address.is_reserved or address.is_loopback
    assert not (special and is_public(address)) or address in ipaddress.ip_network("64:ff9b::/96")


def test_the_operator_allows_hosts_addresses_and_nets():
    allowed = read_allowed(["MinIO.internal.", "127.0.0.1", "10.1.0.0/16", "fd00::/8"])
    assert allowed.names("minio.internal") and allowed.names("127.0.0.1") and allowed.names("10.1.2.3")
    assert not allowed.names("other.internal") and not allowed.names("127.0.0.2") and not allowed.names("10.2.0.1")
    assert allowed.holds(ipaddress.ip_address("fd00::1")) and not allowed.holds(ipaddress.ip_address("fe80::1"))
