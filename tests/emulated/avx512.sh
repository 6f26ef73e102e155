#!/usr/bin/env bash
# Tests of the dataplane on a CPU with AVX-512, where there is none: Bochs is an Ice Lake, and a guest of some hundred lines
# (guest.c) is the operating system under the test program.
#
#   tests/emulated/avx512.sh [FILTER...]     words for the test program; all tests of `crypto` without any
#
# Wants Debian's bochs, bochs-term, vgabios and gcc, and installs nothing. ESPALIER_TESTS names a program that is linked
# already (statically, at a fixed address) and takes the place of building one. What runs over all engines runs over `simd`
# alone. Ends as the tests end; a program that finds less than AVX-512 fails, and so does a filter that leaves no test.
# ESPALIER_EMULATED_SECONDS bounds the time, 1800 unless given.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/emulated
[ $# -gt 0 ] || set -- crypto
for tool in bochs gcc ld objcopy objdump script; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install bochs bochs-term vgabios gcc" >&2; exit 2; }
done
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT

program=${ESPALIER_TESTS:-$(cargo rustc -p espalier-dataplane --lib --profile test --locked --message-format=json -- \
    -C target-feature=+crt-static -C relocation-model=static | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')}
strip -o "$dir/program" "$program"

# What Bochs is wrong about (guest.c, mend): the addresses of the instructions' last bytes.
objdump -dw "$dir/program" | grep -wE 'cpuid|vgf2p8affineqb' >"$dir/instructions" || true
places() {
    grep -w "$1" "$dir/instructions" | while IFS=$'\t' read -r at bytes _; do
        bytes=($bytes)
        printf '%x\0' $((0x${at//[ :]/} + ${#bytes[@]} - 1))
    done || true
    printf '\0'
}

# The ROM, the guest, its words (arguments, environment, bytes to mend) and the program, in one image from 64 MB on.
gcc -c "$here/rom.S" -o "$dir/rom.o"
objcopy -O binary -j .rom "$dir/rom.o" "$dir/rom"
gcc -c "$here/start.S" -o "$dir/start.o"
gcc -O2 -Wall -ffreestanding -fno-builtin -fno-pie -fno-stack-protector -fcf-protection=none -mno-red-zone \
    -mgeneral-regs-only -c "$here/guest.c" -o "$dir/guest.o"
ld --no-warn-rwx-segments -T "$here/guest.ld" "$dir/start.o" "$dir/guest.o" -o "$dir/guest"
objcopy -O binary "$dir/guest" "$dir/image"
{
    # The test of the level is among them whatever the filters.
    printf '%s\0' tests --test-threads=1 "$@" crypto::simd::cpu::tests::the_level_is_the_one_required ''
    printf '%s\0' ESPALIER_REQUIRE_CPU=avx512 ESPALIER_TEST_ENGINE=simd \
        RUST_MIN_STACK=4194304 GLIBC_TUNABLES=glibc.malloc.arena_max=1 ''
    places cpuid
    places vgf2p8affineqb
} >"$dir/words"
dd if="$dir/words" of="$dir/image" seek=$((0x80000)) oflag=seek_bytes conv=notrunc status=none
dd if="$dir/program" of="$dir/image" seek=$((0x200000)) oflag=seek_bytes bs=64K conv=notrunc status=none
[ "$(stat -c %s "$dir/image")" -le $((0x1200000)) ] || { echo "the program is too big for the guest" >&2; exit 2; }

cat >"$dir/bochsrc" <<C
megs: 384
cpu: model=corei7_icelake_u, count=1, ips=50000000, reset_on_triple_fault=0
display_library: term
romimage: file=$dir/rom, address=0xffff0000
vgaromimage: file=/usr/share/vgabios/vgabios.bin
optramimage1: file=$dir/image, address=0x4000000
port_e9_hack: enabled=1
log: $dir/log
panic: action=fatal
clock: sync=none
C
echo c >"$dir/debugger"
# Bochs wants a terminal, and says much besides. In the background, as `wait` ends with a signal where a pipeline does not.
TERM=xterm timeout "${ESPALIER_EMULATED_SECONDS:-1800}" \
    script -qefc "bochs -q -f $dir/bochsrc -rc $dir/debugger" /dev/null </dev/null 2>&1 |
    sed -un 's/\r//g; s/^ *//; /^guest: begins/,/^guest: e[vx]/p' | tee "$dir/out" &
wait $! || true
grep -q '^guest: exit status 0x0$' "$dir/out" || { echo "not passed" >&2; tail -3 "$dir/log" >&2; exit 1; }
grep -q 'the_level_is_the_one_required \.\.\. ok' "$dir/out" && ! grep -qE '^running [01] test' "$dir/out" ||
    { echo "not passed: the level was not looked at, or no other test ran" >&2; exit 1; }
