#!/usr/bin/env bash
# An attached router of ours against strongSwan 6, whose user-space ESP goes without UDP (protocol 50, IKE on port 500) and
# still takes DES, MD5 and group 1: the document's own suite on the wire as the document has it. As root.
#
#   bench/peers/strongswan6.sh DIR       DIR/root becomes a Debian trixie (debootstrap, about 304 MB) unless it is there
#
# Ends with 0 when pings pass both ways and every ESP packet on the wire was protocol 50. DIR/out has our side's report,
# capture and keys.
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd) root=$dir/root
espalier=$(realpath "${ESPALIER:-target/release/espalier}")
us=esp6us$$ them=esp6them$$

if [ ! -x "$root/usr/lib/ipsec/charon" ]; then
    debootstrap --variant=minbase --include=strongswan-swanctl,strongswan-charon,libcharon-extra-plugins,libstrongswan-extra-plugins,libstrongswan-standard-plugins \
        trixie "$root"
fi

pids=()
clean() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    # What runs in a namespace is another process than the shell that started it.
    for space in "$us" "$them"; do
        (ip netns pids "$space" 2>/dev/null || true) | xargs -r kill 2>/dev/null || true
    done
    wait 2>/dev/null || true
    ip netns del "$us" 2>/dev/null || true
    ip netns del "$them" 2>/dev/null || true
}
trap clean EXIT

ip netns add "$us"
ip netns add "$them"
ip link add out netns "$us" type veth peer name e0 netns "$them"
ip -n "$us" link set out up
for words in "link set lo up" "link set e0 up" "addr add 172.16.172.69/24 dev e0" "addr add 20.1.1.1/32 dev lo"; do
    ip -n "$them" $words
done

mkdir -p "$root/etc/lab"
cat >"$root/etc/lab/strongswan.conf" <<E
charon {
  load = random nonce openssl gcrypt aes des md5 sha1 sha2 hmac kdf gmp pem pkcs1 pubkey x509 constraints kernel-libipsec kernel-netlink socket-default updown vici
  plugins {
    kernel-libipsec {
      raw_esp = yes
    }
    vici {
      socket = unix:///run/vici
    }
  }
}
E
cat >"$root/etc/lab/swanctl.conf" <<E
connections {
  t {
    version = 1
    local_addrs = 172.16.172.69
    remote_addrs = 172.16.172.53
    proposals = des-md5-modp768
    encap = no
    local {
      auth = psk
      id = 172.16.172.69
    }
    remote {
      auth = psk
      id = 172.16.172.53
    }
    children {
      c {
        local_ts = 20.1.1.0/24
        remote_ts = 10.1.1.0/24
        esp_proposals = des-md5
      }
    }
  }
}
secrets {
  ike-1 {
    secret = "cisco123"
  }
}
E
inside() { # COMMAND in the folder's Debian, in the peer's namespace, with a /run of its own
    ip netns exec "$them" sh -c "mount --bind /dev $root/dev && mount -t proc proc $root/proc && mount --bind /sys $root/sys &&
        mount --bind $dir/run $root/run && exec chroot $root env STRONGSWAN_CONF=/etc/lab/strongswan.conf $*"
}
rm -rf "$dir/run" && mkdir -p "$dir/run"
inside /usr/lib/ipsec/charon >"$dir/charon.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do [ -S "$dir/run/vici" ] && break; sleep 0.1; done
inside swanctl --load-all --file /etc/lab/swanctl.conf --uri unix:///run/vici

cat >"$dir/gateway.cfg" <<E
hostname gateway
crypto isakmp policy 1
 hash md5
 authentication pre-share
crypto isakmp key cisco123 address 172.16.172.69
crypto ipsec transform-set set esp-des esp-md5-hmac
crypto map vpn 10 ipsec-isakmp
 set peer 172.16.172.69
 set transform-set set
 match address 101
interface FastEthernet0/0
 ip address 172.16.172.53 255.255.255.0
 crypto map vpn
interface Loopback0
 ip address 10.1.1.1 255.255.255.255
ip route 20.1.1.0 255.255.255.0 172.16.172.69
access-list 101 permit ip 10.1.1.0 0.0.0.255 20.1.1.0 0.0.0.255
end
E
ip netns exec "$us" "$espalier" attach "$dir/gateway.cfg" --bind FastEthernet0/0=out --profile ios-15 --for 12s --out "$dir/out" \
    --keys --show '11s show crypto ipsec sa' &
ours=$!
sleep 2
inside swanctl --initiate --child c --timeout 5 --uri unix:///run/vici | tail -1
ip netns exec "$them" ping -c 10 -i 0.3 -W 1 -I 20.1.1.1 10.1.1.1
wait "$ours"
"$espalier" explain "$dir/out/out.pcapng"
read_with() { WIRESHARK_CONFIG_DIR="$dir/out/keys" tshark -r "$dir/out/out.pcapng" -Y "$1" 2>/dev/null | wc -l; }
sealed=$(read_with 'ip.proto == 50') wrapped=$(read_with 'udp.port == 4500') opened=$(read_with 'ip.proto == 50 && icmp')
echo "$sealed packets of protocol 50, $opened of them opened by tshark, $wrapped on UDP 4500"
[ "$sealed" -ge 20 ] && [ "$opened" = "$sealed" ] && [ "$wrapped" = 0 ]
