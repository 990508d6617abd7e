"""What a provider in a cloud needs besides an address: credentials that sign or ask for tokens, and its places."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from hypereal.kit.sigv4 import AwsCredentials
from hypereal.providers.provider import AccessKeys, Auth
from hypereal.providers.service_account import ServiceAccount, read_account

FILE_BYTES_MAX = 64 * 1024
LOCATION = "global"
"""Where Google finds room itself; its newest models are only there."""
MULTI_REGIONS = frozenset({"us", "eu"})

PLACES = ("region", "project", "location")
"""Keys of a provider's table that its addresses may name, as in {region}."""

_PLACE = re.compile(r"[a-z0-9][a-z0-9.:-]{0,99}", re.ASCII)
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}", re.ASCII)
_NAME = re.compile(r"\{([a-z]+)\}")

Credentials = AwsCredentials | ServiceAccount | AccessKeys
Resolve = Callable[[str], str | None]
"""The text of a key of the provider's table, None where there is none."""


def read_credentials(auth: Auth | None, resolve: Resolve) -> Credentials | None:
    """None where AUTH needs none, or they are not complete. Raises ValueError that names the key."""
    if auth is Auth.AWS_SIGV4:
        return _aws(resolve)
    if auth is Auth.GOOGLE_SERVICE_ACCOUNT:
        text = resolve("credentials")
        return None if text is None else _account(text)
    return _pair(resolve) if auth is Auth.ACCESS_KEYS else None


def read_places(credentials: Credentials | None, resolve: Resolve) -> Mapping[str, str]:
    """Those that are known. Raises ValueError that names the key."""
    places: dict[str, str] = {}
    for key in PLACES:
        place = resolve(key)
        if place is None and key == "project" and isinstance(credentials, ServiceAccount):
            place = credentials.project
        if place is None and key == "location":
            place = LOCATION
        if place is None:
            continue
        if not _PLACE.fullmatch(place):
            raise ValueError(f"{key}: {place[:40]!r} is none")
        places[key] = place
    return {**places, "endpoint": _endpoint(places["location"])}


def fill(text: str, places: Mapping[str, str]) -> str:
    """TEXT with the PLACES that it names; `is_filled` tells whether all were known."""
    return _NAME.sub(lambda found: places.get(found[1], found[0]), text)


def is_filled(text: str) -> bool:
    """Whether TEXT names no place any more."""
    return _NAME.search(text) is None


def _aws(resolve: Resolve) -> AwsCredentials | None:
    key_id, secret, region = resolve("access_key_id"), resolve("secret_access_key"), resolve("region")
    session = resolve("session_token")
    for key, value in (("access_key_id", key_id), ("secret_access_key", secret), ("session_token", session)):
        if value is not None and not _TOKEN.fullmatch(value):
            raise ValueError(f"{key}: holds a space, a control character or one that is not ASCII")
    if key_id is None or secret is None or region is None:
        return None
    return AwsCredentials(access_key_id=key_id, secret_access_key=secret, session_token=session, region=region)


def _pair(resolve: Resolve) -> AccessKeys | None:
    access_key, secret_key = resolve("access_key_id"), resolve("secret_access_key")
    for key, value in (("access_key_id", access_key), ("secret_access_key", secret_key)):
        if value is not None and not _TOKEN.fullmatch(value):
            raise ValueError(f"{key}: holds a space, a control character or one that is not ASCII")
    if access_key is None or secret_key is None:
        return None
    return AccessKeys(access_key=access_key, secret_key=secret_key)


def _account(text: str) -> ServiceAccount:
    """TEXT is a key file's own JSON, or the path to one, as GOOGLE_APPLICATION_CREDENTIALS has it."""
    try:
        if not text.lstrip().startswith("{"):
            with Path(text).expanduser().open("rb") as file:
                text = file.read(FILE_BYTES_MAX).decode()
        return read_account(text)
    except OSError as error:
        raise ValueError(f"credentials: {error.strerror}") from None
    except ValueError as error:  # of which bytes that are no text are a kind
        raise ValueError(f"credentials: {error}") from None


def _endpoint(location: str) -> str:
    """The host of Vertex AI for LOCATION. Source: google-genai 3.4 and anthropic-python 2.12."""
    if location == LOCATION:
        return "aiplatform.googleapis.com"
    if location in MULTI_REGIONS:
        return f"aiplatform.{location}.rep.googleapis.com"
    return f"{location}-aiplatform.googleapis.com"
