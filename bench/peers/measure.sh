#!/usr/bin/env bash
# One scenario on real interfaces with three kinds of gateways, several times each. As root.
#
#   bench/peers/measure.sh DIR [RUNS [AT_ONCE [SCENARIO]]]      5 runs, 5 at once, hsrp-ipsec by default
#
# DIR gets GATEWAYS-N.json of each run and, of each kind's first run, a folder with its captures and page. Later runs
# strike later, by 2.3 s each: that spreads the faults over the periods of HSRP's hellos, VRRP's advertisements (3 s) and
# dead-peer detection (10 s). Then `bench/peers/table.py DIR` is the table; a run that failed has no JSON and no part in it,
# and the script ends with 1.
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
    local json=$dir/$1-$2.json
    rm -f "$json"
    "$espalier" failover "$scenario" --drive host --gateways "$1" "${@:3}" "${kept[@]}" --json >"$json.part" || { rm -f "$json.part"; return 1; }
    mv "$json.part" "$json"
}

declare -A runs_of=()
for gateways in espalier keepalived keepalived-waiting; do
    for n in $(seq "$runs"); do
        # A run that failed is told of at the end.
        while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do sleep 1; done
        one "$gateways" "$n" &
        runs_of[$!]="$gateways $n"
    done
done
failed=0
for pid in "${!runs_of[@]}"; do
    wait "$pid" || { failed=1 && echo "run ${runs_of[$pid]} failed" >&2; }
done
"$(dirname "$0")/table.py" "$dir"
exit "$failed"
