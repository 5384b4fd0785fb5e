#!/usr/bin/env python3
"""ssh, forward and cp by the management network: no root, no network of the lab's."""
import hashlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main, program, wait_until  # noqa: E402


class Access(GuestTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # What is special to ssh, to shells, and to who quotes for them.
        cls.session.runtime = cls.session.folder / 'r%h${x}"q'
        cls.session.runtime.mkdir(mode=0o700)
        cls.session.environment["XDG_RUNTIME_DIR"] = str(cls.session.runtime)
        cls.lab = cls.session.lab("access", 2)
        cls.lab.up()
        cls.work = cls.session.folder / "work"
        cls.work.mkdir()

    @classmethod
    def tearDownClass(cls):
        cls.lab.down()
        super().tearDownClass()

    def forward(self, *words):
        """A `forward` that listens; it and the line that it says first."""
        process = subprocess.Popen([program(), "forward", "--lab", self.lab.name, *words], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.session.environment, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process, process.stdout.readline()

    def test_ssh_logs_in_with_a_key_of_the_labs_own(self):
        self.lab.run("n1", "pidof", "sshd", code=1)  # nothing of it runs before somebody asks
        self.assertEqual(self.lab.rookery("ssh", "n1", "hostname").out, "n1\n")
        self.assertEqual(self.lab.rookery("ssh", "n1", "--", "sh", "-c", "'echo -n $USER'").out, "root")
        self.lab.rookery("ssh", "n1", "exit 7", code=7)
        # The host key is checked for what it is: with another one ssh refuses.
        folder = self.lab.folder / "ssh"
        known = (folder / "known_hosts.n1").read_text()
        self.assertEqual(known.split()[1:3], self.lab.run("n1", "cat", "/run/rookery/ssh/host.pub").split()[:2])
        self.lab.shell("n1", "kill $(cat /run/sshd.pid); rm /run/rookery/ssh/host*; ssh-keygen -q -t ed25519 -N '' "
                       "-f /run/rookery/ssh/host; cp /run/rookery/ssh/host.pub /tmp/said; /usr/sbin/sshd -f "
                       "/usr/lib/rookery/sshd_config; echo " + " ".join(known.split()[1:]) + " > /run/rookery/ssh/host.pub")
        self.assert_has(self.lab.rookery("ssh", "n1", "true", code=255).err, "HOST IDENTIFICATION HAS CHANGED")
        self.assertEqual(oct(self.lab.folder.stat().st_mode & 0o077), "0o0")
        self.assert_has(self.lab.rookery("ssh", "n9", "true", code=2).err, "no machine 'n9'")

    def test_forward_reaches_a_service_wherever_it_listens(self):
        _, said = self.forward("server:80")
        self.assert_has(said, "is server:80")
        port = int(said.split()[0].split(":")[1])
        want = self.lab.run("server", "sha256sum", "/run/rookery/medium/rookery/stage2.cpio").split()[0]
        fetches = [subprocess.Popen(["curl", "-sSf", f"http://127.0.0.1:{port}/stage2.cpio"], stdout=subprocess.PIPE)
                   for _ in range(20)]
        for fetch in fetches:
            self.assertEqual(hashlib.sha256(fetch.communicate()[0]).hexdigest(), want)
        path = self.work / "web.sock"
        self.forward("server:80", str(path))
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(path))
            peer.sendall(b"GET /nothing HTTP/1.0\r\n\r\n")
            self.assertIn(b"404", peer.recv(4096))
        refused = self.lab.rookery("forward", "--stdio", "n1:81", code=1)
        self.assert_has(refused.err, "nothing to connect to at port 81: Connection refused")
        for words, why in ((["n1"], "found 'n1'"), (["n1:0"], "found 'n1:0'"), (["n1:80", "x"], "found 'x'"), (["n1:70000"], "70000"),
                           (["nope:80"], "no machine 'nope' in the lab"), (["n3:80", "0"], "did you mean 'n1'?"),
                           (["8080:server:80"], "rookery forward server:80 8080")):
            refused = self.lab.rookery("forward", *words, code=2)
            self.assertEqual(refused.out, "", "it says that it forwards")
            self.assert_has(refused.err, why)
        process, said = self.forward("--json", "n1:22")
        self.assertEqual({key: json.loads(said)[key] for key in ("machine", "port")}, {"machine": "n1", "port": 22})

    def test_options_of_a_lab_may_stand_before_the_command_and_others_are_told_where(self):
        name = self.lab.name
        self.assertEqual(self.session.rookery("--lab", name, "exec", "n1", "--", "echo", "--lab").out, "--lab\n")
        self.assertEqual(self.session.rookery("--json", f"--lab={name}", "ps").json()["lab"], name)
        self.assert_has(self.session.rookery("--timeout", "3", "exec", "n1", "--", "true", code=(2, 122)).err,
                        "the option '--timeout' stands behind its command: rookery exec --timeout")
        self.assert_has(self.session.rookery("--lab", name, "doctor", code=2).err, "doctor: there is no option '--lab'")
        for command in (["console", "n1"], ["logs", "n1"], ["ssh", "n1", "true"], ["cp", "n1:/etc/hostname", "/dev/null"]):
            self.assert_has(self.lab.rookery(*command, "--json", code=2).err, "there is no option '--json'")

    def test_who_does_not_read_holds_up_nobody_else(self):
        path = self.work / "deaf.sock"
        self.forward("server:80", str(path))
        deaf = []
        for _ in range(8):
            peer = socket.socket(socket.AF_UNIX)
            peer.connect(str(path))
            peer.sendall(b"GET /root.squashfs HTTP/1.0\r\n\r\n")
            deaf.append(peer)
        self.assertEqual(self.lab.run("server", "echo", "here"), "here\n")
        self.assertEqual(self.lab.rookery("cp", "server:/etc/hostname", str(self.work / "name")).code, 0)
        for peer in deaf:
            peer.close()

    def test_cp_takes_files_and_folders_both_ways(self):
        big = self.work / "big"
        big.write_bytes(os.urandom(8 << 20))
        digest = hashlib.sha256(big.read_bytes()).hexdigest()
        self.lab.rookery("cp", str(big), "n2:/tmp/")
        self.assert_has(self.lab.run("n2", "sha256sum", "/tmp/big"), digest)
        self.lab.rookery("cp", "n2:/tmp/big", str(self.work / "back"))
        self.assertEqual(hashlib.sha256((self.work / "back").read_bytes()).hexdigest(), digest)

        tree = self.work / "tree"
        (tree / "inner").mkdir(parents=True)
        (tree / "inner" / "program").write_text("#!/bin/sh\n")
        (tree / "inner" / "program").chmod(0o750)
        (tree / "name with 'quotes'").write_text("x")
        (tree / "link").symlink_to("inner/program")
        self.lab.rookery("cp", str(tree), "n2:/root")
        self.lab.rookery("cp", str(tree), "n2:/root")  # again: over what is there
        self.assertEqual(self.lab.shell("n2", "cd /root/tree; stat -c '%n %a %U' inner/program; readlink link; ls"),
                         "inner/program 750 root\ninner/program\ninner\nlink\nname with 'quotes'\n")
        self.lab.rookery("cp", "n2:tree", str(self.work / "tree2"))
        self.assertEqual(oct((self.work / "tree2/inner/program").stat().st_mode & 0o777), "0o750")
        self.assertEqual(os.readlink(self.work / "tree2/link"), "inner/program")

    def test_what_does_not_arrive_whole_leaves_nothing(self):
        said = self.lab.rookery("cp", "n2:/nothing", str(self.work / "x"), code=1).err
        self.assertEqual(said, "rookery cp: there is no /nothing\nrookery: 'n2:/nothing' was not copied\n")
        self.assertFalse((self.work / "x").exists())
        self.assert_has(self.lab.rookery("cp", str(self.work), "n2:/no/where", code=1).err, "there is no folder /no")
        self.assert_has(self.lab.rookery("cp", str(self.work / "nothing"), "n2:/tmp", code=2).err, "there is no file")
        self.lab.rookery("cp", "a", "b", code=2)
        self.lab.rookery("cp", "n1:a", "n2:b", code=2)
        # The command dies in the middle: neither the file nor what was there of it stays.
        fifo = self.work / "endless"
        fifo.mkdir()
        with open(fifo / "hole", "wb") as hole:
            hole.truncate(1 << 40)  # more than the machine has room for, and longer than anybody waits
        process = subprocess.Popen([program(), "cp", "--lab", self.lab.name, str(fifo), "n2:/tmp"],
                                   env=self.session.environment, stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        wait_until(lambda: "rookery-cp" in self.lab.run("n2", "ls", "-A", "/tmp"), 20, "it has begun")
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: self.lab.shell("n2", "pidof tar || echo none") == "none\n", 20, "tar is gone")
        wait_until(lambda: "rookery-cp" not in self.lab.run("n2", "ls", "-A", "/tmp"), 20, "its folder is gone")
        self.assertNotIn("endless\n", self.lab.run("n2", "ls", "/tmp"))


if __name__ == "__main__":
    main()
