#!/usr/bin/env python3
"""What the switches do against broadcast storms: a lab boots with it and without, and addresses are found either way."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402

CLIENTS = 4
OFF = "network: {dhcp_snooping: false, arp_suppression: false, mld_snooping: false}\n"


class StormRules(GuestTest):
    def boot(self, name, words):
        lab = self.session.lab(name, 0)
        lab.file.write_text(f"lab: {lab.name}\n{words}machines:\n  server: {{role: boot-server}}\n"
                            f"  n: {{role: client, count: {CLIENTS}}}\n")
        report = lab.up()
        self.assertEqual((report["ready"], report["failed"]), (CLIENTS, []))
        # Neighbours that have not met.
        self.assertIn("1 packets received", lab.shell("n1", "busybox ping -c 1 -w 5 10.77.1.4"))
        lab.down()
        self.assert_nothing_left(lab)

    def test_a_lab_boots_with_all_of_them_off(self):
        self.boot("storm", OFF)

    def test_a_lab_boots_with_all_of_them_on(self):
        self.boot("calm", "")


if __name__ == "__main__":
    main()
