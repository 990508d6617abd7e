"""Which addresses the world may send us to: global unicast, and what the operator allows by name."""

import ipaddress
from collections.abc import Iterable

import msgspec

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Net = ipaddress.IPv4Network | ipaddress.IPv6Network

GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
"""All that IANA has given out as global unicast. Mapped and compatible IPv4, ULA and link-local stand outside it."""
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Of networks that speak IPv6 only; behind it is the IPv4 address of the last 32 bits (RFC 6052)."""
REFUSED: tuple[Net, ...] = tuple(
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' own; in it a metadata address, 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # public by its number, but inside one cloud it is the host that the machine runs on
        "169.254.0.0/16",  # the metadata address of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # in it another one, 192.0.0.192
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "2001::/23",  # protocols' own; in it Teredo and ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in another dress
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
"""The special-purpose registries of IANA, and what clouds keep for their own machines."""


def is_public(address: Address) -> bool:
    """Whether ADDRESS is global unicast, for itself and for what it may carry inside."""
    if address.version == 6:
        if address in NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if address not in GLOBAL_V6:
            return False
    return not any(address in net for net in REFUSED if net.version == address.version)


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's own: hosts by name, and nets."""

    hosts: frozenset[str] = frozenset()
    nets: tuple[Net, ...] = ()

    def names(self, host: str) -> bool:
        """Whether HOST itself is allowed, wherever it leads and on any port."""
        return host in self.hosts or ((address := literal(host)) is not None and self.holds(address))

    def holds(self, address: Address) -> bool:
        """Whether ADDRESS is in an allowed net."""
        return any(address in net for net in self.nets if net.version == address.version)


def read_allowed(entries: Iterable[str]) -> Allowed:
    """The setting: each entry is a net, an address, or else a host's name."""
    hosts, nets = set(), []
    for entry in entries:
        try:
            nets.append(ipaddress.ip_network(entry))
        except ValueError:
            hosts.add(entry.lower().rstrip("."))
    return Allowed(hosts=frozenset(hosts), nets=tuple(nets))


def literal(host: str) -> Address | None:
    """The address that HOST is, in its one usual form; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
