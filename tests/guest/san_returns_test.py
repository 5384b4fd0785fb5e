#!/usr/bin/env python3
"""The boot server loses its power and comes back: machines with a root on a storage network wait for it and go on, each
by its own protocol."""
import concurrent.futures
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402

ROOTS = ["iscsi", "aoe", "nfs"]
MACHINES = "".join(f"  {root}: {{role: client, root: {root}, boot_timeout: 5 min}}\n" for root in ROOTS)
SUM = "cat /usr/share/perl/*/unicore/Name.p[lm] | sha256sum"  # which nobody has read yet


class SanReturns(GuestTest):
    def test_running_machines_wait_for_their_root_and_go_on(self):
        lab = self.session.lab("sanreturns", 0, MACHINES)
        self.assertEqual(lab.up(timeout=400)["failed"], [])
        lab.wait_for_console("iscsi", "is operational after recovery")  # iscsid has the session
        lab.rookery("power", "cut", "server")
        with concurrent.futures.ThreadPoolExecutor(len(ROOTS)) as aside:
            reading = {root: aside.submit(lab.shell, root, SUM, timeout=230) for root in ROOTS}
            lab.wait_for_console("iscsi", "Kernel reported iSCSI connection", seconds=120)
            self.assertEqual([root for root in ROOTS if reading[root].done()], [])
            lab.rookery("power", "on", "server")
            lab.wait_for("server", "ready")
            found = {root: reading[root].result() for root in ROOTS}
        found["server"] = lab.shell("server", SUM, timeout=90)
        self.assertEqual(len(set(found.values())), 1, found)
        lab.down()


if __name__ == "__main__":
    main()
