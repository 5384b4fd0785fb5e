#!/usr/bin/env python3
"""Roles of machines that start from one image: a shared home, and a role of one's own beside the lab file."""
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


if __name__ == "__main__":
    main()
