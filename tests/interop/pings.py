"""Echo requests, ten a second, each of which must be answered, if only after half a minute. pings.py ADDRESS COUNT

Fails with the numbers of those that were not. (`ping` waits for its last answer no longer than one interval.)
"""
import os
import socket
import struct
import sys
import time

ADDRESS, COUNT = sys.argv[1], int(sys.argv[2])
IDENTIFIER = os.getpid() & 0xffff
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def request(number):
    def packet(checksum):
        return struct.pack(">BBHHH", 8, 0, checksum, IDENTIFIER, number) + bytes(48)

    total = sum(struct.unpack(">28H", packet(0)))
    total = (total & 0xffff) + (total >> 16)
    return packet(~(total + (total >> 16)) & 0xffff)


open_ = set()
begun = time.monotonic()
for number in range(COUNT + 300):
    if number < COUNT:
        s.sendto(request(number), (ADDRESS, 0))
        open_.add(number)
    elif not open_:
        break
    while (rest := begun + (number + 1) / 10 - time.monotonic()) > 0 and (open_ or number < COUNT):
        s.settimeout(rest)
        try:
            packet = s.recv(2048)
        except TimeoutError:
            break
        kind, _, _, identifier, answered = struct.unpack(">BBHHH", packet[20:28])
        if kind == 0 and identifier == IDENTIFIER:
            open_.discard(answered)
if open_:
    sys.exit(f"not answered of {COUNT}: {sorted(open_)}")
