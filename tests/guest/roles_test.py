#!/usr/bin/env python3
"""Roles of machines that start from one image: a shared home, a role of one's own beside the lab file, and packages
that only machines of a role have: a layer of the image over the system."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402

# The session's labs have a boot server and clients; these come after them.
REST = """  files: {role: nfs-server, memory: 128 MiB}
  home: {role: nfs-client, count: 2}
  own: {roles: [nfs-client, greeter]}
"""


class Roles(GuestTest):
    def setUp(self):
        self.lab = self.session.lab("roles", 1, REST)
        folder = self.lab.file.parent / "roles" / "greeter"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "role.yaml").write_text("role: greeter\nneeds: [home]\nfiles: {etc/greeting: greeting}\nstart: go\n")
        (folder / "greeting").write_text("good morning\n")
        (folder / "go").write_text("#!/bin/sh\ncat /etc/greeting >/home/greeting\n")

    def tearDown(self):
        self.lab.give_up()

    def test_a_file_written_on_one_client_is_read_on_another(self):
        self.assertEqual(self.lab.up()["failed"], [])
        self.lab.shell("home1", "echo from home1 >/home/note")
        self.assertEqual(self.lab.run("home2", "cat", "/home/note"), "from home1\n")
        self.assertEqual(self.lab.run("files", "cat", "/srv/home/note"), "from home1\n")
        # Who provides is data for the start scripts, and each has the name and the address that the lab gave it.
        address = self.lab.machines()["files"]["address"]
        self.assertEqual(self.lab.run("home1", "cat", "/run/rookery/role/providers/home"), f"{address} files\n")
        self.assertEqual(self.lab.run("home2", "hostname"), "home2\n")
        # The role beside the lab file started after the shared home, on the machine that has both.
        self.assertEqual(self.lab.run("home1", "cat", "/home/greeting"), "good morning\n")
        self.assertEqual(self.lab.machines()["own"]["role"], "nfs-client, greeter")
        # A machine without the role has nothing of it.
        self.assertNotIn(" /home ", self.lab.run("n1", "cat", "/proc/mounts"))
        self.lab.run("n1", "test", "!", "-e", "/run/rookery/role")


# Machines that have the packages of one role and of two, and n1, which has none.
LAYERED = """  files: {role: nfs-server, memory: 128 MiB}
  both: {roles: [nfs-server, distcc], memory: 128 MiB}
"""
NBD = 0x2A39  # port 10809, as /proc/net/tcp writes it
MEDIUM = "/run/rookery/medium/rookery"


class Layers(GuestTest):
    def setUp(self):
        self.lab = self.session.lab("layers", 1, LAYERED)
        self.assertEqual(self.lab.up()["failed"], [])

    def tearDown(self):
        self.lab.give_up()

    def layers(self, machine):
        """Those that lie over the machine's system, the uppermost first, by role."""
        root = self.lab.shell(machine, "grep '^overlay / ' /proc/mounts")
        folders = root.split("lowerdir=")[1].split(",")[0].split(":")
        self.assertEqual(folders.pop(), "/run/rookery/lower")
        return [folder.split("/role-")[1].split(".")[0] for folder in folders]

    def installed(self, machine):
        return set(self.lab.run(machine, "dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n").splitlines())

    def test_machines_have_the_packages_of_their_roles_and_fetch_no_others(self):
        self.assertEqual(self.layers("files"), ["nfs-server"])
        self.assertEqual(self.layers("both"), ["distcc", "nfs-server"])
        self.assertEqual(self.layers("server"), ["boot-server"])
        self.assertEqual(self.layers("n1"), [])

        # dpkg knows of them, and of the system's own, where two layers brought some as well.
        system, files, both = self.installed("n1"), self.installed("files"), self.installed("both")
        self.assertIn("nfs-kernel-server installed", files - system)
        self.assertEqual({"nfs-kernel-server installed", "distcc installed", "gcc installed"} - (both - system), set())
        self.assertEqual(system - both, set())
        self.assertNotIn("gcc installed", files)
        self.assertIn("dnsmasq-base installed", self.installed("server") - system)
        self.assertEqual(self.lab.run("both", "dpkg", "--audit"), "")
        # So it is with their users, each with a number of its own, and root's secrets stay root's.
        users = self.lab.shell("both", "id -u sshd; id -u statd; id -u distccd").split()
        self.assertEqual(len(set(users)), 3, users)
        self.assertEqual(self.lab.run("both", "stat", "-c", "%a %U %G", "/etc/shadow"), "640 root shadow\n")
        self.lab.run("n1", "id", "statd", code=1)
        self.assertIn("gcc", self.lab.run("both", "gcc", "--version"))

        # What the boot server has open says who reads what: a connection for the system, and one for each layer.
        table = self.lab.shell("server", "grep -v sl /proc/net/tcp")
        readers = {}
        for line in table.splitlines():
            _, local, remote, state = line.split()[:4]
            if state == "01" and int(local.split(":")[1], 16) == NBD:
                address = ".".join(str(byte) for byte in reversed(bytes.fromhex(remote.split(":")[0])))
                readers[address] = readers.get(address, 0) + 1
        machines = self.lab.machines()
        self.assertEqual(readers, {machines[name]["address"]: count
                                   for name, count in (("n1", 1), ("files", 2), ("both", 3))})

    def test_a_layer_that_is_not_what_the_manifest_says_is_refused_by_name(self):
        name = self.lab.shell("server", f"cd {MEDIUM} && echo role-nfs-server.*").strip()
        # One byte of it is another one.
        self.lab.shell("server", f"cp {MEDIUM}/{name} /run/other && printf x | "
                                 f"dd of=/run/other bs=1 seek=5000000 conv=notrunc && mount --bind /run/other {MEDIUM}/{name}")
        self.lab.reset("files")
        failed = self.lab.wait_for("files", "failed")
        self.assertEqual(failed["failed_in"], "root")
        self.assert_has(failed["reason"], f"layer {name}: its digest is not ")


if __name__ == "__main__":
    main()
