#!/usr/bin/env python3
"""A machine's clock is wrong by as much as a fault says, forward and back, and nothing else of it."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402


class ClockStep(GuestTest):
    def test_the_time_of_day_steps_and_the_time_since_the_boot_does_not(self):
        lab = self.session.lab("clock", 2)
        lab.up()

        def off():
            """By how much n1's clock is ahead of n2's; the two commands are not one, so in hours."""
            return round((int(lab.run("n1", "date", "+%s")) - int(lab.run("n2", "date", "+%s"))) / 3600)
        self.assertEqual(off(), 0)
        lab.rookery("fault", "set", "n1", "clock-step=2h")
        self.assertEqual(off(), 2)
        lab.rookery("fault", "set", "n1", "clock-step=-5h")
        self.assertEqual(off(), -3)
        self.assertLess(float(lab.run("n1", "cat", "/proc/uptime").split()[0]), 3600)
        lab.down()


if __name__ == "__main__":
    main()
