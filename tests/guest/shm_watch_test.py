#!/usr/bin/env python3
"""Guest memory lies in /dev/shm, and a guest that finds it full is killed. Somebody fills it while a lab comes up: no
further machine is started, those that are not are told why, and those that run go on. In a mount namespace of its own."""
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, main, skip  # noqa: E402
from processes import wait_for_end  # noqa: E402

INSIDE = "ROOKERY_TEST_IN_ITS_NAMESPACE"
MEBIBYTE = 1 << 20
CLIENTS = 24
# Predicted are 384 MiB for the boot server and 18 for each client, and 256 stay in reserve.
FITS = 384 + 18 * CLIENTS + 256 + 64
LEFT = 256  # less than the reserve and one client more


def leave(mebibytes):
    """Fills /dev/shm until so much is left."""
    free = os.statvfs("/dev/shm")
    with open("/dev/shm/somebody-elses", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - mebibytes * MEBIBYTE)


class ShmWatch(GuestTest):
    def test_no_machine_is_started_when_it_would_fill_it(self):
        lab = self.session.lab("filled", CLIENTS)
        up = lab.start("--until", "ready", "--down")
        lab.wait_for_words("server firmware")
        leave(LEFT)
        self.assertEqual(wait_for_end(up, 60), 1)
        said = lab.said()
        self.assertRegex(said, rf"n{CLIENTS} failed in the stage firmware: not started: it is predicted to use 18 MiB and "
                         r"256 MiB stay in reserve, and the host has only \d+ MiB left \(in /dev/shm\)")
        self.assertNotIn("it died", said)
        os.remove("/dev/shm/somebody-elses")
        self.assert_nothing_left(lab)

    def test_a_lab_that_would_fill_it_is_refused_before_anything_starts(self):
        leave(FITS - 128)
        lab = self.session.lab("refused", CLIENTS)
        said = self.session.rookery("up", lab.file, "--until", "ready", code=4).err
        self.assert_has(said, "/dev/shm, where guest memory lies, has", "start fewer machines, or give it more")
        os.remove("/dev/shm/somebody-elses")
        self.assert_nothing_left(lab)


if __name__ == "__main__":
    if INSIDE not in os.environ:
        own = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "--map-root-user"]
        if not shutil.which("unshare") or subprocess.run([*own, "true"], check=False).returncode != 0:
            skip("no mount namespace can be made here")
        mounted = f"mount -t tmpfs -o size={FITS}m tmpfs /dev/shm && exec \"$@\""
        os.execvpe("unshare", [*own, "sh", "-c", mounted, "sh", sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})
    main()
