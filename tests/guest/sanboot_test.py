#!/usr/bin/env python3
"""Machines with firmware, whose iPXE starts the boot server's medium from a disk on the network (sanboot). The system
that is on it finds the disk again by the firmware's table, iBFT or aBFT, and has its root from there."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import QEMU, GuestTest, main  # noqa: E402

DISKS = {"iscsi": "/dev/sda", "aoe": "/dev/etherd/e0.2"}


class Disks(GuestTest):
    def boots(self, root, more=""):
        lab = self.session.lab(f"san{root}", 0, f"  pc: {{role: client, backend: qemu, boot: san, root: {root}, "
                                                f"boot_timeout: 20 min{more}}}\n")
        report = lab.up(timeout=1300)
        self.assertEqual(report["failed"], [], lab.console("pc"))
        self.assert_has(lab.console("pc"), "iPXE", f"boot-san-{root}.ipxe", "Booting from SAN device 0x80")
        mounts = lab.run("pc", "cat", "/proc/mounts")
        self.assertIn(f"{DISKS[root]} /run/rookery/medium iso9660 ro", mounts)
        self.assertEqual(lab.run("pc", "cat", "/proc/sys/kernel/hostname").strip(), "pc")
        self.assert_same_image(lab, ["server", "pc"], timeout=300)
        lab.down()
        self.assert_nothing_left(lab)


class SanBoot(Disks):
    def test_the_medium_starts_from_an_iscsi_disk(self):
        self.boots("iscsi")


class OtherSanBoots(Disks):
    def test_the_medium_starts_from_an_aoe_disk(self):
        self.boots("aoe")

    def test_uefi_starts_it_too(self):
        self.need_uefi()
        for root in DISKS:
            with self.subTest(root):
                self.boots(root, ", firmware: uefi")


class Roots(GuestTest):
    def test_a_distributions_kernel_reaches_every_root(self):
        roots = ("iscsi", "aoe", "nfs")
        lab = self.session.lab("pcroots", 0, "".join(
            f"  {root}: {{role: client, backend: qemu, root: {root}, boot_timeout: 20 min}}\n" for root in roots))
        report = lab.up(timeout=1300)
        self.assertEqual(report["failed"], [])
        self.assert_same_image(lab, ["server", *roots], timeout=300)
        lab.down()


if __name__ == "__main__":
    main(QEMU)
