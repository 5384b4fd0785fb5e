#!/usr/bin/env python3
"""Faults of a running lab, by the command line: what is set strikes what it names, and clearing it is the end."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main, wait_until  # noqa: E402

# Stage one gives up after two rounds of asking, some 20 s; this is when the test does.
GIVES_UP = 45
TWO_WAYS = """
switches:
  core: {}
  spare: {uplink: core}
  east: {uplink: [core, spare]}
machines:
  server: {role: boot-server, switch: core}
  n: {role: client, count: 2, switch: east}
"""


class Faults(GuestTest):
    def hears(self, lab, machine, address):
        """Whether the machine gets an answer over TCP within two seconds; the NIC's cache of addresses is not asked."""
        words = f"timeout 2 busybox wget -q -O /dev/null http://{address}/boot.ipxe; echo $?"
        return lab.shell(machine, words).split()[-1] == "0"

    def test_a_client_whose_cable_loses_all_fails_and_says_why_and_boots_when_it_is_cleared(self):
        lab = self.session.lab("lossy", 2)
        lab.up()
        self.assertEqual(lab.rookery("fault", "set", "n1", "loss=100%").out, "n1.loss\n")
        lab.reset("n1", "n2")
        lab.wait_for("n2", "ready")
        machine = lab.wait_for("n1", "failed", seconds=GIVES_UP)
        self.assertEqual(machine["failed_in"], "dhcp")
        self.assertRegex(machine["reason"], r"[1-9][0-9]* DISCOVER, no OFFER")
        shown = lab.rookery("fault", "show", "--json").json()["faults"]
        self.assertEqual([(one["name"], one["on"], one["loss"]) for one in shown], [("n1.loss", "n1", "100%")])
        self.assertGreater(shown[0]["hit"], 0)
        self.assertEqual(shown[0]["hit"], shown[0]["seen"])
        self.assertEqual(lab.rookery("fault", "clear", "n1", "--json").json(), {"cleared": 1})
        self.assertEqual(lab.rookery("fault", "show").out, "")
        lab.reset("n1")
        lab.wait_for("n1", "ready")
        lab.down()

    def test_b_a_boot_survives_the_loss_of_one_chosen_answer(self):
        lab = self.session.lab("chosen", 1)
        lab.up()
        lab.rookery("fault", "set", "n1", "loss=100%", "direction=down", "match=udp dst port 68", "count=1", "name=offer")
        lab.reset("n1")
        lab.wait_for("n1", "dhcp")
        lab.wait_for("n1", "ready")
        self.assertEqual(lab.rookery("fault", "show", "--json").json(), {"faults": []}, "its count was used up")
        lab.down()

    def test_c_words_are_refused_by_name(self):
        lab = self.session.lab("words", 1)
        lab.up()
        for words, why in ((("n9", "loss=1%"), "no machine or trunk 'n9'"), (("n1", "los=1%"), "did you mean 'loss'?"),
                           (("n1", "loss=1%", "match=host example"), "'example' is neither"),
                           (("server", "restart=1s"), "no switch 'server'")):
            self.assert_has(lab.rookery("fault", "set", *words, code=2).err, why)
        self.assert_has(lab.rookery("fault", "set", "n1", "delay", "100ms", code=2).err, "say 'n1 delay=100ms'")
        self.assert_has(lab.rookery("fault", "clear", "n1", code=2).err, "none is in force")
        # What is in a machine's way stands where its stage is, and nobody waits for it for ever.
        lab.rookery("fault", "set", "n1", "freeze")
        lab.rookery("fault", "set", "server", "loss=1%", "direction=up")
        machines = lab.machines()
        self.assertEqual((machines["n1"]["stage"], machines["n1"]["in_the_way"], machines["server"]["in_the_way"]),
                         ("ready", ["frozen"], ["loss"]))
        self.assertRegex(lab.rookery("ps").out, r"\nn1 .* ready, frozen +10\.77\.1\.1\n")
        late = lab.rookery("exec", "--timeout", "1", "--all", "--", "hostname", code=3)
        self.assertIn("server: server\n", late.out)
        self.assert_has(late.err, "did not end in time on n1 (frozen)")
        lab.rookery("fault", "clear", "n1")
        # Whichever answers first.
        self.assertEqual(sorted(lab.run("n*,server", "hostname").splitlines()), ["n1: n1", "server: server"])
        self.assertNotIn("in_the_way", lab.machines()["n1"])
        lab.down()

    def test_d_a_trunk_that_is_cut_is_gone_round_and_a_partition_is_not(self):
        lab = self.session.lab("ways", 0)
        lab.file.write_text(f"lab: {lab.name}\n{TWO_WAYS}")
        lab.up()
        server = "10.77.0.1"
        self.assertTrue(self.hears(lab, "n1", server))
        lab.rookery("fault", "set", "east:core", "down")
        self.assertTrue(self.hears(lab, "n1", server), "by the spare switch")
        lab.reset("n2")
        lab.wait_for("n2", "ready")
        self.assertTrue(self.hears(lab, "n2", server))  # and what it takes to ask is read from the shared image
        lab.rookery("fault", "set", "east:spare", "down")
        self.assertFalse(self.hears(lab, "n1", server), "there is no other way")
        lab.rookery("fault", "clear", "all")
        lab.rookery("fault", "set", "partition=server,n1/n2")
        wait_until(lambda: self.hears(lab, "n1", server), 20, "n1 reaches the server again")
        self.assertFalse(self.hears(lab, "n2", server))
        lab.rookery("fault", "clear", "partition.*")
        wait_until(lambda: self.hears(lab, "n2", server), 20, "n2 reaches the server again")
        lab.down()


if __name__ == "__main__":
    main()
