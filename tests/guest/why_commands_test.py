#!/usr/bin/env python3
"""From a machine that does not boot to the reason in one command; and the commands that look into a running lab."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main, program, wait_until  # noqa: E402

SECTION_HEADER = b"\x0a\x0d\x0d\x0a"  # what a pcapng file begins with


@contextlib.contextmanager
def running(words, environment, **pipes):
    """A command that goes on until it is ended."""
    with subprocess.Popen(words, env=environment, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.terminate()


class Why(GuestTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = cls.session.lab("why", 3)
        cls.lab.up()

    def why(self, name):
        return self.lab.rookery("why", name, "--json").json()

    def test_a_machine_that_is_ready(self):
        answer = self.why("n1")
        self.assertEqual((answer["cause"], answer["stage"]), ("ready", "ready"))
        self.assertEqual([reached["stage"] for reached in answer["chain"]],
                         ["firmware", "dhcp", "script", "kernel", "root", "ready"])
        self.assertEqual(self.lab.rookery("why").out, f"{self.lab.name}: 4 of 4 machines ready\n")

    def test_a_pulled_cable_with_the_frames_that_show_it(self):
        capture = self.session.folder / "n2.pcapng"
        words = [program(), "capture", "--lab", self.lab.name, "n2", "-o", str(capture)]
        with running(words, self.session.environment, stderr=subprocess.PIPE) as capturing:
            self.assertIn("capturing to", capturing.stderr.readline())
            self.assertIn("captured already", self.lab.rookery("capture", "n2", "-o", capture, code=2).err)
            self.lab.rookery("link", "n2", "down")
            self.lab.reset("n2")
            wait_until(lambda: "no OFFER" in self.why("n2")["sentence"], 30, "it has asked in vain")
            answer = self.why("n2")
            self.assertEqual(answer["cause"], "link-down")
            self.assertRegex(answer["sentence"], r"DHCP: \d+ DISCOVER, no OFFER; its link is down since .*\(fault n2.down\)")
            shown = next(step for step in answer["wire"] if step["what"] == "DHCP DISCOVER")
            self.lab.rookery("link", "n2", "up")
            self.lab.wait_for("n2", "ready")
        wait_until(lambda: not self.lab.rookery("capture", "n2", "-o", self.session.folder / "x", "--for", "1 ms", code=None).code,
                   10, "the capture has ended with its asker")
        if shutil.which("tshark"):
            look = subprocess.run(["tshark", "-r", str(capture), "-Y", f"frame.number=={shown['frame']}"], capture_output=True, text=True)
            self.assertIn("DHCP Discover", look.stdout, look.stderr)

    def test_the_boot_server_is_asked_what_it_says(self):
        command = self.lab.shell("server", "tr '\\0' ' ' </proc/$(pidof dnsmasq | cut -d' ' -f1)/cmdline")
        self.lab.shell("server", "kill $(pidof dnsmasq); while pidof dnsmasq >/dev/null; do :; done")
        self.lab.reset("n3")
        wait_until(lambda: self.why("n3")["cause"] == "no-offer", 30, "why names the silence")
        self.assert_has(self.lab.rookery("why", "n3").out, "says:\ndnsmasq does not run\n", "no-offer: ", "no OFFER")
        self.assert_has(self.lab.rookery("why").out, "3 of 4 machines ready", "1 no-offer in the stage dhcp: n3")
        self.lab.shell("server", command)
        self.lab.wait_for("n3", "ready")

    def capture(self, *words, **pipes):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **pipes}
        return running([program(), "capture", "--lab", self.lab.name, "n1", *words], self.session.environment, **pipes)

    def make_frames(self):
        self.lab.run("n1", "busybox", "ping", "-q", "-c", "1", "-W", "3", "10.77.0.1")

    def test_a_capture_is_in_its_file_while_it_goes_on(self):
        file = self.session.folder / "grows.pcapng"
        with self.capture("-o", str(file)) as capturing:
            self.assertIn("capturing to", capturing.stderr.readline())
            wait_until(lambda: file.stat().st_size > 0, 10, "the head of the file is there")
            before = file.stat().st_size
            other = self.lab.rookery("capture", "n3", "-o", file, "--for", "1s", code=2)
            self.assertIn(f"{file} is being written already", other.err)
            self.make_frames()
            wait_until(lambda: file.stat().st_size > before, 10, "frames are in the file")
            capturing.send_signal(signal.SIGINT)
            self.assertRegex(capturing.stdout.read(), r"^[1-9]\d* frames in ")
            self.assertEqual(capturing.wait(), 0)

    def test_who_reads_a_capture_or_does_not_stops_nobody(self):
        fifo = self.session.folder / "fifo"
        os.mkfifo(fifo)
        with self.capture("-o", str(fifo), "--for", "1s") as capturing:
            self.assertIn("waiting until somebody reads", capturing.stderr.readline())
            self.make_frames()
            self.assertEqual(fifo.read_bytes()[:4], SECTION_HEADER)
            self.assertIn("frames in", capturing.stdout.read())
        with self.capture("-o", "-") as capturing:
            self.assertEqual(capturing.stdout.buffer.read(4), SECTION_HEADER)
            capturing.stdout.close()
            self.make_frames()
            self.assertIn("its reader has left", capturing.stderr.read())
            self.assertEqual(capturing.wait(), 0)
        ours, theirs = os.pipe()
        with open(ours, "rb"), self.capture("-o", "-", stdout=theirs) as capturing:
            os.close(theirs)
            self.assertIn("capturing to standard output", capturing.stderr.readline())
            self.make_frames()
        self.assertEqual(self.lab.rookery("why").out, f"{self.lab.name}: 4 of 4 machines ready\n")

    def test_a_capture_that_cannot_be_written_names_its_place(self):
        for place in ("/dev/full", "/proc/x.pcapng"):
            self.assertIn(f"cannot write the capture {place}: ",
                          self.lab.rookery("capture", "n1", "-o", place, "--for", "1s", code=4).err)

    def test_a_terminal_gets_lines_and_colours_of_a_console_and_a_pipe_every_byte(self):
        self.lab.run("n1", "sh", "-c", "printf '\\033[2J\\033[?7l\\033[32mgreen words\\033[0m\\n' >/dev/console")
        self.lab.wait_for_console("n1", "\x1b[2J\x1b[?7l\x1b[32mgreen words")
        ours, theirs = os.openpty()
        with open(ours, "rb", buffering=0) as terminal, \
                running([program(), "logs", "--lab", self.lab.name, "-f", "n1"], self.session.environment, stdout=theirs):
            os.close(theirs)
            said = b""
            while b"green words\x1b[0m" not in said:
                said += terminal.read(65536)
        self.assertIn(b"\x1b[32mgreen words", said)
        self.assertNotIn(b"\x1b[2J", said)
        self.assertNotIn(b"\x1b[?7l", said)

    def test_logs_show_the_console_and_follow_it(self):
        self.lab.run("n1", "sh", "-c", "echo a word >/dev/console")
        self.lab.wait_for_console("n1", "a word")
        words = [program(), "logs", "--lab", self.lab.name, "-f", "n1"]
        with running(words, self.session.environment, stdout=subprocess.PIPE) as following:
            self.lab.run("n1", "sh", "-c", "echo another >/dev/console")
            for line in following.stdout:
                if "another" in line:
                    break
            else:
                self.fail("it ended before it said what was written")

    def test_the_shell_completes_the_names_of_machines(self):
        script = self.session.folder / "completion"
        script.write_text(self.session.rookery("completion", "bash").out)
        environment = dict(self.session.environment, PATH=f"{pathlib.Path(program()).resolve().parent}:{self.session.environment['PATH']}")
        for words in ("rookery why n", f"rookery logs --lab {self.lab.name} n", "rookery power cut n"):
            ask = f". {script}; COMP_WORDS=({words}); COMP_CWORD={len(words.split()) - 1}; _rookery; echo ${{COMPREPLY[*]}}"
            said = subprocess.run(["bash", "-c", ask], env=environment, capture_output=True, text=True, check=True).stdout
            self.assertEqual(said, "n1 n2 n3\n", words)

    def test_wrong_words(self):
        self.assertIn("n99", self.lab.rookery("why", "n99", code=2).err)
        self.assertIn("n99", self.lab.rookery("link", "n99", "down", code=2).err)
        self.assertIn("sideways", self.lab.rookery("link", "n1", "sideways", code=2).err)
        self.assertIn("--for", self.lab.rookery("capture", "n1", "-o", "x", "--for", "soon", code=2).err)


class Helpers(GuestTest):
    def test_the_doctor_boots_a_kernel(self):
        found = {one["what"]: one for one in self.session.rookery("doctor", "--json").json()["findings"]}
        self.assertIn("a kernel boots", found["User-Mode Linux"]["text"])
        self.assertEqual(found["image"]["found"], "good")

    def test_completion_knows_every_command(self):
        script = self.session.folder / "completion"
        script.write_text(self.session.rookery("completion", "bash").out)
        ask = f". {script}; COMP_WORDS=(rookery fault s); COMP_CWORD=2; _rookery; echo ${{COMPREPLY[*]}}"
        self.assertEqual(subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True).stdout, "show set\n")
        zsh = self.session.rookery("completion", "zsh").out
        manual = self.session.rookery("help", "--man").out
        for command in ("up", "why", "capture", "doctor", "image"):
            self.assertIn(f"'{command}:", zsh)
            self.assertIn(f".SS \\fBrookery {command}", manual)


if __name__ == "__main__":
    main()
