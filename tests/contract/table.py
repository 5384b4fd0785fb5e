#!/usr/bin/env python3
"""What each backend can do, as the contract suite saw it: the table in docs/backends/README.md.

    table.py run [--write] TEST_CONTRACT    runs the suite, and compares what it saw with the table
    table.py check [--write] FILE…          the same with what it said elsewhere (tests/nested)

A subject that could not be tried here keeps its column. --write brings the table up to date.
"""
import argparse
import pathlib
import re
import subprocess
import sys

TABLE = pathlib.Path(__file__).resolve().parents[2] / "docs/backends/README.md"
SUBJECTS = ["fake", "uml", "qemu", "qemu-kvm", "libvirt", "xen-pv", "xen-pvh", "xen-hvm"]
BEGIN, END = "<!-- by tests/contract/table.py: begin -->\n", "<!-- end -->\n"
UNKNOWN = ("?", "")


def seen(output):
    """{(row, subject): (cell, why)} of what the suite said (contract_test.cc)."""
    found = {}
    for line in output.splitlines():
        match = re.search(r"table: ([a-z-]+) \| ([^|]+) \| (yes|no|failed) \| (.*?)\s*$", line)
        if match:
            subject, row, cell, why = match.groups()
            found[row, subject] = (cell, why)
    return found


def parse(text):
    """The same of the table's text."""
    notes = dict(re.findall(r"^(\d+)\. (.*)$", text, re.MULTILINE))
    found, columns = {}, []
    for line in text.splitlines():
        if not line.startswith("|") or line.startswith("|-"):
            continue
        first, *cells = [cell.strip() for cell in line.strip("|\n").split("|")]
        if not first:
            columns = cells
            continue
        for subject, cell in zip(columns, cells):
            word, _, note = cell.partition(" ")
            found[first, subject] = (word, notes.get(note.strip("()"), ""))
    return found


def render(table):
    rows = list(dict.fromkeys(row for row, _ in table))
    notes, lines = [], ["| | " + " | ".join(SUBJECTS) + " |", "|---" * (len(SUBJECTS) + 1) + "|"]
    for row in rows:
        cells = []
        for subject in SUBJECTS:
            word, why = table.get((row, subject), UNKNOWN)
            if why and why not in notes:
                notes.append(why)
            cells.append(f"{word} ({notes.index(why) + 1})" if why else word)
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    lines += [""] + [f"{number}. {why}" for number, why in enumerate(notes, 1)]
    return "\n".join(lines) + "\n"


def compare(output, write=False):
    """Whether the table has what the suite said, with words on what it has not. Each subject seen is seen whole."""
    new = seen(output)
    if not new:
        print("the contract suite said nothing for the table")
        return False
    head, rest = TABLE.read_text().split(BEGIN)
    text, tail = rest.split(END)
    old = parse(text)
    subjects = {subject for _, subject in new}
    # In the suite's order; what it does not have any more goes.
    rows = list(dict.fromkeys(row for row, _ in new))
    now = {(row, subject): new.get((row, subject), UNKNOWN) if subject in subjects else old.get((row, subject), UNKNOWN)
           for row in rows for subject in SUBJECTS}
    if write:
        TABLE.write_text(head + BEGIN + render(now) + END + tail)
        return True
    wrong = [f"  {subject}: {row}: the table says {' '.join(old.get((row, subject), UNKNOWN))}; the suite, "
             f"{' '.join(cell)}" for (row, subject), cell in now.items() if cell != old.get((row, subject), UNKNOWN)]
    wrong += [f"  the suite has no case '{row}'" for row in dict.fromkeys(row for row, _ in old) if row not in rows]
    if wrong:
        print(f"{TABLE.relative_to(TABLE.parents[2])} is not what the contract suite saw "
              "(tests/contract/table.py --help):", *wrong, sep="\n")
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "check"])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("files", nargs="+", type=pathlib.Path, metavar="FILE")
    words, more = parser.parse_known_args()  # the suite's own
    if words.command == "check":
        return 0 if all([compare(file.read_text(), words.write) for file in words.files]) else 1
    done = subprocess.run([words.files[0], "--color_output=no", *more], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    sys.stdout.write("".join(line + "\n" for line in done.stdout.splitlines() if not line.startswith("table: ")))
    return done.returncode or (0 if compare(done.stdout, words.write) else 1)


if __name__ == "__main__":
    sys.exit(main())
