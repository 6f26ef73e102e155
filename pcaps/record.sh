#!/usr/bin/env bash
# Records the captures of this folder again: real programs in two network namespaces joined by a veth pair, both of
# which this script makes and removes. Needs root and Debian's packages named below. INDEX.toml must be brought up to
# date afterwards; the test `pcaps` says what no longer agrees.
#   apt-get install iproute2 ethtool tcpdump tshark curl python3 dnsmasq-base dnsutils sip-tester iperf3 iputils-ping
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
client=esp-rec-client server=esp-rec-server
started=()

cleanup() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    ip netns del $client 2>/dev/null || true
    ip netns del $server 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

on() { ip netns exec "$@"; }
# start NAMESPACE COMMAND...: in the background, to be ended with the script
start() { ip netns exec "$@" >"$work/log" 2>&1 & started+=($!); }
stop_last() { sleep 0.5; kill -INT "${started[-1]}"; wait "${started[-1]}" 2>/dev/null || true; unset 'started[-1]'; }

ip netns add $client
ip netns add $server
ip link add in netns $client type veth peer name out netns $server
for end in "$client in 192.0.2.1" "$server out 192.0.2.2"; do
    set -- $end
    on $1 sysctl -qw net.ipv6.conf.all.disable_ipv6=1
    ip -n $1 addr add $3/24 dev $2
    ip -n $1 link set lo up
    ip -n $1 link set $2 up
done
# One packet a frame, except where the bulk transfer is to show what offloads do to a capture.
offloads() { on $client ethtool -K in tx $1 gso $1 tso $1 gro $1 >/dev/null; on $server ethtool -K out tx $1 gso $1 tso $1 gro $1 >/dev/null; }
offloads off

# web.pcapng: a page and its forty objects of mixed size over six persistent connections, as a browser would.
mkdir "$work/site"
python3 - "$work/site" <<'PY'
import random, sys
r = random.Random(1)
sizes = [r.choice((300, 900, 2500, 6000, 15000, 40000)) for _ in range(40)]
for n, size in enumerate(sizes):
    open(f"{sys.argv[1]}/{n}", "wb").write(r.randbytes(size))
PY
start $server python3 -m http.server 80 --directory "$work/site" --protocol HTTP/1.1
sleep 1
start $client dumpcap -q -i in -w "$work/web.pcapng"
sleep 1
on $client curl -s --parallel --parallel-max 6 -o /dev/null "http://192.0.2.2/[0-39]"
stop_last

# dns.pcap: answers of several types and sizes, names that do not exist, a reverse look-up.
start $server dnsmasq --keep-in-foreground --no-resolv --no-hosts --no-daemon --conf-file=/dev/null --user=root \
    --pid-file="$work/dnsmasq.pid" --local=/example/ --address=/host.example/192.0.2.7 \
    --txt-record=text.example,"$(printf 'v=spf1 %0200d' 0)" --mx-host=example,mail.example,10 \
    --srv-host=_sip._udp.example,voice.example,5060 --ptr-record=7.2.0.192.in-addr.arpa,host.example
sleep 0.5
start $client tcpdump -q -i in -w "$work/dns.pcap" port 53
sleep 1
for n in $(seq 10); do
    for query in "a$n.host.example A" "text.example TXT" "example MX" "_sip._udp.example SRV" \
        "7.2.0.192.in-addr.arpa PTR" "no$n.example A"; do
        on $client dig +noall +tries=1 +time=1 @192.0.2.2 $query
    done
done
stop_last

# voice.pcap: SIP sets up a call, G.711 RTP runs both ways for its eight seconds, SIP ends it. Nanosecond stamps.
mkdir "$work/pcap"
cp /usr/share/sip-tester/*.pcap "$work/pcap/"
start $server sipp -sn uas -rtp_echo -i 192.0.2.2 -mi 192.0.2.2 -nostdin
start $client tcpdump -q --time-stamp-precision=nano -i in -w "$work/voice.pcap" udp
sleep 1
(cd "$work" && on $client sipp -sn uac_pcap -i 192.0.2.1 -mi 192.0.2.1 -m 1 -nostdin 192.0.2.2:5060 >/dev/null 2>&1)
stop_last

# bulk.pcap: one TCP transfer with offloads on, so that IP packets of tens of kilobytes stand in the capture.
offloads on
start $server iperf3 -s -1
sleep 0.5
start $client tcpdump -q --time-stamp-precision=nano -i in -w "$work/bulk.pcap" tcp
sleep 1
on $client iperf3 -c 192.0.2.2 -n 600K >/dev/null
stop_last
offloads off

# ping.pcap: growing sizes, the last of them in fragments.
start $client tcpdump -q -i in -w "$work/ping.pcap"
sleep 1
for size in 0 56 500 1400 1472 1473 4000; do
    on $client ping -q -c 3 -i 0.05 -s $size 192.0.2.2 >/dev/null
done
stop_last

cp "$work"/{web.pcapng,dns.pcap,voice.pcap,bulk.pcap,ping.pcap} "$here/"
sha256sum "$here"/*.pcap*
