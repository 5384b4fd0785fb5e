#!/usr/bin/env python3
"""The bars of labs, each beside its baseline in the same run: how long a hundred and a thousand clients take until all
are ready, beside the floor (a bare fork and exec loop of as many of the same kernels with a trivial init, without
network and without anything of ours: floor_spawn.cc); what they take of memory when ready and after each has read a few
large files of its image, whose digests are compared with the image itself; what idle machines cost; and TCP between two
machines through the switch. The machines are those of examples/thousand.yaml. Exit code 1 if a bar is missed.

    tests/bench/labs.sh [--rounds 3] [--without-thousand] [--only NODES:BAR]
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "guest/support"))
from lab_test import IMAGE, image_parts  # noqa: E402
from processes import family_of  # noqa: E402

EXAMPLE = "examples/thousand.yaml"
KERNEL_BUILD = "images/make/kernel/build"
LAB_SECONDS = 600  # that anything may take at most
FILES = ["/usr/bin/perl", "/usr/lib/x86_64-linux-gnu/libcrypto.so.3", "/usr/bin/bash"]  # 10 MB of the image
HUNDRED_BAR, THOUSAND_BAR = 5, 8  # times the floor
PER_CLIENT_BAR = 1.5   # time per client at 1,000, beside that at 100
MEMORY_BAR = 18        # MiB a client, proportional, guests and supervisor together
IDLE_BAR = 10          # % of one processor, for 100 clients
IDLE_SECONDS = 20
TICKS = os.sysconf("SC_CLK_TCK")


def entry(name, mode, content=b"", device=(0, 0), inode=0):
    """A file of a cpio archive in the "newc" format (cpio(5))."""
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    header += b"\0" * (-len(header) % 4)
    return header + content + b"\0" * (-len(content) % 4)


def initramfs(init):
    return (entry("dev", 0o040755, inode=1) + entry("dev/console", 0o020600, device=(5, 1), inode=2) +
            entry("init", 0o100755, init, inode=3) + entry("TRAILER!!!", 0))


def memory_of(processes):
    """MiB, proportional: what is shared by several counts in parts."""
    total = 0
    for process in processes:
        try:
            total += int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{process}/smaps_rollup").read_text(), re.M)[1])
        except (OSError, TypeError):
            pass  # it has ended
    return total / 1024


def processor_of(pid, ended_children=False):
    """Seconds of processor that a process has used, all its threads; nothing, if it has ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15 if ended_children else 13])) / TICKS  # proc_pid_stat(5): utime, stime, cutime, cstime


def processor_of_all(root):
    """Likewise, of a process, its descendants and those of them that have ended."""
    return sum(processor_of(pid, ended_children=pid != root) for pid in family_of(root))


class Bench:
    def __init__(self, folder, rookery, programs):
        self.folder, self.rookery, self.programs = folder, rookery, programs
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=str(folder))
        (folder / "initramfs").write_bytes(initramfs((programs / "floor_init").read_bytes()))
        self.name = f"bench-{os.getpid()}"
        example = re.sub(r"^lab: .*", f"lab: {self.name}", pathlib.Path(EXAMPLE).read_text(), flags=re.M)
        (folder / "lab.yaml").write_text(example)
        self.mebibytes = re.findall(r"memory: (\d+) MiB", example)[-1]  # of each client, and so of the floor's kernels
        self.missed = []

    def run(self, *argv):
        done = subprocess.run([str(word) for word in argv], env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LAB_SECONDS, cwd=self.folder)
        if done.returncode != 0:
            sys.exit(f"labs: exit code {done.returncode} of {' '.join(map(str, argv))}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def find_image(self):
        """The kernel that the labs boot, and the digests of the files that the machines will read, both from the store."""
        image = json.loads(self.run(self.rookery, "image", "show", IMAGE, "--json"))
        part = image_parts(image)
        self.kernel = part["linux-uml"]
        self.image_size = part["root.squashfs"].stat().st_size
        read = "".join(f"unsquashfs -cat {part['root.squashfs']} {file} | sha256sum\n" for file in FILES)
        self.digests = [line.split()[0] for line in self.run("sh", "-c", read).splitlines()]

    def bar(self, what, value, bar, unit="", least=False):
        good = value >= bar if least else value <= bar
        print(f"  {what:46}{value:9.2f} {unit:8} bar {bar:g}: {'good' if good else 'MISSED'}", flush=True)
        if not good:
            self.missed.append(what)

    def figure(self, what, value, unit=""):
        print(f"  {what:46}{value:9.2f} {unit}", flush=True)

    def up(self, nodes):
        report = json.loads(self.run(self.rookery, "up", self.folder / "lab.yaml", "--nodes", nodes, "--until", "ready", "--json"))
        self.supervisor = json.loads(self.run(self.rookery, "ps", "--lab", self.name, "--json"))["supervisor_pid"]
        if report["ready"] != nodes:
            sys.exit(f"labs: only {report['ready']} of {nodes} clients got ready")
        return report["seconds"]

    def down(self):
        self.run(self.rookery, "down", "--lab", self.name)

    def exec(self, machine, *argv):
        return self.run(self.rookery, "exec", "--lab", self.name, *machine, "--", *argv)

    def floor(self, nodes):
        return float(self.run(self.programs / "floor_spawn", self.kernel, self.folder / "initramfs", self.mebibytes, nodes))

    def time_to_ready(self, nodes, bar, rounds):
        """Floor and lab in turns; the medians count. The last lab stays up. Returns its seconds per client."""
        floors, labs = [], []
        print(f"{nodes} clients of {self.mebibytes} MiB; floor and lab in turns, {rounds} times", flush=True)
        for turn in range(rounds):
            floors.append(self.floor(nodes))
            labs.append(self.up(nodes))
            print(f"    floor {floors[-1]:.2f} s, all ready {labs[-1]:.2f} s", flush=True)
            if turn + 1 < rounds:
                self.down()
        self.figure("floor (kernels with a trivial init)", statistics.median(floors), "s")
        self.figure("lab (boot server and ready clients)", statistics.median(labs), "s")
        self.bar(f"{nodes} clients, times the floor", statistics.median(labs) / statistics.median(floors), bar)
        self.watch(nodes)
        return statistics.median(labs) / nodes

    def watch(self, nodes):
        """What it took of the processors to switch, serve and watch them all; and what an answer takes."""
        share = processor_of(self.supervisor) / processor_of_all(self.supervisor)
        self.figure("the supervisor, of all that the boot computed", 100 * share, "%")
        for words in ([], [f"n{nodes // 2}"]):
            took = []
            for _ in range(5):
                began = time.monotonic()
                self.run(self.rookery, "why", "--lab", self.name, *words)
                took.append(1000 * (time.monotonic() - began))
            self.figure(f"rookery why{' of one' if words else ''}", statistics.median(took), "ms")

    def memory(self, nodes):
        self.bar("memory a client, when ready", memory_of(family_of(self.supervisor)) / nodes, MEMORY_BAR, "MiB")
        began = time.monotonic()
        said = self.exec(["--all"], "sha256sum", *FILES)
        self.figure(f"all have read {len(FILES)} large files of the image", time.monotonic() - began, "s")
        told = {}
        for line in said.splitlines():
            machine, digest, _ = line.split()
            told.setdefault(machine, []).append(digest)
        right = sum(digests == self.digests for digests in told.values())
        self.bar("machines whose digests are the image's", right, nodes + 1, least=True)
        self.bar("memory a client, after that", memory_of(family_of(self.supervisor)) / nodes, MEMORY_BAR, "MiB")

    def idle(self, nodes):
        time.sleep(5)  # the start's last words, and those who listen to them
        began, before = time.monotonic(), processor_of_all(self.supervisor)
        time.sleep(IDLE_SECONDS)
        used = processor_of_all(self.supervisor) - before
        self.bar(f"{nodes} idle machines", 100 * used / (time.monotonic() - began), IDLE_BAR, "% core")

    def tcp(self):
        """One stream from the boot server's page cache to a client, by HTTP, beside one between two bare guests of the same
        kernel that have UML's own vector device and a socket for a cable: no switch at all."""
        script = ("f=http://10.77.0.1/root.squashfs; busybox wget -q -O /dev/null $f; read a _ </proc/uptime; "
                  "busybox wget -q -O /dev/null $f; read b _ </proc/uptime; echo $a $b")
        before, after = map(float, self.exec(["n1"], "sh", "-c", script).split()[-2:])
        self.figure("TCP between two machines through our switch", self.image_size * 8 / (after - before) / 1e9, "Gbit/s")
        self.figure("TCP between two guests, UML's vector device", self.vector(4 * self.image_size) * 8 / 1e9, "Gbit/s")

    def vector(self, size):
        """Bytes a second. Their kernel is built (and kept) for this alone: the device cannot be in a static one."""
        kernel = pathlib.Path(subprocess.run([KERNEL_BUILD, "--vector"], check=True, capture_output=True, text=True,
                                             stdin=subprocess.DEVNULL).stdout.strip()) / "linux"
        (self.folder / "tcp.cpio").write_bytes(initramfs((self.programs / "tcp_init").read_bytes()))
        guests = []
        for role, end in zip(("receive", "send"), socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)):
            with end:
                folder = self.folder / role
                folder.mkdir()
                guests.append(subprocess.Popen(
                    [kernel, "mem=64M", "initrd=../tcp.cpio", "con=null", "con0=null,fd:2", "uml_dir=.", "quiet",
                     f"vec0:transport=fd,fd={end.fileno()}", f"tcp={role}", f"bytes={size}"], cwd=folder, pass_fds=[end.fileno()],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        try:
            said = guests[0].communicate(timeout=120)[1]
        finally:
            for guest in guests:
                guest.kill()
                guest.wait()
        took = re.search(r"received \d+ bytes in ([\d.]+) s", said)
        if not took:
            sys.exit(f"labs: the guests with the vector device did not speak to each other:\n{said[-2000:]}")
        return size / float(took[1])


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=3, help="of the hundred; the thousand has one")
    words.add_argument("--without-thousand", action="store_true")
    words.add_argument("--only", metavar="NODES:BAR", help="nothing but the time of so many clients, and their memory")
    given = words.parse_args()
    rookery = pathlib.Path(os.environ.get("ROOKERY", "build/rookery")).resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="rookery-bench-"))
    bench = Bench(folder, rookery, rookery.parent / "tests/bench")
    try:
        bench.up(1)  # warms up, and brings the components into the store
        bench.down()
        bench.find_image()
        bench.floor(1)
        if given.only:
            nodes, bar = given.only.split(":")
            bench.time_to_ready(int(nodes), float(bar), given.rounds)
            bench.memory(int(nodes))
        else:
            hundred = bench.time_to_ready(100, HUNDRED_BAR, given.rounds)
            bench.idle(100)
            bench.memory(100)
            bench.tcp()
            bench.down()
            if not given.without_thousand:
                thousand = bench.time_to_ready(1000, THOUSAND_BAR, 1)
                bench.bar("time a client at 1,000, beside that at 100", thousand / hundred, PER_CLIENT_BAR, "times")
                bench.memory(1000)
    finally:
        subprocess.run([rookery, "down", "--lab", bench.name], env=bench.environment, stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
    for what in bench.missed:
        print(f"labs: missed: {what}", file=sys.stderr)
    sys.exit(1 if bench.missed else 0)


if __name__ == "__main__":
    main()
