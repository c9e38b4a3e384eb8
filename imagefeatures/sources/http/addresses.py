"""Which addresses may be dialled: those of the public internet, and those that the operator allows."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

# IANA's registries of special-purpose addresses. `ipaddress.is_global` has them too, but other ones in each version of
# Python, and counts NAT64 as public.
_NOT_PUBLIC_4 = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # the platform's own server in every network of Azure
    )
]  # fmt: skip
_UNICAST_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = [
    IPv6Network(text)
    for text in (
        "2001::/23",  # with Teredo, 2001::/32, which holds an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4, which holds an IPv4 address; nobody serves photos there
        "3fff::/20",
    )
]
_NAT64 = IPv6Network("64:ff9b::/96")


def refusal(address: str, allowed: Sequence[Network]) -> str | None:
    """Why an address may not be dialled; None where it may. address: as a socket has it. allowed: by the operator.

    IPv4 inside a mapped or a NAT64 address is judged as that IPv4 address, because that is where the packets go.

    >>> refusal("64:ff9b::7f00:1", [])
    '127.0.0.1, inside 64:ff9b::7f00:1, is not a public address'
    >>> refusal("64:ff9b::7f00:1", [IPv4Network("127.0.0.0/8")]), refusal("9.9.9.9", [])
    (None, None)
    """
    try:
        dialled = ip_address(address.partition("%")[0])  # the zone of a link-local address
    except ValueError:
        return "it is no IP address"
    inner = _inner(dialled)
    if inner is not None and not _may(inner, allowed):
        return f"{inner}, inside {dialled}, is not a public address"
    return None if inner is not None or _may(dialled, allowed) else f"{dialled} is not a public address"


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which packets for an IPv6 address go."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped
    return None


def _may(address: IPv4Address | IPv6Address, allowed: Sequence[Network]) -> bool:
    if any(address in network for network in allowed):
        return True
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)
