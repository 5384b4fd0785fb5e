#!/usr/bin/env python3
"""The boot of a whole lab beside its floor; see floor.sh."""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROUNDS = 3
MEMORY_MIB = 64
ROOT = pathlib.Path(__file__).resolve().parents[2]
ROOKERY = os.environ.get("ROOKERY", str(ROOT / "build" / "rookery"))
BUILD = pathlib.Path(ROOKERY).parent


def newc(entries):
    """A cpio archive of (name, mode, content, (major, minor)); format: linux Documentation, initramfs buffer format."""
    out = b""
    for number, (name, mode, content, device) in enumerate(entries + [("TRAILER!!!", 0, b"", (0, 0))], 1):
        encoded = name.encode() + b"\0"
        fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0]
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
        out += b"\0" * (-len(out) % 4) + content
        out += b"\0" * (-len(out) % 4)
    return out


def kernel():
    shown = json.loads(subprocess.run([ROOKERY, "image", "show", "debian-12", "--json"], check=True,
                                      stdout=subprocess.PIPE).stdout)
    digest = next(part["sha256"] for part in shown["components"] if part["name"] == "linux-uml")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    return cache / "rookery" / "store" / "objects" / digest


def floor(folder, nodes):
    init = (BUILD / "tests" / "bench" / "floor_init").read_bytes()
    archive = folder / "floor.cpio"
    archive.write_bytes(newc([("dev", 0o40755, b"", (0, 0)), ("dev/console", 0o20600, b"", (5, 1)),
                              ("init", 0o100755, init, (0, 0))]))
    done = subprocess.run([BUILD / "tests" / "bench" / "floor_spawn", kernel(), archive, str(MEMORY_MIB), str(nodes)],
                          check=True, stdout=subprocess.PIPE, cwd=folder)
    return float(done.stdout)


def lab(folder, nodes):
    environment = dict(os.environ, XDG_RUNTIME_DIR=str(folder))
    command = [ROOKERY, "up", str(ROOT / "examples" / "classroom.yaml"), "--nodes", str(nodes), "--until", "ready",
               "--down", "--json"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nended with exit code {done.returncode}:\n{done.stderr}")
    report = json.loads(done.stdout)
    return report["seconds"], report["memory_peak_bytes"]


def main():
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    bar = float(sys.argv[2]) if len(sys.argv) > 2 else 8
    with tempfile.TemporaryDirectory(prefix="rookery-floor-") as name:
        folder = pathlib.Path(name)
        floors, labs = [], []
        for _ in range(ROUNDS):
            floors.append(floor(folder, nodes))
            labs.append(lab(folder, nodes))
    bottom, ready = statistics.median(floors), statistics.median(seconds for seconds, _ in labs)
    memory = statistics.median(memory for _, memory in labs)
    ratio = ready / bottom
    print(f"{nodes} clients ready in {ready:.2f} s; {nodes} bare kernels up in {bottom:.2f} s: "
          f"{ratio:.2f} times the floor (bar: {bar:g}); {memory / 2**20 / nodes:.1f} MiB a client, all counted")
    print(f"  rounds: {', '.join(f'{seconds:.2f}' for seconds, _ in labs)} s; "
          f"floor {', '.join(f'{seconds:.2f}' for seconds in floors)} s")
    return 0 if ratio <= bar else 1


if __name__ == "__main__":
    sys.exit(main())
