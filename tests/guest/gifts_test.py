#!/usr/bin/env python3
"""Machines of a table, the user's keys and files and packages in them before their system starts."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402

CONTROL = """Package: {name}
Version: 1.0
Architecture: all
Maintainer: Rookery <rookery@example.com>
Description: made by a test
{more}"""


class Gifts(GuestTest):
    def package(self, name, more=""):
        """A small Debian package, made here."""
        root = self.session.folder / name
        (root / "DEBIAN").mkdir(parents=True)
        (root / "DEBIAN/control").write_text(CONTROL.format(name=name, more=more))
        (root / "DEBIAN/postinst").write_text(f"#!/bin/sh\necho configured >/usr/share/{name}/state\n")
        (root / "DEBIAN/postinst").chmod(0o755)
        (root / "usr/share" / name).mkdir(parents=True)
        (root / "usr/share" / name / "tool").write_text("tool\n")
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(root), str(self.session.folder / f"{name}.deb")],
                       check=True, stdout=subprocess.DEVNULL)

    def test_machines_get_what_the_lab_gives_them(self):
        folder = self.session.folder
        key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        (folder / "hosts.csv").write_bytes(b'name,mac,address\r\n"desk-1",02:00:00:00:00:01,10.77.9.1\r\ndesk-2,,\r\n')
        (folder / "motd").write_text("welcome\n")
        (folder / "site/inner").mkdir(parents=True)
        (folder / "site/inner/run").write_text("#!/bin/sh\n")
        (folder / "site/inner/run").chmod(0o750)
        (folder / "site/link").symlink_to("inner/run")
        self.package("rookery-test-tool")
        lab = self.session.lab("gifts", 1, "  desk: {role: client, from: hosts.csv, inject: [rookery-test-tool.deb]}\n"
                               "authorized_keys: key.pub\n"
                               "inject: [{from: motd, to: /etc/motd}, {from: site, to: /opt/}]\n")
        report = lab.up()
        self.assertEqual(report["ready"], 3)
        given = {machine["given_sha256"] for machine in lab.machines().values()}
        self.assertEqual([len(digest) for digest in given], [64, 64])  # one for the table's machines, one for the rest
        for name in ("server", "n1", "desk-1", "desk-2"):
            self.assertEqual(lab.run(name, "cat", "/etc/motd"), "welcome\n")
            self.assertEqual(lab.shell(name, "stat -c '%a %U' /opt/site/inner/run /root /tmp; readlink /opt/site/link"),
                             "750 root\n700 root\n1777 root\ninner/run\n")
            lab.run(name, "pidof", "sshd")
        self.assertEqual(lab.shell("desk-2", "cat /usr/share/rookery-test-tool/*; dpkg-query -f '${Status}' -W rookery-test-tool"),
                         "configured\ntool\ninstall ok installed")
        lab.shell("n1", "test -e /usr/share/rookery-test-tool", code=1)
        # Exactly the table's machines: at their addresses, with their MACs, under their names.
        self.assert_has(lab.shell("desk-1", "cat /sys/class/net/*/address; ip -br addr"), "02:00:00:00:00:01", "10.77.9.1/16")
        self.assert_has(lab.run("n1", "getent", "hosts", "desk-1"), "10.77.9.1")
        # The owner of the key gets in, with it alone; the lab has no key of its own.
        agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
        words = dict(part.split(";")[0].split("=", 1) for part in agent.splitlines() if "=" in part)
        try:
            before = dict(self.session.environment)
            lab.rookery("ssh", "desk-1", "true", code=255)
            self.session.environment.update(words)
            subprocess.run(["ssh-add", "-q", str(key)], check=True, env=self.session.environment, stderr=subprocess.DEVNULL)
            self.assertEqual(lab.rookery("ssh", "desk-1", "hostname").out, "desk-1\n")
            self.session.environment.clear()
            self.session.environment.update(before)
        finally:
            os.kill(int(words["SSH_AGENT_PID"]), 15)
        self.assertFalse((lab.folder / "ssh/lab_key").exists())
        lab.down()

    def test_what_cannot_be_put_in_is_named(self):
        self.package("rookery-test-broken", "Depends: no-such-package\n")
        lab = self.session.lab("broken", 1, "inject: [rookery-test-broken.deb]\n")
        lab.up(code=1)
        self.assert_has(lab.rookery("why", "server", code=None).out, "what the lab gives it could not be put in",
                        "rookery-test-broken depends on no-such-package")
        missing = self.session.lab("missing", 1, "inject: [{from: nothing, to: /x}]\n")
        self.assert_has(missing.up(code=2).err, "missing.yaml:5:10: there is no file or folder")


if __name__ == "__main__":
    main()
