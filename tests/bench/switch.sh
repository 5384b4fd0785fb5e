#!/usr/bin/env bash
# The switch's frames for each second of one processor, and their bars: within one process (switch_bench.cc), and over
# real sockets beside vde_switch (wire_bench.cc). BUILD names another build folder than build.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly programs=${BUILD:-build}/tests/bench
failed=0
"$programs/bench_switch" --benchmark_format=json | python3 -c '
import json, sys
BAR = 2e6
print("frames/s on one core, 1,000 random addresses on 1,000 ports, two VLANs, storm rules on")
missed = False
for run in json.load(sys.stdin)["benchmarks"]:
    speed = run.get("frames/s", 0) if not run.get("error_occurred") else 0
    missed |= speed < BAR
    verdict = "good" if speed >= BAR else "MISSED " + run.get("error_message", "")
    print("  %-32s %9.2f million   bar %g: %s" % (run["name"], speed / 1e6, BAR / 1e6, verdict))
sys.exit(missed)' || failed=1
"$programs/bench_wire" || failed=1
exit "$failed"
