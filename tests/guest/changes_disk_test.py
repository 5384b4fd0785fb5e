#!/usr/bin/env python3
"""The lab's one disk for writing: the machine that has it keeps its changes there; a second that wants it is refused,
and one that may do without has a layer of its own in memory. Both are told whose it is."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402

MACHINES = """  first: {role: client, root: iscsi, changes: disk, boot_timeout: 5 min}
  other: {role: client, root: iscsi, changes: disk-or-memory, boot_timeout: 5 min}
"""
TAKEN = "the disk for changes is in use by 10.77.1."


class ChangesDisk(GuestTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = cls.session.lab("changes", 0, MACHINES)

    def on_disk(self, name):
        mounts = self.lab.run(name, "cat", "/proc/mounts")
        return " /run/rookery/changes ext4 " in mounts

    def test_01_who_comes_second_is_refused_or_has_a_layer_of_its_own(self):
        report = self.lab.up(code=(0, 1), timeout=400)
        self.assertEqual(self.lab.stage("other"), "ready")
        if self.on_disk("other"):  # it was quicker
            self.assertEqual([failed["name"] for failed in report["failed"]], ["first"])
            self.assertIn(TAKEN + "2, and is for one machine at a time", report["failed"][0]["reason"])
            self.assertIn(TAKEN + "2", self.lab.console("first"))
            self.assertIn(TAKEN + "2", self.lab.rookery("why", "first", code=None).out)
        else:
            self.assertEqual(report["failed"], [])
            self.assertTrue(self.on_disk("first"))
            self.assertIn(TAKEN + "1, and is for one machine at a time; changes are kept in memory",
                          self.lab.console("other"))

    def test_02_what_its_owner_changed_is_there_after_a_reset(self):
        owner = "other" if self.on_disk("other") else "first"
        self.lab.shell(owner, "echo mine > /etc/kept && sync")
        self.lab.reset(owner)
        self.lab.wait_for(owner, "firmware", "dhcp", "script", "kernel", "root", seconds=60)
        self.lab.wait_for(owner, "ready", seconds=240)
        self.assertEqual(self.lab.run(owner, "cat", "/etc/kept").strip(), "mine")
        self.assertTrue(self.on_disk(owner))
        self.lab.down()


class Refused(GuestTest):
    def test_of_two_that_need_it_one_is_refused_by_the_address_of_the_other(self):
        lab = self.session.lab("refused", 0, "  w: {role: client, count: 2, root: iscsi, changes: disk, "
                                             "boot_timeout: 5 min}\n")
        report = lab.up(code=1, timeout=400)
        self.assertEqual(report["ready"], 1)
        [failed] = report["failed"]
        owner = {"w1": "w2", "w2": "w1"}[failed["name"]]
        reason = f"{TAKEN}{owner[1]}, and is for one machine at a time"
        self.assertIn(reason, failed["reason"])
        self.assertIn(reason, lab.console(failed["name"]))
        self.assertIn(reason, lab.rookery("why", failed["name"], code=None).out)
        lab.down()


if __name__ == "__main__":
    main()
