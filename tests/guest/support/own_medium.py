"""A copy of the image's medium in a store of its own, to be damaged."""
import json
import pathlib
import shutil
import tempfile

import iso9660
from lab_test import GuestTest, IMAGE, Session, real_store


class OwnMedium(GuestTest):
    """A store of its own that holds the image's manifest and medium, and nothing that was unpacked from it."""

    @classmethod
    def setUpClass(cls):
        real = real_store()
        # Beside the real one, where there is room for it, and where the copy may share its blocks.
        cls.cache = pathlib.Path(tempfile.mkdtemp(prefix="test-", dir=real.parent))
        cls.addClassCleanup(shutil.rmtree, cls.cache, ignore_errors=True)
        cls.store = cls.cache / "rookery" / "store"
        (cls.store / "images").mkdir(parents=True)
        (cls.store / "objects").mkdir()
        shutil.copy2(real / "images" / IMAGE, cls.store / "images" / IMAGE)
        stored = json.loads((real / "images" / IMAGE).read_text())
        for digest in (stored["manifest"], stored["medium"]):
            shutil.copy2(real / "objects" / digest, cls.store / "objects" / digest)
        cls.medium = cls.store / "objects" / stored["medium"]
        cls.medium.chmod(0o600)
        cls.places = iso9660.files(cls.medium)
        cls.session = Session(cache=cls.cache)

    def damaged(self, path, at=None):
        """Turns over one byte in the middle of a file on the medium, and back when the test ends."""
        offset, length = self.places[path]
        place = offset + (length // 2 if at is None else at)

        def turn_over():
            with open(self.medium, "r+b") as medium:
                medium.seek(place)
                byte = medium.read(1)[0]
                medium.seek(place)
                medium.write(bytes([byte ^ 0xFF]))
        turn_over()
        self.addCleanup(turn_over)

    def overwritten(self, offset, content):
        """Puts other bytes on the medium, and the old ones back when the test ends."""
        with open(self.medium, "r+b") as medium:
            medium.seek(offset)
            before = medium.read(len(content))
            medium.seek(offset)
            medium.write(content)

        def put_back():
            with open(self.medium, "r+b") as medium:
                medium.seek(offset)
                medium.write(before)
        self.addCleanup(put_back)
