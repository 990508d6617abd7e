"""All of an installation in one file, and back. `archive.py` says what the file is."""

from hypereal.serve.backup.archive import Manifest, Tell
from hypereal.serve.backup.restoring import Restored, restore
from hypereal.serve.backup.saving import save

__all__ = ["Manifest", "Restored", "Tell", "restore", "save"]
