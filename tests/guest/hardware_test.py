#!/usr/bin/env python3
"""The very medium that a boot server in User-Mode Linux starts from, as a disk of machines with firmware: on every bus,
beside every NIC and every graphics card, of which the machine was told nothing. Each row is a lab. The first serves
clients, the second is tried beside it as a machine of libvirt; all but the first by QEMU when there is time."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import QEMU, GuestTest, main, need_libvirt  # noqa: E402

# chipset, firmware, NIC, disk, graphics; and the drivers that Linux should find for the last three by itself. A machine
# without graphics has no card to drive.
ROWS = [
    ("pc", "bios", "virtio", "virtio", "none", "virtio_net", "virtio_blk", ""),
    ("q35", "uefi", "e1000e", "sata", "std", "e1000e", "ahci", "bochs-drm"),
    ("pc", "bios", "e1000", "ide", "cirrus", "e1000", "ata_piix", "cirrus"),
    ("q35", "uefi", "vmxnet3", "nvme", "virtio", "vmxnet3", "nvme", "virtio_gpu"),
    ("pc", "bios", "rtl8139", "scsi", "qxl", "8139cp", "virtio_scsi", "qxl"),
    ("pc", "bios", "pcnet", "lsi", "std", "pcnet32", "sym53c8xx", "bochs-drm"),
    ("q35", "bios", "ne2k", "usb", "std", "ne2k-pci", "usb-storage", "bochs-drm"),
    ("pc", "uefi", "virtio", "cdrom", "std", "virtio_net", "ata_piix", "bochs-drm"),
    ("q35", "bios", "e1000e", "pvscsi", "virtio", "e1000e", "vmw_pvscsi", "virtio_gpu"),
]
CLIENTS = """  n: {role: client, count: 2}
  q: {role: client, backend: qemu}
"""
# The drivers on the way from a device up to its bus, nearest first.
WAY = """way() {
  at=$(readlink -f "$1")
  while [ "$at" != /sys/devices ] && [ "$at" != / ]; do
    if [ -L "$at/driver" ]; then basename "$(readlink "$at/driver")"; fi
    at=${at%/*}
  done
}
"""
NIC = WAY + """for nic in /sys/class/net/*; do
  case $(cat "$nic/address") in 52:54:00:*) way "$nic/device" ;; esac
done"""
DISK = WAY + 'while read -r device place _; do [ "$place" != /run/rookery/medium ] || way "/sys/class/block/${device##*/}/device"; done </proc/mounts'
# A virtio card's driver is that of the virtio device below the one on the bus.
GRAPHICS = WAY + 'for at in /sys/class/drm/card0/device /sys/class/drm/card0/device/virtio*; do [ ! -e "$at" ] || way "$at"; done'


class Rows(GuestTest):
    def begin(self, row, clients="", backend="qemu"):
        chipset, firmware, nic, disk, graphics, *_ = row
        if firmware == "uefi":
            self.need_uefi()
        lab = self.session.lab(f"hw-{backend}-{disk}", 0, clients)
        words = f"backend: {backend}, chipset: {chipset}, firmware: {firmware}, nic: {nic}, disk: {disk}, graphics: {graphics}"
        text = lab.file.read_text()
        lab.file.write_text(text.replace("server: {role: boot-server}", f"server: {{role: boot-server, {words}}}"))
        lab.start()
        return lab

    def check(self, lab, row):
        chipset, firmware, nic, disk, graphics, nic_driver, disk_driver, graphics_driver = row
        lab.wait_for_words(" server ready", seconds=400)
        found = {what: lab.shell("server", script).split() for what, script in
                 (("nic", NIC), ("disk", DISK), ("graphics", GRAPHICS))}
        print(f"{chipset} {firmware} {nic} {disk} {graphics}: {found}", flush=True)
        self.assertIn(nic_driver, found["nic"])
        self.assertIn(disk_driver, found["disk"])
        if graphics_driver:
            self.assertIn(graphics_driver, found["graphics"])
        efi = lab.shell("server", "[ -d /sys/firmware/efi ] && echo yes || echo no").strip()
        self.assertEqual(efi, "yes" if firmware == "uefi" else "no")
        console = re.sub(r"\x1b\[[0-9;?=]*[@-~]", "", lab.console("server"))  # SeaBIOS moves the cursor within words
        self.assert_has(console, "Rookery: the medium of the image", "vmlinuz: OK")


class FirstRows(Rows):
    def test_the_first_row_serves_clients_of_both_kinds_beside_the_second_of_libvirt(self):
        """`backend: qemu` on the boot server is all that differs from a lab that it serves in User-Mode Linux."""
        lab, second = self.begin(ROWS[0], CLIENTS), self.begin(ROWS[1], backend="libvirt")
        self.check(lab, ROWS[0])
        for name in ("n1", "n2", "q"):
            lab.wait_for_words(f" {name} ready", seconds=400)
        self.assert_same_image(lab, ["server", "n1", "n2", "q"])
        self.check(second, ROWS[1])
        for one in (lab, second):
            one.down()
            self.assert_nothing_left(one)


class OtherRows(Rows):
    def test_they_are_ready_with_drivers_of_their_own(self):
        """Two at a time, for two processors."""
        for pair in zip(ROWS[1::2], ROWS[2::2]):
            begun = [(self.begin(row), row) for row in pair]
            for lab, row in begun:
                with self.subTest(" ".join(row[:5])):
                    self.check(lab, row)
            for lab, _ in begun:
                lab.down()


if __name__ == "__main__":
    if sys.argv[1:] != ["OtherRows"]:
        need_libvirt()
    main(QEMU)
