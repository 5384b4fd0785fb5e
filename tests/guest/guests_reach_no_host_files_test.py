#!/usr/bin/env python3
"""Root in a guest is nobody on the host: no way leads from a guest to the host's files."""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402
from processes import family_of, link_of, status_of  # noqa: E402


class GuestsReachNoHostFiles(GuestTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = cls.session.lab("walls", 1)
        cls.lab.up()

    def machines(self):
        return ("server", "n1")

    def test_there_is_no_file_system_of_the_host(self):
        for name in self.machines():
            known = self.lab.run(name, "cat", "/proc/filesystems").split()
            for system in ("hostfs", "hppfs", "9p", "virtiofs", "nfs", "nfs4", "cifs"):
                self.assertNotIn(system, known, name)
            self.lab.run(name, "mkdir", "-p", "/tmp/host")
            said = self.lab.rookery("exec", name, "--", "mount", "-t", "hostfs", "none", "/tmp/host", code=32).err
            self.assertIn("unknown filesystem type", said)
            self.assertEqual(self.lab.run(name, "ls", "/tmp/host"), "")

    def test_there_is_no_device_of_the_host(self):
        # The medium is a disk with partitions, what firmware would start from; the system and the role's layer lie on it.
        for name, disks in (("server", ["loop0", "loop1", "vda", "vda1", "vda2", "vda3"]), ("n1", ["nbd0"])):
            devices = self.lab.run(name, "cat", "/proc/devices")
            for device in ("ubd", "hostaudio", "uml_ptrace"):
                self.assertNotIn(device, devices, name)
            partitions = self.lab.run(name, "cat", "/proc/partitions").splitlines()[2:]
            self.assertEqual(sorted(line.split()[3] for line in partitions), disks, name)

    def test_nothing_can_be_plugged_in_from_outside_or_inside(self):
        """No management console of User-Mode Linux, whose commands could open host files."""
        for name in self.machines():
            folder = self.lab.folder / "m" / name
            sockets = [path.name for path in folder.rglob("*") if path.is_socket()]
            self.assertEqual(sorted(sockets), ["disk0", "net0", "net1"] if name == "server" else ["net0", "net1"])
            self.assertNotIn("mconsole", self.lab.run(name, "ls", "/proc"))
            # And no modules, which could bring what the kernel lacks.
            self.lab.run(name, "test", "-e", "/proc/modules", code=1)

    def test_its_processes_hold_no_file_of_the_host(self):
        memory = str(self.lab.memory)
        for name in self.machines():
            for pid in family_of(self.lab.guest_process(name)):
                for number in os.listdir(f"/proc/{pid}/fd"):
                    target = link_of(pid, f"fd/{number}")
                    good = target.startswith(("pipe:", "socket:", "anon_inode:", "/memfd:uml", memory + "/")) or target == "/dev/null"
                    self.assertTrue(good, f"{name}, process {pid}: descriptor {number} is {target}")

    def test_its_processes_gain_no_privileges(self):
        for name in self.machines():
            family = family_of(self.lab.guest_process(name))
            self.assertGreater(len(family), 1)
            for pid in family:
                self.assertEqual(status_of(pid)["NoNewPrivs"], "1", f"{name}, process {pid}")
                self.assertEqual(status_of(pid)["Seccomp"], "2", f"{name}, process {pid}")
            # What runs the guest's programs may, besides, do nothing but what its kernel needs.
            for pid in family[1:]:
                self.assertGreater(int(status_of(pid)["Seccomp_filters"]), 1, f"{name}, process {pid}")

    def test_its_processes_see_no_socket_but_its_own(self):
        """Whoever takes over a guest's kernel finds neither the lab's control socket nor those of the user's session."""
        walls = self.lab.rookery("ps", "--json").json()["confinement"]
        if not walls["whole"]:
            self.assertIn("namespaces", walls["text"])
            self.skipTest(f"this host confines them in part only: {walls['text']}")
        for name in self.machines():
            folder = self.lab.folder / "m" / name
            for pid in family_of(self.lab.guest_process(name)):
                for space in ("mnt", "net", "user", "ipc", "uts"):
                    self.assertNotEqual(link_of(pid, f"ns/{space}"), link_of(os.getpid(), f"ns/{space}"), f"{name}, {space}")
                root = pathlib.Path(f"/proc/{pid}/root")
                reached = sorted(str(path.relative_to(root)) for path in root.rglob("*")
                                 if "proc" not in path.relative_to(root).parts[:1] and path.is_socket())
                wanted = ["disk0", "net0", "net1"] if name == "server" else ["net0", "net1"]
                self.assertEqual(reached, [str(folder / one).lstrip("/") for one in wanted], f"{name}, process {pid}")
                # It has its folder, its memory, its kernel and initramfs, and of the host's devices none but /dev/null.
                self.assertEqual(sorted(os.listdir(root / "dev")), ["null", "shm"])
                self.assertEqual(os.listdir(root / "dev/shm"), [self.lab.memory.name])
                self.assertEqual(os.listdir(root / "dev/shm" / self.lab.memory.name), [name])
                self.assertEqual(sorted(os.listdir(root / "proc")), ["cpuinfo", "self"])
                self.assertFalse((root / "etc").exists())
                capabilities = {status_of(pid)[key] for key in ("CapPrm", "CapEff")}
                self.assertEqual(capabilities, {"0" * 16}, f"{name}, process {pid}")

    def test_its_folders_are_closed_to_others(self):
        for folder in (self.lab.folder, self.lab.memory, self.session.runtime / "rookery"):
            self.assertEqual(folder.stat().st_mode & 0o777, 0o700, folder)
        self.assertEqual((self.lab.folder / "control.sock").stat().st_mode & 0o777, 0o600)


if __name__ == "__main__":
    main()
