#!/usr/bin/env python3
"""The bars of virtual time. Guests side by side are timed beside the same guests one after another, in the same run;
those that boot from the network have to do the same to the byte. The public reference controller is not to be had here; what it needed is in the
issue (11 to 14 s), and half of its better figure is the bar. Exit code 1 if a bar is missed.

    tests/bench/virtual_time.sh [--rounds 3] [--only NAME] [--without-thousand]
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import labs

BENCH = os.environ.get("BENCH", "build/tests/bench/bench_time_travel")
ROOKERY = os.environ.get("ROOKERY", "build/rookery")
SECONDS = 1800  # that anything may take at most

missed = []


def verdict(name, figure, unit, bar, least=False, beside=""):
    ok = figure >= bar if least else figure <= bar
    if not ok:
        missed.append(name)
    print(f"{'ok    ' if ok else 'MISSED'} {name}: {figure:.2f}{unit} (bar: {'at least' if least else 'at most'} "
          f"{bar:g}{unit}){'; ' + beside if beside else ''}", flush=True)


def bench(*arguments):
    out = subprocess.run([BENCH, "--json", *map(str, arguments)], check=True, capture_output=True, text=True,
                         timeout=SECONDS).stdout
    run = json.loads(out.splitlines()[-1])
    if run["ready"] != run["clients"]:
        sys.exit(f"only {run['ready']} of {run['clients']} clients got ready")
    return run


def total(run):
    return run["boot_s"] + run["idle_s"]


def pings(machines, *more):
    """Seconds for bare machines that boot, ping a neighbour three times and sleep for half a minute."""
    programs = pathlib.Path(BENCH).resolve().parent
    with tempfile.TemporaryDirectory() as folder:
        initramfs = pathlib.Path(folder) / "ping.cpio"
        initramfs.write_bytes(labs.initramfs((programs / "ping_init").read_bytes()))
        image = json.loads(subprocess.run([ROOKERY, "image", "show", labs.IMAGE, "--json"], check=True,
                                          capture_output=True, text=True).stdout)
        kernel = labs.image_parts(image)["linux-uml"]
        return json.loads(subprocess.run([programs / "bench_pings", kernel, initramfs, str(machines), *more], check=True,
                                         capture_output=True, text=True, timeout=SECONDS).stdout)["seconds"]


def side_by_side(rounds):
    """A hundred machines that work at the same time; and a hundred that boot from one server, which each of them waits
    for: there is little to be done at the same time, and no bar."""
    together, alone = [], []
    for _ in range(rounds):
        together.append(pings(100))
        alone.append(pings(100, "--one-by-one"))
    verdict("100 machines side by side, times as fast as one after another",
            statistics.median(alone) / statistics.median(together), "", 1.4, least=True,
            beside=f"{statistics.median(together):.2f} s and {statistics.median(alone):.2f} s")
    together, alone = [], []
    digests = set()
    for _ in range(rounds):
        for times, more in ((together, []), (alone, ["--one-by-one"])):
            run = bench("--clients", 100, "--idle", 600, *more)
            times.append(total(run))
            digests.add(run["digest"])
    if len(digests) != 1:
        missed.append("one digest")
    print(f"{'ok    ' if len(digests) == 1 else 'MISSED'} network boot side by side and one after another: "
          f"{len(digests)} digest of {2 * rounds} runs", flush=True)
    print(f"       100 clients boot from one server and idle for ten virtual minutes: {statistics.median(together):.2f} s, "
          f"one after another {statistics.median(alone):.2f} s", flush=True)


def reference(rounds):
    """The reference controller's workload."""
    verdict("60 machines boot, ping three times and sleep for 30 s", statistics.median([pings(60) for _ in range(rounds)]),
            " s", 5.5, beside="the reference controller: 11 to 14 s")
    run = bench("--clients", 60, "--idle", 30, "--speak")
    print(f"       the same with a network boot, from one server that each speaks to three times: {total(run):.2f} s",
          flush=True)


def hour(_):
    run = bench("--clients", 100, "--idle", 3600)
    verdict("an hour of idle for 100 machines", run["idle_s"], " s", 30)


def scenario(*arguments):
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as runtime:
        done = subprocess.run([ROOKERY, *map(str, arguments), "--json"], capture_output=True, text=True,
                              timeout=SECONDS, env={**os.environ, "XDG_RUNTIME_DIR": runtime})
    return done, time.monotonic() - begin


def storm(_):
    """A hundred machines with faults: the boot storm, which ends after ten virtual minutes."""
    done, wall = scenario("run", "examples/boot-storm.yaml", "--seed", 7)
    if done.returncode != 0:
        missed.append("boot storm")
        print(f"MISSED the boot storm ends with {done.returncode}: {done.stderr[-500:]}", flush=True)
        return
    verdict("100 machines, network boot and ten virtual minutes with faults", wall, " s", 60)


def reruns(_):
    for nodes, runs in ((10, 20), (100, 5)):
        done, wall = scenario("verify", "examples/boot-storm.yaml", "--seed", 7, "--nodes", nodes, "--runs", runs)
        ok = done.returncode == 0
        if not ok:
            missed.append(f"{runs} runs of {nodes} machines")
        print(f"{'ok    ' if ok else 'MISSED'} {nodes} machines with faults: {runs} runs, "
              f"{'one digest' if ok else 'exit code ' + str(done.returncode) + ' ' + done.stdout[-500:]} ({wall:.1f} s)",
              flush=True)


def thousand(_):
    run = bench("--clients", 1000, "--idle", 60)
    print(f"       1,000 machines: all ready in {run['boot_s']:.1f} s ({run['boot_virtual_s']:.1f} virtual), a minute of "
          f"idle in {run['idle_s']:.1f} s", flush=True)


def main():
    parts = {f.__name__: f for f in (side_by_side, reference, hour, storm, reruns, thousand)}
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--only", choices=list(parts))
    options.add_argument("--without-thousand", action="store_true")
    chosen = options.parse_args()
    print("virtual time:", flush=True)
    for name, part in parts.items():
        if chosen.only in (None, name) and not (chosen.without_thousand and part is thousand):
            part(chosen.rounds)
    sys.exit(1 if missed else 0)


main()
