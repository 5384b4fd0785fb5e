#!/usr/bin/env python3
"""The role distcc: a parallel compile over eight machines, every one of which compiles."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main  # noqa: E402

MACHINES, FILES = 8, 48
MAKEFILE = """OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))
sum: $(OBJECTS)
\t$(CC) -o $@ $^
%.o: %.c
\t$(CC) -O2 -c -o $@ $<
"""


def part(number):
    """A function whose value is its number's square, among others that keep a compiler busy."""
    busy = "".join(f"int busy{number}_{k}(int x) {{ for (int i = 0; i < x; ++i) x ^= x * {k + 3} + i % {k + 2}; return x; }}\n"
                   for k in range(60))
    return f"#include <stdlib.h>\n{busy}int part{number}(void) {{ return {number} * abs(-{number}); }}\n"


class Distcc(GuestTest):
    def setUp(self):
        self.lab = self.session.lab("distcc", 0, f"  m: {{role: distcc, count: {MACHINES}, memory: 192 MiB}}\n")

    def tearDown(self):
        self.lab.give_up()

    def test_each_of_eight_machines_compiles_and_the_program_runs(self):
        self.assertEqual(self.lab.up(timeout=200)["failed"], [])
        sources = self.session.folder / "sources"
        sources.mkdir()
        for number in range(FILES):
            (sources / f"part{number}.c").write_text(part(number))
        numbers = range(FILES)
        (sources / "main.c").write_text(
            "#include <stdio.h>\n" + "".join(f"int part{n}(void);\n" for n in numbers) +
            "int main(void) { return printf(\"%d\\n\", " + " + ".join(f"part{n}()" for n in numbers) + ") < 0; }\n")
        (sources / "Makefile").write_text(MAKEFILE)
        self.lab.rookery("cp", str(sources), "m1:/tmp")
        # What no machine takes is not compiled: m1 does not do it by itself instead.
        self.lab.shell("m1", "cd /tmp/sources && DISTCC_FALLBACK=0 make -s -j16 CC='distcc gcc'", timeout=200)
        self.assertEqual(self.lab.run("m1", "/tmp/sources/sum"), f"{sum(n * n for n in numbers)}\n")
        compiled = {}
        for name in sorted(self.lab.machines()):
            if name == "server":
                continue
            log = self.lab.shell(name, "grep COMPILE_OK /run/rookery/distccd.log || true").splitlines()
            compiled[name] = [line.split()[-1] for line in log]
        self.assertEqual(len(compiled), MACHINES)
        self.assertTrue(all(compiled.values()), compiled)
        self.assertEqual(sorted(file for files in compiled.values() for file in files),
                         sorted(path.name for path in sources.glob("*.c")))


if __name__ == "__main__":
    main()
