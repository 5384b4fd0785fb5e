#!/usr/bin/env python3
"""A role of one's own that has packages: `rookery image build --role` makes an image with them, to the same bytes each
time, and does again only what is new. It takes the network, as every new system of an image does."""
import os
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
from lab_test import GuestTest, Session, main, real_store  # noqa: E402

LAB = """  web: {role: greeting}
image: IMAGE
"""


class RoleImage(GuestTest):
    @classmethod
    def setUpClass(cls):
        real = real_store().parent
        cls.cache = pathlib.Path(tempfile.mkdtemp(prefix="test-", dir=real))
        cls.addClassCleanup(shutil.rmtree, cls.cache, ignore_errors=True)
        # What has been built is taken over as it is: nothing is ever written in its place.
        for part in ("build", "kernels", "store"):
            shutil.copytree(real / part, cls.cache / "rookery" / part, copy_function=os.link, symlinks=True,
                            ignore=shutil.ignore_patterns("lock", "work-*"))
        cls.session = Session(cache=cls.cache)

    def lab_with_role(self, image):
        lab = self.session.lab("greeting", 1, LAB.replace("IMAGE", image))
        folder = lab.file.parent / "roles" / "greeting"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "role.yaml").write_text("role: greeting\npackages: [hello]\n")
        return lab, folder

    def build(self, image, folder):
        words = ("image", "build", "--name", image, "--role", str(folder), "--json")
        return self.session.rookery(*words, timeout=600).json()

    def layer(self, manifest):
        return next(part for part in manifest["components"] if part["name"].startswith("role-greeting."))

    def test_its_machines_have_its_packages(self):
        lab, folder = self.lab_with_role("debian-12")
        refused = lab.up(code=4)
        self.assert_has(refused.err, "has no packages of the role 'greeting'", "rookery image build", "--role")

        first = self.build("greeting", folder)
        lab, folder = self.lab_with_role("greeting")
        self.addCleanup(lab.give_up)
        self.assertEqual(lab.up()["failed"], [])
        self.assertEqual(lab.run("web", "hello"), "Hello, world!\n")
        lab.run("n1", "test", "!", "-e", "/usr/bin/hello")
        lab.down()

        # The same packages are the same bytes on another day, and where they are there they are not made again.
        build = self.cache / "rookery" / "build"
        newest = max(build.glob("layer-*"), key=lambda path: path.stat().st_mtime)
        self.assertEqual(newest.read_text(), self.layer(first)["sha256"])
        again = self.build("again", folder)
        self.assertEqual(again["components"], first["components"])
        kept = newest.stat()
        newest.unlink()
        third = self.build("third", folder)
        self.assertNotEqual(newest.stat().st_ino, kept.st_ino)
        self.assertEqual(third["components"], first["components"])

        # Another list of packages is another layer, which the image does not have.
        (folder / "role.yaml").write_text("role: greeting\npackages: [hello, time]\n")
        self.assert_has(lab.up(code=4).err, "has no packages of the role 'greeting'")

    def test_a_role_without_packages_needs_no_image(self):
        _, folder = self.lab_with_role("debian-12")
        (folder / "role.yaml").write_text("role: greeting\n")
        refused = self.session.rookery("image", "build", "--name", "x", "--role", str(folder), code=2)
        self.assert_has(refused.err, "the role 'greeting' has no packages")


if __name__ == "__main__":
    main()
