#!/usr/bin/env python3
"""Making a Xen domain beside the bare call of libxl (xen_bench.cc), in the nested host, and its bar. BUILD names another
build folder."""
import os
import pathlib
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/nested"))
import xen_lab  # noqa: E402

try:
    host = xen_lab.build()
    outcome = xen_lab.run("export ROOKERY_XEN_KERNEL=/payload/vmlinux\nbench_xen\n", memory=1200, timeout=900,
                          programs=[TOP / os.environ.get("BUILD", "build") / "tests/bench/bench_xen"],
                          files=[("payload/vmlinux", host / "vmlinux")])
except xen_lab.Missing as missing:
    print(f"xen.py: {missing}", file=sys.stderr)
    sys.exit(4)
sys.stdout.write(outcome.output)
sys.exit(3 if outcome.code is None else outcome.code)
