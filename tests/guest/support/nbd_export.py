#!/usr/bin/env python3
"""nbd_export.py HOST NAME...: the size of each export that an NBD server gives by such a name, or "refused"; a line each.
The words of https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md, "Fixed newstyle negotiation"."""
import socket
import struct
import sys

OPTION, REPLY = 0x49484156454F5054, 0x3E889045565A9
GO, ACK, INFO = 7, 1, 3


def size_of(host, name):
    with socket.create_connection((host, 10809), timeout=30) as server:
        stream = server.makefile("rwb")
        magic, option, _ = struct.unpack(">8sQH", stream.read(18))
        assert (magic, option) == (b"NBDMAGIC", OPTION)
        data = struct.pack(">I", len(name)) + name.encode() + struct.pack(">H", 0)
        stream.write(struct.pack(">IQII", 3, OPTION, GO, len(data)) + data)
        stream.flush()
        size = None
        while True:
            magic, _, kind, length = struct.unpack(">QIII", stream.read(20))
            assert magic == REPLY
            words = stream.read(length)
            if kind == INFO and struct.unpack(">H", words[:2]) == (0,):
                size = struct.unpack(">Q", words[2:10])[0]
            elif kind == ACK:
                return size
            elif kind & 1 << 31:
                return "refused"


for export in sys.argv[2:]:
    print(size_of(sys.argv[1], export))
