"""A physical network as the lab sees it: a cable out of this network namespace whose far end is a plain Linux bridge
in another one, with nothing of Rookery on it. QEMU plays the physical machine, dnsmasq the network's own DHCP server,
and dumpcap is the witness of all that passes.

enter() puts the calling program into namespaces of its own first; an ordinary user gets those of an ordinary user.
"""
import contextlib
import os
import pathlib
import subprocess
import sys

from lab_test import need, skip, wait_until

MAC = "02:11:22:33:44:55"  # of the physical machine
BRIDGE = "02:00:00:00:00:b0"  # of the network's own DHCP server
INTERFACE = "eth1"         # of "this host", where the cable to the far end is
_INSIDE = "ROOKERY_TEST_INSIDE"


def enter(*programs):
    """Starts the program anew in its own namespaces, or skips and says what is missing."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    for program in programs:
        need(*program)
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        skip("there is no /dev/net/tun that this user may open: the physical machine's NIC is a tap")
    if os.environ.get(_INSIDE):
        return
    user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    words = ["unshare", *user, "--net", "--kill-child", "--fork"]
    tried = subprocess.run([*words, "ip", "link", "add", "tried", "type", "bridge"], capture_output=True, text=True)
    if tried.returncode != 0:
        skip(f"cannot make a network namespace with a bridge: {' '.join(words)}: {tried.stderr.strip()}")
    os.environ[_INSIDE] = "yes"
    os.execvp(words[0], [*words, sys.executable, *sys.argv])


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class FarWire:
    """The far end. Everything begun here ends with close()."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.processes = []
        self.holder = self._begin(["unshare", "--net", "sleep", "infinity"])
        ours = os.readlink("/proc/self/ns/net")

        def theirs():
            with contextlib.suppress(OSError):
                return os.readlink(f"/proc/{self.holder.pid}/ns/net") != ours
            return False
        wait_until(theirs, 30, "the far namespace is there")
        # What the kernel says by itself is not to be taken for somebody's.
        quiet = ["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"]
        subprocess.run(quiet, check=True)
        self.run(*quiet)
        ip("link", "set", "lo", "up")
        ip("link", "add", INTERFACE, "type", "veth", "peer", "name", "port", "netns", str(self.holder.pid))
        for words in (f"add br0 address {BRIDGE} type bridge", "set port master br0", "set port up", "set br0 up"):
            self.run("ip", "link", *words.split())
        self.run("ip", "tuntap", "add", "dev", "tap0", "mode", "tap")
        self.run("ip", "link", "set", "tap0", "master", "br0", "up")
        ip("link", "set", INTERFACE, "up")

    def at(self, *words):
        return ["nsenter", f"--target={self.holder.pid}", "--net", *words]

    def run(self, *words):
        return subprocess.run(self.at(*words), check=True, capture_output=True, text=True).stdout

    def _begin(self, words, log=os.devnull):
        with open(log, "wb") as out:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        self.processes.append(process)
        return process

    def witness(self):
        """Writes all that passes the bridge, from now on."""
        self.capture, log = self.folder / "wire.pcapng", self.folder / "dumpcap.log"
        self.dumpcap = self._begin(self.at("dumpcap", "-i", "br0", "-q", "-w", str(self.capture)), log)
        wait_until(lambda: b"File: " in log.read_bytes(), 30, "dumpcap captures", lambda: log.read_text())

    def end_witness(self):
        self.dumpcap.terminate()
        self.dumpcap.wait(30)

    def seen(self, what, *fields):
        """Of the frames that a display filter lets through, these fields: a set of tuples."""
        words = ["tshark", "-r", str(self.capture), "-Y", what, "-T", "fields", "-E", "separator=;"]
        for field in fields:
            words += ["-e", field]
        out = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        return {tuple(line.split(";")) for line in out.splitlines()}

    def files(self):
        """What went over the wire by HTTP: the files' contents by name."""
        folder = self.folder / "http"
        subprocess.run(["tshark", "-r", str(self.capture), "-q", "--export-objects", f"http,{folder}"], check=True,
                       capture_output=True)
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def dhcp_server(self, first, last, address):
        """The network's own DHCP server, which knows nothing of network boot; its leases are in `leases`.

        --no-daemon: an ordinary user's namespace lets it change neither user nor groups."""
        self.run("ip", "address", "add", address, "dev", "br0")
        self.leases = self.folder / "leases"
        self._begin(self.at("dnsmasq", "--conf-file=/dev/null", "--no-daemon", "--port=0", "--interface=br0",
                            "--bind-interfaces", f"--dhcp-range={first},{last},1h", f"--dhcp-leasefile={self.leases}",
                            "--pid-file="), self.folder / "dnsmasq.log")
        wait_until(lambda: self.leases.exists(), 30, "the network's DHCP server runs")

    def switch_on(self, *more):
        """The physical machine: a PC that boots from its NIC; what its screen would show is in `screen`."""
        self.screen = self.folder / "screen"
        self._begin(self.at("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine",
                            "pc,accel=tcg,graphics=off", "-cpu", "max", "-m", "512", "-no-reboot", "-boot", "n",
                            "-netdev", "tap,id=wire,ifname=tap0,script=no,downscript=no", "-device",
                            f"virtio-net-pci,netdev=wire,mac={MAC}", "-serial", f"file:{self.screen}", *more),
                    self.folder / "qemu.log")

    def shows(self, words):
        return self.screen.exists() and words in self.screen.read_text(errors="replace")

    def wait_for(self, words, seconds=300):
        wait_until(lambda: self.shows(words), seconds, f"the physical machine says '{words}'",
                   lambda: self.screen.read_text(errors="replace")[-2000:] if self.screen.exists() else "")

    def close(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        subprocess.run(["ip", "link", "del", INTERFACE], check=False, stderr=subprocess.DEVNULL)
