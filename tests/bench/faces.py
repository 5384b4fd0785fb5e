#!/usr/bin/env python3
"""What it costs to be watched: a lab of a hundred clients that nobody looks at, beside the same with the live view on a
terminal and a report written, in turns. What counts is what the supervisor itself takes of the processors until all are
ready and the report is written, as a share of what the whole boot takes: seconds say more about what else the host does.
They are printed too. The recorder of what happened is always there; BEFORE=program takes another build for the first of
the two, one without it. Exit code 1 if the bar is missed.

    tests/bench/faces.py [--rounds 5] [--nodes 100]
"""
import argparse
import fcntl
import json
import os
import pathlib
import pty
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading

from labs import family_of, processor_of

BAR = 3  # %
LAB_SECONDS = 600


def drain(terminal):
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass  # nobody writes to it any more


def up(program, lab, nodes, environment, watched):
    """Seconds until all were ready; of processors, by the supervisor and by all."""
    argv = [program, "up", lab, "--nodes", str(nodes), "--until", "ready", "--json"]
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    reader = threading.Thread(target=drain, args=[ours], daemon=True)
    reader.start()
    where = {"stdin": theirs, "stderr": theirs} if watched else {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if watched:
        argv += ["--report", str(lab.parent / "run.html")]
    done = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, text=True, timeout=LAB_SECONDS, **where)
    os.close(theirs)
    name = ["--lab", f"faces-{os.getpid()}"]
    try:
        if done.returncode != 0 or json.loads(done.stdout)["ready"] != nodes:
            sys.exit(f"faces: exit code {done.returncode}: {done.stdout[-500:]}")
        supervisor = json.loads(subprocess.run([program, "ps", "--json", *name], env=environment, capture_output=True,
                                               text=True, timeout=60, check=True).stdout)["supervisor_pid"]
        processes = family_of(supervisor)
        return json.loads(done.stdout)["seconds"], processor_of(supervisor), sum(map(processor_of, processes))
    finally:
        subprocess.run([program, "down", *name], env=environment, capture_output=True, timeout=60)
        reader.join()
        os.close(ours)


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--nodes", type=int, default=100)
    given = words.parse_args()
    rookery = pathlib.Path(os.environ.get("ROOKERY", "build/rookery")).resolve()
    before = pathlib.Path(os.environ.get("BEFORE", rookery)).resolve()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="rookery-bench-"))
    environment = dict(os.environ, XDG_RUNTIME_DIR=str(folder), TERM="xterm-256color")
    environment.pop("NO_COLOR", None)
    example = pathlib.Path("examples/classroom.yaml").read_text()
    lab = folder / "lab.yaml"
    lab.write_text(re.sub(r"^lab: .*", f"lab: faces-{os.getpid()}", example, flags=re.M))
    try:
        alone, watched = [], []
        for _ in range(given.rounds):
            alone.append(up(before, lab, given.nodes, environment, False))
            watched.append(up(rookery, lab, given.nodes, environment, True))
            print("    alone {:.2f} s, supervisor {:.2f} of {:.2f} s; watched {:.2f} s, {:.2f} of {:.2f}".format(*alone[-1], *watched[-1]),
                  flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    middle = [[statistics.median(column) for column in zip(*runs)] for runs in (alone, watched)]
    print(f"  until all were ready: alone {middle[0][0]:.2f} s, watched {middle[1][0]:.2f} s")
    cost = 100 * (middle[1][1] - middle[0][1]) / middle[0][2]
    print(f"  the supervisor: alone {middle[0][1]:.2f} s, watched {middle[1][1]:.2f} s, of {middle[0][2]:.2f} s in all: {cost:+.1f} %")
    print(f"  bar {BAR} %: {'good' if cost <= BAR else 'MISSED'}")
    sys.exit(0 if cost <= BAR else 1)


if __name__ == "__main__":
    main()
