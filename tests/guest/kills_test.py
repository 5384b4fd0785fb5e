#!/usr/bin/env python3
"""kill -9 of supervisors and of guests' kernels at random moments of a boot: no process, file or memory is left.

The moments are drawn from ROOKERY_SEED, which is printed. `kills_test.py Few` kills five of each, `kills_test.py Hundred` a
hundred of each.
"""
import contextlib
import os
import pathlib
import random
import select
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import SEED, GuestTest, main, wait_until  # noqa: E402
from processes import all_processes, processes_of, wait_for_end  # noqa: E402

CLIENTS = 3
BAR = 10.0  # seconds, until all is gone: the bar of `down` is three, on a host that does nothing else


def holders_of(memory):
    """Processes that map a file of guests' memory, be it unlinked or not."""
    found = []
    for pid in all_processes():
        with contextlib.suppress(OSError):
            if str(memory) in pathlib.Path(f"/proc/{pid}/maps").read_text(errors="replace"):
                found.append(pid)
    return found


def pass_time(seconds):
    select.select([], [], [], seconds)


class Kills:
    kills = 0

    def setUp(self):
        self.random = random.Random(f"{SEED} {self.id()}")
        print(f"(seed {SEED}, {self.kills} kills)", end=" ", flush=True)

    def boot_time(self, lab):
        start = time.monotonic()
        lab.up()
        took = time.monotonic() - start
        lab.down()
        self.assert_nothing_left(lab, BAR)
        return took

    def test_of_supervisors(self):
        lab = self.session.lab("supervisors", CLIENTS)
        lasts, slowest = self.boot_time(lab), 0.0
        for number in range(self.kills):
            moment = self.random.uniform(0, lasts)
            up = lab.start()
            pass_time(moment)
            start = time.monotonic()
            os.kill(up.pid, signal.SIGKILL)
            wait_for_end(up, BAR)
            what = f"seed {SEED}, kill {number + 1} of a supervisor, {moment:.3f} s after its start, leaves"
            self.assert_nothing_left(lab, BAR, what)
            self.assertEqual(holders_of(lab.memory), [], what)
            slowest = max(slowest, time.monotonic() - start)
        print(f"(a boot takes {lasts:.1f} s; all was gone after {slowest:.2f} s at the most)", end=" ", flush=True)

    def test_of_kernels(self):
        lab = self.session.lab("kernels", CLIENTS)
        start = time.monotonic()
        lab.up()
        lasts, slowest = time.monotonic() - start, 0.0
        for number in range(self.kills):
            name = f"n{self.random.randint(1, CLIENTS)}"
            moment = self.random.uniform(0, lasts / 2)
            lab.reset(name)
            pass_time(moment)
            kernel, folder = lab.guest_process(name), lab.folder / "m" / name
            start = time.monotonic()
            os.kill(kernel, signal.SIGKILL)
            what = f"seed {SEED}, kill {number + 1} of {name}'s kernel, {moment:.3f} s after its start"
            wait_until(lambda: lab.machines()[name]["state"] == "failed", BAR, f"{what}: it has failed")
            # The supervisor itself listens in that folder; whose working folder it is, or who has its memory, is the guest's.
            wait_until(lambda: self.guests_in(folder) == [] and holders_of(lab.memory / name) == [], BAR,
                       f"{what}: nothing of it is left", lambda: f"{self.guests_in(folder)} {holders_of(lab.memory / name)}")
            self.assertFalse((lab.memory / name).exists(), what)
            slowest = max(slowest, time.monotonic() - start)
        lab.down()
        self.assert_nothing_left(lab, BAR)
        print(f"(all was gone after {slowest:.2f} s at the most)", end=" ", flush=True)

    @staticmethod
    def guests_in(folder):
        return [pid for pid in processes_of(str(folder)) if os.path.realpath(f"/proc/{pid}/cwd").startswith(str(folder))]


class Few(Kills, GuestTest):
    kills = 5


class Hundred(Kills, GuestTest):
    kills = 100


if __name__ == "__main__":
    main()
