#!/usr/bin/env python3
"""`cmake --install` in a folder of its own: the program runs from there with what it needs, its manual page is one, and the
TAB key knows its commands in bash and zsh."""
import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

BUILD = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "build")
PATIENCE = 60  # seconds


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="rookery-installed-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.root = cls.folder / "prefix"
        subprocess.run(["cmake", "--install", BUILD, "--prefix", cls.root], check=True, stdout=subprocess.DEVNULL)
        cls.environment = dict(os.environ, HOME=str(cls.folder), PATH=f"{cls.root}/bin:{os.environ['PATH']}", TERM="dumb", LC_ALL="C.UTF-8")
        cls.environment.pop("ROOKERY_DATA", None)

    def run_it(self, *words, code=0):
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def need(self, program, package):
        if not shutil.which(program):
            print(f"skipped: there is no {program}; install: {package}", flush=True)
            self.skipTest(program)

    def test_the_program_and_what_images_are_made_of(self):
        self.assertRegex(self.run_it("rookery", "--version").stdout, r"rookery \d")
        data = self.root / "share/rookery"
        for program in (data / "rookery-guest", data / "images/make/kernel/build", data / "images/make/rootfs/usr/lib/rookery/rc"):
            self.assertTrue(os.access(program, os.X_OK), program)
        self.assertEqual([path for path in self.root.rglob("*") if path.suffix in (".cc", ".h")], [])
        self.assertIn("Subcommands:", self.run_it("rookery", code=2).stderr)

    def test_the_manual_page_is_set_without_a_warning(self):
        self.need("groff", "groff-base")
        page = self.root / "share/man/man1/rookery.1"
        done = self.run_it("groff", "-ww", "-man", "-Tutf8", page)
        self.assertEqual(done.stderr, "")
        text = re.sub(r".\x08|\x1b\[[\d;]*m", "", done.stdout)  # how it shows bold letters
        for words in ("rookery why", "EXIT STATUS", "rookery fault set"):
            self.assertTrue(words in text, words)
        if shutil.which("man"):
            self.environment["MANPATH"] = str(self.root / "share/man")
            self.assertIn("ROOKERY(1)", self.run_it("man", "rookery").stdout)

    def tab(self, argv, typed, wanted):
        """What a shell on a terminal makes of a line with a TAB at its end."""
        process, terminal = pty.fork()
        if process == 0:
            # Of a line that is longer than the terminal is wide, shells show a part.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 500, 0, 0))
            os.execvpe(argv[0], argv, self.environment)
        said, deadline = b"", time.monotonic() + PATIENCE
        try:
            for line, until in typed + [(wanted[0], wanted[1])]:
                os.write(terminal, line)
                mark = len(said)
                while until not in said[mark:]:
                    self.assertLess(time.monotonic(), deadline, f"no {until} in {said[mark:]}")
                    if select.select([terminal], [], [], 0.1)[0]:
                        said += os.read(terminal, 65536)
        finally:
            os.kill(process, 9)
            os.waitpid(process, 0)
            os.close(terminal)

    # What is waited for is never what was typed, which the terminal shows too. A shell that shows its prompt reads keys;
    # before, a TAB might be one more letter to the terminal.
    READY = (b"PS1='rea''dy> '\n", b"ready> ")

    def test_bash_completes_it(self):
        script = self.root / "share/bash-completion/completions/rookery"
        source = (f"source {script} && echo lo''aded\n".encode(), b"loaded")
        for keys, wanted in ((b"rookery doc\t", b"rookery doctor "), (b"rookery fault cl\t", b"rookery fault clear "),
                             (b"rookery up --detach --pl\t", b"--plain "), (b"rookery image b\t", b"image build ")):
            self.tab(["bash", "--norc", "--noprofile", "-i"], [self.READY, source], (keys, wanted))
        lab = self.folder / "my-own-lab.yaml"
        lab.write_text("")
        self.tab(["bash", "--norc", "--noprofile", "-i"], [self.READY, source], (f"rookery up {self.folder}/my-o\t".encode(), b"my-own-lab.yaml"))

    def test_zsh_completes_it(self):
        self.need("zsh", "zsh")
        functions = self.root / "share/zsh/site-functions"
        begin = (f"fpath=({functions} $fpath); autoload -Uz compinit; compinit -u -D && echo lo''aded\n".encode(), b"loaded")
        for keys, wanted in ((b"rookery doc\t", b"doctor"), (b"rookery fault cl\t", b"clear"), (b"rookery up --pl\t", b"plain")):
            self.tab(["zsh", "-f", "-i"], [self.READY, begin], (keys, wanted))


if __name__ == "__main__":
    unittest.main(verbosity=2)
