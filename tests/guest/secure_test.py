#!/usr/bin/env python3
"""HTTPS from the boot server and a login by SSH from one machine to another, with keys made in the lab."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402


class Secure(GuestTest):
    def test_https_and_ssh_work_for_those_who_ask(self):
        lab = self.session.lab("secure", 3)
        lab.up()
        # Nothing of it runs before.
        for name in ("server", "n1"):
            lab.run(name, "pidof", "sshd", code=1)
        self.assert_has(lab.shell("n1", "/usr/lib/rookery/secure 2>&1", code=1), "has the boot server run this?")
        for name in ("server", "n1", "n2"):
            lab.run(name, "/usr/lib/rookery/secure")
        lab.run("server", "/usr/lib/rookery/secure")  # again, and nothing happens

        lab.run("n1", "curl", "-sS", "--cacert", "/run/rookery/secure/cert.pem", "-o", "/tmp/got", "https://server/stage2.cpio")
        sent = lab.shell("server", "sha256sum < /run/rookery/medium/rookery/stage2.cpio")
        self.assertEqual(lab.shell("n1", "sha256sum < /tmp/got"), sent)
        # A certificate is asked for: the image believes nobody (it has no other authorities).
        lab.run("n1", "curl", "-sS", "https://server/stage2.cpio", code=77)

        self.assertEqual(lab.run("n1", "ssh", "n2", "hostname"), "n2\n")
        self.assertEqual(lab.run("n2", "ssh", "server", "hostname"), "server\n")
        # A login's programs are told not to ask the processor for random numbers.
        self.assert_has(lab.run("n1", "ssh", "n2", "env"), "OPENSSL_ia32cap=~0x4000000000000000:~0x40000")
        lab.run("n1", "ssh", "n3", "true", code=255)  # it has not asked
        # Each machine has a host key of its own; none comes with the image.
        keys = {lab.shell(name, "cat /run/rookery/ssh/host.pub") for name in ("server", "n1", "n2")}
        self.assertEqual(len(keys), 3)
        self.assertEqual(lab.shell("n3", "ls /etc/ssh"), "moduli\nssh_config\nssh_config.d\nsshd_config\nsshd_config.d\n")
        lab.down()


if __name__ == "__main__":
    main()
