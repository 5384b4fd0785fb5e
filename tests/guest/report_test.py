#!/usr/bin/env python3
"""The report and the live view of real labs: what they say is what --json says, and watching changes nothing."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import pathlib
import xml.etree.ElementTree as xml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main, program  # noqa: E402


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="run">(.*?)</script>', page, re.S)[1])


def times_of(machine):
    return {change["stage"]: change["at"] / 1000 for change in machine["stages"]}


class Terminal:
    """A terminal with a program on it."""

    def __init__(self, argv, environment, columns=80, rows=24):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        environment = {key: value for key, value in environment.items() if key != "NO_COLOR"}
        self.process = subprocess.Popen(argv, env=dict(environment, TERM="xterm-256color"), stdin=theirs, stdout=theirs,
                                        stderr=theirs, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))  # so that its keys are signals
        self.text = b""

    def read_until(self, wanted, seconds=60):
        """Until it said so, or ended."""
        deadline = time.monotonic() + seconds
        while not wanted(self.text):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s; it said {self.text[-3000:]!r}")
            if select.select([self.ours], [], [], 0.05)[0]:
                self.text += os.read(self.ours, 65536)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.theirs)
        os.close(self.ours)


class Report(GuestTest):
    def test_01_the_page_says_what_json_says(self):
        lab = self.session.lab("page", 4)
        page, picture = self.session.folder / "a.html", self.session.folder / "a.svg"
        report = lab.up("--report", page, "--report", picture)
        data = data_of(page.read_text())
        self.assertEqual(data["report"], report)
        self.assertEqual([machine["name"] for machine in data["machines"]], ["server", "n1", "n2", "n3", "n4"])
        order = ["firmware", "dhcp", "script", "kernel", "root", "ready"]
        for machine in data["machines"]:
            times = times_of(machine)
            known = [stage for stage in order if stage in times]
            self.assertEqual([change["stage"] for change in machine["stages"]], known, machine["name"])
            self.assertEqual(sorted(times.values()), list(times.values()), machine["name"])
            if machine["role"] == "client":
                self.assertEqual(known, order, machine["name"])
        last = max(times_of(machine)["ready"] for machine in data["machines"] if machine["role"] == "client")
        self.assertAlmostEqual(last, report["seconds"], delta=0.01)
        self.assertEqual(page.read_text().count('<g id="m'), 5)
        drawn = xml.parse(picture).getroot()
        lanes = [group for group in drawn.iter("{http://www.w3.org/2000/svg}g") if group.get("id")]
        self.assertEqual(len(lanes), 5)
        # And later, of the running lab.
        lab.rookery("power", "cut", "n1")
        lab.wait_for("n1", "off")
        later = self.session.folder / "later.html"
        lab.rookery("report", later)
        n1 = data_of(later.read_text())["machines"][1]
        self.assertEqual(n1["stages"][-1]["stage"], "off")
        self.assertEqual(times_of(n1)["ready"], times_of(data["machines"][1])["ready"])
        lab.down()

    def test_02_a_failure_stands_on_top_with_its_reason(self):
        scenario = self.session.scenario_with_cut_cables("watched", 3, "n2")
        page = self.session.folder / "b.html"
        report = self.session.rookery("run", scenario, "--json", "--report", page, code=1).json()
        text = page.read_text()
        data = data_of(text)
        self.assertEqual(data["report"], report)
        self.assertEqual([machine["name"] for machine in report["failed"]], ["n2"])
        self.assertEqual(data["machines"][2]["reason"], report["failed"][0]["reason"])
        self.assertEqual(data["machines"][2]["place"], 1)
        self.assertLess(text.index("1 failed</h2>"), text.index("What happened when"))
        self.assertEqual([fault["name"] for fault in data["faults"]], ["n2.down"])
        self.assertIn(report["digest"], text)
        self.assertIn("scenario: watched", text)
        # Whoever watches, and whatever for, the run is the same.
        alone = self.session.rookery("run", scenario, "--json", code=1).json()
        self.assertEqual(alone["digest"], report["digest"])
        terminal = Terminal([program(), "run", str(scenario)], self.session.environment)
        self.addCleanup(terminal.close)
        terminal.read_until(lambda said: alone["digest"].encode() in said)
        self.assertIn(b"\x1b[?1049h", terminal.text)  # it was the live view that showed it

    def test_03_the_terminal_is_as_it_was_whatever_ends_the_view(self):
        for how in ("q", "SIGINT", "SIGKILL"):
            with self.subTest(how):
                lab = self.session.lab(f"view-{how.lower()}", 2)
                terminal = Terminal([program(), "up", str(lab.file)], self.session.environment)
                self.addCleanup(terminal.close)
                terminal.read_until(lambda said: b"2 of 2 ready" in said)
                self.assertNotEqual(termios.tcgetattr(terminal.theirs), terminal.before)
                if how == "q":
                    os.write(terminal.ours, b"q")
                else:
                    terminal.process.send_signal(getattr(signal, how))
                terminal.read_until(lambda said: b"\x1b[?1049l" in said)
                deadline = time.monotonic() + 10
                while termios.tcgetattr(terminal.theirs) != terminal.before and time.monotonic() < deadline:
                    select.select([], [], [], 0.01)
                self.assertEqual(termios.tcgetattr(terminal.theirs), terminal.before)
                if how == "q":  # and the lab goes on
                    terminal.read_until(lambda said: b"2 of 2 clients ready" in said)
                    self.assertEqual(lab.stage("n1"), "ready")
                    lab.down()
                self.assert_nothing_left(lab)

    def test_04_ctrl_c_while_it_boots_is_told_from_a_lab_that_came_up(self):
        scenario = self.session.scenario_with_cut_cables("late", 3, "n2")
        # (Nobody answers it for a while.)
        lab = self.session.lab("ctrl-c", 1, "\n  far: {role: client, link: {delay: 50 s}, boot_timeout: 60 s}\n")
        for words, said in ((["up", lab.file], b"taken down before"), (["up", lab.file, "--until", "ready"], b"taken down before"),
                            (["up", lab.file, "--until", "ready", "--down"], b"taken down before"),
                            (["run", scenario, "--time", "wall"], b"interrupted")):
            with self.subTest(words):
                terminal = Terminal([program(), *map(str, words)], self.session.environment)
                self.addCleanup(terminal.close)
                terminal.read_until(lambda text: b" dhcp" in text)
                os.write(terminal.ours, b"\x03")
                terminal.read_until(lambda text: said in text)
                self.assertEqual(terminal.process.wait(timeout=60), 130)
                self.assert_nothing_left(lab)

    def test_06_a_lab_that_is_not_up_in_time_is_taken_down_and_says_who_is_late_and_why(self):
        lab = self.session.lab("late-lab", 1, "\n  far: {role: client, link: {delay: 50 s}, boot_timeout: 60 s}\n")
        for more in ([], ["--down"]):
            with self.subTest(more):
                said = self.session.rookery("up", lab.file, "--until", "ready", "--timeout", 2, *more, code=3).err
                self.assertIn("not up after 2 s, and taken down: ", said)
                self.assertRegex(said, r"(?m)^  far \((off|firmware|dhcp)\): \S")
                self.assert_nothing_left(lab)
        said = self.session.rookery("up", lab.file, "--timeout", 2, code=2).err
        self.assertIn("--timeout goes with --until ready", said)

    def test_05_what_cannot_be_written_is_refused_before_anything_starts(self):
        lab = self.session.lab("refused", 1)
        said = self.session.rookery("up", lab.file, "--report", "a.pdf", code=2).err
        self.assertIn("FILE.html or FILE.svg", said)


if __name__ == "__main__":
    main()
