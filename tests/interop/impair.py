"""A bad wire for IKE: forwards every frame between two interfaces, and does to IKE messages what it is told.
impair.py A B LOG RULE

LOG gets a line of JSON for each IKE message that came. Messages of main and quick mode are numbered from 1 on as they
first appear, told apart by all of their bytes. RULE is one of

  lose=1,4,7     those are lost the first time
  double         each is delivered twice the first time
  late=1,5,9     those wait until their sender says the same again, and come after it
  noise=SEED     a fifth of all IKE messages is lost, a fifth comes twice, a fifth comes up to a second late
"""
import json
import random
import select
import socket
import struct
import sys
import time

A, B, LOG, RULE = sys.argv[1:5]
name, _, rest = RULE.partition("=")
chosen = {int(n) for n in rest.split(",")} if name in ("lose", "late") else set()
chance = random.Random(int(rest) if name == "noise" else 0)
PACKET_IGNORE_OUTGOING = 23

sockets = {}
for side, interface in (("A", A), ("B", B)):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(263, PACKET_IGNORE_OUTGOING, 1)
    s.bind((interface, 3))
    sockets[side] = s


def ike(frame):
    """The IKE message in a frame, if there is one."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 17:
        return None
    udp = 14 + (frame[14] & 15) * 4
    ports = struct.unpack(">HH", frame[udp:udp + 4])
    message = frame[udp + 8:]
    if 4500 in ports:
        message = message[4:] if message[:4] == b"\0\0\0\0" else b""
    elif 500 not in ports:
        return None
    return message if len(message) >= 28 else None


seen, waiting = {}, []
log = open(LOG, "w")


def judge(side, frame, message):
    """Note a message, and say when its copies are to be delivered, in seconds from now."""
    exchange, = struct.unpack(">B", message[18:19])
    entry = seen.get(message)
    if entry is None:
        ordinary = exchange in (2, 32)
        number = 1 + sum(e["n"] > 0 for e in seen.values()) if ordinary else 0
        entry = seen[message] = {"n": number, "copies": 0}
    entry["copies"] += 1
    first, number = entry["copies"] == 1, entry["n"]
    fate, delays = "passed", [0.0]
    if name == "noise":
        fate, delays = chance.choice((("passed", [0.0]), ("passed", [0.0]), ("lost", []), ("doubled", [0.0, 0.0]),
                                      ("late", [chance.random()])))
    elif first and name == "lose" and number in chosen:
        fate, delays = "lost", []
    elif first and name == "double" and number:
        fate, delays = "doubled", [0.0, 0.0]
    elif first and name == "late" and number in chosen:
        fate, delays, entry["held"] = "late", [], frame
    elif "held" in entry:
        fate, delays = "passed", [0.0]
        waiting.append((time.monotonic() + 0.01, side, entry.pop("held")))
    print(json.dumps({"from": side, "n": number, "copy": entry["copies"], "fate": fate,
                      "exchange": exchange, "initiator": message[:8].hex(), "id": message[20:24].hex()}),
          file=log, flush=True)
    return delays


while True:
    due = min((at for at, _, _ in waiting), default=None)
    patience = None if due is None else max(0.0, due - time.monotonic())
    ready, _, _ = select.select(list(sockets.values()), [], [], patience)
    for side, s in sockets.items():
        if s in ready:
            frame = s.recv(65536)
            message = ike(frame)
            for delay in [0.0] if message is None else judge(side, frame, message):
                waiting.append((time.monotonic() + delay, side, frame))
    now = time.monotonic()
    for item in sorted((w for w in waiting if w[0] <= now), key=lambda w: w[0]):
        waiting.remove(item)
        try:
            sockets["B" if item[1] == "A" else "A"].send(item[2])
        except OSError:
            pass
