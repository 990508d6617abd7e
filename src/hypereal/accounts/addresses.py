"""From which addresses a key may be used."""

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(text: str) -> Network:
    """An address or a range ('10.0.0.0/8', '2001:db8::/32'). Raises ValueError."""
    return ipaddress.ip_network(text, strict=False)


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Whether ADDRESS lies in one of NETWORKS; False for what is no address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped  # an IPv4 caller of a socket for both
    return any(found in one for one in networks)
