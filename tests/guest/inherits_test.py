#!/usr/bin/env python3
"""What a lab's supervisor inherits from who starts it (descriptors, terminals, signals) does it no harm, and what is nobody's to read
holds up nothing. And a scenario is read once, however often it is run."""
import contextlib
import fcntl
import os
import pathlib
import pty
import resource
import signal
import struct
import subprocess
import sys
import termios
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import SEED, GuestTest, main, program, wait_until  # noqa: E402
from processes import wait_for_end  # noqa: E402


def filled_pipe():
    """A pipe that is full and that nobody reads: both ends, whose writers wait."""
    ours, its = os.pipe()
    os.set_blocking(its, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(its, bytes(4096))
    os.set_blocking(its, True)
    return ours, its


class Inherits(GuestTest):
    def start(self, lab, *words, prepare=lambda: None, **streams):
        for name in ("stdin", "stdout", "stderr"):
            streams.setdefault(name, subprocess.DEVNULL)
        lab.foreground = subprocess.Popen([program(), *lab.words(*words)], env=self.session.environment, preexec_fn=prepare, **streams)
        return lab.foreground

    def ready(self, lab):
        wait_until((lab.folder / "control.sock").exists, 30, "the lab is there")
        lab.wait_for("n1", "ready")
        self.assertEqual(lab.run("n1", "hostname"), "n1\n")

    def test_01_standard_error_that_nobody_reads_ends_and_holds_up_nothing(self):
        ours, its = filled_pipe()
        broken_ours, broken = os.pipe()
        os.close(broken_ours)
        with open("/dev/full", "wb") as full:
            cases = (("closed", {"stderr": None}, lambda: os.close(2)), ("full", {"stderr": full, "stdout": full}, lambda: None),
                     ("unread", {"stderr": its, "stdout": its}, lambda: None), ("broken", {"stderr": broken, "stdout": broken}, lambda: None))
            for name, streams, prepare in cases:
                with self.subTest(name):
                    lab = self.session.lab(name, 1)
                    up = self.start(lab, "--verbose", prepare=prepare, **streams)
                    self.ready(lab)
                    if name == "closed":
                        self.assertEqual(os.readlink(f"/proc/{up.pid}/fd/2"), "/dev/null")
                    lab.rookery("down")
                    code = wait_for_end(up, 20)
                    self.assertEqual(code, {"closed": 0, "broken": 141}.get(name, 4))  # the result reached nobody
                    self.assert_nothing_left(lab)
        for end in (ours, its, broken):
            os.close(end)

    def test_02_a_terminal_that_stands_still_or_is_gone_holds_up_nothing(self):
        for name in ("still", "gone"):
            with self.subTest(name):
                lab = self.session.lab(name, 1)
                ours, theirs = pty.openpty()
                fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
                self.session.environment["TERM"] = "xterm-256color"

                def prepare():
                    os.setsid()
                    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
                    signal.signal(signal.SIGHUP, signal.SIG_IGN)
                up = self.start(lab, prepare=prepare, stdin=theirs, stdout=theirs, stderr=theirs)
                os.close(theirs)
                said = b""
                while b"\x1b[" not in said:  # the live view
                    said += os.read(ours, 65536)
                if name == "still":
                    os.write(ours, b"\x13")  # Ctrl-S
                else:
                    os.close(ours)
                self.ready(lab)
                lab.rookery("down")
                self.assertIn(wait_for_end(up, 20), (0, 4, 141))
                self.assert_nothing_left(lab)
                if name == "still":
                    os.close(ours)

    def test_03_signals_that_were_ignored(self):
        lab = self.session.lab("signals", 1)

        def prepare():
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        up = self.start(lab, prepare=prepare)
        self.ready(lab)
        for number in (signal.SIGHUP, signal.SIGINT):  # nohup, and a background job of a script
            up.send_signal(number)
        # SIGCHLD is needed: a machine that goes is waited for, and comes again.
        lab.rookery("power", "cut", "n1")
        lab.wait_for("n1", "off")
        before = self.processor_time(up.pid)
        lab.rookery("power", "on", "n1")
        self.ready(lab)
        self.assertLess(self.processor_time(up.pid) - before, 5)
        up.send_signal(signal.SIGTERM)  # always meant
        self.assertEqual(wait_for_end(up, 20), 0)
        self.assert_nothing_left(lab)

    @staticmethod
    def processor_time(pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def scenario(self, name, lab, more=""):
        return (f"scenario: {name}\nlab: {lab}\nexpect:\n  - eventually: all ready\n    within: 1 min\n{more}")

    def test_04_a_scenario_is_read_once_for_all_its_runs(self):
        files = {}
        for name in ("lab", "keys", "scenario"):  # pipes: what was read is gone
            files[name] = self.session.folder / f"once-{name}"
            os.mkfifo(files[name])
        texts = {"lab": f"lab: once\nauthorized_keys: {files['keys'].name}\nmachines:\n  server: {{role: boot-server}}\n"
                        "  n: {role: client, count: 1}\n",
                 "keys": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me\n",
                 "scenario": self.scenario("once", files["lab"].name)}
        for name, text in texts.items():
            threading.Thread(target=files[name].write_text, args=(text,), daemon=True).start()
        answer = self.session.rookery("verify", files["scenario"], "--seed", SEED, "--json", timeout=120).json()
        self.assertEqual((answer["verdict"], answer["runs"]), ("bit-exact", 2))

    def test_05_an_edit_between_two_runs_changes_neither(self):
        lab, gift, scenario = (self.session.folder / name for name in ("edited.yaml", "gift.txt", "edited-scenario.yaml"))
        gift.write_text("one\n")
        lab.write_text("lab: edited\ninject: [{from: gift.txt, to: /etc/gift}]\nmachines:\n  server: {role: boot-server}\n"
                       "  n: {role: client, count: 1}\n")
        scenario.write_text(self.scenario("edited", lab.name))
        verify = subprocess.Popen([program(), "verify", scenario, "--seed", str(SEED)], env=self.session.environment,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn("run 1 of 2", verify.stderr.readline())
        for file in (lab, gift, scenario):
            file.unlink()
        out = verify.communicate(timeout=120)[0]
        self.assertEqual(verify.returncode, 0, out)
        self.assertIn("bit-exact, 2 runs", out)

    def test_06_what_is_interrupted_says_so_and_leaves_nothing(self):
        lab = self.session.lab("interrupted", 1)
        scenario = self.session.folder / "interrupted-scenario.yaml"
        scenario.write_text(self.scenario("interrupted", lab.file.name, "ends: {after: 1 h}\n"))
        for command in ("verify", "run"):
            for number in (signal.SIGINT, signal.SIGTERM):
                with self.subTest(command=command, signal=number):
                    with subprocess.Popen([program(), command, scenario, *(["--time", "wall"] if command == "run" else [])],
                                          env=self.session.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE, text=True) as process:
                        wait_until(lambda: self.session.memory_folders() or process.poll() is not None, 60, "it runs")
                        folders = self.session.memory_folders()
                        process.send_signal(number)
                        try:
                            said = process.communicate(timeout=60)[1]
                        finally:
                            process.kill()
                        self.assertIn("interrupted", said)
                        self.assertEqual(process.returncode, 130)
                    wait_until(lambda: not any(folder.exists() for folder in [*folders, *self.session.memory_folders()]), 10,
                               "its memory is gone")
                    self.assertEqual(list(self.session.temporary.iterdir()), [])
                    self.assert_nothing_left(lab)

    def test_07_the_log_is_on_standard_error(self):
        lab = self.session.lab("log", 1)
        self.session.environment["ROOKERY_LOG"] = "debug"
        self.addCleanup(self.session.environment.pop, "ROOKERY_LOG")
        done = self.session.rookery("up", lab.file, "--until", "ready", "--down", "--json", timeout=120)
        self.assertEqual(done.json()["ready"], 1)  # and nothing else is on standard output
        self.assertIn("rookery: debug: sockets in ", done.err)

    def test_08_limits_are_said_before_a_machine_starts(self):
        lab = self.session.lab("limits", 1)
        for name, value, remedy in (("RLIMIT_AS", 1100 << 20, "ulimit -v"), ("RLIMIT_FSIZE", 20 << 20, "ulimit -f"), ("RLIMIT_NOFILE", 100, "ulimit -Hn")):
            def prepare(name=name, value=value):
                resource.setrlimit(getattr(resource, name), (value, value))
            for command in (["up", lab.file], ["up", lab.file, "--until", "ready"]):
                with self.subTest(limit=name, command=command):
                    done = subprocess.run([program(), *command], env=self.session.environment, preexec_fn=prepare, capture_output=True,
                                          text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
                    self.assertEqual(done.returncode, 4, done.stderr)
                    self.assertIn(remedy, done.stderr)
                    self.assertNotIn("firmware", done.stderr)
                    self.assert_nothing_left(lab)


if __name__ == "__main__":
    main()
