"""Only addresses that the whole Internet can reach are asked."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.fetch.names.addresses import address_refusal, parse_networks

REFUSED = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254", "100.100.100.200"),
    *("127.0.0.1", "127.255.255.255", "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255"),
    *(
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
    ),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    *("::", "::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1"),
    *("64:ff9b::169.254.169.254", "2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    *("2001:db8::1", "3fff::1", "100::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1"),
    *("ff02::1", "4000::1", "5f00::1", "no address", "", "127.1"),
]
ASKED = [
    *("1.1.1.1", "8.8.8.8", "93.184.215.14", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1"),
    *("169.253.255.255", "169.255.0.1", "192.0.1.1", "198.17.255.255", "198.20.0.1", "223.255.255.255"),
    *(
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "2001:200::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ),
]


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_inside_some_network_is_refused(address: str) -> None:
    assert address_refusal(address)


@pytest.mark.parametrize("address", ASKED)
def test_an_address_of_the_internet_is_asked(address: str) -> None:
    assert address_refusal(address) == ""


def test_a_network_that_is_allowed_is_asked_and_its_neighbours_are_not() -> None:
    allowed = parse_networks(["127.0.0.0/8", "fd00::/64"])
    assert not address_refusal("127.3.2.1", allowed)
    assert not address_refusal("::ffff:127.0.0.1", allowed)
    assert not address_refusal("fd00::5", allowed)
    assert address_refusal("10.0.0.1", allowed)
    assert address_refusal("fd00:0:0:1::5", allowed)


@given(st.ip_addresses(v=4))
def test_an_address_counts_the_same_however_ipv6_wraps_it(address: IPv4Address) -> None:
    plain = address_refusal(str(address))
    bits = int(address)
    assert address_refusal(str(IPv6Address(0xFFFF << 32 | bits))) == plain
    assert address_refusal(str(IPv6Address(0x64FF9B << 96 | bits))) == plain
    assert address_refusal(str(IPv6Address(0x2002 << 112 | bits << 80))) == plain


@given(st.ip_addresses())
def test_nothing_is_asked_that_python_knows_to_be_private(address: IPv4Address | IPv6Address) -> None:
    if not address_refusal(str(address)) and not str(address).startswith(("64:ff9b", "2002:", "::ffff:")):
        assert not any([address.is_private, address.is_multicast, address.is_loopback, address.is_reserved])
    assert address_refusal(str(address), parse_networks([str(address)])) == ""


def test_one_address_has_one_verdict_in_all_its_spellings() -> None:
    address = ip_address("fe80::1")
    assert isinstance(address, IPv6Address)
    assert address_refusal(address.exploded) == address_refusal(address.compressed) == "link-local"
