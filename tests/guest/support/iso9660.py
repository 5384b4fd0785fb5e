"""Where the files of an ISO 9660 image lie: enough of it to damage one of them on purpose.

ECMA-119: the primary volume descriptor is sector 16 (8.4), its root directory record is at 156; a directory record
has its extent at 2, its length at 10, its flags at 25 and its identifier from 33 (9.1). Rock Ridge (RRIP 4.1.4):
the real name is in "NM" entries of the system use area that follows the identifier.
"""
import pathlib
import struct

SECTOR = 2048


def files(image):
    """{path: (offset, length)} of all regular files."""
    with open(image, "rb") as medium:
        medium.seek(16 * SECTOR)
        descriptor = medium.read(SECTOR)
        if descriptor[:6] != b"\x01CD001":
            raise ValueError(f"{image} has no primary volume descriptor")
        found = {}
        _folder(medium, descriptor[156:190], pathlib.PurePosixPath(""), found, 0)
        return found


def _folder(medium, record, path, found, depth):
    if depth > 8:
        raise ValueError("folders are nested too deep")
    extent, length = struct.unpack_from("<I", record, 2)[0], struct.unpack_from("<I", record, 10)[0]
    medium.seek(extent * SECTOR)
    content = medium.read(length)
    at = 0
    while at < length:
        size = content[at]
        if size == 0:  # records do not cross sectors
            at = (at // SECTOR + 1) * SECTOR
            continue
        entry = content[at:at + size]
        at += size
        identifier = entry[33:33 + entry[32]]
        if identifier in (b"\0", b"\1"):
            continue
        name = path / (_rock_ridge_name(entry) or identifier.decode().split(";")[0])
        if entry[25] & 2:
            _folder(medium, entry, name, found, depth + 1)
        else:
            found[str(name)] = (struct.unpack_from("<I", entry, 2)[0] * SECTOR, struct.unpack_from("<I", entry, 10)[0])


def _rock_ridge_name(entry):
    at = 33 + entry[32] + (1 - entry[32] % 2)
    name = b""
    while at + 4 <= len(entry) and entry[at + 2] >= 4:
        if entry[at:at + 2] == b"NM":
            name += entry[at + 5:at + entry[at + 2]]
        at += entry[at + 2]
    return name.decode()
