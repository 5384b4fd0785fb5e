#!/usr/bin/env python3
"""A real wire: the lab is joined to a network interface, and a machine at the far side of a cable, with no part of
Rookery on its side, boots from the lab's boot server; with our DHCP, and beside a DHCP server of its own."""
import hashlib
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from far_wire import BRIDGE, INTERFACE, MAC, FarWire, enter  # noqa: E402
from lab_test import IMAGE, QEMU, GuestTest, main, program, wait_until  # noqa: E402

READY = "rookery: ready"
SERVER, CLIENT = "52:54:00:00:00:00", "52:54:00:00:00:01"
MANAGEMENT = "0a:52:4b"  # the beginning of every management NIC's address


class Uplink(GuestTest):
    """A lab with one client of its own, a physical machine, and what passed the wire."""

    def join(self, name, *words):
        self.wire = FarWire(self.session.folder / name)
        self.addCleanup(self.wire.close)
        self.wire.witness()
        self.lab = self.session.lab(name, 1)
        return self.lab

    def physical(self):
        machines = self.lab.rookery("ps", "--json").json()["uplink"]["machines"]
        self.assertEqual([machine["mac"] for machine in machines], [MAC])
        return machines[0]

    def check_image(self):
        """What the machine fetched is the image's, to the byte."""
        wanted = {one["name"]: one["sha256"] for one in
                  self.session.rookery("image", "show", IMAGE, "--json").json()["components"]}
        files = self.wire.files()
        for name in ("vmlinuz", "stage2.cpio", "modules.cpio"):
            self.assertEqual(hashlib.sha256(files[name]).hexdigest(), wanted[name], name)

    def check_shares(self, server, others):
        """By NBD and HTTP there is the image, to be read, and nothing else of the boot server."""
        size = next(one["size"] for one in self.session.rookery("image", "show", IMAGE, "--json").json()["components"]
                    if one["name"] == "root.squashfs")
        names = ["root.squashfs", "../../etc/shadow", "/etc/shadow", "..", ".", "/run/rookery/role/start"]
        script = pathlib.Path(__file__).resolve().parent / "support/nbd_export.py"
        given = self.wire.run(sys.executable, str(script), server, *names).split()
        self.assertEqual(given, [str(size)] + [others or str(size)] * (len(names) - 1))
        for path in ("/etc/shadow", "/../../etc/shadow", "/%2e%2e/%2e%2e/etc/shadow", "/"):
            said = self.wire.run("sh", "-c", 'printf "GET %s HTTP/1.0\\r\\n\\r\\n" "$2" | busybox nc -w 5 "$1" 80', "-", server, path)
            self.assertRegex(said, r"^HTTP/1\.\d 4\d\d ", path)

    def check_boot(self):
        why = self.lab.rookery("why", MAC, "--json").json()
        self.assertEqual(why["cause"], "ready")
        self.assertEqual([step["stage"] for step in why["chain"]], ["firmware", "dhcp", "script", "kernel", "root"])
        self.assertIn(MAC, self.lab.rookery("ps").out)

    def check_wire(self, allowed):
        """Nobody was on the wire but those allowed; nothing of the management, and no DHCP of the lab's client."""
        sources = {mac for mac, in self.wire.seen("eth", "eth.src")}
        self.assertEqual(sources - allowed, set())
        self.assertEqual(self.wire.seen("eth.type == 0x88b5", "eth.src"), set())
        self.assertEqual({mac for mac, in self.wire.seen("dhcp.type == 1", "dhcp.hw.mac_addr")} & {CLIENT}, set())
        self.assertEqual([mac for mac in sources if mac.startswith(MANAGEMENT)], [])


class WithOurDhcp(Uplink):
    def test_a_physical_machine_boots_from_the_labs_boot_server(self):
        lab = self.join("ours")
        lab.up("--uplink", INTERFACE)
        self.wire.switch_on()
        self.wire.wait_for(READY)
        seen = self.physical()
        self.assertRegex(seen["address"], r"^10\.77\.25[2-5]\.")
        self.assertEqual((seen["stage"], seen["backend"], seen["boots"]), ("root", "wire", 1))
        leases = lab.run("server", "cat", "/run/rookery/dnsmasq.leases")
        self.assertRegex(leases, rf"{MAC} {seen['address']} guest-\d+")
        self.check_boot()
        self.wire.end_witness()
        self.check_image()
        self.check_wire({MAC, SERVER, CLIENT, BRIDGE})
        self.assertEqual(self.wire.seen("dhcp.type == 2", "dhcp.option.dhcp_server_id"), {("10.77.0.1",)})
        lab.down()
        self.assert_nothing_left(lab)


class BesideAnotherDhcpServer(Uplink):
    def test_the_boot_server_only_says_what_to_boot(self):
        lab = self.join("proxy")
        self.wire.dhcp_server("192.168.7.50", "192.168.7.99", "192.168.7.1/24")
        lab.up("--uplink", INTERFACE, "--uplink-mode", "proxy")
        self.wire.switch_on()
        self.wire.wait_for(READY)
        seen = self.physical()
        theirs = self.wire.leases.read_text()
        self.assertIn(f"{MAC} {seen['address']} ", theirs)
        self.assertEqual(len(theirs.splitlines()), 2, "a lease for the machine, and one for the boot server")
        ours = lab.run("server", "cat", "/run/rookery/dnsmasq.leases")
        self.assertIn(CLIENT, ours)
        self.assertNotIn(MAC, ours)
        self.assertEqual(len(ours.splitlines()), 1)
        self.check_boot()
        self.wire.end_witness()
        self.check_image()
        own = lab.shell("server", "cat /sys/class/net/uplink/address").strip()
        self.check_wire({MAC, own, BRIDGE})
        given = self.wire.seen("dhcp.type == 2 && dhcp.ip.your != 0.0.0.0", "eth.src")
        self.assertEqual(given, {(BRIDGE,)}, "who gave addresses")
        lab.down()
        self.assert_nothing_left(lab)

    def test_an_address_may_be_stated_and_is_needed_where_nobody_gives_one(self):
        lab = self.join("stated")
        report = lab.up("--uplink", INTERFACE, "--uplink-mode", "proxy", code=1, timeout=200)
        self.assertIn("no DHCP server there gave the boot server an address", report["failed"][0]["reason"])
        lab.down()
        lab.up("--uplink", INTERFACE, "--uplink-mode", "proxy", "--uplink-address", "192.168.9.2/24")
        self.wire.run("ip", "address", "add", "192.168.9.1/24", "dev", "br0")
        got = self.wire.run("busybox", "wget", "-q", "-O", "-", "http://192.168.9.2/boot.ipxe")
        self.assertIn("set base http://192.168.9.2", got)
        self.check_shares("192.168.9.2", None)  # whatever it is called, it is the root
        lab.down()


class Refused(GuestTest):
    def test_an_uplink_that_cannot_be_is_refused_and_says_what_to_do(self):
        wire = FarWire(self.session.folder / "refused")
        self.addCleanup(wire.close)
        lab = self.session.lab("refused", 0)

        def refusal(interface, code, *words):
            return lab.session.rookery(*lab.words("--uplink", interface, *words), code=code).err

        self.assertIn("there is no network interface 'eth9'; there are: lo, ", refusal("eth9", 2))
        self.assertIn("lo is no Ethernet interface", refusal("lo", 2))
        self.assertIn("--uplink-mode knows dhcp and proxy", refusal(INTERFACE, 2, "--uplink-mode", "nat"))
        bare = subprocess.run(["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", program(),
                               *lab.words("--uplink", INTERFACE)], env=self.session.environment, capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(bare.returncode, 4, bare.stderr)
        self.assertIn("CAP_NET_RAW", bare.stderr)
        self.assertIn("setcap cap_net_raw+ep ", bare.stderr)
        subprocess.run(["ip", "link", "set", INTERFACE, "down"], check=True)
        self.assertIn(f"{INTERFACE} is down; set it up: ip link set {INTERFACE} up", refusal(INTERFACE, 4))


class ComesAndGoes(Uplink):
    def test_a_nic_that_goes_down_is_named_and_nothing_else_suffers(self):
        lab = self.join("goes")
        lab.up("--uplink", INTERFACE)
        self.assertNotIn("problem", lab.rookery("ps", "--json").json()["uplink"])
        subprocess.run(["ip", "link", "set", INTERFACE, "down"], check=True)
        self.assertIn(f"uplink {INTERFACE}: {INTERFACE} is down", lab.rookery("ps").out)
        lab.reset("n1")
        lab.wait_for("n1", "ready")
        subprocess.run(["ip", "link", "set", INTERFACE, "up"], check=True)
        self.wire.run("ip", "address", "add", "10.77.200.1/16", "dev", "br0")
        wait_until(lambda: subprocess.run(self.wire.at("busybox", "ping", "-c1", "-W1", "10.77.0.1"), capture_output=True,
                                          check=False).returncode == 0, 30, "the boot server answers on the wire again")
        self.check_shares("10.77.0.1", "refused")
        lab.rookery("fault", "set", "uplink", "down")
        self.assertNotEqual(subprocess.run(self.wire.at("busybox", "ping", "-c1", "-W1", "10.77.0.1"), capture_output=True,
                                           check=False).returncode, 0)
        lab.down()


if __name__ == "__main__":
    enter(("ip", "iproute2"), ("nsenter", "util-linux"), ("setpriv", "util-linux"), ("dnsmasq", "dnsmasq-base"),
          QEMU, ("dumpcap", "wireshark-common"), ("tshark", "tshark"),
          ("busybox", "busybox"))
    main()
