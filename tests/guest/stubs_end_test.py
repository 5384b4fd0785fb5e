#!/usr/bin/env python3
"""Kernels that are killed at any moment leave no stub process behind (images/make/kernel/patches/0004), and nobody clears up after them here."""
import ctypes
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import IMAGE, SEED, GuestTest, image_parts, main, wait_until  # noqa: E402

KILLS = 200
INIT = "#!/bin/busybox sh\nwhile :; do /bin/busybox true; /bin/busybox true | /bin/busybox true; done\n"


def archive(files):
    """A cpio archive (newc) of the files, by their places, and the folders above them."""
    entries = {}
    for place, content in files.items():
        for folder in list(pathlib.PurePath(place).parents)[-2::-1]:
            entries[str(folder)] = (0o40755, b"")
        entries[place] = (0o100755, content)
    entries["TRAILER!!!"] = (0, b"")
    out = bytearray()
    for number, (name, (mode, content)) in enumerate(entries.items(), 1):
        name = name.encode() + b"\0"
        head = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        out += b"070701" + b"".join(b"%08x" % field for field in head) + name
        out += bytes(-len(out) % 4) + content
        out += bytes(-len(out) % 4)
    return bytes(out)


def makes_processes():
    """An initramfs whose init starts one program after the other: each is a stub."""
    busybox = shutil.which("busybox")
    libraries = [word for word in subprocess.run(["ldd", busybox], capture_output=True, text=True).stdout.split() if word[0] == "/"]
    files = {library.lstrip("/"): pathlib.Path(library).read_bytes() for library in libraries}
    return archive({**files, "bin/busybox": pathlib.Path(busybox).read_bytes(), "init": INIT.encode()})


def children():
    """Of ours, with those whose own parent is gone, by name; the dead are waited for."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(") ")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if int(parent) != os.getpid():
            continue
        if state == "Z":
            os.waitpid(int(folder.name), 0)
        else:
            found.append(name)
    return found


class StubsEnd(GuestTest):
    def test_kernels_that_are_killed_leave_none(self):
        prctl_set_child_subreaper = 36
        self.assertEqual(ctypes.CDLL(None).prctl(prctl_set_child_subreaper, 1, 0, 0, 0), 0)
        kernel = image_parts(self.session.rookery("image", "show", IMAGE, "--json").json())["linux-uml"]
        moments = random.Random(SEED)
        with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="rookery-stubs-") as folder:
            initramfs = pathlib.Path(folder) / "initramfs"
            initramfs.write_bytes(makes_processes())
            for _ in range(KILLS):
                words = [kernel, "mem=32M", f"initrd={initramfs}", "con=null", "con0=null", "seccomp=auto", f"uml_dir={folder}", "quiet"]
                guest = subprocess.Popen(words, env={"TMPDIR": folder}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL)
                time.sleep(moments.uniform(0.02, 0.5))  # any moment is as good: it is what is tried
                self.assertIsNone(guest.poll(), "the kernel ended by itself")
                guest.kill()
                guest.wait()
            wait_until(lambda: not children(), 10, "no process is left", lambda: f"left: {children()}")


if __name__ == "__main__":
    main()
