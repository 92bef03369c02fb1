"""Which IP addresses may be asked: those that are globally reachable, and those in networks that a user allows.

A list of URLs is outside text, and whoever wrote it must not reach what only this machine can reach: services of the
machine, its network, and the metadata of a cloud, which hold credentials. The tables follow the registries of IANA
("IPv4 Special-Purpose Address Registry", "IPv6 Special-Purpose Address Registry", RFC 6890 and those that came later)
and stand here, as `ipaddress.is_global` differs among releases of Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["Address", "Network", "address_refusal", "parse_networks"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_REFUSED: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "unspecified"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by a provider's customers"),  # RFC 6598; a cloud has its metadata here, too
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "metadata of a cloud"),  # inside Azure; it looks like any public address
    ("169.254.0.0/16", "link-local"),  # with 169.254.169.254, the metadata of most clouds
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "reserved"),  # relays of 6to4, RFC 7526
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarks"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("64:ff9b:1::/48", "private"),  # NAT64 of one network, RFC 8215
    ("100::/64", "discarded"),
    ("2001::/23", "reserved"),  # Teredo, ORCHID and other protocols: nobody keeps a web server there
    ("2001:db8::/32", "documentation"),
    ("3fff::/20", "documentation"),  # RFC 9637
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "private"),
    ("ff00::/8", "multicast"),
)
_TABLE = tuple((ip_network(network), why) for network, why in _REFUSED)
_GLOBAL_UNICAST = IPv6Network(
    "2000::/3"
)  # all that is handed out, RFC 4291 and the registry of address space
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks that are written as `127.0.0.0/8` or as one address.

    Raises:
        ValueError: a text is no network, or has bits set behind its prefix.

    >>> parse_networks(["127.0.0.0/8", "fd00::1"])
    (IPv4Network('127.0.0.0/8'), IPv6Network('fd00::1/128'))
    """
    return tuple(ip_network(text) for text in texts)


def address_refusal(address: str, allowed: tuple[Network, ...] = ()) -> str:
    """Return why an address may not be asked, "" if it may be.

    An IPv4 address inside an IPv6 address (mapped, 6to4, NAT64 with its well-known prefix) counts as itself. Not seen
    is NAT64 with a prefix of a network's own, which looks like any other address.

    >>> address_refusal("93.184.215.14"), address_refusal("10.1.2.3"), address_refusal("::ffff:169.254.169.254")
    ('', 'private', 'link-local')
    >>> address_refusal("127.0.0.1", parse_networks(["127.0.0.0/8"])), address_refusal("fe80::1%eth0")
    ('', 'link-local')
    """
    return _refusal(address, allowed)


@lru_cache(maxsize=65_536)
def _refusal(text: str, allowed: tuple[Network, ...]) -> str:
    try:
        written = ip_address(text.partition("%")[0])
    except ValueError:
        return "no address"
    address = _inner(written)
    if any(address in network or written in network for network in allowed):
        return ""
    for network, why in _TABLE:
        if address in network:
            return why
    return "reserved" if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST else ""


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, else the address itself."""
    if isinstance(address, IPv6Address):
        if address in _MAPPED or address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
        if address in _SIX_TO_FOUR:
            return IPv4Address(int(address) >> 80 & 0xFFFF_FFFF)
    return address
