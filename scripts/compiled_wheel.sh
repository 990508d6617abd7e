#!/bin/sh
# The wheel whose hot path is machine code, into dist/. Built in a copy, since mypyc leaves what it makes among the sources.
set -eu
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"
here=$PWD
cd "$copy"
HATCH_BUILD_HOOK_ENABLE_MYPYC=1 "$here/.venv/bin/python" -m hatchling build --target wheel --directory "$here/dist"
