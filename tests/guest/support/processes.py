"""Processes, as /proc shows them. Those of other users cannot be looked at, and are none of ours."""
import contextlib
import os
import pathlib
import select
import subprocess
import time


def link_of(pid, name):
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/{name}").removesuffix(" (deleted)")
    return ""


def words_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def status_of(pid):
    """/proc/<pid>/status by key; empty if it is gone."""
    with contextlib.suppress(OSError):
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return {}


def parent_of(pid):
    return int(status_of(pid).get("PPid", 0))


def is_alive(pid):
    """Neither gone nor a zombie, which only waits for its parent to take note."""
    return status_of(pid).get("State", "Z")[0] not in "ZX"


def all_processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def processes_of(mark):
    """Live processes whose folder, program, words or open files have `mark` in them; not this one."""
    found = []
    for pid in all_processes():
        if pid == os.getpid():
            continue
        places = [link_of(pid, "cwd"), link_of(pid, "exe"), words_of(pid)]
        if not any(mark in place for place in places):
            with contextlib.suppress(OSError):
                places = [link_of(pid, f"fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
        if any(mark in place for place in places) and is_alive(pid):
            found.append(pid)
    return found


def family_of(root):
    """A process and all that descend from it, each after its parent."""
    children = {}
    for pid in all_processes():
        children.setdefault(parent_of(pid), []).append(pid)
    family = [root]
    for pid in family:
        family += children.get(pid, [])
    return family


class Watch:
    """Processes held by pidfds, so that their end is seen and their ids cannot be another's."""

    def __init__(self, pids):
        self.fds = {}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                self.fds[os.pidfd_open(pid)] = pid

    def wait(self, seconds, what):
        deadline = time.monotonic() + seconds
        poll = select.poll()
        for fd in self.fds:
            poll.register(fd, select.POLLIN)
        left = dict(self.fds)
        while left:
            ready = poll.poll(max(0, deadline - time.monotonic()) * 1000)
            if not ready:
                names = "\n".join(f"  {pid}: {words_of(pid)}" for pid in left.values() if is_alive(pid))
                raise AssertionError(f"{what}: these processes are still there after {seconds} s:\n{names}")
            for fd, _ in ready:
                poll.unregister(fd)
                del left[fd]

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = {}


def wait_for_end(process, seconds):
    """The exit code of a child of ours."""
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"process {process.pid} did not end within {seconds} s: {words_of(process.pid)}") from None
