"""The data folder: made, checked and named. Also short private folders for unix sockets, whose paths are limited."""

import hashlib
import os
import secrets
import shutil
import stat
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec

from hypereal.kit.settings import Settings
from hypereal.serve.faults import CannotServe

SOCKET_PATH_BYTES_MAX = 107
"""`sun_path` has 108 bytes with its end (unix(7))."""
SOCKET_NAME_BYTES_MAX = 24
FREE_BYTES_MIN = 1024**3
SECRET_BYTES = 32
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "lustre", "gpfs"}
    | {"ocfs2", "gfs2", "davfs", "drvfs", "fuse.sshfs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone"}
)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A system user that PostgreSQL runs as when we are root."""

    uid: int
    gid: int
    name: str


class Machine:
    """What the checks ask of the machine; tests answer otherwise."""

    def file_system_kind(self, folder: Path) -> str:
        """As the kernel names it ('ext4', 'nfs4'); '' where the system does not tell."""
        try:
            mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return ""
        return kind_in(mounts, os.path.realpath(folder))

    def free_bytes(self, folder: Path) -> int:
        """Bytes that may still be written in FOLDER."""
        return shutil.disk_usage(folder).free


def kind_in(mounts: str, path: str) -> str:
    """The kind of the mount that PATH is on, from the text of /proc/<pid>/mountinfo (proc_pid_mountinfo(5))."""
    best, kind = "", ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].encode("utf-8", "surrogateescape").decode("unicode_escape", "replace")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            name, _, options = after.partition(" ")
            best, kind = point, "drvfs" if name == "9p" and "aname=drvfs" in options else name
    return kind


def prepare(data_dir: Path) -> None:
    """Make DATA_DIR where it is missing and see that files can be written there. Raises CannotServe."""
    try:
        data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data_dir):
            pass
    except OSError as error:
        raise CannotServe(
            f"The data folder {data_dir} cannot be written ({error.strerror}). "
            "Make it writable for this user, or name another one with --data-dir."
        ) from None


def check_disk(data_dir: Path, machine: Machine) -> None:
    """See that a database can live in DATA_DIR. Raises CannotServe."""
    kind = machine.file_system_kind(data_dir)
    if kind.lower() in NETWORK_FILE_SYSTEMS:
        raise CannotServe(
            f"The data folder {data_dir} is on a network file system ({kind}), where a database can lose data. "
            "Name a folder on a local disk with --data-dir, or set HYPEREAL_DATABASE_URL."
        )
    free = machine.free_bytes(data_dir)
    if free < FREE_BYTES_MIN:
        raise CannotServe(
            f"Only {free // 1024**2} MiB are free where the data folder {data_dir} is; 1024 MiB are needed. "
            "Free some space, or name another folder with --data-dir."
        )


def socket_folder(preferred: Path, owner: Account | None = None) -> Path:
    """A private (0700) folder for unix sockets: PREFERRED, or one of its own in the temporary folder where a socket's
    path would be too long. It belongs to OWNER, else to us. Raises CannotServe where somebody else has it.
    """
    folder = preferred
    if len(os.fsencode(preferred)) + 1 + SOCKET_NAME_BYTES_MAX > SOCKET_PATH_BYTES_MAX:
        digest = hashlib.sha256(os.fsencode(preferred)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"hypereal-{os.geteuid()}-{digest}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {os.geteuid(), owner.uid if owner else -1}:
            raise CannotServe(f"{folder} belongs to somebody else. Remove it, or name a shorter --data-dir.")
        folder.chmod(0o700)
        if owner is not None:
            os.chown(folder, owner.uid, owner.gid)
    except OSError as error:
        raise CannotServe(f"{folder}, a folder for sockets, cannot be used: {error.strerror}.") from None
    return folder


def instance_id(data_dir: Path) -> str:
    """The random name of this installation, made once. Call it under `serve.lock`."""
    return _made_once(data_dir / "instance_id", lambda: str(uuid.uuid4()))


def secret(data_dir: Path) -> str:
    """What this installation encrypts with where the operator says nothing, made once. Call it under `serve.lock`."""
    return _made_once(data_dir / "secret", lambda: secrets.token_hex(SECRET_BYTES))


def existing_secret(data_dir: Path) -> str | None:
    """The secret of `secret`; None where none was made yet."""
    path = data_dir / "secret"
    return path.read_text(encoding="ascii").strip() if path.exists() else None


def check_secret(settings: Settings) -> None:
    """See that the secret is the operator's where the database is: other hosts may serve it too. Raises CannotServe."""
    if settings.database.url and settings.server.secret is None:
        raise CannotServe(
            "With a database of your own, set [server] secret or HYPEREAL_SERVER__SECRET to at least 32 random "
            "characters, the same on every host (`openssl rand -hex 32` prints some)."
        )


def _made_once(path: Path, make: Callable[[], str]) -> str:
    if path.exists():
        return path.read_text(encoding="ascii").strip()
    made = make()
    write_whole(path, made.encode())
    return made


def write_whole(path: Path, content: bytes) -> None:
    """Replace PATH by CONTENT (mode 0600) so that a reader sees the old or the new whole."""
    new = path.with_name(path.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    new.replace(path)
