#!/usr/bin/env python3
"""examples/mixed.yaml: clients in User-Mode Linux, of QEMU and of libvirt in one lab, booted from one boot server; what
libvirt's machine does at the power switch, and back at a snapshot; and what is left of it when its supervisor is
killed. Then twenty of libvirt's at once."""
import os
import pathlib
import re
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import QEMU, SHARED_FILES, GuestTest, main, need_libvirt, wait_until  # noqa: E402

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples/mixed.yaml"


def qemus_of(lab):
    """Processes of libvirt's QEMU for that lab; the dead do not count."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"guest=rookery-{lab.name}-".encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            pass  # it ended while we looked
    return found


class Mixed(GuestTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        machines = EXAMPLE.read_text().split("machines:\n")[1].split("\n", 1)[1]
        cls.lab = cls.session.lab("mixed", 0, machines)
        cls.lab.start()
        for name in ("u", "q", "v"):
            cls.lab.wait_for_words(f" {name} ready", seconds=400)

    def test_01_only_the_backend_differs_and_all_have_the_same_image_to_the_byte(self):
        groups = [line for line in EXAMPLE.read_text().splitlines() if "role: client" in line]
        self.assertEqual(len({re.sub(r"^ +\w+:|backend: \w+", "", group) for group in groups}), 1)
        self.assert_same_image(self.lab, ["server", "u", "q", "v"])

    def test_02_libvirts_machine_was_booted_by_its_firmware_and_says_so_on_its_console(self):
        self.assert_has(self.lab.console("v"), "SeaBIOS", "iPXE", "boot.ipxe")
        self.assertEqual(len(qemus_of(self.lab)), 1)

    def test_03_a_reset_boots_it_anew(self):
        before = self.lab.run("v", "cat", "/proc/sys/kernel/random/boot_id")
        self.lab.reset("v")
        self.lab.wait_for("v", "firmware", "dhcp", "script", "kernel", "root", seconds=60)
        self.lab.wait_for("v", "ready", seconds=300)
        self.assertNotEqual(self.lab.run("v", "cat", "/proc/sys/kernel/random/boot_id"), before)

    def test_04_libvirts_machine_goes_back_to_a_snapshot(self):
        boot = self.lab.run("v", "cat", "/proc/sys/kernel/random/boot_id")
        self.lab.run("v", "touch", "/var/tmp/before")
        self.lab.rookery("snapshot", "v", timeout=180)
        self.lab.run("v", "touch", "/var/tmp/after")
        self.lab.rookery("power", "cut", "v")
        self.lab.wait_for("v", "off")
        self.lab.rookery("restore", "v", timeout=180)
        self.assertEqual(self.lab.shell("v", "ls /var/tmp/before /var/tmp/after", code=(1, 2)).strip(), "/var/tmp/before")
        self.assertEqual(self.lab.run("v", "cat", "/proc/sys/kernel/random/boot_id"), boot)
        self.lab.run("v", "sha256sum", *SHARED_FILES, timeout=180)  # over its NIC, which is connected anew
        said = self.lab.rookery("snapshot", "u", code=2).err
        self.assertIn("which has no snapshots: a guest is many host processes", said)

    def test_05_a_killed_supervisors_domains_are_destroyed_by_its_janitor(self):
        os.kill(self.lab.rookery("ps", "--json").json()["supervisor_pid"], signal.SIGKILL)
        records = self.session.runtime / "rookery/.lv"
        wait_until(lambda: not qemus_of(self.lab) and not list(records.glob("*")), 60, "no domain and no record is left",
                   lambda: f"{qemus_of(self.lab)} {list(records.glob('*'))}")
        self.assertEqual(self.session.rookery("clean", "--json").json(), {"removed": []})

    def test_06_what_several_labs_left_is_looked_for_in_one_go(self):
        records = self.session.runtime / "rookery/.lv"
        for name in ("one", "two"):
            (records / name).mkdir(mode=0o700, parents=True)
            (records / name / "record").write_text(f"{name}\nnowhere\nqemu:///embed\n")
        self.assertEqual(self.session.rookery("clean", "--json").json(), {"removed": []})
        self.assertEqual(list(records.glob("*")), [])


class Twenty(GuestTest):
    def test_twenty_machines_of_libvirt_run_at_once_in_one_lab_and_leave_nothing(self):
        lab = self.session.lab("twenty", 0, "  v: {role: client, count: 20, memory: 512 MiB, backend: libvirt,"
                               " boot_timeout: 20 min}\n")
        lab.up(timeout=1500)
        qemus = qemus_of(lab)
        self.assertEqual(len(qemus), 20)
        self.assert_same_image(lab, ["server"] + [f"v{number}" for number in range(1, 21)], timeout=600)
        lab.down()
        self.assertEqual(qemus_of(lab), [])


if __name__ == "__main__":
    need_libvirt()
    main(QEMU)
