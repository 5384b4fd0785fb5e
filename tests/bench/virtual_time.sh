#!/usr/bin/env bash
# A cluster of real kernels in virtual time, and its bars; virtual_time.py says how. ROOKERY and BENCH name other
# programs than build/rookery and build/tests/bench/bench_time_travel.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec python3 tests/bench/virtual_time.py "$@"
