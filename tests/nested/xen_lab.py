#!/usr/bin/env python3
"""A Xen host in a QEMU process: the bench of everything that needs a real Xen, as an ordinary user.

The host is made by xen_host.py. What is tried inside (programs with their libraries, files, a script) is a second
initramfs behind its own. The script's output comes back over the second serial port, its exit code by QEMU's
isa-debug-exit.

    xen_lab.py build                         prints the folder that holds the host
    xen_lab.py run [--program P]… [--file AT=FROM]… [--memory MIB] SCRIPT
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from xen_host import Archive, Missing, add_libraries, build, cache  # noqa: F401  (cache: for those who use us)

# What of a processor Xen and its guests bear under TCG: with smap dom0 dies at once, with rdtscp PVH guests stall,
# with xsave dom0's heaps are damaged once several guests run (Xen 4.17, QEMU 7.2). On AMD's family 15, TCG's own, Linux
# looks through all buses for an AGP bridge (arch/x86/kernel/aperture_64.c), 16,000 emulated accesses in an HVM guest; from
# 21 on it guards against what an emulated processor has not.
PROCESSOR = "max,family=20,model=1,stepping=0,-smap,-rdtscp,-xsave"


# Seconds. Under load Xen on an emulated processor can lose its timer, and stand still for good.
LOOK, STANDS_STILL = 20, 120
LEAST = 0.05  # of a processor's time between two looks


def processor_time(pid):
    """Of a process of ours, in seconds."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Outcome:
    def __init__(self, code, output, console):
        self.code, self.output, self.console = code, output, console


def run(script, programs=(), files=(), memory=768, timeout=600, echo=None):
    """Runs a script in dom0. `files` are pairs (path in dom0, file); programs land in /payload/bin, in the PATH."""
    host = build()
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        raise Missing("there is no qemu-system-x86_64; install: qemu-system-x86")
    with tempfile.TemporaryDirectory(prefix="rookery-xen-") as folder:
        folder = pathlib.Path(folder)
        with open(folder / "initrd", "wb") as out:
            with open(host / "dom0.cpio", "rb") as base:
                shutil.copyfileobj(base, out)
            archive = Archive(out)
            archive.add("payload/run", script.encode())
            for program in programs:
                archive.file(f"payload/bin/{os.path.basename(program)}", program)
                add_libraries(archive, program)
            for at, source in files:
                archive.file(at, source)
            archive.end()
        # dom0 has what Xen does not need itself and guests are not given.
        dom0 = max(400, memory * 55 // 100)
        argv = [qemu, "-accel", "tcg", "-cpu", PROCESSOR, "-m", str(memory), "-smp", "1", "-nodefaults", "-display",
                "none", "-no-reboot", "-net", "none", "-kernel", str(host / "xen"), "-append",
                f"com1=115200,8n1 console=com1 dom0_mem={dom0}M,max:{dom0}M dom0_max_vcpus=1 spec-ctrl=no noreboot", "-initrd",
                f"{host / 'vmlinux'} console=hvc0 quiet panic=-1 mitigations=off,{folder / 'initrd'}", "-serial",
                f"file:{folder / 'console'}", "-serial", f"file:{folder / 'output'}", "-device",
                "isa-debug-exit,iobase=0x501,iosize=1"]
        console = lambda: (folder / "console").read_text(errors="replace") if (folder / "console").exists() else ""
        output = lambda: (folder / "output").read_text(errors="replace") if (folder / "output").exists() else ""
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True)
        complaint, stood_still, used = None, 0, -1
        for _ in range(max(1, timeout // LOOK)):
            try:
                complaint, _ = process.communicate(timeout=LOOK)
                break
            except subprocess.TimeoutExpired:
                before, used = used, processor_time(process.pid)
                stood_still = stood_still + LOOK if used - before < LEAST else 0
                if stood_still >= STANDS_STILL:
                    break
        if complaint is None:
            process.kill()
            process.communicate()
            why = (f"\nthe nested host stands still: QEMU has had nothing to do for {stood_still} s, and Xen itself has a timer each "
                   "second; run it on a host that does nothing else\n") if stood_still >= STANDS_STILL else ""
            return Outcome(None, output(), console() + why)
        code = process.returncode
        if code % 2 != 1 or (code == 1 and complaint):
            raise RuntimeError(f"QEMU ended with {code}: {complaint}\n{console()[-3000:]}")
        return Outcome(code // 2, output(), console())


def main():
    parser = argparse.ArgumentParser(description="A Xen host in a QEMU process.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="prints the folder that holds the host")
    runner = commands.add_parser("run", help="runs a script in dom0")
    runner.add_argument("--program", action="append", default=[], help="brought along, with its libraries")
    runner.add_argument("--file", action="append", default=[], metavar="AT=FROM")
    runner.add_argument("--memory", type=int, default=768, help="of the whole host, in MiB")
    runner.add_argument("--timeout", type=int, default=600)
    runner.add_argument("--console", action="store_true", help="and what Xen and dom0's kernel said")
    runner.add_argument("script", type=pathlib.Path)
    words = parser.parse_args()
    try:
        if words.command == "build":
            print(build())
            return 0
        outcome = run(words.script.read_text(), words.program, [file.split("=", 1) for file in words.file],
                      words.memory, words.timeout)
    except Missing as missing:
        print(f"xen_lab: {missing}", file=sys.stderr)
        return 77
    sys.stdout.write(outcome.output)
    if words.console or outcome.code is None:
        sys.stdout.write(outcome.console)
    return 3 if outcome.code is None else outcome.code


if __name__ == "__main__":
    sys.exit(main())
