#!/usr/bin/env python3
"""nbd_probe.py HOST PORT EXPORT SIZE: opens an export read-only as a kernel client would, and reads a block.

The handshake is the "fixed newstyle" one of the NBD protocol (doc/proto.md of the NetworkBlockDevice project).
"""
import socket
import struct
import sys

host, port, export, size = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode(), int(sys.argv[4])
IHAVEOPT = 0x49484156454F5054
OPT_GO, REP_ACK, REP_INFO, INFO_EXPORT, FLAG_READ_ONLY = 7, 1, 3, 0, 1 << 1


def connect():
    peer = socket.create_connection((host, port), timeout=10)
    stream = peer.makefile("rwb")
    magic, option_magic, flags = struct.unpack(">8sQH", stream.read(18))
    assert magic == b"NBDMAGIC" and option_magic == IHAVEOPT and flags & 1, "not a fixed newstyle server"
    stream.write(struct.pack(">I", 3))  # fixed newstyle, no zeroes
    stream.write(struct.pack(">QII", IHAVEOPT, OPT_GO, 6 + len(export)))
    stream.write(struct.pack(">I", len(export)) + export + struct.pack(">H", 0))
    stream.flush()
    while True:
        _, _, reply, length = struct.unpack(">QIII", stream.read(20))
        data = stream.read(length)
        if reply == REP_ACK:
            return peer, stream
        assert reply == REP_INFO, f"the server refused the export: reply {reply:#x} {data!r}"
        if struct.unpack(">H", data[:2])[0] == INFO_EXPORT:
            found_size, found_flags = struct.unpack(">QH", data[2:12])
            assert found_size == size, f"size {found_size}"
            assert found_flags & FLAG_READ_ONLY, "the export can be written"


# Several at once, as many machines have them.
connections = [connect() for _ in range(20)]
for handle, (_, stream) in enumerate(connections):
    stream.write(struct.pack(">IHHQQI", 0x25609513, 0, 0, handle, 4096, 4096))
    stream.flush()
for handle, (_, stream) in enumerate(connections):
    magic, error, found = struct.unpack(">IIQ", stream.read(16))
    assert (magic, error, found) == (0x67446698, 0, handle), f"reply {magic:#x} error {error}"
    assert stream.read(4096) == b"r" * 4096, "other bytes"
