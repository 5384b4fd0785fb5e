#!/usr/bin/env python3
"""router_probe.py INTERFACE PREFIX: solicits routers (RFC 4861 section 4.1) and waits for an advertisement of the
prefix that offers no default route and no DHCPv6."""
import socket
import struct
import sys

interface, prefix = sys.argv[1], socket.inet_pton(socket.AF_INET6, sys.argv[2])
index = socket.if_nametoindex(interface)
peer = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
peer.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
peer.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
peer.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
# ff02::1, where advertisements go.
peer.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                socket.inet_pton(socket.AF_INET6, "ff02::1") + struct.pack("@i", index))
peer.settimeout(1)
problem = None
for _ in range(15):
    try:
        peer.sendto(struct.pack(">BBHI", 133, 0, 0, 0), ("ff02::2", 0, 0, index))
        while True:
            packet = peer.recv(2048)
            if packet[0] == 134:
                break
    except OSError as error:  # no answer yet
        problem = error
        continue
    flags, lifetime = struct.unpack(">BH", packet[5:8])
    assert flags & 0xC0 == 0, "the advertisement asks for DHCPv6"
    assert lifetime == 0, "the advertisement offers a default route"
    assert prefix in packet, "the advertisement lacks the prefix"
    sys.exit(0)
sys.exit(f"no router advertisement: {problem}")
