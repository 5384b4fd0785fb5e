#!/usr/bin/env python3
"""The bars of machines with firmware, under QEMU. In one lab, one machine at a time and in turns: BIOS PXE over HTTP to
`ready`, beside the same kernel and archives with the same words given to QEMU directly, and a microvm; what counts is
QEMU's processor time. Then twenty such machines together: how many a minute. Exit code 1 if the bar is missed.

    tests/bench/firmware.py [--rounds 3] [--machines 20]
"""
import argparse
import json
import signal
import statistics
import sys

from labs import processor_of  # first: it knows where the next is
from lab_test import IMAGE, Session, image_parts

BAR = 1.3  # times the processor time of the direct kernel
SECONDS = 600  # for all of it
WAYS = ("pxe", "direct", "microvm")

def words_of_kernel(session):
    """The command line that the boot script gives to a machine with firmware."""
    lab = session.lab("words", 0, "  q: {role: client, backend: qemu}\n")
    lab.up(timeout=SECONDS)
    words = lab.run("q", "cat", "/proc/cmdline").split()
    lab.down()
    return " ".join(word for word in words if "=" in word or word in ("quiet", "no_timer_check"))


def in_turns(session, rounds):
    """Of each way the processor time to `ready`, of each round."""
    parts = image_parts(session.rookery("image", "show", IMAGE, "--json").json())
    archives = session.folder / "archives"
    archives.write_bytes(b"".join(parts[name].read_bytes() + b"\0" * (-parts[name].stat().st_size % 4)
                                  for name in ("stage2.cpio", "modules.cpio")))
    direct = ["-kernel", str(parts["vmlinuz"]), "-initrd", str(archives), "-append", words_of_kernel(session),
              "-global", "virtio-net-pci.romfile="]  # no boot ROM either: nothing but the kernel
    lab = session.lab("turns", 0, f"""
  pxe: {{role: client, backend: qemu}}
  direct: {{role: client, backend: qemu, qemu_args: {json.dumps(direct)}}}
  microvm: {{role: client, backend: qemu, chipset: microvm}}
""")
    lab.up(timeout=SECONDS)  # warms up
    lab.rookery("power", "cut", *WAYS)
    figures = {way: [] for way in WAYS}
    for turn in range(rounds):
        for way in WAYS:
            lab.rookery("power", "on", way)
            lab.wait_for(way, "ready", seconds=SECONDS)
            used = processor_of(lab.guest_process(way))
            lab.rookery("power", "cut", way)
            figures[way].append(used)
            print(f"    {way:8} {used:6.2f} s of processor", flush=True)
    lab.down()
    return figures


def together(session, machines):
    lab = session.lab("together", 0, f"  q: {{role: client, backend: qemu, count: {machines}}}\n")
    report = lab.up(timeout=SECONDS)
    lab.down()
    if report["ready"] != machines:
        sys.exit(f"firmware: only {report['ready']} of {machines} machines got ready: {report['failed']}")
    return report


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--machines", type=int, default=20)
    given = words.parse_args()
    session = Session()

    def too_late(*_):
        sys.exit(f"firmware: not done within {SECONDS} s")
    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(SECONDS)
    try:
        print(f"one machine at a time, in turns, {given.rounds} times: processor time of QEMU from power-on to ready", flush=True)
        figures = {way: statistics.median(used) for way, used in in_turns(session, given.rounds).items()}
        for way, used in figures.items():
            print(f"  {way:46}{used:9.2f} s", flush=True)
        ratio = figures["pxe"] / figures["direct"]
        good = ratio <= BAR
        print(f"  {'BIOS PXE over HTTP, times the direct kernel':46}{ratio:9.2f} {'':8} bar {BAR:g}: {'good' if good else 'MISSED'}")
        if given.machines:
            report = together(session, given.machines)
            print(f"{given.machines} machines together: all ready after {report['seconds']:.1f} s, "
                  f"{60 * given.machines / report['seconds']:.0f} a minute, "
                  f"{report['memory_peak_bytes'] / given.machines / 2**20:.0f} MiB each")
    finally:
        signal.alarm(0)
        session.close()
    if not good:
        sys.exit("firmware: missed: BIOS PXE over HTTP, times the direct kernel")


if __name__ == "__main__":
    main()
