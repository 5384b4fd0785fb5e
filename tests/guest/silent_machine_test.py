#!/usr/bin/env python3
"""A machine that gives no sign of life is not waited for, and it is said which and why; one that computes is."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main, program  # noqa: E402


class SilentMachine(GuestTest):
    def test_exec_and_cp_tell_who_is_silent_and_exec_waits_for_who_computes(self):
        lab = self.session.lab("silent", 2)
        lab.up()
        lab.rookery("fault", "set", "n1", "freeze")
        copies = [subprocess.Popen([program(), "cp", "--lab", lab.name, *words], env=self.session.environment,
                                   stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                  for words in ([__file__, "n1:/tmp/"], ["n1:/etc/hostname", str(self.session.folder / "here")])]
        late = lab.rookery("exec", "--json", "--all", "--", "sh", "-c", "sleep 25; hostname", code=3, timeout=90)
        told = {machine["name"]: machine for machine in late.json()["machines"]}
        self.assertEqual((told["n2"]["stdout"], told["server"]["exit_code"]), ("n2\n", 0))
        self.assertEqual(told["n1"]["error"], "n1 has not answered for 20 s (frozen)")
        self.assert_has(late.err, "n1 has not answered for 20 s (frozen)")
        for copy in copies:
            self.assertIn("n1 has not answered for 20 s (frozen)", copy.communicate(timeout=60)[1])
            self.assertEqual(copy.returncode, 1)
        self.assertFalse((self.session.folder / "here").exists())
        lab.rookery("fault", "clear", "n1")
        self.assertEqual(lab.run("n1", "hostname"), "n1\n")
        self.assertEqual(lab.run("n1", "ls", "-A", "/tmp"), "")
        lab.down()


if __name__ == "__main__":
    main()
