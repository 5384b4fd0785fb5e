#!/usr/bin/env python3
"""Scenarios with real kernels in virtual time: the same file and seed give the same bytes, and another byte another digest."""
import base64
import os
import pathlib
import re
import shlex
import struct
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import IMAGE, GuestTest, main  # noqa: E402

LAB = f"""
lab:
  lab: pair
  image: {IMAGE}
  machines:
    server: {{role: boot-server}}
    n: {{role: client, count: 2}}
  link: {{rate: 1 Gbit/s, delay: 100 us}}
"""
RAIN = """
timeline:
  - at: 0 s
    fault: n* loss=2%
    name: rain
"""
FAULTS = RAIN + """
  - when: n1 root
    within: [0 s, 50 ms]
    fault: server power-cut for=5s
  - when: all ready
    after: 1 s
    clear: rain
"""
RUN = "workload:\n  - name: say\n    run: {}\n"
# Keys, a transfer by HTTPS and a login by SSH, each when the one before has ended.
SECURE = """
workload:
  - {name: serve, machines: server, run: [/usr/lib/rookery/secure]}
  - {name: keys, when: program serve ended, machines: n1 n2, run: [/usr/lib/rookery/secure]}
  - name: fetch
    when: program keys ended
    machines: n1
    run: curl -sS --cacert /run/rookery/secure/cert.pem https://server/stage2.cpio | wc -c
    output: ^[1-9][0-9]{5,}$
  - {name: login, when: program fetch ended, machines: n1, run: ssh n2 hostname, output: ^n2$}
"""
READY = "expect:\n  - eventually: all ready\n    within: 2 min\n"


def dice():
    """A program that asks the processor for a random number (RDRAND) and writes it, as a line for a shell."""
    code = bytes.fromhex("480fc7f0"          # rdrand rax,
                         "73fa"              # and again until there is one
                         "50"                # push rax
                         "b801000000bf01000000"  # write(1,
                         "4889e6ba08000000"  # the stack, 8)
                         "0f05"
                         "b83c00000031ff0f05")   # exit(0)
    start = 0x400000
    size = 120 + len(code)
    elf = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, start + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    elf += struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, size, size, 4096) + code
    text = base64.b64encode(elf).decode()
    return f"echo {text} | base64 -d > /tmp/dice; chmod +x /tmp/dice; /tmp/dice | od -t x8"


class Scenarios(GuestTest):
    def scenario(self, rest, name="test"):
        file = self.session.folder / f"{name}.yaml"
        file.write_text(f"scenario: {name}\n{LAB}{rest}")
        return str(file)

    def run_json(self, file, *words, code=0):
        return self.session.rookery("run", file, "--json", *words, code=code, timeout=120).json()

    def test_a_run_with_faults_repeats_byte_for_byte_and_another_seed_does_not(self):
        file = self.scenario(FAULTS + RUN.format("hostname") + READY)
        kept = self.session.folder / "kept"
        report = self.session.rookery("verify", file, "--seed", 7, "--runs", 3, "--json", "--keep", os.path.relpath(kept), timeout=200).json()
        self.assertEqual(sorted(trace.parent.name for trace in kept.glob("*/trace")), ["1", "2", "3"])
        self.assertEqual((report["verdict"], report["grade"], report["result"]), ("bit-exact", "bit-exact", "pass"))
        self.assertEqual(len(set(report["digests"])), 1)
        other = self.run_json(file, "--seed", 8)
        self.assertNotEqual(other["digest"], report["digest"])
        self.assertEqual(other["seed"], 8)

    def test_an_https_transfer_and_a_login_repeat_byte_for_byte_over_poor_cables(self):
        file = self.scenario(RAIN + SECURE + READY)
        report = self.session.rookery("verify", file, "--nodes", 10, "--json", timeout=200).json()
        self.assertEqual((report["verdict"], report["grade"], report["result"]), ("bit-exact", "bit-exact", "pass"))

    def test_one_byte_of_what_a_program_sends_is_another_digest(self):
        digests = []
        for letter in "ab":
            send = f"run: bash -c 'echo {letter} > /dev/udp/10.77.0.1/9'\n    machines: n1\n"
            digests.append(self.run_json(self.scenario(f"workload:\n  - {send}{READY}"))["digest"])
        self.assertNotEqual(*digests)

    def test_who_reads_a_trace_slowly_or_a_capture_never_changes_nothing(self):
        file = self.scenario(READY)
        digest = self.run_json(file)["digest"]
        trace, capture = self.session.folder / "trace", self.session.folder / "capture"
        os.mkfifo(trace)
        os.mkfifo(capture)
        read = []
        reader = threading.Thread(target=lambda: read.append(trace.read_bytes()), daemon=True)
        reader.start()
        outcome = self.session.rookery("run", file, "--json", "--keep-frames", "--trace", trace, "--capture", capture, timeout=120)
        self.assertEqual(outcome.json()["digest"], digest)
        told = outcome.json()["capture"]
        self.assertEqual((told["frames"], told["why"]), (0, f"nobody opened the capture {capture} to read it"))
        self.assertGreater(told["frames_left_out"], 100)
        reader.join(10)
        self.assertGreater(len(read[0]), 100_000)
        for option in ("--trace", "--capture"):
            for place in ("/dev/full", "/proc/x"):
                self.assertIn(f"cannot write the {option[2:]} {place}: ", self.session.rookery("run", file, option, place, code=4).err)

    def test_what_is_expected_and_not_so_fails_with_its_evidence_and_the_command_that_does_it_again(self):
        file = self.scenario("expect:\n  - eventually: any failed\n  - at_end: all ready\nends: {when: all ready}\n")
        outcome = self.session.rookery("run", file, "--seed", 7, code=1)
        self.assertIn("FAIL (1 of 2 expectations held)", outcome.out)
        self.assertRegex(outcome.out, r"line \d+  eventually: any failed\n +at the end, at [0-9.]+ s: 0 of 2; n1: ready \| n2: ready")
        digest = re.search(r"digest (\w+)", outcome.out).group(1)
        again = shlex.split(re.search(r"again: rookery (.*)", outcome.out).group(1))
        self.assertIn(digest, self.session.rookery(*again, code=1).out)

    def test_programs_are_judged_by_exit_code_and_output(self):
        file = self.scenario("workload:\n"
                             "  - {name: right, run: exit 3, exit_code: 3}\n"
                             "  - {name: wrong, run: 'seq 2000; echo it broke; exit 4', machines: n2}\n"
                             "  - {name: said, run: [hostname], output: '^n1$'}\n"
                             "  - {name: late, run: sleep 100, timeout: 2 s, machines: n1}\n")
        report = self.run_json(file, code=1)
        verdicts = {one["expectation"].split(":")[0]: (one["verdict"], one["evidence"]) for one in report["expectations"]}
        self.assertEqual(verdicts["right"], ("held", "as wanted in 2 of 2 machines"))
        self.assertEqual(verdicts["wrong"], ("failed", "as wanted in 0 of 1 machines; n2: exit code 4; its output ends: 1999 / 2000 / it broke"))
        self.assertEqual(verdicts["said"], ("failed", "as wanted in 1 of 2 machines; n2: exit code 0, but its output does not fit; "
                                              "its output ends: n2"))
        self.assertEqual(verdicts["late"], ("failed", "as wanted in 0 of 1 machines; n1: still running after 2 s"))

    def test_a_check_of_ones_own_gets_the_report(self):
        check = self.session.folder / "check"
        check.write_text(f"#!{sys.executable}\nimport json, sys\nreport = json.load(sys.stdin)\n"
                         "print(report['ready'], 'ready')\nsys.exit(report['ready'] != 2)\n")
        check.chmod(0o755)
        report = self.run_json(self.scenario("expect:\n  - check: ./check\n"))
        self.assertEqual(report["expectations"][0]["evidence"], "exit code 0: 2 ready")

    def test_what_cannot_happen_is_refused_with_its_line_before_anything_starts(self):
        file = self.scenario("timeline:\n  - at: 1 s\n    power: cut n7\n")
        outcome = self.session.rookery("run", file, code=2, timeout=5)
        self.assertEqual(outcome.err, f"rookery: {file}:11:5: the lab has no machine 'n7'; it has server, n1, n2\n")
        self.session.rookery("verify", file, code=2, timeout=5)

    def test_in_real_time_only_the_order_of_frames_is_promised(self):
        report = self.run_json(self.scenario(FAULTS + READY), "--time", "wall")
        self.assertEqual((report["result"], report["grade"]), ("pass", "frame-order"))
        self.assertEqual(report["lowered_by"], ["the machines ran in real time"])

    def test_a_program_that_asks_the_processor_for_random_numbers_is_found(self):
        if " rdrand" not in pathlib.Path("/proc/cpuinfo").read_text():
            raise unittest.SkipTest("this processor has no RDRAND")
        file = self.scenario(f"workload:\n  - name: dice\n    machines: n1\n    run: {dice()}\n")
        outcome = self.session.rookery("verify", file, "--json", code=5, timeout=120).json()
        self.assertEqual((outcome["verdict"], outcome["grade"]), ("not the same", "none"))
        self.assertEqual(outcome["first_difference"]["machine"], "n1")
        self.assertIn("0x88b5", outcome["first_difference"]["first"])
        report = self.run_json(file)
        self.assertEqual(report["grade"], "frame-order")
        self.assertIn("dice", report["lowered_by"][0])

    def test_a_machine_that_never_yields_is_named(self):
        file = self.scenario("workload:\n  - {machines: n2, run: 'while :; do :; done'}\n")
        outcome = self.session.rookery("run", file, "--patience", 5, code=3, timeout=60)
        self.assertIn("rookery: n2 never yields", outcome.err)

    def test_nothing_is_left_of_a_run(self):
        self.run_json(self.scenario(READY))
        self.assertEqual(self.session.processes(), [])
        self.assertEqual(list((self.session.runtime / "rookery").iterdir()), [])
        self.assertEqual(self.session.memory_folders(), [])


if __name__ == "__main__":
    main()
