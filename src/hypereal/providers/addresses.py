"""Which addresses a credential may be sent to."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

UNIX_SCHEME = "http+unix"

_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]+", re.ASCII)
_PATH = re.compile(r"(/[\w.~!$&'()*+,;=:@%-]+)*", re.ASCII)


def is_path(text: str) -> bool:
    """Whether TEXT is a plain path without a slash at its end, or nothing."""
    return _PATH.fullmatch(text) is not None


def check_url(text: str) -> None:
    """Raises ValueError unless TEXT is a plain URL to which a credential can travel unread."""
    if text.startswith(UNIX_SCHEME):
        socket, bar, path = text.removeprefix(f"{UNIX_SCHEME}://").partition("|")
        if not socket.startswith("/") or not bar or not is_path(path.rstrip("/")):
            raise ValueError(f"a unix socket is written {UNIX_SCHEME}:///path/of.sock|/v1")
        return
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError("not a URL") from None
    if url.scheme not in ("http", "https") or port == 0 or not _HOST.fullmatch(url.hostname or ""):
        raise ValueError("give https://host[:port][/path]")
    if url.username is not None or url.password is not None:
        raise ValueError("holds a credential; give it as api_key, which is never logged")
    if url.query or url.fragment or not is_path(url.path.rstrip("/")):
        raise ValueError("a plain path only, without query or fragment")
    if url.scheme == "http" and not _is_near(url):
        raise ValueError("https only, since the key would travel readable; http for this machine or network")


def _is_near(url: SplitResult) -> bool:
    """Loopback, a private address, or a name without a dot, which only a local network resolves."""
    host = url.hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ("." not in host and host[0].isalpha()) or host.endswith(".localhost")
    return address.is_loopback or address.is_private
