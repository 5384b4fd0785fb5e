#!/usr/bin/env python3
"""Three switches with tagged trunks and two VLANs: all boot from the one server, and the VLANs do not meet."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402

NETWORK = """
switches:
  core: {}
  east: {uplink: core, link: {rate: 10 Gbit/s, delay: 20 us}}
  west: {uplink: core, link: {rate: 10 Gbit/s, delay: 20 us}}
vlans:
  students: {id: 10, subnet: 10.78.0.0/16}
  staff: {id: 20, subnet: 10.79.0.0/16}
"""
MACHINES = """
machines:
  server: {role: boot-server, switch: core}
  s: {role: client, count: 2, switch: east, vlan: students}
  t: {role: client, count: 2, switch: west, vlan: staff}
  u: {role: client, switch: west, vlan: students}
"""
STUDENTS = {"s1": "10.78.1.1", "s2": "10.78.1.2", "u": "10.78.1.3"}
STAFF = {"t1": "10.79.1.1", "t2": "10.79.1.2"}


class Campus(GuestTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = cls.session.lab("campus", 0)
        cls.lab.file.write_text(f"lab: {cls.lab.name}\n{NETWORK}{MACHINES}")
        cls.report = cls.lab.up()

    def nic(self, machine):
        """The interface that has the machine's address."""
        address = {**STUDENTS, **STAFF}[machine]
        words = self.lab.run(machine, "ip", "-o", "-4", "address", "show", "to", address).split()
        return words[1]

    def hears(self, machine, address):
        """Whether anybody answers to the address by ARP, which no router has a part in."""
        code = self.lab.shell(machine, f"busybox arping -q -c 1 -w 2 -I {self.nic(machine)} {address}; echo $?")
        return code.split()[-1] == "0"

    def test_01_all_are_ready_with_addresses_of_their_own_vlan(self):
        self.assertEqual(self.report["ready"], len(STUDENTS) + len(STAFF))
        self.assertEqual(self.report["failed"], [])
        for name, address in {**STUDENTS, **STAFF}.items():
            found = self.lab.run(name, "ip", "-o", "-4", "address", "show", "scope", "global")
            self.assertEqual([word.split("/")[0] for word in found.split() if word.startswith("10.")][0], address)
            self.assertEqual(found.count(" inet "), 1, found)

    def test_02_each_reaches_the_server_by_the_servers_address_in_its_vlan(self):
        for name, address in (("s1", "10.78.0.1"), ("u", "10.78.0.1"), ("t2", "10.79.0.1")):
            self.assertTrue(self.hears(name, address), name)
            self.lab.run(name, "busybox", "wget", "-q", "-O", "/dev/null", f"http://{address}/boot.ipxe")

    def test_03_a_vlan_is_one_network_across_switches(self):
        self.assertTrue(self.hears("s1", STUDENTS["u"]))
        self.assertTrue(self.hears("u", STUDENTS["s2"]))

    def test_04_vlans_do_not_hear_each_other_not_even_on_one_switch(self):
        # With an address of the other network, so that only the switches are between them.
        self.lab.run("u", "ip", "address", "add", "10.79.9.9/16", "dev", self.nic("u"))
        self.lab.run("t1", "ip", "address", "add", "10.78.9.9/16", "dev", self.nic("t1"))
        self.assertFalse(self.hears("u", STAFF["t1"]))
        self.assertFalse(self.hears("u", "10.79.0.1"))
        self.assertFalse(self.hears("t1", STUDENTS["u"]))
        self.assertFalse(self.hears("t1", STUDENTS["s1"]))

    def test_05_the_server_has_an_interface_for_each_vlan_and_no_address_beside(self):
        found = self.lab.run("server", "ip", "-o", "-4", "address", "show", "scope", "global")
        interfaces = {line.split()[1]: line.split()[3] for line in found.splitlines()}
        self.assertEqual(interfaces, {"vlan10": "10.78.0.1/16", "vlan20": "10.79.0.1/16"})

    def test_06_names_are_known_and_the_servers_is_its_address_in_the_askers_vlan(self):
        for name, server in (("s1", "10.78.0.1"), ("t1", "10.79.0.1")):
            answer = self.lab.shell(name, f"busybox nslookup -type=a server.{self.lab.name}.internal {server}")
            told = [line.split()[-1] for line in answer.splitlines() if line.startswith("Address:")]
            self.assertIn(server, told)
            self.assertEqual(len([address for address in told if ":" not in address]), 1, answer)


if __name__ == "__main__":
    main()
