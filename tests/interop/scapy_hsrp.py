"""HSRP messages that espalier did not make: version 1 by scapy's own layer, version 2 by hand (scapy misreads it).

    scapy_hsrp.py IFACE SECONDS INTERVAL KEY=VALUE...

Sends one message every INTERVAL seconds for SECONDS (0: once). Keys: version, op, state, priority, group, vip, auth, src, mac,
hello, hold, cut (lengths of UDP payload, each sent once), noise (that many mutations of the message, from a seed).
"""
import random
import struct
import sys
import time

from scapy.all import IP, UDP, Ether, Raw, conf
from scapy.layers.hsrp import HSRP

OPS = {"hello": 0, "coup": 1, "resign": 2, "advertise": 3}
STATES = ["initial", "learn", "listen", "speak", "standby", "active"]


def payload(v):
    state = STATES.index(v["state"])
    if v["version"] == "1":
        number = [0, 1, 2, 4, 8, 16][state]
        hsrp = HSRP(opcode=OPS[v["op"]], state=number, hellotime=int(v["hello"]), holdtime=int(v["hold"]),
                    priority=int(v["priority"]), group=int(v["group"]), auth=v["auth"].encode().ljust(8, b"\0"),
                    virtualIP=v["vip"])
        # Alone, without UDP around it, the layer takes no guess at what follows.
        return b"".join(field.addfield(hsrp, b"", hsrp.getfieldval(field.name)) for field in hsrp.fields_desc)
    vip = bytes(int(b) for b in v["vip"].split(".")) + bytes(12)
    mac = bytes.fromhex(v["mac"].replace(":", ""))
    group = struct.pack(">BBBBBBH6sIII16s", 1, 40, 2, OPS[v["op"]], state + 1, 4, int(v["group"]), mac,
                        int(v["priority"]), int(v["hello"]) * 1000, int(v["hold"]) * 1000, vip)
    return group + struct.pack(">BB8s", 3, 8, v["auth"].encode().ljust(8, b"\0"))


def main():
    iface, seconds, interval = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    v = {"version": "1", "op": "hello", "state": "active", "priority": "250", "group": "1", "vip": "10.1.1.254",
         "auth": "cisco", "src": "10.1.1.9", "mac": "00:00:0c:07:ac:01", "hello": "1", "hold": "3"}
    v.update(word.split("=", 1) for word in sys.argv[4:])
    socket = conf.L2socket(iface=iface)
    last = {"1": 2, "2": 102}[v["version"]]

    def send(body):
        frame = Ether(src=v["mac"], dst="01:00:5e:00:00:%02x" % last)
        socket.send(frame / IP(src=v["src"], dst="224.0.0.%d" % last, ttl=1) / UDP(sport=1985, dport=1985) / Raw(body))

    body = payload(v)
    if "noise" in v:
        chance = random.Random(1)
        for _ in range(int(v["noise"])):
            wrong = bytearray(body)
            for _ in range(chance.randint(1, 4)):
                wrong[chance.randrange(len(wrong))] = chance.randrange(256)
            send(bytes(wrong[: chance.randint(0, len(wrong))]) if chance.random() < 0.5 else bytes(wrong) + bytes(chance.randint(0, 40)))
        return
    if "cut" in v:
        for length in v["cut"].split(","):
            send((body + bytes(2000))[: int(length)])
        return
    end = time.monotonic() + seconds
    while True:
        send(body)
        if time.monotonic() >= end:
            return
        time.sleep(interval)


main()
