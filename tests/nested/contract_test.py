#!/usr/bin/env python3
"""The contract suite of backends, the same program as on this host, over Xen's domains in a nested Xen host; and, for
the quickest of them, what can go wrong there without waiting for it (xen_trouble_test.cc).

    contract_test.py SUBJECT    xen-pv, xen-pvh or xen-hvm
    contract_test.py trouble    all that can go wrong, and no contract
"""
import os
import shutil
import sys

import xen_lab

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "contract"))
import table  # noqa: E402  (what the suite saw, in docs/backends/README.md)

SCRIPT = """
cd /tmp
mkdir -p /var/tmp  # for what is written to disks of files that are only read
export ROOKERY_XEN_KERNEL=/payload/vmlinux ROOKERY_XEN_DISK_MODULE=/modules/xen-blkfront.ko ROOKERY_CONTRACT={subject}
{run}
"""
LOG = "--catch_system_errors=no --color_output=no --log_level=unit_scope"
CONTRACT = f"test_contract {LOG}"
TROUBLE = f"xen_trouble {LOG}"
RUN = {"xen-pv": f"{CONTRACT} && {TROUBLE} --run_test='a_user*,a_foreign*'", "trouble": TROUBLE}


def main():
    subject = sys.argv[1]
    try:
        host = xen_lab.build()
        tools = [shutil.which(name) for name in ("as", "ld")]
        if not all(tools):
            raise xen_lab.Missing("there is no as or ld; install: binutils")
        programs = [os.environ[name] for name in ("TEST_CONTRACT", "XEN_TROUBLE")]
        outcome = xen_lab.run(SCRIPT.format(subject=subject, run=RUN.get(subject, CONTRACT)), programs=programs + tools,
                              files=[("payload/vmlinux", host / "vmlinux")], memory=1600, timeout=1700)
    except xen_lab.Missing as missing:
        print(f"skipped: {missing}")
        return 77
    print(outcome.output)
    if outcome.code is None:
        print(f"it did not come to its end; what Xen and dom0 said:\n{outcome.console[-4000:]}")
    # All of it ran, and ran over what it was to.
    tried = outcome.code == 0 and "skipped:" not in outcome.output and "No errors detected" in outcome.output
    if not tried or subject == "trouble":
        return 0 if tried else 1
    # Xen's columns of the table are compared here, or written: contract_test.py SUBJECT --write.
    return 0 if table.compare(outcome.output, write="--write" in sys.argv[2:]) else 1


if __name__ == "__main__":
    sys.exit(main())
