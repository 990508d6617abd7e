import sys
from importlib import resources
from pathlib import Path

from hypereal.cli import local_packages


def test_the_lock_that_ships_is_the_repositorys() -> None:
    ours = Path(__file__).parents[3] / "locks" / "local.txt"
    assert (resources.files("hypereal.cli") / "local.txt").read_bytes() == ours.read_bytes()


def test_the_local_model_is_installed_by_hashes_alone_beside_this_interpreter() -> None:
    command = local_packages.command(Path("/lock.txt"))
    assert command[0] == sys.executable
    assert command[-4:] == ["--no-deps", "--require-hashes", "-r", "/lock.txt"]
