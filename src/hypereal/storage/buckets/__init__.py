"""Where bytes lie: the folder of this machine, or an S3 bucket. Start at `bucket.py`."""

from hypereal.storage.buckets.bucket import Bucket, Direct, Link, Stat
from hypereal.storage.buckets.disk import Disk
from hypereal.storage.buckets.s3 import S3

__all__ = ["S3", "Bucket", "Direct", "Disk", "Link", "Stat"]
