"""The storage that the settings name."""

import os
import tempfile
from pathlib import Path

from hypereal.kit.db import Database
from hypereal.kit.errors import NotFound
from hypereal.kit.ids import new_id
from hypereal.kit.s3_address import read_address
from hypereal.kit.settings import StorageSection
from hypereal.kit.sigv4 import AwsCredentials
from hypereal.storage.buckets import S3, Bucket, Disk
from hypereal.storage.links import Links
from hypereal.storage.storage import Storage

OBJECTS = "objects"
"""In the data folder."""
INCOMING = ".incoming"
"""Below it, so that what has come is renamed on one disk."""


def open_storage(database: Database, settings: StorageSection, data_dir: Path, secret: str) -> Storage:
    """The storage of this process; nothing is asked of disk or bucket yet."""
    folder = data_dir / OBJECTS
    return Storage(database, open_bucket(settings, folder), Links(secret), settings, folder / INCOMING)


def open_bucket(settings: StorageSection, folder: Path) -> Bucket:
    """Where bytes lie; FOLDER where no bucket is named. The settings have been checked."""
    if settings.url is None:
        return Disk(folder)
    address = read_address(settings.url)
    credentials = AwsCredentials(
        access_key_id=settings.access_key_id or os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=settings.secret_access_key or os.environ["AWS_SECRET_ACCESS_KEY"],
        session_token=None if settings.access_key_id else os.environ.get("AWS_SESSION_TOKEN") or None,
        region=address.region,
    )
    return S3(address, credentials)


async def probe(bucket: Bucket) -> None:
    """See that BUCKET takes, gives and deletes. Raises BucketAway, NotFound where what it took is not there."""
    key, content = f"probe/{new_id('probe')}", b"hypereal"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "probe"
        file.write_bytes(content)
        await bucket.put(key, file, "text/plain")
    read = b"".join([piece async for piece in bucket.read(key, 0, len(content))])
    await bucket.delete([key])
    if read != content:
        raise NotFound("Other bytes are there.")
