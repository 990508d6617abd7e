"""URLs of callers, read strictly: there is one way to read them, so no two readers can come to two hosts."""

import re
from urllib.parse import quote, urljoin

import msgspec

from hypereal.kit.errors import UnusableUrl
from hypereal.kit.outbound.addresses import Allowed, literal

URL_LENGTH_MAX = 8192
PORTS = {"http": 80, "https": 443}
PORTS_REFUSED = frozenset((*range(6000, 6064), *range(6665, 6670))) | {
    *(1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6379, 6566, 6679, 6697, 10080, 11211)
}
"""Where a request could be taken for commands: those above 1023 that the WHATWG's "Fetch" blocks, Redis, memcached.

Below 1024 only 80 and 443 are open: the others belong to the system's own services.
"""

_outline = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.I | re.S | re.A).fullmatch
_authority = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,254})(?::([0-9]{1,5}))?", re.I | re.A).fullmatch
_label = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?").fullmatch
_number = re.compile(r"[0-9]+|0x[0-9a-f]*").fullmatch
_unreadable = re.compile(r"[\x00-\x20\x7f-\x9f\\]").search
AS_IT_STANDS = "%/:?@!$&'()*+,;=[]~|"
"""Of a path or a query; the rest is percent-encoded."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One URL, read."""

    scheme: str
    host: str
    """In lower case; an IPv6 address without its brackets."""
    port: int
    path: str
    """With the query; ASCII."""

    @property
    def authority(self) -> str:
        """As `Host` has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def read_url(url: str, allowed: Allowed, *, https_only: bool = False) -> Target:
    """URL, as far as it can be judged by its text. Raises UnusableUrl."""
    if len(url) > URL_LENGTH_MAX:
        raise UnusableUrl(f"the URL has over {URL_LENGTH_MAX} characters.")
    if _unreadable(url):
        raise UnusableUrl("a URL has no spaces, backslashes or control characters.")
    outline = _outline(url)
    if outline is None:
        raise UnusableUrl("give an http or https URL.")
    scheme, authority, path, query = outline.groups()
    scheme = scheme.lower()
    if https_only and scheme != "https":
        raise UnusableUrl("only https URLs are taken here.")
    found = _authority(authority)
    if found is None:
        raise UnusableUrl(_why_no_host(authority))
    host = _host(found.group(1).lower())
    port = int(found.group(2) or PORTS[scheme])
    if not allowed.names(host) and not _is_open(port):
        raise UnusableUrl(f"port {port} is not one that URLs are fetched from.")
    asked = quote((path or "/") + (query or ""), safe=AS_IT_STANDS, errors="replace")
    return Target(scheme=scheme, host=host, port=port, path=asked)


def read_redirect(at: Target, location: str, allowed: Allowed, *, https_only: bool) -> Target:
    """Where an answer of AT sends us, checked like what the caller gave. Raises UnusableUrl."""
    try:
        url = urljoin(str(at), location)
    except ValueError:
        raise UnusableUrl("it redirects to what is no URL.") from None
    try:
        return read_url(url, allowed, https_only=https_only)
    except UnusableUrl as error:
        raise UnusableUrl(f"{error.message} It was redirected there.") from None


def _host(host: str) -> str:
    if host.startswith("["):
        address = literal(host[1:-1])
        if address is None or address.version != 6:
            raise UnusableUrl(f"{host} is no IPv6 address.")
        return address.compressed
    host = host.removesuffix(".")
    labels = host.split(".")
    if not all(_label(label) for label in labels):
        raise UnusableUrl("its host is not one.")
    if _number(labels[-1]) and literal(host) is None:  # inet_aton would read 127.1, 0x7f.1 and 2130706433
        raise UnusableUrl("write an IPv4 address as four decimal numbers.")
    return host


def _is_open(port: int) -> bool:
    return port in PORTS.values() or (1024 <= port <= 65535 and port not in PORTS_REFUSED)


def _why_no_host(authority: str) -> str:
    if "@" in authority:
        return "a URL with a user or a password is not taken."
    if not authority.isascii():
        return "write a host with other letters than ASCII in its xn-- form."
    return "its host is not one."
