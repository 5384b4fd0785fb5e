#!/usr/bin/env bash
# A hundred and a thousand machines beside their floor, and their bars; labs.py says how. ROOKERY names another program
# than build/rookery.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec python3 tests/bench/labs.py "$@"
