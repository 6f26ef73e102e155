#!/usr/bin/env bash
# DPDK's ipsec-secgw and espalier's path on the same packets, in turn, on one core: aes128-gcm in tunnel mode, 64 bytes, IMIX
# and 1400 bytes of inner packet, both ways. See secgw.md for what is counted.
#
#   bench/peers/secgw.sh [ESPALIER]      the binary [default: target/release/espalier]
#   CORE=1 ROUNDS=3 SECONDS_EACH=8 SIZES="64 imix 1400" PREFIX="chrt -f 50" WORK=folder    what may be set
set -euo pipefail

espalier=$(realpath "${1:-$(dirname "$0")/../../target/release/espalier}")
core=${CORE:-1}
# For what only prints.
other=$((core == 0 && $(nproc) > 1 ? 1 : 0))
rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-8}
read -ra sizes <<<"${SIZES:-64 imix 1400}"
read -ra prefix <<<"${PREFIX:-}"
example=/usr/share/dpdk/examples/ipsec-secgw
key=0102030405060708090a0b0c0d0e0f10a1a2a3a4

missing() {
    echo "secgw.sh: $1" >&2
    exit 2
}
[ -x "$espalier" ] || missing "no $espalier: cargo build --release"
for tool in dpdk-testpmd pkg-config make cc python3 taskset; do
    command -v "$tool" >/dev/null || missing "no $tool (Debian: apt-get install dpdk dpdk-dev gcc make pkg-config python3)"
done
[ -d "$example" ] || missing "no $example (Debian: apt-get install dpdk dpdk-dev)"

work=${WORK:-$(mktemp -d)}
mkdir -p "$work"
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT
cd "$work"

# Its software ports cannot check checksums, which it asks for.
build() {
    [ ! -x secgw/build/ipsec-secgw ] || return 0
    rm -rf secgw
    cp -r "$example" secgw
    sed -i '0,/\.offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM/s//.offloads = 0/' secgw/ipsec-secgw.c
    make -C secgw shared CFLAGS="-O3 -march=native -include rte_config.h -DALLOW_EXPERIMENTAL_API -w $(pkg-config --cflags libdpdk)" \
        >build.log 2>&1 || missing "ipsec-secgw does not build: $work/build.log"
}

# 504 UDP packets from 10.1.0.0/16 to 10.2.0.0/16: whole rounds of IMIX (40, 576 and 1500 bytes, 7:4:1).
packets() {
    python3 - "$1" "$2" <<'PYTHON'
import struct, sys

name, size = sys.argv[1:]
sizes = [40] * 7 + [576] * 4 + [1500] if size == "imix" else [int(size)]

def checksum(header):
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF

with open(name, "wb") as out:
    out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    for n in range(504):
        length = sizes[n % len(sizes)]
        ends = bytes([10, 1, 0, 1 + n % 250, 10, 2, 0, 1 + n % 250])
        header = struct.pack("!BBHHHBBH", 0x45, 0, length, n, 0, 64, 17, 0) + ends
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        udp = struct.pack("!HHHH", 4000, 5000, length - 20, 0)
        payload = bytes((7 * i + n) & 255 for i in range(length - 28))
        frame = bytes.fromhex("0200000000010200000000020800") + header + udp + payload
        out.write(struct.pack("<IIII", n, 0, len(frame), len(frame)) + frame)
PYTHON
}

configure() {
    local colons
    colons=$(sed 's/../&:/g; s/:$//' <<<"$key")
    cat >secgw.cfg <<CFG
sp ipv4 out esp protect 5 pri 1 dst 10.2.0.0/16 sport 0:65535 dport 0:65535
sa out 5 aead_algo aes-128-gcm aead_key $colons mode ipv4-tunnel src 192.0.2.1 dst 192.0.2.2
rt ipv4 dst 192.0.2.2/32 port 1
neigh port 1 02:00:00:00:00:03
sp ipv4 in esp protect 105 pri 1 dst 10.2.0.0/16 sport 0:65535 dport 0:65535
sa in 105 aead_algo aes-128-gcm aead_key $colons mode ipv4-tunnel src 192.0.2.2 dst 192.0.2.1
rt ipv4 dst 10.2.0.0/16 port 0
neigh port 0 02:00:00:00:00:04
CFG
    cat >sa.toml <<SA
[[sa]]
spi = 105
src = "192.0.2.2"
dst = "192.0.2.1"
transform = "aes128-gcm"
key = "$key"
SA
}

eal=(--no-huge -m 512 --no-pci --no-telemetry)

# Of a line of totals printed once a second: nanoseconds a packet from the second one to the last.
pace() {
    awk -v what="$1" '$0 ~ what { n++; at = $NF; if (n == 2) first = at }
        END { if (n < 4 || at <= first) exit 1; printf "%.1f\n", 1e9 * (n - 2) / (at - first) }' "$2" \
        || missing "no rate in $work/$2"
}

# Port 0 brings clear packets and port 1 ESP; the one that is not timed brings a packet, once.
secgw() {
    local clear=one.pcap,infinite_rx=0 esp=one.pcap,infinite_rx=0
    if [ "$1" = encap ]; then clear="$2,infinite_rx=1"; else esp="$2,infinite_rx=1"; fi
    timeout -s INT "$seconds" "${prefix[@]}" secgw/build/ipsec-secgw --lcores "1@$core" "${eal[@]}" \
        --vdev crypto_aesni_gcm0 --vdev "net_pcap0,rx_pcap=$clear" --vdev "net_pcap1,rx_pcap=$esp" \
        -- -p 0x3 -P -u 0x2 --config "(0,0,1),(1,0,1)" -f secgw.cfg -t 1 -l --rxoffload 0 --txoffload 0 >secgw.log 2>&1 || true
    pace "Total packets sent:" secgw.log
}

# What receiving such packets from memory takes alone: a copy of each.
generator() {
    timeout -s INT "$seconds" "${prefix[@]}" dpdk-testpmd --lcores "0@$other,1@$core" "${eal[@]}" \
        --vdev "net_pcap0,rx_pcap=$1,infinite_rx=1" \
        -- --forward-mode=rxonly --auto-start --stats-period 1 --nb-cores=1 --total-num-mbufs=8192 >generator.log 2>&1 || true
    awk '/RX-packets:.*RX-missed:/ { print "received", $2 }' generator.log >received.log
    pace "received" received.log
}

ours() {
    "${prefix[@]}" taskset -c "$core" "$espalier" bench --transform aes128-gcm --direction "$1" --pcap "$2" --seconds 1 --json \
        >ours.json
    python3 -c 'import json; run, = json.load(open("ours.json"))["runs"]; assert run["verified"]; print(run["ns_per_packet"])'
}

build
configure
packets one.pcap 64
head -c $((24 + 16 + 78)) one.pcap >one && mv one one.pcap
printf '%-7s %-6s %5s %9s %9s %9s %9s %6s\n' size way round secgw generator without espalier ratio
for size in "${sizes[@]}"; do
    packets "clear-$size.pcap" "$size"
    "$espalier" encap --sa sa.toml "clear-$size.pcap" -o "esp-$size.pcap" >encap.log
    for way in encap decap; do
        input=clear-$size.pcap
        [ $way = encap ] || input=esp-$size.pcap
        for ((round = 1; round <= rounds; round++)); do
            theirs=$(secgw "$way" "$input")
            share=$(generator "$input")
            mine=$(ours "$way" "clear-$size.pcap")
            awk -v a="$theirs" -v g="$share" -v m="$mine" -v s="$size" -v w="$way" -v r="$round" \
                'BEGIN { printf "%-7s %-6s %5d %9.1f %9.1f %9.1f %9.1f %6.2f\n", s, w, r, a, g, a - g, m, (a - g) / m }'
        done
    done
done
