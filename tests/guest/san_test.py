#!/usr/bin/env python3
"""Roots by every protocol that a boot server serves: the same image to the byte, each by its own way, and the services
of ways that nobody needs are not there."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402

ROOTS = ["nbd", "iscsi", "aoe", "nfs"]
MACHINES = "".join(f"  {root}: {{role: client, root: {root}, boot_timeout: 5 min}}\n" for root in ROOTS)
# Where the lower layer of a machine's root comes from, as /proc/mounts has it.
DEVICES = {"nbd": "/dev/nbd0 squashfs", "iscsi": "/dev/sda squashfs", "aoe": "/dev/etherd/e0.1 squashfs",
           "nfs": "10.77.0.1:/run/rookery/lower nfs"}
SERVERS = ["tgtd", "vblade", "rpc.mountd", "rpcbind"]


class Roots(GuestTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = cls.session.lab("roots", 0, MACHINES)
        cls.report = cls.lab.up(timeout=400)

    def test_01_all_are_ready(self):
        self.assertEqual(self.report["failed"], [])
        self.assertEqual(self.report["ready"], len(ROOTS))

    def test_02_each_has_its_root_by_its_own_protocol(self):
        for name, device in DEVICES.items():
            lower = self.lab.shell(name, "while read -r from place type _; do "
                                         "[ $place != /run/rookery/lower ] || echo $from $type; done < /proc/mounts")
            self.assertEqual(lower.strip(), device, name)

    def test_03_all_have_the_servers_image_to_the_byte(self):
        self.assert_same_image(self.lab, ["server", *ROOTS])

    def test_04_the_disks_are_the_shared_squashfs_and_not_for_writing(self):
        served = self.lab.shell("server", "sha256sum < /run/rookery/medium/rookery/root.squashfs", timeout=120)
        for name in ("iscsi", "aoe"):
            device = DEVICES[name].split()[0]
            size = self.lab.shell("server", "stat -c %s /run/rookery/medium/rookery/root.squashfs").strip()
            self.assertEqual(self.lab.shell(name, f"head -c {size} {device} | sha256sum", timeout=120), served, name)
            self.lab.shell(name, f"echo x | dd of={device} bs=512 count=1 conv=fsync", code=1)

    def test_05_the_server_serves_each(self):
        running = self.lab.shell("server", "cat /proc/[0-9]*/comm")
        for server in SERVERS:
            self.assertIn(server, running.split())

    def test_06_changes_are_each_machines_own(self):
        for name in ROOTS:
            self.lab.shell(name, f"echo {name} > /etc/of-my-own")
        for name in ROOTS:
            self.assertEqual(self.lab.run(name, "cat", "/etc/of-my-own").strip(), name)
        self.lab.down()


class OnlyWhatIsNeeded(GuestTest):
    def test_a_lab_without_storage_roots_has_none_of_their_services(self):
        lab = self.session.lab("plain", 1)
        lab.up()
        running = lab.shell("server", "cat /proc/[0-9]*/comm").split()
        for server in SERVERS:
            self.assertNotIn(server, running)
        self.assertEqual(lab.run("n1", "cat", "/sys/module/aoe/parameters/aoe_iflist").strip(), "none")
        lab.down()


if __name__ == "__main__":
    main()
