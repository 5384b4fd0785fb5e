#!/usr/bin/env bash
# Making and destroying domains beside the bare calls (libvirt_bench.cc), and its bar. BUILD names another build folder.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec "${BUILD:-build}/tests/bench/bench_libvirt"
