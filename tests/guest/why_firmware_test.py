#!/usr/bin/env python3
"""Machines with real firmware that cannot boot, each in its own way, and what `why` says of each: the cause, and the
firmware's own words as evidence."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import QEMU, GuestTest, main, wait_until  # noqa: E402

NO_ROM = "'-global', 'virtio-net-pci.romfile='"
PATIENCE = 300  # seconds; firmware under TCG on a busy host


def machines(folder):
    """Each of these never boots."""
    return f"""
  norom: {{role: client, backend: qemu, boot_timeout: 10 min, qemu_args: [{NO_ROM}]}}
  dead: {{role: client, backend: qemu, boot_timeout: 15 s, qemu_args: ['-bios', '{folder}/firmware']}}
  word: {{role: client, backend: qemu, qemu_args: ['-device', 'rookery-net']}}
  port: {{role: client, backend: qemu, qemu_args: ['-chardev', 'socket,id=x,path={folder}/nobody']}}
  none: {{role: client, backend: qemu, qemu_args: ['-bios', '{folder}/missing']}}
"""


class FirmwareReasons(GuestTest):
    def why(self, name):
        return self.lab.rookery("why", name, "--json").json()

    def wait_for_cause(self, name, cause, *parts):
        found = {}

        def look():
            found.update(self.why(name))
            return found["cause"] == cause and all(part in found["sentence"] for part in parts)
        wait_until(look, PATIENCE, f"{name}: {cause}: {parts}", lambda: f"{found.get('cause')}: {found.get('sentence')}")
        print(f"{name}: {cause}: {found['sentence']}")
        return found

    def test_machines_that_never_boot_say_why(self):
        (self.session.folder / "firmware").write_bytes(bytes(1 << 16))  # is no firmware
        self.lab = self.session.lab("never", 0, machines(self.session.folder))
        self.lab.start()
        self.lab.wait_for_words("server ready", seconds=PATIENCE)
        unknown = "this QEMU does not know what it was told"
        self.wait_for_cause("word", "hypervisor-refuses", "'rookery-net' is not a valid device model name", unknown)
        self.wait_for_cause("port", "hypervisor-refuses", "nobody answers at a port")
        self.wait_for_cause("none", "hypervisor-refuses", "a file that it was told to use cannot be used")
        self.wait_for_cause("norom", "nothing-to-boot", "it has sent nothing on its cable", "No bootable device")
        self.wait_for_cause("dead", "dead-firmware", "nothing on its console")
        self.lab.down(code=0)

    def test_what_the_boot_server_lacks_is_named_with_the_firmwares_words(self):
        self.lab = self.session.lab("lacks", 0, "\n  k: {role: client, backend: qemu, boot_timeout: 20 min}\n")
        self.lab.start()
        self.lab.wait_for_words("k ready", seconds=PATIENCE)
        self.lab.shell("server", "sed -i s/vmlinuz/gone/ /run/rookery/role/public/boot.ipxe")
        self.lab.reset("k")
        found = self.wait_for_cause("k", "http-error", "HTTP: 404 Not Found: http://10.77.0.1/gone",
                                    "its firmware says: ", "ipxe.org/")
        self.assertEqual(found["stage"], "kernel")
        self.lab.down()

    def test_a_uefi_for_which_nothing_is_served_is_told_from_one_that_nobody_answers(self):
        self.need_uefi()
        machine = f"{{role: client, backend: qemu, firmware: uefi, boot_timeout: 20 min, qemu_args: [{NO_ROM}]}}"
        self.lab = self.session.lab("uefi", 0, f"\n  e: {machine}\n")
        self.lab.start()
        self.lab.wait_for_words("server ready", seconds=PATIENCE)
        self.lab.shell("server", "sed -i /uefi/d /run/rookery/role/dnsmasq.conf; words=$(tr '\\0' ' ' "
                                 "</proc/$(cat /run/rookery/dnsmasq.pid)/cmdline); kill $(cat /run/rookery/dnsmasq.pid); "
                                 "while pidof dnsmasq >/dev/null; do :; done; $words")
        self.lab.reset("e")
        self.wait_for_cause("e", "wrong-architecture", "architecture 7 (UEFI on 64-bit x86) (option 93)")
        self.lab.shell("server", "kill $(cat /run/rookery/dnsmasq.pid); while pidof dnsmasq >/dev/null; do :; done")
        self.lab.reset("e")
        self.wait_for_cause("e", "no-offer", "DISCOVER, no OFFER")
        self.lab.down()


if __name__ == "__main__":
    main(QEMU)
