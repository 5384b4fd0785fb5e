#!/usr/bin/env python3
"""The boot server starts from its medium and nothing else: damage on it is named before any machine starts."""
import hashlib
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import IMAGE, main  # noqa: E402
from own_medium import OwnMedium  # noqa: E402


class DamagedMedium(OwnMedium):
    def assert_refused(self, *named):
        """`up` fails with the code for a damaged file, names it, and has started nothing."""
        lab = self.session.lab("damaged", 1)
        outcome = self.session.rookery(*lab.words("--until", "ready", "--json"), code=4)
        self.assert_has(outcome.err, self.medium.name, *named)
        self.assertEqual(outcome.out, "")
        self.assertEqual(lab.leftovers(), [])
        self.assertFalse(lab.folder.exists())

    def test_the_manifest(self):
        self.damaged("rookery/manifest.json")
        self.assert_refused("manifest.json is damaged")

    def test_the_digest_of_the_manifest(self):
        self.damaged("rookery/manifest.sha256", at=3)
        self.assert_refused("manifest.json is damaged")

    def test_an_image_of_another_version(self):
        """Whole, but its kernels or its guest program lack what this program needs."""
        offset, length = self.places["rookery/manifest.json"]
        with open(self.medium, "rb") as medium:
            medium.seek(offset)
            manifest = medium.read(length)
        old = re.sub(rb"rookery\.image/\d", b"rookery.image/1", manifest)
        self.assertNotEqual(old, manifest)
        self.overwritten(offset, old)
        self.overwritten(self.places["rookery/manifest.sha256"][0], hashlib.sha256(old).hexdigest().encode())
        self.assert_refused('"rookery.image/1"', "make it anew with 'rookery image build'")

    def test_the_root_file_system(self):
        self.damaged("rookery/root.squashfs")
        self.assert_refused("root.squashfs is damaged")

    def test_the_kernel_for_user_mode_linux(self):
        self.damaged("rookery/linux-uml")
        self.assert_refused("linux-uml is damaged")

    def test_the_kernel_for_machines_with_firmware(self):
        self.damaged("rookery/vmlinuz")
        self.assert_refused("vmlinuz is damaged")

    def test_the_modules(self):
        self.damaged("rookery/modules.cpio")
        self.assert_refused("modules.cpio is damaged")

    def test_the_first_stage(self):
        self.damaged("rookery/stage1.cpio")
        self.assert_refused("stage1.cpio is damaged")

    def test_the_second_stage(self):
        self.damaged("rookery/stage2.cpio")
        self.assert_refused("stage2.cpio is damaged")

    def test_a_medium_that_is_cut_short(self):
        whole = self.medium.stat().st_size
        # In the middle of its largest file; the rest is kept to be put back.
        offset, length = self.places["rookery/root.squashfs"]
        with open(self.medium, "r+b") as medium:
            medium.seek(offset + length // 2)
            rest = medium.read()
            medium.truncate(offset + length // 2)

        def put_back():
            with open(self.medium, "ab") as medium:
                medium.write(rest)
            self.assertEqual(self.medium.stat().st_size, whole)
        self.addCleanup(put_back)
        self.assert_refused()

    def test_a_medium_that_is_something_else(self):
        kept = self.medium.with_suffix(".kept")
        self.medium.rename(kept)
        self.addCleanup(kept.rename, self.medium)
        self.medium.write_bytes(b"no disk at all\n" * 10_000)
        self.assert_refused("is not a medium")

    def test_a_medium_that_is_missing(self):
        kept = self.medium.with_suffix(".kept")
        self.medium.rename(kept)
        self.addCleanup(kept.rename, self.medium)
        self.assert_refused()

    def test_undamaged_it_is_all_that_a_lab_needs(self):
        """Also shows that the damage above was put back each time."""
        lab = self.session.lab("whole", 1)
        self.assertEqual(lab.up()["ready"], 1)
        lab.down()
        # What was unpacked is no part of the medium, but machines start from it: if it changes, it is unpacked again.
        digests = {part["name"]: part["sha256"] for part in
                   self.session.rookery("image", "show", IMAGE, "--json").json()["components"]}
        for part in ("linux-uml", "stage1.cpio", "stage2.cpio"):
            unpacked = self.store / "objects" / digests[part]
            mode = unpacked.stat().st_mode
            unpacked.chmod(0o700)
            with open(unpacked, "r+b") as file:
                file.seek(unpacked.stat().st_size // 2)
                file.write(b"damage")
            unpacked.chmod(mode)
        self.assertEqual(lab.up()["ready"], 1)
        lab.down()


if __name__ == "__main__":
    main()
