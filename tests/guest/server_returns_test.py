#!/usr/bin/env python3
"""The boot server loses its power and comes back: running clients go on, booting ones come up, new ones too."""
import concurrent.futures
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402

SUM = "cat /usr/share/perl/*/unicore/Name.p[lm] | sha256sum"


class ServerReturns(GuestTest):
    def test_running_clients_wait_for_their_share_and_go_on(self):
        lab = self.session.lab("returns", 3)
        lab.up()
        addresses = {name: machine["address"] for name, machine in lab.machines().items()}
        lab.rookery("power", "cut", "server")
        # Reads of what nobody has read yet hang, and do not fail.
        with concurrent.futures.ThreadPoolExecutor(1) as aside:
            reading = aside.submit(lab.shell, "n1", SUM, timeout=90)
            lab.wait_for_console("n1", "is lost; trying again")
            self.assertFalse(reading.done())
            lab.rookery("power", "on", "server")
            lab.wait_for("server", "ready")
            found = reading.result()
        self.assert_has(lab.console("n1"), "is back")
        self.assertEqual(found, lab.shell("n2", SUM, timeout=90))
        # The server forgot its leases; names and addresses are the lab's.
        self.assert_has(lab.run("n1", "getent", "hosts", "n3"), addresses["n3"])
        lab.reset("n3")
        lab.wait_for("n3", "ready")
        self.assertEqual({name: machine["address"] for name, machine in lab.machines().items()}, addresses)
        lab.down()

    def test_clients_that_were_booting_come_up(self):
        lab = self.session.lab("returnsboot", 6)
        lab.up()
        names = [f"n{i}" for i in range(1, 7)]
        lab.reset(*names)
        lab.rookery("power", "reset", "server")
        for name in ("server", *names):
            lab.wait_for(name, "ready", seconds=120)
        lab.down()


if __name__ == "__main__":
    main()
