#!/usr/bin/env python3
"""Packets a second through `espalier attach`, by kind of port, over virtual Ethernet. Needs root; makes three namespaces
and takes them away again.

    bench/peers/ports.py target/release/espalier [--kinds packet,batch,xdp] [--seconds 3] [--size 64] [--chrt] > ports.json

A sender (one `sendmmsg` of 64 frames after another, on core 0) offers as much as it can to a router on core 1, which
forwards it to a third namespace, whose kernel counts and drops it. The figure is what arrived there. Sender and receiver
are part of what the two cores do: the figure is a lower bound of what the port could do with a wire that costs nothing.
"""

import argparse, ctypes, json, os, signal, socket, subprocess, sys, tempfile, time

CONFIG = """hostname R1
interface FastEthernet0/0
 ip address 10.1.1.1 255.255.255.0
interface FastEthernet0/1
 ip address 10.1.2.1 255.255.255.0
ip route 20.0.0.0 255.0.0.0 10.1.2.9
end
"""


def run(words, **more):
    return subprocess.run(words.split(), check=True, capture_output=True, text=True, **more).stdout


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Mmsghdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(Iovec)),
        ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int), ("len", ctypes.c_uint32),
    ]


def checksum(header):
    total = sum(int.from_bytes(header[i:i + 2], "big") for i in range(0, len(header), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def frames(to, own, size, flows=64):
    """Ethernet frames with IP packets of `size` bytes, one for each flow."""
    made = []
    for n in range(flows):
        udp = (1000 + n).to_bytes(2, "big") + (9).to_bytes(2, "big") + (size - 20).to_bytes(2, "big") + b"\0\0"
        ip = b"\x45\0" + size.to_bytes(2, "big") + b"\0\1\0\0\x40\x11\0\0" + bytes([10, 1, 1, 9, 20, 1, 1, n])
        ip = ip[:10] + checksum(ip) + ip[12:]
        made.append(to + own + b"\x08\0" + ip + udp + bytes(size - 28))
    return made


def offer(to, own, size, seconds):
    """The sender: how many frames the kernel took."""
    os.sched_setaffinity(0, {0})
    libc = ctypes.CDLL(None, use_errno=True)
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind(("e0", 0))
    buffers = [ctypes.create_string_buffer(f, len(f)) for f in frames(to, own, size)]
    iovecs = [Iovec(ctypes.cast(b, ctypes.c_void_p), len(b)) for b in buffers]
    messages = (Mmsghdr * len(iovecs))()
    for message, iovec in zip(messages, iovecs):
        message.iov, message.iovlen = ctypes.pointer(iovec), 1
    end, sent = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        sent += max(libc.sendmmsg(sock.fileno(), messages, len(iovecs), 0), 0)
    return sent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--kinds", default="packet,batch,xdp")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--size", type=int, default=64, help="bytes of the IP packet, 28 at least")
    parser.add_argument("--poll", default="adaptive", choices=["adaptive", "busy"])
    parser.add_argument("--chrt", action="store_true", help="real-time priority, where other load shares the cores")
    parser.add_argument("--sender", nargs=3, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.sender:
        to, own = bytes.fromhex(a.sender[0]), bytes.fromhex(a.sender[1])
        print(offer(to, own, a.size, float(a.sender[2])))
        return
    prefix = f"espports{os.getpid()}"
    gen, us, sink = (f"{prefix}-{n}" for n in ("gen", "us", "sink"))
    real_time = ["chrt", "-f", "50"] if a.chrt else []
    runs, router, about = [], None, {}
    try:
        for space in (gen, us, sink):
            run(f"ip netns add {space}")
        for space, iface, other in ((gen, "e0", "e0"), (sink, "e0", "e1")):
            run(f"ip link add {iface} netns {space} type veth peer name {other} netns {us}")
            run(f"ip -n {space} link set {iface} up")
            run(f"ip -n {us} link set {other} up")
        run(f"ip -n {gen} addr add 10.1.1.9/24 dev e0")
        run(f"ip -n {sink} addr add 10.1.2.9/24 dev e0")
        with tempfile.TemporaryDirectory() as scratch:
            config = os.path.join(scratch, "R1.cfg")
            open(config, "w").write(CONFIG)
            # Turn about, so that a machine whose clock wanders wanders for all of them.
            for kind in a.kinds.split(",") * a.repeat:
                words = ["ip", "netns", "exec", us, *real_time, a.program, "attach", config, "--json", "--core", "1"]
                words += ["--poll", a.poll, "--bind", f"FastEthernet0/0={kind}:e0"]
                words += ["--bind", f"FastEthernet0/1={kind}:e1"]
                router = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                for _ in range(50):
                    ping = f"ip netns exec {gen} ping -c 1 -W 1 -I 10.1.1.9 10.1.1.1"
                    if subprocess.run(ping.split(), capture_output=True).returncode == 0:
                        break
                else:
                    sys.exit(f"{kind}: the router does not answer")
                run(f"ip netns exec {sink} ping -c 1 -W 2 10.1.2.1")
                table = json.loads(run(f"ip -n {gen} -j neigh show 10.1.1.1"))
                to = table[0]["lladdr"].replace(":", "")
                own = json.loads(run(f"ip -n {gen} -j link show e0"))[0]["address"].replace(":", "")
                arrived = lambda: json.loads(run(f"ip -n {sink} -s -j link show e0"))[0]["stats64"]["rx"]["packets"]
                sender = ["ip", "netns", "exec", gen, *real_time, sys.executable, __file__, a.program]
                sender += ["--size", str(a.size), "--sender", to, own]
                # The first packets find the flows' ways and the neighbours.
                subprocess.run([*sender, "0.2"], check=True, capture_output=True)
                time.sleep(0.2)
                before, start = arrived(), time.monotonic()
                sent = int(subprocess.run([*sender, str(a.seconds)], check=True, capture_output=True, text=True).stdout)
                time.sleep(0.2)
                delivered = arrived() - before
                router.send_signal(signal.SIGTERM)
                report = json.loads(router.communicate()[0])
                runs.append({
                    "kind": kind, "size": a.size, "poll": a.poll, "seconds": a.seconds, "offered": sent,
                    "delivered": delivered, "offered_pps": sent / a.seconds, "delivered_pps": delivered / a.seconds,
                    "dropped": report["dropped"],
                })
                about = {k: report["manifest"][k] for k in ("version", "commit", "cpu", "kernel")}
                print(f"{kind:8} {sent / a.seconds:12.0f} offered/s {delivered / a.seconds:12.0f} delivered/s",
                      file=sys.stderr)
    finally:
        if router and router.poll() is None:
            router.kill()
        for space in (gen, us, sink):
            subprocess.run(["ip", "netns", "del", space], capture_output=True)
    manifest = {**about, "command": " ".join(sys.argv), "cores": os.cpu_count(), "load": os.getloadavg()}
    print(json.dumps({"schema": "espalier.ports/1", "runs": runs, "manifest": manifest}, indent=1))


if __name__ == "__main__":
    main()
