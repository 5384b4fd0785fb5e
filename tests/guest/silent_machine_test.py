#!/usr/bin/env python3
"""A machine that gives no sign of life is not waited for, and it is said which and why; one that computes is."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402


class SilentMachine(GuestTest):
    def test_exec_tells_who_is_silent_and_waits_for_who_computes(self):
        lab = self.session.lab("silent", 2)
        lab.up()
        lab.rookery("fault", "set", "n1", "freeze")
        late = lab.rookery("exec", "--json", "--all", "--", "sh", "-c", "sleep 25; hostname", code=3, timeout=90)
        told = {machine["name"]: machine for machine in late.json()["machines"]}
        self.assertEqual((told["n2"]["stdout"], told["server"]["exit_code"]), ("n2\n", 0))
        self.assertEqual(told["n1"]["error"], "n1 has not answered for 20 s (frozen)")
        self.assert_has(late.err, "n1 has not answered for 20 s (frozen)")
        lab.rookery("fault", "clear", "n1")
        self.assertEqual(lab.run("n1", "hostname"), "n1\n")
        lab.down()


if __name__ == "__main__":
    main()
