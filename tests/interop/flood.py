"""Send frames at a steady pace. flood.py IFACE FILE PACE

FILE holds frames, each after its length in two bytes; PACE is how many a second. Prints how many were sent.
"""
import socket
import sys
import time

IFACE, FILE, PACE = sys.argv[1], sys.argv[2], float(sys.argv[3])
with open(FILE, "rb") as file:
    held = memoryview(file.read())
frames, at = [], 0
while at < len(held):
    end = at + 2 + int.from_bytes(held[at:at + 2], "big")
    frames.append(held[at + 2:end])
    at = end
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((IFACE, 0))
send, start = out.send, time.monotonic()
for n in range(0, len(frames), 32):
    for frame in frames[n:n + 32]:
        send(frame)
    ahead = start + n / PACE - time.monotonic()
    if ahead > 0:
        time.sleep(ahead)
print(len(frames))
