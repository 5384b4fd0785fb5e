#!/usr/bin/env python3
"""However a lab ends, nothing of it is left, and the next one comes up."""
import os
import pathlib
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import BAR_OF_DOWN, GuestTest, main  # noqa: E402
from processes import Watch, family_of, processes_of, wait_for_end  # noqa: E402

CLIENTS = 10


class LeavesNothing(GuestTest):
    def everything_of(self, lab, supervisor, machines=1):
        """Its processes, by their family and by their folders: supervisor, janitor, and the machines that run."""
        pids = set(family_of(supervisor)) | set(processes_of(str(lab.folder))) | set(processes_of(str(lab.file)))
        self.assertGreaterEqual(len(pids), 2 + machines)
        watch = Watch(pids)
        self.addCleanup(watch.close)
        return watch

    def kill(self, lab, supervisor, machines=1):
        """The supervisor, at once; and all of it is gone within the bar."""
        watch = self.everything_of(lab, supervisor, machines)
        start = time.monotonic()
        os.kill(supervisor, signal.SIGKILL)
        watch.wait(BAR_OF_DOWN, "after the supervisor was killed")
        self.assert_nothing_left(lab, max(0, BAR_OF_DOWN - (time.monotonic() - start)), "a killed supervisor leaves")
        print(f"(gone {time.monotonic() - start:.2f} s after the kill)", end=" ", flush=True)

    def test_after_down(self):
        lab = self.session.lab("down", CLIENTS)
        lab.up()
        watch = self.everything_of(lab, lab.supervisor(), CLIENTS + 1)
        start = time.monotonic()
        lab.down()
        took = time.monotonic() - start
        # `down` comes back when all is gone; the supervisor's own last steps are all that may be seen after it.
        watch.wait(max(0, BAR_OF_DOWN - took), "after 'down'")
        self.assert_nothing_left(lab, max(0, BAR_OF_DOWN - took), "'down' leaves")
        print(f"(down took {took:.2f} s)", end=" ", flush=True)

    def test_after_up_until_ready_and_down(self):
        lab = self.session.lab("updown", 2)
        self.assertEqual(lab.up("--down")["ready"], 2)
        self.assert_nothing_left(lab, what="'up --until ready --down' leaves")

    def test_after_an_interrupt_in_the_foreground(self):
        for number, name in ((signal.SIGINT, "int"), (signal.SIGTERM, "term"), (signal.SIGHUP, "hup")):
            lab = self.session.lab(name, 2)
            up = lab.start()
            lab.wait_for_words("the lab is up")
            watch = self.everything_of(lab, up.pid)
            up.send_signal(number)
            self.assertEqual(wait_for_end(up, 10), 0)
            watch.wait(BAR_OF_DOWN, f"after {number.name}")
            self.assert_nothing_left(lab)

    def test_after_the_supervisor_was_killed(self):
        lab = self.session.lab("killed", CLIENTS)
        lab.up()
        self.kill(lab, lab.supervisor(), CLIENTS + 1)
        # The same lab comes up at once.
        self.assertEqual(lab.up()["ready"], CLIENTS)
        lab.down()
        self.assert_nothing_left(lab)

    def test_after_the_supervisor_was_killed_while_machines_boot(self):
        lab = self.session.lab("midboot", CLIENTS)
        for words in ("server firmware", "server root", "server ready", "n1 dhcp", "n2 root", f"n{CLIENTS} firmware"):
            up = lab.start()
            lab.wait_for_words(words)
            self.kill(lab, up.pid)
            wait_for_end(up, 10)
        self.assertEqual(lab.up()["ready"], CLIENTS)
        lab.down()
        self.assert_nothing_left(lab)

    def test_up_works_in_the_very_moment_of_the_kill(self):
        """Nobody waits here for the remains of the last one: `up` has to live with them."""
        lab = self.session.lab("again", CLIENTS)
        lab.up()
        for _ in range(3):
            os.kill(lab.supervisor(), signal.SIGKILL)
            self.assertEqual(lab.up()["ready"], CLIENTS)
            self.assertEqual(lab.run("n1", "hostname"), "n1\n")
            lab.reset("n1")  # needs the folders that the last one's janitor removes
            lab.wait_for("n1", "ready")
        lab.down()
        self.assert_nothing_left(lab)

    def test_after_the_one_who_waits_for_ready_was_interrupted(self):
        """`up --until ready` in the background, and who asked for it goes before it is ready."""
        # A client whose answers never come keeps the lab from being settled in this test's time.
        far = "  far: {role: client, link: {delay: 60 s}, boot_timeout: 5 min}\n"
        for number in (signal.SIGINT, signal.SIGKILL):
            lab = self.session.lab(f"waiter{int(number)}", 2, far)
            up = lab.start("--until", "ready")
            lab.wait_for_words("far dhcp")
            watch = self.everything_of(lab, up.pid, 4)
            up.send_signal(number)
            wait_for_end(up, 10)
            watch.wait(BAR_OF_DOWN, f"after {number.name} to who waits")
            self.assert_nothing_left(lab)

    def test_a_name_is_one_lab_and_a_lab_without_its_folder_goes_down(self):
        """A second `up` with another runtime folder takes nothing from the first; and a logout removes the first's folder."""
        lab, elsewhere = self.session.lab("logout", 1), self.session.folder / "run2"
        elsewhere.mkdir(mode=0o700)
        up = lab.start()
        lab.wait_for_words("the lab is up")
        here, self.session.environment["XDG_RUNTIME_DIR"] = self.session.environment["XDG_RUNTIME_DIR"], str(elsewhere)
        try:
            refused = self.session.rookery("up", lab.file, code=2).err
            self.assert_has(refused, "is up already, in another runtime folder",
                            f"XDG_RUNTIME_DIR={here} rookery down --lab {lab.name}")
            self.assertIn(f"XDG_RUNTIME_DIR={here} rookery", lab.rookery("ps", code=2).err)
        finally:
            self.session.environment["XDG_RUNTIME_DIR"] = here
        self.assertEqual(lab.run("n1", "hostname"), "n1\n")
        watch = self.everything_of(lab, up.pid)
        shutil.rmtree(self.session.runtime / "rookery", ignore_errors=True)
        self.assertEqual(wait_for_end(up, 10), 4)
        self.assertIn("was removed", lab.said())
        watch.wait(BAR_OF_DOWN, "after its folder was removed")
        self.assert_nothing_left(lab)


if __name__ == "__main__":
    main()
