#!/usr/bin/env python3
"""A medium that was whole when the lab began, and is damaged when a machine with firmware starts from it: what stands on
that machine's screen is what `rookery why` names."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import QEMU, main, wait_until  # noqa: E402
from own_medium import OwnMedium  # noqa: E402


class OwnDisk(OwnMedium):
    def why_after(self, name, firmware, damage, *causes, more=""):
        """The answer of `why` once it is none of those of a machine that is under way."""
        lab = self.session.lab(name, 0)
        words = f"backend: qemu, firmware: {firmware}{more}"
        lab.file.write_text(lab.file.read_text().replace("role: boot-server", f"role: boot-server, {words}"))
        lab.start()
        lab.wait_for_words(" server firmware")  # by now the host has read the medium and found it whole
        damage()
        lab.reset("server")
        answer = {}

        def look():
            answer.update(lab.rookery("why", "server", "--json", code=None).json())
            return answer["cause"] in causes
        wait_until(look, 240, f"the cause is {' or '.join(causes)}", lambda: f"it is {answer.get('cause')}")
        lab.down()
        return answer


class DamagedDisk(OwnDisk):
    def test_a_disk_without_a_boot_sector(self):
        answer = self.why_after("sector", "bios", lambda: self.overwritten(0, bytes(512)), "no-disk")
        self.assert_has(answer["sentence"], "Boot failed: not a bootable disk")

    def test_a_kernel_of_other_bytes(self):
        answer = self.why_after("kernel", "bios", lambda: self.damaged("rookery/vmlinuz"), "bad-medium")
        self.assert_has(answer["sentence"], "vmlinuz: HASH MISMATCH")


class OtherDamage(OwnDisk):
    def test_a_disk_without_anything_for_uefi(self):
        offset, length = self.places["rookery/grub-uefi"]
        answer = self.why_after("esp", "uefi", lambda: self.overwritten(offset, bytes(length)), "no-disk")
        self.assert_has(answer["sentence"], "UEFI Interactive Shell")

    def test_a_manifest_of_other_bytes(self):
        answer = self.why_after("manifest", "bios", lambda: self.damaged("rookery/manifest.json"), "bad-medium")
        self.assert_has(answer["sentence"], "manifest.json is damaged")

    def test_a_system_of_other_bytes_on_a_machine_that_nobody_watches(self):
        answer = self.why_after("system", "bios", lambda: self.damaged("rookery/root.squashfs"), "bad-medium",
                                more=", management: false")
        self.assert_has(answer["sentence"], "the medium is damaged: its root.squashfs")


if __name__ == "__main__":
    main(QEMU)
