#!/usr/bin/env bash
# One scenario on real interfaces with three kinds of gateways, several times each. As root.
#
#   bench/peers/measure.sh DIR [RUNS [AT_ONCE [SCENARIO]]]      5 runs, 5 at once, hsrp-ipsec by default
#
# DIR gets GATEWAYS-N.json of each run and, of each kind's first run, a folder with its captures and page. Later runs
# strike later, by 2.3 s each: that spreads the faults over the periods of HSRP's hellos, VRRP's advertisements (3 s) and
# dead-peer detection (10 s). Then `bench/peers/table.py DIR` is the table.
set -euo pipefail
dir=$1 runs=${2:-5} at_once=${3:-5} scenario=${4:-hsrp-ipsec}
espalier=${ESPALIER:-target/release/espalier}
mkdir -p "$dir"

one() { # GATEWAYS N
    local later
    later=$(awk "BEGIN { print 2.3 * ($2 - 1) }")
    set -- "$1" "$2" --set "fault.0.at=$(awk "BEGIN { print 120 + $later }")s" --set "fault.1.at=$(awk "BEGIN { print 260 + $later }")s"
    local kept=()
    [ "$2" = 1 ] && kept=(--out "$dir/$1")
    "$espalier" failover "$scenario" --drive host --gateways "$1" "${@:3}" "${kept[@]}" --json >"$dir/$1-$2.json"
}

for gateways in espalier keepalived keepalived-waiting; do
    for n in $(seq "$runs"); do
        while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n; done
        one "$gateways" "$n" &
    done
done
wait
"$(dirname "$0")/table.py" "$dir"
