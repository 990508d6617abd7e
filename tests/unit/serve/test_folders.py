"""The data folder's checks that need no real disk."""

import os
from pathlib import Path

import pytest

from hypereal.serve import folders
from hypereal.serve.faults import CannotServe

MOUNTS = """\
22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw
30 22 0:40 / /srv rw - nfs4 files:/srv rw,vers=4.2
31 30 0:41 / /srv/with\\040space rw - xfs /dev/vdb rw
32 22 0:42 / /mnt/c rw - 9p C:\\134 rw,aname=drvfs;path=C:
33 22 0:43 / /shared rw - 9p shared rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/hypereal", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/data", "nfs4"),
        ("/srvdata", "ext4"),
        ("/srv/with space/data", "xfs"),
        ("/mnt/c/data", "drvfs"),
        ("/shared/data", "9p"),
    ],
)
def test_the_nearest_mount_says_the_kind_of_file_system(path: str, kind: str) -> None:
    assert folders.kind_in(MOUNTS, path) == kind


def test_sockets_of_a_short_folder_stay_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "SOCKET_PATH_BYTES_MAX", len(os.fsencode(tmp_path)) + 60)
    assert folders.socket_folder(tmp_path / "run") == tmp_path / "run"


def test_sockets_of_a_deep_folder_get_one_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    deep = tmp_path / ("d" * 100)
    short = folders.socket_folder(deep)
    assert short.parent == tmp_path
    assert short == folders.socket_folder(deep)
    assert short != folders.socket_folder(deep / "other")


def test_a_socket_folder_that_is_a_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    deep = tmp_path / ("d" * 100)
    short = folders.socket_folder(deep)
    short.rmdir()
    (tmp_path / "elsewhere").mkdir()
    short.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotServe, match="belongs to somebody else"):
        folders.socket_folder(deep)


def test_the_name_of_an_installation_is_kept(tmp_path: Path) -> None:
    assert folders.instance_id(tmp_path) == folders.instance_id(tmp_path)


def test_a_secret_is_made_once_and_private(tmp_path: Path) -> None:
    made = folders.secret(tmp_path)
    assert len(made) >= 32
    assert folders.secret(tmp_path) == made
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert folders.secret(tmp_path) != folders.instance_id(tmp_path)
