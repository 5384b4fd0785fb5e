#!/usr/bin/env python3
"""Several labs at once, each with its own machines and network."""
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402


class LabsSideBySide(GuestTest):
    def setUp(self):
        self.one = self.session.lab("one", 2)
        self.two = self.session.lab("two", 2)

    def tearDown(self):
        for lab in (self.one, self.two):
            lab.give_up()

    def test_each_has_its_own_machines_and_network(self):
        # Both begin at the same time.
        reports = {}
        threads = [threading.Thread(target=lambda lab=lab: reports.update({lab.name: lab.up()}))
                   for lab in (self.one, self.two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for lab in (self.one, self.two):
            self.assertEqual(reports[lab.name]["ready"], 2)
        # Same names, same addresses, two networks: what one's server serves, the other's clients do not see.
        for lab, other in ((self.one, self.two), (self.two, self.one)):
            lab.shell("server", f"echo {lab.name} >/run/rookery/role/public/whose")
            self.assertEqual(lab.run("n1", "hostname"), "n1\n")
            self.assertIn(f"search {lab.name}.internal", lab.run("n1", "cat", "/etc/resolv.conf"))
            fetched = lab.shell("n1", "cd /tmp && busybox tftp -g -r whose 10.77.0.1 && cat whose")
            self.assertEqual(fetched, f"{lab.name}\n")
        self.assertNotEqual(self.one.supervisor(), self.two.supervisor())

        # Without --lab it is not clear which is meant, and the answer says between which to choose.
        for command in (["ps"], ["exec", "n1", "--", "true"], ["power", "cut", "n1"], ["logs", "n1"], ["down"]):
            code = 122 if command[0] == "exec" else 2  # exec's own failures are no program's
            self.assert_has(self.session.rookery(*command, code=code).err, self.one.name, self.two.name, "--lab")
        for lab in (self.one, self.two):
            self.assertEqual({machine["stage"] for machine in lab.machines().values()}, {"ready"})
        # A lab that is not there is not guessed at.
        wrong = self.one.name.replace("one", "onn")
        self.assert_has(self.session.rookery("ps", "--lab", wrong, code=(1, 2)).err, wrong, self.one.name)

        # When one has gone, the other is there as before, and the only one that can be meant.
        self.one.down()
        self.assert_nothing_left(self.one)
        self.assertEqual(self.session.rookery("ps", "--json").json()["lab"], self.two.name)
        self.assertEqual(self.session.rookery("exec", "n2", "--", "hostname").out, "n2\n")
        self.session.rookery("down")
        self.assert_nothing_left(self.two)
        self.assertIn("no lab is running", self.session.rookery("ps", code=(1, 2)).err)

    def test_a_lab_that_is_up_is_not_brought_up_again(self):
        self.one.up()
        supervisor = self.one.supervisor()
        for words in (["--until", "ready", "--json"], ["--until", "ready", "--down"], []):
            refused = self.session.rookery(*self.one.words(*words), code=2)
            self.assert_has(refused.err, f"rookery down --lab {self.one.name}", "up already")
            self.assertEqual(refused.out, "")
        # It did no harm.
        self.assertEqual(self.one.supervisor(), supervisor)
        self.assertEqual(self.one.run("n2", "hostname"), "n2\n")
        self.one.reset("n1")
        self.one.wait_for("n1", "ready")
        self.one.down()

    def test_of_two_who_bring_up_the_same_lab_at_once_one_does(self):
        outcomes = []

        def bring_up():
            outcomes.append(self.session.rookery(*self.two.words("--until", "ready", "--json"), code=None))
        threads = [threading.Thread(target=bring_up) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        codes = sorted(outcome.code for outcome in outcomes)
        self.assertEqual(codes, [0, 2, 2, 2], "\n".join(map(str, outcomes)))
        self.assertEqual(self.two.run("n1", "hostname"), "n1\n")
        self.two.down()
        self.assert_nothing_left(self.two)


if __name__ == "__main__":
    main()
