#!/usr/bin/env python3
"""How long a lab takes until all its clients are ready, beside the floor: a bare fork/exec loop of as many of the same
kernels with a trivial init, without network and without anything of ours (floor_spawn.cc).

Both are run in turns, a few rounds each; the medians count. Exit code 1 if the bar is missed.

    tests/bench/floor.sh [--nodes 20] [--bar 8] [--rounds 3] [--report 100:5]
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

MEBIBYTES = 64  # of each client; the lab's default
ROUND_SECONDS = 600  # at most


def entry(name, mode, content=b"", device=(0, 0), inode=0):
    """A file of a cpio archive in the "newc" format (cpio(5))."""
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    header += b"\0" * (-len(header) % 4)
    return header + content + b"\0" * (-len(content) % 4)


def initramfs(init):
    return (entry("dev", 0o040755, inode=1) + entry("dev/console", 0o020600, device=(5, 1), inode=2) +
            entry("init", 0o100755, init, inode=3) + entry("TRAILER!!!", 0))


class Bench:
    def __init__(self, folder, rookery, programs):
        self.folder, self.rookery, self.programs = folder, rookery, programs
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=str(folder))
        (folder / "initramfs").write_bytes(initramfs((programs / "floor_init").read_bytes()))
        (folder / "lab.yaml").write_text(
            f"lab: floor-{os.getpid()}\nmachines:\n  server: {{role: boot-server}}\n"
            f"  n: {{role: client, count: 20, memory: {MEBIBYTES} MiB}}\n")
        self.kernel = None

    def run(self, *argv):
        done = subprocess.run([str(word) for word in argv], env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=ROUND_SECONDS, cwd=self.folder)
        if done.returncode != 0:
            sys.exit(f"floor: exit code {done.returncode} of {' '.join(map(str, argv))}\n{done.stdout}{done.stderr}")
        return done.stdout

    def lab(self, nodes):
        return json.loads(self.run(self.rookery, "up", self.folder / "lab.yaml", "--nodes", nodes, "--until", "ready",
                                   "--down", "--json"))

    def find_kernel(self):
        """The kernel that the lab boots, out of the same store."""
        image = json.loads(self.run(self.rookery, "image", "show", "debian-12", "--json"))
        digest = next(part["sha256"] for part in image["components"] if part["name"] == "linux-uml")
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ["HOME"], ".cache")
        self.kernel = pathlib.Path(cache) / "rookery/store/objects" / digest

    def floor(self, nodes):
        return float(self.run(self.programs / "floor_spawn", self.kernel, self.folder / "initramfs", MEBIBYTES, nodes))

    def compare(self, nodes, bar, rounds, must):
        floors, labs, memory = [], [], []
        for _ in range(rounds):
            floors.append(self.floor(nodes))
            report = self.lab(nodes)
            labs.append(report["seconds"])
            memory.append(report["memory_peak_bytes"] / report["machines"] / 2**20)
        floor, lab = statistics.median(floors), statistics.median(labs)
        good = lab <= bar * floor
        shown = lambda figures: " ".join(f"{figure:.2f}" for figure in figures)
        print(f"{nodes} machines, {rounds} rounds in turns, medians:")
        print(f"  floor (kernels with a trivial init)   {floor:7.2f} s   ({shown(floors)})")
        print(f"  lab (boot server and ready clients)   {lab:7.2f} s   ({shown(labs)})")
        print(f"  memory of the lab                     {statistics.median(memory):7.1f} MiB a machine")
        verdict = "good" if good else "MISSED" if must else "missed (reported only)"
        print(f"  ratio                                 {lab / floor:7.2f}     bar {bar:g}: {verdict}", flush=True)
        return good or not must


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--nodes", type=int, default=20)
    words.add_argument("--bar", type=float, default=8)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--report", action="append", metavar="NODES:BAR", help="also this, without failing; default 100:5")
    given = words.parse_args()
    rookery = pathlib.Path(os.environ.get("ROOKERY", "build/rookery")).resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="rookery-floor-"))
    try:
        bench = Bench(folder, rookery, rookery.parent / "tests/bench")
        bench.lab(1)  # warms up, and brings the kernel into the store
        bench.find_kernel()
        bench.floor(1)
        good = bench.compare(given.nodes, given.bar, given.rounds, must=True)
        for also in ["100:5"] if given.report is None else filter(None, given.report):
            nodes, bar = also.split(":")
            bench.compare(int(nodes), float(bar), given.rounds, must=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
