#!/usr/bin/env bash
# How long clients take to be ready, as a multiple of the floor: the same kernel, started by a bare fork and exec loop
# with a trivial init, no network and no code of ours. Both in the same run, in turns; the medians are compared.
#   tests/bench/floor.sh [NODES] [BAR]      default: 20 clients, at most 8 times the floor
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec python3 tests/bench/floor.py "$@"
