"""ESP by scapy, an implementation not ours. Usage: scapy_esp.py encrypt|decrypt CASES.json

Each case names an SA as scapy spells it and two captures: `encrypt` seals the packets of `plain` into `esp`, `decrypt`
opens those of `esp` and compares them with `plain`. One line a case: NAME ok, or NAME unsupported: WHY.
"""
import json
import sys
import warnings

warnings.filterwarnings("ignore")
from scapy.all import IP, ESP, Ether, rdpcap, wrpcap  # noqa: E402
from scapy.layers.ipsec import SecurityAssociation  # noqa: E402

for case in json.load(open(sys.argv[2])):
    try:
        sa = SecurityAssociation(
            ESP,
            spi=case["spi"],
            crypt_algo=case["crypt"],
            crypt_key=bytes.fromhex(case["key"]) or None,
            auth_algo=case["auth"],
            auth_key=bytes.fromhex(case["auth_key"]) or None,
            tunnel_header=IP(src=case["src"], dst=case["dst"]),
        )
    except Exception as error:  # noqa: BLE001
        print(case["name"], "unsupported:", error)
        continue
    plain = [packet[IP] for packet in rdpcap(case["plain"]) if IP in packet]
    if sys.argv[1] == "encrypt":
        sealed = [sa.encrypt(packet.copy(), seq_num=n + 1) for n, packet in enumerate(plain)]
        wrpcap(case["esp"], [Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet for packet in sealed])
    else:
        opened = [sa.decrypt(packet[IP]) for packet in rdpcap(case["esp"])]
        assert len(opened) == len(plain), (len(opened), len(plain))
        for ours, theirs in zip(opened, plain):
            assert bytes(ours) == bytes(theirs), (bytes(ours), bytes(theirs))
    print(case["name"], "ok")
