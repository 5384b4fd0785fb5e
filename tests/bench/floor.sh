#!/usr/bin/env bash
# A lab's start beside the floor, and its bar; floor.py says how. ROOKERY names another program than build/rookery.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec python3 tests/bench/floor.py "$@"
