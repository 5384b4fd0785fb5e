#!/usr/bin/env python3
"""One lab file with User-Mode Linux and QEMU machines side by side, booted from one boot server in User-Mode Linux:
in the file only `backend:` differs, and in the machines only what runs them; by SeaBIOS, by all of OVMF's ways, and
without firmware."""
import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import HAS_UEFI, QEMU, SHARED_FILES, GuestTest, main  # noqa: E402
from processes import status_of  # noqa: E402

MACHINES = """
  u: {role: client, memory: 512 MiB}
  q: {role: client, memory: 512 MiB, backend: qemu, boot_timeout: 20 min}
  m: {role: client, backend: qemu, chipset: microvm, boot_timeout: 20 min}
  files: {role: nfs-server, memory: 512 MiB, backend: qemu, boot_timeout: 20 min}
"""
NICS = ["e1000", "e1000e", "rtl8139"]
# The NIC's own ROM is taken out, so that it is OVMF that boots: by PXE, or, where it may not, by HTTP.
NO_ROM = "'-global', 'virtio-net-pci.romfile='"
NO_PXE = "'-fw_cfg', 'name=opt/org.tianocore/IPv4PXESupport,string=no'"
UEFI = f"""  rom: {{role: client, backend: qemu, boot_timeout: 20 min, firmware: uefi}}
  pxe: {{role: client, backend: qemu, boot_timeout: 20 min, firmware: uefi, qemu_args: [{NO_ROM}]}}
  http: {{role: client, backend: qemu, boot_timeout: 20 min, firmware: uefi, qemu_args: [{NO_ROM}, {NO_PXE}]}}
"""


class Qemu(GuestTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = cls.session.lab("qemu", 0, MACHINES + (UEFI if HAS_UEFI else ""))
        cls.lab.start()
        for name in ("u", "q"):
            cls.lab.wait_for_words(f" {name} ready", seconds=900)  # the others while these are tried

    def test_01_both_are_ready_with_kernels_of_their_own(self):
        kernels = {name: self.lab.run(name, "uname", "-rv") for name in ("u", "q")}
        self.assertNotEqual(kernels["u"], kernels["q"])
        self.assertIn("Debian", kernels["q"])

    def test_02_its_firmware_booted_it_from_the_network(self):
        self.assert_has(self.lab.console("q"), "SeaBIOS", "iPXE", "boot.ipxe")
        self.assert_has(self.lab.said(), "q dhcp", "q root", "q ready")
        self.assertIn("52:54:00:00:00:02", self.lab.run("q", "ip", "link"))

    def test_03_qemu_runs_confined_and_without_privileges(self):
        process = self.lab.guest_process("q")
        self.assertEqual(status_of(process)["NoNewPrivs"], "1")
        self.assertEqual(status_of(process)["Seccomp"], "2")

    def test_04_a_reset_boots_it_anew(self):
        before = self.lab.run("q", "cat", "/proc/sys/kernel/random/boot_id")
        self.lab.reset("q")
        self.lab.wait_for("q", "firmware", "dhcp", "script", "kernel", "root", seconds=30)
        self.lab.wait_for("q", "ready", seconds=240)
        self.assertNotEqual(self.lab.run("q", "cat", "/proc/sys/kernel/random/boot_id"), before)

    def test_05_a_system_that_restarts_itself_comes_back(self):
        before = self.lab.run("q", "cat", "/proc/sys/kernel/random/boot_id")
        self.lab.shell("q", "echo b > /proc/sysrq-trigger", code=None)
        self.lab.wait_for("q", "firmware", "dhcp", "script", "kernel", "root", seconds=30)
        self.lab.wait_for("q", "ready", seconds=240)
        self.assertNotEqual(self.lab.run("q", "cat", "/proc/sys/kernel/random/boot_id"), before)

    def test_06_a_microvm_boots_without_firmware_by_the_same_script_and_the_kernel_that_it_names(self):
        self.lab.wait_for("m", "ready", seconds=900)
        self.assertIn("Debian", self.lab.run("m", "uname", "-v"))
        self.assertIn("LNRO0005", self.lab.shell("m", "ls -l /sys/bus/virtio/devices"))
        words = self.lab.run("m", "cat", "/proc/cmdline").split()
        self.assertNotIn("rookery.share=", " ".join(words))  # it went on in the kernel that it ran
        # A kernel that does not say which one it is, is another one.
        script = "/run/rookery/role/public/boot.ipxe"
        self.lab.shell("server", f"cp {script} /tmp/script && sed -i 's/rookery.kernel.sha256=[0-9a-f]*//' {script}")
        self.lab.reset("m")
        self.lab.wait_for("m", "firmware", "dhcp", "script", "kernel", "root", seconds=30)
        self.lab.wait_for("m", "ready", seconds=900)
        self.assertIn("rookery.share=", self.lab.run("m", "cat", "/proc/cmdline"))
        self.lab.shell("server", f"cat /tmp/script > {script}")

    def test_07_uefi_boots_by_its_nics_rom_by_pxe_and_by_http(self):
        self.need_uefi()
        for name in ("rom", "pxe", "http"):
            self.lab.wait_for(name, "ready", seconds=900)
            self.assertEqual(self.lab.shell(name, "ls -d /sys/firmware/efi").strip(), "/sys/firmware/efi")
        self.assertIn("HTTP Boot", self.lab.console("http"))

    def test_08_one_with_a_role_has_its_packages_by_nbd_as_the_system_is(self):
        self.lab.wait_for("files", "ready", seconds=900)
        self.assert_has(self.lab.run("files", "cat", "/proc/mounts"), "/dev/nbd1 /run/rookery/layers/role-nfs-server.")
        self.assertEqual(self.lab.run("files", "dpkg-query", "-W", "-f", "${Status}", "nfs-kernel-server"), "install ok installed")
        self.lab.run("q", "test", "!", "-e", "/usr/sbin/exportfs")
        self.assertIn("/srv/home", self.lab.run("files", "exportfs"))

    def test_09_all_have_the_same_image_to_the_byte(self):
        others = ["m", "files"] + (["rom", "pxe", "http"] if HAS_UEFI else [])
        self.assert_same_image(self.lab, ["server", "u", "q", *others])
        self.lab.rookery("power", "cut", *others)

    def test_10_it_goes_back_to_a_snapshot(self):
        self.lab.run("q", "touch", "/root/before")
        self.lab.rookery("snapshot", "q", timeout=180)
        self.lab.run("q", "touch", "/root/after")
        boot = self.lab.run("q", "cat", "/proc/sys/kernel/random/boot_id")
        self.lab.rookery("restore", "q", timeout=180)
        self.assertEqual(self.lab.stage("q"), "ready")
        self.assertEqual(self.lab.shell("q", "ls /root/before /root/after", code=(1, 2)).strip(), "/root/before")
        self.assertEqual(self.lab.run("q", "cat", "/proc/sys/kernel/random/boot_id"), boot)
        self.lab.rookery("power", "cut", "q")
        self.lab.wait_for("q", "off")
        self.lab.rookery("restore", "q", "snapshot", timeout=180)
        self.assertEqual(self.lab.run("q", "cat", "/proc/sys/kernel/random/boot_id"), boot)
        # What it has not read of its share yet comes over a connection that it makes anew if it must.
        self.lab.run("q", "sha256sum", *SHARED_FILES, timeout=180)

    def test_11_a_snapshot_that_cannot_be_is_refused_with_the_reason(self):
        self.assertIn("which has no snapshots", self.lab.rookery("snapshot", "u", code=2).err)
        self.assertIn("q has no snapshot 'other'", self.lab.rookery("restore", "q", "other", code=2).err)

    def test_12_a_kernel_that_panics_says_so_by_its_panic_device(self):
        self.lab.shell("q", "echo c > /proc/sysrq-trigger", code=None)
        self.assertIn("the guest panicked", self.lab.wait_for("q", "failed")["reason"])

    def test_13_a_qemu_that_somebody_ends_is_no_power_off(self):
        self.lab.rookery("power", "on", "q")
        self.lab.wait_for("q", "dhcp", "script", "kernel", seconds=60)  # by then it takes signals as it means to
        os.kill(self.lab.guest_process("q"), signal.SIGTERM)
        self.assertIn("QEMU was ended by a signal from outside", self.lab.wait_for("q", "failed")["reason"])

    def test_14_nothing_is_left_of_them(self):
        self.lab.down()
        self.assert_nothing_left(self.lab)


class NicModels(GuestTest):
    def test_each_nic_model_boots(self):
        machines = "".join(f"  {nic}: {{role: client, backend: qemu, nic: {nic}}}\n" for nic in NICS)
        lab = self.session.lab("nics", 0, machines)
        report = lab.up(timeout=900)
        self.assertEqual(report["failed"], [])
        self.assertEqual(report["ready"], len(NICS))
        for nic in NICS:
            driver = lab.shell(nic, "basename $(readlink /sys/class/net/eth*/device/driver | head -1)").strip()
            self.assertIn(driver, {nic, "8139cp", "8139too", "virtio_net"})
        lab.down()


if __name__ == "__main__":
    main(QEMU)
