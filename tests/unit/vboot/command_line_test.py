#!/usr/bin/env python3
"""What the program inherits from who starts it (descriptors, signals, folders, limits), and whether what it prints arrives: with a
supervisor that is played by this test, and no machine."""
import base64
import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

PROGRAM = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "build/rookery").resolve()
PATIENCE = 60  # seconds
FULL = "standard output: No space left on device"


class Supervisor:
    """Answers each request by `answer(id, request)`, which gives messages; keeps all that was sent to it."""

    def __init__(self, folder, answer):
        folder.mkdir(parents=True)
        self.received = b""
        self.answer = answer
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "control.sock"))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer = self.listener.accept()[0]
                threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        with contextlib.suppress(OSError), peer, peer.makefile("rb") as lines:
            for line in lines:
                self.received += line
                request = json.loads(line)
                for message in self.answer(request["id"], request):
                    peer.sendall(json.dumps(message).encode() + b"\n")

    def close(self):
        self.listener.close()


def output(number, stream, data):
    return {"id": number, "event": "output", "machine": "n1", "stream": stream, "data_base64": base64.b64encode(data).decode()}


def result(number, **fields):
    return {"id": number, "result": fields}


def machines(count, reason=""):
    return [{"name": f"n{i}", "role": "client", "backend": "uml", "state": "running", "stage": "ready", "address": "10.0.0.1",
             "reason": reason} for i in range(1, count + 1)]


def without(*descriptors):
    def close():
        for descriptor in descriptors:
            os.close(descriptor)
    return close


def limits(**values):
    def limit():
        for name, value in values.items():
            resource.setrlimit(getattr(resource, name), (value, value))
    return limit


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rookery-cli-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.runtime, self.cache = self.folder / "run", self.folder / "cache"
        for folder in (self.runtime, self.cache, self.runtime / "rookery"):
            folder.mkdir(mode=0o700)
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=str(self.runtime), XDG_CACHE_HOME=str(self.cache), LC_ALL="C.UTF-8")
        self.environment.pop("TMPDIR", None)

    def supervise(self, answer):
        supervisor = Supervisor(self.runtime / "rookery" / "lab", answer)
        self.addCleanup(supervisor.close)
        return supervisor

    def run_it(self, *words, code=0, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        done = subprocess.run([PROGRAM, *map(str, words)], env=self.environment, text=True, timeout=PATIENCE, **more)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout}{done.stderr}")
        return done

    # Descriptors.

    def test_what_a_guest_prints_does_not_get_into_the_control_socket(self):
        evil = json.dumps({"id": 9, "verb": "report", "file": str(self.folder / "overwritten.html")}).encode() + b"\n"

        def answer(number, request):
            stream = "stdout" if request["argv"] == ["out"] else "stderr"
            return [output(number, stream, evil), {"id": number, "event": "exited", "machine": "n1", "exit_code": 0},
                    result(number, machines=1, failed=0)]
        supervisor = self.supervise(answer)
        for missing, program in (((2,), "err"), ((1,), "out"), ((0, 1, 2), "out"), ((0, 1, 2), "err"), ((0,), "out")):
            with self.subTest(missing=missing, program=program):
                supervisor.received = b""
                # (A descriptor that is missing: neither a pipe to us, nor anything.)
                keep = {name: None for number, name in enumerate(("stdin", "stdout", "stderr")) if number in missing}
                self.run_it("exec", "n1", "--", program, preexec_fn=without(*missing), **keep)
                self.assertEqual(supervisor.received.count(b"\n"), 1, supervisor.received)

    def test_a_command_without_descriptors_does_what_it_does(self):
        supervisor = self.supervise(lambda number, request: [result(number, machines=machines(3))])
        self.run_it("ps", preexec_fn=without(0, 1, 2), stdin=None, stdout=None, stderr=None)
        self.assertEqual(supervisor.received.count(b"\n"), 1)

    # Results that reach nobody.

    def test_a_result_that_cannot_be_written_is_a_failure(self):
        self.supervise(lambda number, request: [output(number, "stdout", b"x"), result(number, machines=machines(3), text="")])
        for words in (["ps"], ["ps", "--json"], ["logs", "n1"], ["exec", "--all", "--", "true"], ["doctor"], ["doctor", "--json"],
                      ["image", "list", "--json"], ["image", "prune"], ["image", "prune", "--json"],
                      ["clean", "--json"], ["help"], ["help", "--man"], ["--version"], ["--help"], ["completion", "bash"],
                      ["power", "on", "n1", "--json"], ["fault", "show", "--json"], ["why", "--json"]):
            with self.subTest(words), open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([PROGRAM, *words], env=self.environment, stdin=subprocess.DEVNULL, stdout=full,
                                      stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
                self.assertEqual(done.returncode, 4, done.stderr)
                self.assertIn(FULL, done.stderr)
                self.assertEqual(done.stderr.count(FULL), 1, done.stderr)

    def test_a_result_of_many_lines_is_too(self):
        self.supervise(lambda number, request: [result(number, machines=machines(4000))])
        with open("/dev/full", "w", encoding="utf-8") as full:
            self.assertIn(FULL, self.run_it("ps", code=4, stdout=full).stderr)

    def test_a_reader_that_has_left_ends_a_command_quietly(self):
        def answer(number, request):
            while True:
                yield output(number, "console", b"more\n" * 1000)
        self.supervise(answer)
        for inherited in (signal.SIG_DFL, signal.SIG_IGN):
            with self.subTest(inherited):
                logs = subprocess.Popen([PROGRAM, "logs", "-f", "n1"], env=self.environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, restore_signals=False,
                                        preexec_fn=lambda: signal.signal(signal.SIGPIPE, inherited))
                self.assertEqual(logs.stdout.read(5), b"more\n")
                logs.stdout.close()
                self.assertEqual(logs.wait(timeout=PATIENCE), 128 + signal.SIGPIPE)
                self.assertEqual(logs.stderr.read(), b"")
                logs.stderr.close()

    def test_complaints_that_nobody_takes_change_no_exit_code(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            self.run_it("ps", code=2, stderr=full)
            self.run_it("nonsense", code=2, stderr=full)
            self.run_it(code=2, stderr=full)
        ours, its = os.pipe()
        os.set_blocking(its, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(its, bytes(4096))
        os.set_blocking(its, True)
        self.run_it("ps", code=2, stderr=its)  # a pipe that is full
        os.close(ours)
        self.run_it("ps", code=2, stderr=its)  # and one without a reader
        os.close(its)

    # What `exec` says by its exit code.

    def test_the_code_of_a_program_is_told_from_ours(self):
        def answer(number, request):
            kind = request["argv"][0]
            if kind == "away":
                return [{"id": number, "event": "unreachable", "machine": "n1", "reason": "n1 is off"}, result(number, machines=1, failed=1)]
            if kind == "late":
                return [{"id": number, "error": {"kind": "timeout", "message": "did not end in time"}}]
            if kind == "wrong":
                return [{"id": number, "error": {"kind": "usage", "message": "no machine 'n1'"}}]
            return [{"id": number, "event": "exited", "machine": "n1", "exit_code": int(kind)}, result(number, machines=1, failed=1)]
        self.supervise(answer)
        for code in (0, 1, 2, 3, 4, 5, 42, 127, 137):
            self.run_it("exec", "n1", "--", code, code=code)
        self.assertIn("n1 is off", self.run_it("exec", "n1", "--", "away", code=124).stderr)
        self.assertIn("n1 is off", self.run_it("exec", "--json", "n1", "--", "away", code=124).stdout)
        self.run_it("exec", "n1", "--", "late", code=123)
        self.run_it("exec", "n1", "--", "wrong", code=122)
        self.run_it("exec", "n1", code=122)
        self.run_it("exec", "--nonsense", "n1", "--", "0", code=122)
        self.run_it("exec", "--lab", "none", "n1", "--", "0", code=122)
        # Of all machines it is 0 or 1, and ours are those of every command.
        self.run_it("exec", "--all", "--", "42", code=1)
        self.run_it("exec", "--all", "--", "away", code=1)
        self.run_it("exec", "--all", "--", "late", code=3)
        self.run_it("exec", "--all", code=2)

    # Large labs, and many commands.

    def test_a_lab_of_four_thousand_machines_is_shown(self):
        self.supervise(lambda number, request: [result(number, machines=machines(4096, "it is still in the stage dhcp; " * 10))])
        self.assertEqual(len(self.run_it("ps").stdout.splitlines()), 4097)
        self.assertEqual(len(json.loads(self.run_it("ps", "--json").stdout)["machines"]), 4096)

    def test_a_supervisor_that_takes_no_more_commands_is_heard(self):
        folder = self.runtime / "rookery" / "lab"
        folder.mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(folder / "control.sock"))
            listener.listen()

            def refuse():
                with listener.accept()[0] as peer:
                    peer.sendall(json.dumps({"id": 0, "error": {"kind": "infrastructure", "message": "64 are served"}}).encode() + b"\n")
            for _ in range(20):  # it has hung up before, while or after the command asks
                thread = threading.Thread(target=refuse)
                thread.start()
                self.assertIn("64 are served", self.run_it("ps", "--lab", "lab", code=4).stderr)
                thread.join()

    def test_what_an_error_quotes_does_not_reach_the_terminal_as_it_is(self):
        lab = self.folder / "lab.yaml"
        lab.write_text('lab: s\nmachines:\n  server: {role: boot-server}\n  "n\\e]0;title\\a\\e[2J": {role: client}\n')
        for words in (["up", lab], ["ps", "--lab", "\x1b[2Jx"], ["image", "show", "\x1b[2Jx"], ["\x1b[2J"]):
            said = self.run_it(*words, code=2).stderr
            self.assertNotIn("\x1b", said)
            self.assertIn("[2J", said)

    # Folders.

    def test_a_store_of_somebody_else_is_refused(self):
        store = self.cache / "rookery" / "store"
        store.mkdir(parents=True)
        if os.getuid() == 0:
            os.chown(store.parent, 65534, 65534)
        else:
            store.parent.chmod(0o777)  # what everybody may write in is no better
        for words in (["image", "list"], ["image", "prune"]):
            said = self.run_it(*words, code=4).stderr
            self.assertIn(str(store.parent), said)
            self.assertIn("XDG_CACHE_HOME", said)
        self.assertIn(str(store.parent), self.run_it("doctor", code=4).stdout)

    def test_a_folder_for_temporary_files_that_is_none_is_said(self):
        self.environment["TMPDIR"] = str(self.folder / "none")
        scenario = self.folder / "s.yaml"
        scenario.write_text("scenario: s\nlab:\n  lab: s\n  machines:\n    server: {role: boot-server}\nexpect:\n  - at_end: all ready\n")
        said = self.run_it("verify", scenario, code=4).stderr
        self.assertIn("TMPDIR is " + self.environment["TMPDIR"], said)
        gift = self.folder / "lab.yaml"
        gift.write_text(f"lab: s\nmachines:\n  server: {{role: boot-server}}\n  n: {{role: client, inject: [{{from: {scenario}, to: /etc/}}]}}\n")
        scenario.write_text(scenario.read_text().replace("lab:\n  lab: s\n  machines:\n    server: {role: boot-server}\n", "lab: lab.yaml\n"))
        self.assertIn("TMPDIR is ", self.run_it("run", scenario, code=4).stderr)
        self.run_it("doctor", code=4)  # it goes on, and says what else there is

    # Limits.

    def test_limits_under_which_no_lab_can_run_are_said_before_anything_starts(self):
        lab = self.folder / "lab.yaml"
        lab.write_text("lab: s\nmachines:\n  server: {role: boot-server}\n")
        scenario = self.folder / "s.yaml"
        scenario.write_text("scenario: s\nlab: lab.yaml\nexpect:\n  - at_end: all ready\n")
        for values, words in (({"RLIMIT_AS": 600 << 20}, ("address space", "ulimit -v")), ({"RLIMIT_DATA": 100 << 20}, ("data", "ulimit -d"))):
            for command in (["up", lab], ["up", lab, "--until", "ready"], ["run", scenario], ["verify", scenario]):
                with self.subTest(command=command, limit=values):
                    said = self.run_it(*command, code=4, preexec_fn=limits(**values)).stderr
                    for word in words:
                        self.assertIn(word, said)
        doctor = self.run_it("doctor", code=4, preexec_fn=limits(RLIMIT_FSIZE=1 << 20, RLIMIT_AS=900 << 20)).stdout
        self.assertIn("ulimit -f", doctor)
        self.assertIn("ulimit -v", doctor)

    # The log.

    def test_the_level_of_the_log_is_one_that_there_is(self):
        self.environment["ROOKERY_LOG"] = "loud"
        self.assertIn("ROOKERY_LOG: expected debug, info, warn, error or off, found 'loud'", self.run_it("image", "list", code=2).stderr)
        self.environment["ROOKERY_LOG"] = "debug"
        self.assertEqual(json.loads(self.run_it("image", "list", "--json").stdout), {"images": []})


if __name__ == "__main__":
    unittest.main()
