#!/usr/bin/env python3
"""Takes the DHCP server away: no client passes the stage dhcp, and each says why."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402

CLIENTS = ["n1", "n2", "n3"]
# Stage one gives up after two rounds of asking, some 20 s; this is when the test does.
GIVES_UP = 45


class NoDhcpServer(GuestTest):
    def test_no_client_passes_the_stage_dhcp(self):
        lab = self.session.lab("nodhcp", len(CLIENTS))
        up = lab.start()
        for name in CLIENTS:
            lab.wait_for_words(f"{name} ready")
        lab.shell("server", "kill $(cat /run/rookery/dnsmasq.pid); while pidof dnsmasq; do :; done")
        lab.run("server", "pidof", "dnsmasq", code=1)
        before = len(lab.said())
        lab.reset(*CLIENTS)
        for name in CLIENTS:
            machine = lab.wait_for(name, "failed", seconds=GIVES_UP)
            self.assertEqual(machine["failed_in"], "dhcp")
            self.assert_has(machine["reason"], "no answer from any DHCP server")
            self.assertRegex(machine["reason"], r"[1-9][0-9]* DISCOVER, no OFFER")
            self.assert_has(lab.console(name), "failed in the stage dhcp")
        # In all that time none of them was in any other stage.
        said = lab.said()[before:]
        for name in CLIENTS:
            self.assert_has(said, f"{name} dhcp", f"{name} failed in the stage dhcp: no answer from any DHCP server")
            for stage in ("script", "kernel", "root", "ready"):
                self.assertNotIn(f"{name} {stage}", said)
        shown = lab.rookery("ps").out
        self.assertEqual(shown.count("no OFFER"), len(CLIENTS), shown)
        self.assertEqual(lab.rookery("ps", "--json").json()["ready"], 0)
        # The server itself is well, and what ran the lab knows how it ended.
        self.assertEqual(lab.stage("server"), "ready")
        self.assertEqual(lab.down(), 1, "the exit code of 'up' after clients failed")
        self.assertIsNotNone(up.returncode)

    def test_a_client_comes_up_when_the_server_is_back_in_time(self):
        lab = self.session.lab("dhcpback", 1)
        lab.up()
        # Stopped, not ended: it answers when it goes on, as a server that was busy.
        lab.shell("server", "kill -STOP $(pidof dnsmasq)")
        lab.reset("n1")
        lab.wait_for("n1", "dhcp")
        lab.shell("server", "kill -CONT $(pidof dnsmasq)")
        lab.wait_for("n1", "ready")
        lab.down()


if __name__ == "__main__":
    main()
