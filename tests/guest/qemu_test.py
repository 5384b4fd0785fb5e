#!/usr/bin/env python3
"""One lab file with User-Mode Linux and QEMU machines side by side, booted from one boot server in User-Mode Linux:
in the file only `backend:` differs, and in the machines only what runs them."""
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main, status_of  # noqa: E402

MACHINES = """
  u: {role: client, memory: 512 MiB}
  q: {role: client, memory: 512 MiB, backend: qemu}
"""
# Large, and in every image: the C library, the shell, the package data base.
FILES = ["/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/bin/bash", "/var/lib/dpkg/status", "/usr/bin/perl"]
NICS = ["e1000", "e1000e", "rtl8139"]
# The NIC's own ROM is taken out, so that it is OVMF that boots: by PXE, or, where it may not, by HTTP.
NO_ROM = "'-global', 'virtio-net-pci.romfile='"
NO_PXE = "'-fw_cfg', 'name=opt/org.tianocore/IPv4PXESupport,string=no'"
UEFI = f"""
  rom: {{role: client, backend: qemu, firmware: uefi}}
  pxe: {{role: client, backend: qemu, firmware: uefi, qemu_args: [{NO_ROM}]}}
  http: {{role: client, backend: qemu, firmware: uefi, qemu_args: [{NO_ROM}, {NO_PXE}]}}
"""


class Qemu(GuestTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = cls.session.lab("qemu", 0, MACHINES)
        cls.lab.start()
        for name in ("u", "q"):
            cls.lab.wait_for_words(f" {name} ready", seconds=240)

    def test_01_both_are_ready_with_kernels_of_their_own(self):
        kernels = {name: self.lab.run(name, "uname", "-rv") for name in ("u", "q")}
        self.assertNotEqual(kernels["u"], kernels["q"])
        self.assertIn("Debian", kernels["q"])

    def test_02_both_have_the_same_image_to_the_byte(self):
        answers = self.lab.each("sha256sum", *FILES, timeout=120)
        self.assertEqual(set(answers), {"server", "u", "q"})
        self.assertEqual(len({answer["stdout"] for answer in answers.values()}), 1, answers)
        self.assertEqual(answers["q"]["stdout"].count("\n"), len(FILES))

    def test_03_its_firmware_booted_it_from_the_network(self):
        self.assert_has(self.lab.console("q"), "SeaBIOS", "iPXE", "boot.ipxe")
        self.assert_has(self.lab.said(), "q dhcp", "q root", "q ready")
        self.assertIn("52:54:00:00:00:02", self.lab.run("q", "ip", "link"))

    def test_04_qemu_runs_confined_and_without_privileges(self):
        process = self.lab.guest_process("q")
        self.assertEqual(status_of(process)["NoNewPrivs"], "1")
        self.assertEqual(status_of(process)["Seccomp"], "2")

    def test_05_a_reset_boots_it_anew(self):
        before = self.lab.run("q", "cat", "/proc/sys/kernel/random/boot_id")
        self.lab.reset("q")
        self.lab.wait_for("q", "firmware", "dhcp", "script", "kernel", "root", seconds=30)
        self.lab.wait_for("q", "ready", seconds=240)
        self.assertNotEqual(self.lab.run("q", "cat", "/proc/sys/kernel/random/boot_id"), before)

    def test_06_a_system_that_restarts_itself_comes_back(self):
        before = self.lab.run("q", "cat", "/proc/sys/kernel/random/boot_id")
        self.lab.shell("q", "echo b > /proc/sysrq-trigger", code=None)
        self.lab.wait_for("q", "firmware", "dhcp", "script", "kernel", "root", seconds=30)
        self.lab.wait_for("q", "ready", seconds=240)
        self.assertNotEqual(self.lab.run("q", "cat", "/proc/sys/kernel/random/boot_id"), before)

    def test_07_nothing_is_left_of_them(self):
        self.lab.down()
        self.assert_nothing_left(self.lab)


class NicModels(GuestTest):
    def test_each_nic_model_boots(self):
        machines = "".join(f"  {nic}: {{role: client, backend: qemu, nic: {nic}}}\n" for nic in NICS)
        lab = self.session.lab("nics", 0, machines)
        report = lab.up(timeout=400)
        self.assertEqual(report["failed"], [])
        self.assertEqual(report["ready"], len(NICS))
        for nic in NICS:
            driver = lab.shell(nic, "basename $(readlink /sys/class/net/eth*/device/driver | head -1)").strip()
            self.assertIn(driver, {nic, "8139cp", "8139too", "virtio_net"})
        lab.down()


class Uefi(GuestTest):
    def setUp(self):
        if not pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.fd").exists():
            self.skipTest("there is no UEFI firmware; install: ovmf")

    def test_uefi_boots_by_its_nics_rom_by_pxe_and_by_http(self):
        lab = self.session.lab("uefi", 0, UEFI)
        report = lab.up(timeout=400)
        self.assertEqual(report["failed"], [])
        self.assertEqual(report["ready"], 3)
        digests = lab.each("sha256sum", *FILES, timeout=120)
        self.assertEqual(len({answer["stdout"] for answer in digests.values()}), 1, digests)
        for name in ("rom", "pxe", "http"):
            self.assertEqual(lab.shell(name, "ls -d /sys/firmware/efi").strip(), "/sys/firmware/efi")
        self.assertIn("HTTP Boot", lab.console("http"))
        lab.down()


if __name__ == "__main__":
    if not shutil.which("qemu-system-x86_64"):
        print("skipped: there is no qemu-system-x86_64; install: qemu-system-x86 ipxe-qemu")
        sys.exit(77)
    main()
