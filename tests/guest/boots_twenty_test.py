#!/usr/bin/env python3
"""The main job: twenty diskless clients boot one image from a boot server, and are what they should be."""
import json
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, IMAGE, SEED, main, wait_until  # noqa: E402

CLIENTS = 20
NAMES = [f"n{number}" for number in range(1, CLIENTS + 1)]


class BootsTwenty(GuestTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = cls.session.lab("twenty", CLIENTS)
        cls.report = cls.lab.up()
        cls.image = cls.session.rookery("image", "show", IMAGE, "--json").json()

    def on_clients(self, *argv):
        """What a program wrote on each client, which must have succeeded on all of them. (It runs on the server too,
        where it may do as it likes.)"""
        answers = self.lab.each(*argv, code=(0, 1))
        self.assertEqual(sorted(answers), sorted(NAMES + ["server"]))
        for name in NAMES:
            self.assertEqual(answers[name].get("exit_code"), 0, f"{name}: {answers[name]}")
        return {name: answers[name].get("stdout", "") for name in NAMES}

    def assert_same_on_all(self, outputs):
        self.assertEqual(len(set(outputs.values())), 1, f"the clients differ: {outputs}")
        return outputs["n1"]

    def test_01_the_report_has_what_scripts_rely_on(self):
        report = self.report
        self.assertEqual(report["lab"], self.lab.name)
        self.assertEqual(report["machines"], CLIENTS + 1)
        self.assertEqual(report["ready"], CLIENTS)
        self.assertEqual(report["failed"], [])
        self.assertEqual(report["seed"], SEED)
        for key in ("seconds", "memory_peak_bytes", "boot_server_bytes"):
            self.assertGreater(report[key], 0, key)
        booted = report["booted"]
        self.assertEqual(booted["image"], IMAGE)
        self.assertEqual(booted["image_version"], self.image["version"])
        self.assertEqual(booted["image_sha256"], self.image["manifest_sha256"])
        self.assertEqual(booted["kernels"], self.image["kernels"])
        digests = {component["name"]: component["sha256"] for component in self.image["components"]}
        self.assertEqual(booted["components_sha256"], digests)
        self.assertEqual(self.session.rookery("--version").out.strip(), f"rookery {booted['rookery']}")

    def test_02_ps_lists_every_machine_and_its_supervisor(self):
        answer = self.lab.rookery("ps", "--json").json()
        self.assertEqual(answer["lab"], self.lab.name)
        words = pathlib.Path(f"/proc/{answer['supervisor_pid']}/cmdline").read_bytes()
        self.assertIn(str(self.lab.file).encode(), words)
        machines = {machine["name"]: machine for machine in answer["machines"]}
        self.assertEqual(list(machines), ["server"] + NAMES)
        for name, machine in machines.items():
            self.assertEqual((machine["state"], machine["stage"]), ("running", "ready"), name)
            self.assertEqual(machine["role"], "boot-server" if name == "server" else "client")
        self.assertEqual(len({machine["address"] for machine in machines.values()}), CLIENTS + 1)
        self.assertEqual(len({machine["mac"] for machine in machines.values()}), CLIENTS + 1)

    def test_03_exec_passes_output_errors_and_exit_code_through(self):
        done = self.lab.rookery("exec", "n3", "--", "sh", "-c", "echo words; echo complaints >&2; exit 42", code=42)
        self.assertEqual((done.out, done.err), ("words\n", "complaints\n"))
        done = self.lab.rookery("exec", "n3", "--", "sh", "-c", "kill -KILL $$", code=128 + 9)
        self.assertEqual(done.out, "")
        self.assertIn("no-such-program", self.lab.rookery("exec", "n3", "--", "no-such-program", code=127).err)
        # Dashes, spaces and quotes are the program's; nothing between takes them for its own.
        self.assertEqual(self.lab.run("n3", "printf", "%s|", "--all", "a b", "'", '"', "$HOME", "ü"),
                         "--all|a b|'|\"|$HOME|ü|")

    def test_04_exec_carries_much_output_unchanged(self):
        lines = 200_000
        text = self.lab.run("n4", "seq", str(lines))
        self.assertEqual(text, "".join(f"{number}\n" for number in range(1, lines + 1)))

    def test_04_exec_forgets_no_command_that_comes_while_another_is_begun(self):
        """Two requests shortly one after the other, by the socket itself (commands would be too slow): the second must
        not wait for the end of the first. The moment that matters is short, so there are many tries."""
        def line(number, *argv):
            return json.dumps({"id": number, "verb": "exec", "machines": ["n5"], "argv": argv}).encode() + b"\n"
        for tries in range(200):
            with socket.socket(socket.AF_UNIX) as control:
                control.settimeout(20)
                control.connect(str(self.lab.folder / "control.sock"))
                control.sendall(line(1, "sleep", "600"))
                later = time.perf_counter() + (tries % 50) * 20e-6
                while time.perf_counter() < later:
                    pass
                control.sendall(line(2, "true"))
                for answer in map(json.loads, control.makefile("rb")):
                    if answer["id"] == 2 and "result" in answer:
                        break
                else:
                    self.fail("the supervisor hung up")
        # Who asked for the first went away, and so did they.
        wait_until(lambda: "sleep 600" not in self.lab.run("n5", "busybox", "ps", "-o", "args"), 30, "all were ended")

    def test_05_each_client_has_its_name_from_the_network(self):
        self.assertEqual(self.on_clients("hostname"), {name: f"{name}\n" for name in NAMES})
        machines = self.lab.machines()
        # The lease, as stage one wrote it down: it is where the name and the address are from.
        for name, lease in self.on_clients("sh", "-c", "tr '\\0' '\\n' </run/rookery/lease").items():
            self.assert_has(lease.splitlines(), f"hostname={name}", f"ip={machines[name]['address']}")
        # And others find it by that name.
        self.assert_has(self.lab.run("n1", "getent", "hosts", "n20"),
                        machines["n20"]["address"])

    def test_06_nothing_about_a_client_is_given_from_outside(self):
        command_line = self.assert_same_on_all(self.on_clients("cat", "/proc/cmdline"))
        machines = self.lab.machines()
        hints = [machine[key] for machine in machines.values() for key in ("name", "address", "mac")]
        # "n1" and the like stand in other words too: a name is looked for as a word.
        words = command_line.replace("=", " ").replace(",", " ").replace(":", " ").split()
        for hint in hints + [self.lab.name]:
            self.assertNotIn(hint, words)
        for part in ("10.77.", "://", "ip=", "nfsroot", "server", "rookery", "sha256", "52:54", "hostname"):
            self.assertNotIn(part, command_line)
        # The kernel's arguments as the host sees them differ in nothing either, but for the folder they start in.
        seen = set()
        for name in NAMES:
            argv = pathlib.Path(f"/proc/{self.lab.guest_process(name)}/cmdline").read_bytes().split(b"\0")
            seen.add(b" ".join(argv[1:]))
            folder = self.lab.folder / "m" / name
            self.assertEqual(argv[0].decode(), str(folder / "linux"))
            digests = self.report["booted"]["components_sha256"]
            self.assertEqual((folder / "initramfs").resolve().name, digests["stage1.cpio"])
            self.assertEqual((folder / "linux").resolve().name, digests["linux-uml"])
        self.assertEqual(len(seen), 1, seen)

    def test_07_the_root_is_an_overlay_on_the_shared_compressed_image(self):
        for name, mounts in self.on_clients("cat", "/proc/mounts").items():
            by_place = {line.split()[1]: line.split() for line in mounts.splitlines()}
            root, lower = by_place["/"], by_place["/run/rookery/lower"]
            self.assertEqual(root[2], "overlay", name)
            self.assertIn("lowerdir=/run/rookery/lower", root[3])
            self.assertEqual(lower[:3], ["/dev/nbd0", "/run/rookery/lower", "squashfs"], name)
            self.assertIn("ro", lower[3].split(","))
        # No other disk is there.
        partitions = self.assert_same_on_all(self.on_clients("cat", "/proc/partitions"))
        self.assertEqual([line.split()[3] for line in partitions.splitlines()[2:]], ["nbd0"])

    def test_08_all_read_the_same_bytes(self):
        # The clients over the network, the server from its medium.
        self.assert_same_image(self.lab, ["server", *NAMES])

    def test_09_what_one_writes_no_other_sees(self):
        self.lab.shell("n1", "echo mine >/etc/mine; rm /etc/debian_version; echo more >>/var/lib/dpkg/status")
        self.assertEqual(self.lab.run("n1", "cat", "/etc/mine"), "mine\n")
        look = "cat /etc/mine 2>/dev/null; cat /etc/debian_version 2>/dev/null; tail -n 1 /var/lib/dpkg/status"
        seen = self.on_clients("sh", "-c", look)
        self.assertEqual(seen.pop("n1"), "mine\nmore\n")
        self.assertEqual(len(set(seen.values())), 1, seen)
        self.assertRegex(seen["n2"], r"^12\.")
        self.assertNotIn("mine", seen["n2"])
        self.assertNotIn("more", seen["n2"])

    def test_10_the_console_shows_the_boot(self):
        for name in ("n1", f"n{CLIENTS}"):
            self.assert_has(self.lab.console(name), "stage1: dhcp:", "stage1: script:", "stage1: kernel:", "stage2: root:")
        self.assertIn("stage2: root: the medium", self.lab.console("server"))

    def test_11_a_machine_comes_back_after_cut_on_and_reset(self):
        self.lab.shell("n2", "echo changed >/etc/changed")
        self.lab.rookery("power", "cut", "n2")
        self.assertEqual(self.lab.wait_for("n2", "off")["state"], "off")
        self.lab.rookery("exec", "n2", "--", "true", code=124)
        self.assertEqual(self.lab.stage("n3"), "ready")
        self.lab.rookery("power", "on", "n2")
        self.lab.wait_for("n2", "ready")
        # Its changes were in its memory.
        self.lab.shell("n2", "test ! -e /etc/changed")
        before = self.lab.run("n2", "cat", "/proc/sys/kernel/random/boot_id")
        self.lab.reset("n2")
        self.lab.wait_for("n2", "ready")
        self.assertNotEqual(self.lab.run("n2", "cat", "/proc/sys/kernel/random/boot_id"), before)
        self.assertEqual(self.lab.run("n2", "hostname"), "n2\n")
        # Its own system goes down when its button is pressed.
        self.lab.rookery("power", "press", "n2")
        self.assertEqual(self.lab.wait_for("n2", "off")["state"], "off")
        self.lab.rookery("power", "on", "n2")
        self.lab.wait_for("n2", "ready")

    def test_12_down_ends_it_with_nothing_left(self):
        self.lab.down()
        self.assert_nothing_left(self.lab)
        self.session.rookery("ps", code=(1, 2))


if __name__ == "__main__":
    main()
