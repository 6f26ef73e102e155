"""Send frames to a router, as fast as it takes them. flood.py IFACE FILE OWN ROUTER

FILE holds frames, each after its length in two bytes. After every few of them the router is asked for its link address by
ARP, from the address OWN, and what follows waits for the answer: however slow it is, nothing overflows. Prints how many
were sent.
"""
import socket
import sys

IFACE, FILE, OWN, ROUTER = sys.argv[1:5]
TOGETHER = 64
with open(FILE, "rb") as file:
    held = memoryview(file.read())
frames, at = [], 0
while at < len(held):
    end = at + 2 + int.from_bytes(held[at:at + 2], "big")
    frames.append(held[at + 2:end])
    at = end
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((IFACE, 0))
answers = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
answers.bind((IFACE, 0x0806))
answers.settimeout(1)
mac, own, router = out.getsockname()[4], socket.inet_aton(OWN), socket.inet_aton(ROUTER)
question = b"\xff" * 6 + mac + bytes.fromhex("0806000108000604" "0001") + mac + own + bytes(6) + router


def answered():
    """Ask until the router answers; two minutes of silence are its end."""
    for _ in range(120):
        out.send(question)
        try:
            while True:
                frame = answers.recv(65536)
                if frame[20:22] == b"\0\2" and frame[28:32] == router and frame[38:42] == own:
                    return
        except TimeoutError:
            pass
    sys.exit("the router answers no more")


for n in range(0, len(frames), TOGETHER):
    for frame in frames[n:n + TOGETHER]:
        out.send(frame)
    answered()
print(len(frames))
