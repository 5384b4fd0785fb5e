"""What the tests of the guest tier share: a session of their own, labs in it, and a main() for CTest.

A test is a program that drives `rookery` (its path comes in ROOKERY) as a user would: by its words, its exit
codes and its JSON. Each run has a folder of its own for lab files, sockets and temporary files, and names of labs
that no other run has, so that it meets no lab of this user; the images are the user's real ones.

Nothing here sleeps for a guess. wait_until() looks again every few milliseconds, up to a deadline that it names
when it is missed; ends of processes come by their pidfds.
"""
import contextlib
import json
import os
import pathlib
import pwd
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from processes import link_of, parent_of, processes_of, wait_for_end, words_of

IMAGE = "debian-12"
SEED = int(os.environ.get("ROOKERY_SEED", "1"))
BAR_OF_DOWN = 3.0  # seconds: the bar for `down`, and for what a killed supervisor leaves
# Large, and in every image: the C library, the shell.
SHARED_FILES = ["/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/bin/bash", "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
                "/usr/bin/perl"]
# What main() may be told that a test needs: a program, and the Debian packages that have it.
QEMU = ("qemu-system-x86_64", "qemu-system-x86 ipxe-qemu")
HAS_UEFI = pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.fd").exists()

_sessions = []


def program():
    """The program under test; by hand, that of the build folder."""
    return os.environ.get("ROOKERY", "build/rookery")


def real_store():
    """Where this user's images are."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ["HOME"], ".cache")
    return pathlib.Path(cache) / "rookery" / "store"


def image_parts(image):
    """The files of an image's components by name; of an image as `image show --json` has it."""
    return {part["name"]: real_store() / "objects" / part["sha256"] for part in image["components"]}


class Outcome:
    """How a command ended."""

    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError:
            raise AssertionError(f"{self}\nits standard output is no JSON") from None

    def __str__(self):
        return f"$ {shlex.join(self.argv)}\nexit code {self.code}\n{self.out[-3000:]}{self.err[-3000:]}"


class Session:
    """A user's session of its own: folder, environment, and the labs that were begun in it."""

    def __init__(self, cache=None):
        # Short, because sockets lie below it.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rookery-test-"))
        self.runtime = self.folder / "run"
        self.temporary = self.folder / "tmp"
        for folder in (self.runtime, self.temporary):
            folder.mkdir(mode=0o700)
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=str(self.runtime), TMPDIR=str(self.temporary))
        if cache is not None:
            self.environment["XDG_CACHE_HOME"] = str(cache)
        self.labs = []
        _sessions.append(self)

    def rookery(self, *words, code=0, timeout=60):
        """Runs the program to its end. Anything but the exit code (or codes) wanted fails the test."""
        argv = [program(), *map(str, words)]
        try:
            done = subprocess.run(argv, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, errors="replace", timeout=timeout)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"$ {shlex.join(argv)}\ndid not end within {timeout} s\n{late.stderr or ''}") from None
        outcome = Outcome(argv, done.returncode, done.stdout, done.stderr)
        wanted = (code,) if isinstance(code, int) else code
        if wanted is not None and outcome.code not in wanted:
            raise AssertionError(f"wanted exit code {code}:\n{outcome}")
        return outcome

    def memory_folders(self):
        """Where the memory of this session's running labs lies, also of those that a scenario runs: each says whose it is."""
        def home(folder):
            with contextlib.suppress(OSError):
                return os.readlink(folder / "home")
            return ""
        return [folder for folder in pathlib.Path("/dev/shm").glob(f"rookery-{os.getuid()}-*")
                if home(folder).startswith(f"{self.folder}/")]

    def lab(self, name, clients=2, rest=""):
        """Writes a lab file with a server and n1, n2, …; `rest` may add lines to it."""
        lab = Lab(self, name, clients, rest)
        self.labs.append(lab)
        return lab

    def scenario_with_cut_cables(self, name, clients, *cut):
        """Writes a scenario of n1, n2, … that ends soon: whose cable is cut never boots, and so it fails."""
        faults = "".join(f"  - at: 0 s\n    fault: {machine} down\n" for machine in cut)
        file = self.folder / f"{name}.yaml"
        file.write_text(f"scenario: {name}\nlab:\n  lab: {name}\n  image: {IMAGE}\n  machines:\n    server: {{role: boot-server}}\n"
                        f"    n: {{role: client, count: {clients}, boot_timeout: 20 s}}\ntimeline:\n{faults}expect:\n"
                        "  - eventually: all ready or failed\n    within: 1 min\n  - at_end: all ready\n")
        return file

    def processes(self):
        """All processes of this session that are alive, by what they are in: their folder and their words."""
        return processes_of(str(self.folder))

    def close(self):
        """Ends what a failed test left, by the ids of its processes, and removes the folder."""
        for lab in self.labs:
            lab.give_up()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for lab in self.labs:
            shutil.rmtree(lab.memory, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class Lab:
    """One lab file, and the lab that may run from it."""

    def __init__(self, session, name, clients, rest):
        self.session = session
        self.name = f"{name}-{os.getpid()}"
        self.file = session.folder / f"{name}.yaml"
        group = f"  n: {{role: client, count: {clients}}}\n" if clients else ""
        self.file.write_text(f"lab: {self.name}\nmachines:\n  server: {{role: boot-server}}\n{group}{rest}")
        self.folder = session.runtime / "rookery" / self.name
        self.memory = pathlib.Path(f"/dev/shm/rookery-{os.getuid()}-{self.name}")
        self.log = session.folder / f"{name}.log"  # what `up` said on standard error
        self.foreground = None

    # Bringing it up.

    def words(self, *more):
        return ["up", str(self.file), "--seed", str(SEED), *more]

    def up(self, *more, code=0, timeout=120):
        """Up, until ready, in the background; the report."""
        outcome = self.session.rookery(*self.words("--until", "ready", "--json", *more), code=code, timeout=timeout)
        self.log.write_text(f"$ {shlex.join(outcome.argv)}\n{outcome.err}")
        return outcome.json() if outcome.out.strip() else outcome

    def start(self, *more):
        """Up in the foreground, with a line for each stage of each machine in the log. Not waited for."""
        with open(self.log, "wb") as log:
            self.foreground = subprocess.Popen([program(), *self.words("--verbose", *more)], stdin=subprocess.DEVNULL,
                                               stdout=subprocess.DEVNULL, stderr=log, env=self.session.environment)
        return self.foreground

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for_words(self, words, seconds=60):
        """Until `up` in the foreground has said so."""
        def look():
            if words in self.said():
                return True
            if self.foreground.poll() is not None:
                raise AssertionError(f"'up' ended with exit code {self.foreground.returncode} before it said '{words}'")
            return False
        wait_until(look, seconds, f"'up' says '{words}'")

    # Asking it.

    def rookery(self, command, *words, code=0, timeout=60):
        return self.session.rookery(command, "--lab", self.name, *words, code=code, timeout=timeout)

    def run(self, machine, *argv, code=0, timeout=60):
        """What a program in a machine wrote; `machine` may be --all."""
        return self.rookery("exec", machine, "--", *argv, code=code, timeout=timeout).out

    def shell(self, machine, script, code=0, timeout=60):
        return self.run(machine, "sh", "-c", script, code=code, timeout=timeout)

    def each(self, *argv, code=0, timeout=60):
        """What a program wrote in each machine, by machine."""
        answer = self.rookery("exec", "--json", "--all", "--", *argv, code=code, timeout=timeout).json()
        return {machine["name"]: machine for machine in answer["machines"]}

    def machines(self):
        """By name, as `ps --json` has them."""
        return {machine["name"]: machine for machine in self.rookery("ps", "--json").json()["machines"]}

    def stage(self, name):
        return self.machines()[name]["stage"]

    def wait_for(self, name, *stages, seconds=60):
        """Until a machine is in one of the stages; it as ps has it then. Failing while not waited for is an error."""
        found = {}

        def look():
            found.update(self.machines()[name])
            if found["stage"] == "failed" and "failed" not in stages:
                raise AssertionError(f"{name} failed in the stage {found['failed_in']}: {found['reason']}")
            return found["stage"] in stages
        wait_until(look, seconds, f"{name} is {' or '.join(stages)}", lambda: f"it is {found.get('stage')}")
        return found

    def reset(self, *names):
        self.rookery("power", "reset", *names)

    def console(self, name):
        return self.rookery("logs", name).out

    def wait_for_console(self, name, words, seconds=60):
        wait_until(lambda: words in self.console(name), seconds, f"{name} says '{words}' on its console")

    def supervisor(self):
        return self.rookery("ps", "--json").json()["supervisor_pid"]

    def guest_process(self, name):
        """The process that is the machine's kernel: the first of those in the machine's folder. A machine is told to be
        on when its process is made, which is a moment before that stands in its folder."""
        folder, roots = str(self.folder / "m" / name), []

        def is_there():
            found = [pid for pid in processes_of(folder) if link_of(pid, "cwd") == folder]
            parents = {pid: parent_of(pid) for pid in found}
            roots[:] = [pid for pid in found if parents[pid] not in parents]
            return len(roots) == 1

        wait_until(is_there, 30, f"{name} has one process with no parent in its folder", lambda: f"There are: {roots}")
        return roots[0]

    # Taking it down.

    def down(self, code=0):
        self.rookery("down", code=code)
        if self.foreground is not None:
            return wait_for_end(self.foreground, 10)
        return None

    def give_up(self):
        if self.foreground is not None and self.foreground.poll() is None:
            self.foreground.kill()
            self.foreground.wait()
        if (self.folder / "control.sock").exists():
            with contextlib.suppress(Exception):
                self.session.rookery("down", "--lab", self.name, code=None, timeout=20)

    def leftovers(self):
        """What there still is of it, in words: processes, sockets, files, shared memory."""
        marks = (str(self.folder), str(self.file), str(self.memory))
        left = [f"process {pid}: {words_of(pid)}" for pid in sorted({p for m in marks for p in processes_of(m)})]
        left += [f"socket {line.split()[-1]}" for line in pathlib.Path("/proc/net/unix").read_text().splitlines()
                 if str(self.folder) in line]
        runtime = self.session.runtime / "rookery"
        left += [f"file {path}" for path in sorted(runtime.glob(f"*{self.name}*"))]
        left += [f"shared memory {path}" for path in pathlib.Path("/dev/shm").glob(f"*{self.name}*")]
        left += [f"temporary file {path}" for path in sorted(self.session.temporary.rglob("*"))]
        return left


def wait_until(condition, seconds, what, state=lambda: ""):
    """Looks again and again, at most for so long."""
    deadline = time.monotonic() + seconds
    pause = select.poll()
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for this: {what}. {state()}")
        pause.poll(20)


# The program.

class Result(unittest.TextTestResult):
    """Says with each failure what would show it again, and what the labs had to say."""

    def explain(self, test):
        name = getattr(test, "test_case", test).id().removeprefix("__main__.")  # of a sub-test, its test's
        script = os.path.relpath(sys.argv[0])
        lines = [f"replay: ROOKERY={shlex.quote(program())} ROOKERY_SEED={SEED} python3 {script} {name}",
                 f"seed: {SEED}"]
        # The lab that failed is among the last that this case used; earlier ones had their say with earlier cases.
        for session in _sessions:
            for lab in session.labs[-2:]:
                lines += [f"the last that 'up' of {lab.name} said:", *("  " + l for l in lab.said().splitlines()[-20:])]
        return "\n".join(lines)

    def _exc_info_to_string(self, err, test):
        return super()._exc_info_to_string(err, test) + "\n" + self.explain(test) + "\n"

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.stream.writeln(self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.stream.writeln(self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            known = self.failures if issubclass(err[0], test.failureException) else self.errors
            self.stream.writeln(known[-1][1])

    def printErrors(self):
        pass  # said at once, while the labs' words were the last

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.stream.writeln(f"skipped: {reason}")


class GuestTest(unittest.TestCase):
    """Cases over one session. A class that sets `setUpClass` shares its labs among its cases, in their order."""
    maxDiff = None
    session = None

    @classmethod
    def setUpClass(cls):
        cls.session = Session()

    @classmethod
    def tearDownClass(cls):
        if cls.session is not None:
            cls.session.close()

    def assert_nothing_left(self, lab, seconds=BAR_OF_DOWN, what="the lab left"):
        wait_until(lambda: not lab.leftovers(), seconds, f"{what} nothing behind", lambda: "\n".join(lab.leftovers()))

    def assert_has(self, text, *parts):
        for part in parts:
            self.assertIn(part, text)

    def assert_same_image(self, lab, machines, timeout=180):
        """The lab has these machines, and all read the same bytes of the shared image."""
        answers = lab.each("sha256sum", *SHARED_FILES, timeout=timeout)
        self.assertEqual(sorted(answers), sorted(machines))
        said = {answer["stdout"] for answer in answers.values()}
        self.assertEqual(len(said), 1, answers)
        self.assertEqual(said.pop().count("\n"), len(SHARED_FILES))

    def need_uefi(self):
        if not HAS_UEFI:
            self.skipTest("there is no UEFI firmware; install: ovmf")


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def need(program_name, packages):
    if not shutil.which(program_name):
        skip(f"there is no {program_name}; install: {packages}")


def need_libvirt():
    if not list(pathlib.Path("/usr/lib").glob("*/libvirt/connection-driver/libvirt_driver_qemu.so")):
        skip("libvirt has no QEMU driver; install: libvirt-daemon-driver-qemu")
    if os.getuid() == 0 and "libvirt-qemu" not in {user.pw_name for user in pwd.getpwall()}:
        skip("root's libvirt wants a user libvirt-qemu: adduser --system --group libvirt-qemu, or run this as an ordinary user")


def main(*needs):
    """Runs the cases of the program; `needs` are pairs of a program and its packages, without which it skips."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):  # however the test was started: labs heed what was ignored
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for pair in needs:
        need(*pair)
    if not shutil.which(program()):
        skip(f"there is no program {program()}; build it with ./do build, or name it in ROOKERY")
    session = Session()
    found = session.rookery("image", "show", IMAGE, code=None)
    session.close()
    _sessions.clear()
    if found.code == 2:
        skip(f"the image {IMAGE} is not in the store; make it with: ./do build && build/rookery image build")
    if found.code != 0:
        sys.exit(f"the image {IMAGE} cannot be looked at: {found}")
    sys.stdout.flush()
    runner = unittest.TextTestRunner(stream=sys.stdout, descriptions=False, verbosity=2, resultclass=Result)
    outcome = unittest.main(module="__main__", testRunner=runner, exit=False).result
    for left in _sessions:
        left.close()
    if outcome.testsRun and len(outcome.skipped) == outcome.testsRun:
        sys.exit(77)
    sys.exit(0 if outcome.wasSuccessful() else 1)
