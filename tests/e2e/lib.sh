# SPDX-License-Identifier: Apache-2.0
# For the end-to-end tests: a store and a folder of their own, checks that print TAP, bounded waits.
# Source it from the repository's root: . tests/e2e/lib.sh
set -u
ROOT=$PWD
SHELTER=${SHELTER:-$ROOT/shelter}
T=$(mktemp -d "${TMPDIR:-/tmp}/shelter-test.XXXXXX")
export SHELTER_STORE=$T/store
cleanup_hooks=()
finish() {
    for hook in "${cleanup_hooks[@]:-}"; do [ -n "$hook" ] && eval "$hook"; done
    [ -x "$SHELTER" ] && timeout 30 "$SHELTER" rm -f --all >/dev/null 2>&1
    rm -rf "$T"
}
trap finish EXIT
trap 'exit 130' INT TERM
ok() { echo "ok $*"; }
not_ok() { echo "not ok $*"; }
skip() { echo "skip $*"; }
# check NAME COMMAND…: ok when the command succeeds.
check() {
    local name=$1
    shift
    if "$@" >"$T/check.out" 2>&1; then ok "$name"; else
        not_ok "$name: '$*' gave status $?"
        sed 's/^/#   /' "$T/check.out" | tail -n 20
    fi
}
# made_up_base: a kernel and initramfs for images that no VM will start.
made_up_base() {
    local f
    mkdir -p "$T/base"
    for f in vmlinux bzImage initramfs; do echo "base file $f" >"$T/base/$f"; done
    export SHELTER SHELTER_BASE=$T/base
}
# enclave_base NAME [LOADER]: the same with the enclave as built; where it was not, the test is skipped.
enclave_base() {
    [ -x "${2:-build/sgx-loader}" ] && [ -f build/base/enclave ] || { skip "$1: not built (make)"; exit 0; }
    made_up_base
    cp build/base/enclave "$T/base/"
}
# simulated_broker SECONDS [OPTION…]: a broker of a new store in $SHELTER_BROKER, for so long, that takes the simulated TEEs
# of this store. Roots and key in $T/root.pem and $T/key.pem, words in $T/broker.log, its address in $url and $T/url.
simulated_broker() {
    local seconds=$1
    shift
    "$SHELTER" attest --simulated-root -o "$T/root.pem"
    "$SHELTER" broker init
    "$SHELTER" broker key >"$T/key.pem"
    timeout "$seconds" "$SHELTER" broker serve --listen 127.0.0.1:0 --allow-simulated "$T/root.pem" --url-file "$T/url" "$@" \
        >"$T/broker.log" 2>&1 &
    cleanup_hooks+=("kill $! 2>/dev/null")
    check "the broker" until_true 20 test -s "$T/url"
    url=$(cat "$T/url")
}
# same NAME GOT WANT
same() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1: got '$2', want '$3'"; fi
}
# status NAME WANT COMMAND…: the exit status; stdout in $T/out, stderr in $T/err.
status() {
    local name=$1 want=$2 got
    shift 2
    timeout -k 5 "${LIMIT:-120}" "$@" >"$T/out" 2>"$T/err"
    got=$?
    if [ $got -eq "$want" ]; then ok "$name"; else
        not_ok "$name: status $got, want $want"
        sed 's/^/#   /' "$T/err" | tail -n 20
    fi
}
# one_line NAME PATTERN: the last command's stderr is one line (warning of simulation aside) and matches.
one_line() {
    local lines
    lines=$(grep -vc 'simulat' "$T/err")
    if [ "$lines" -eq 1 ] && grep -v 'simulat' "$T/err" | grep -qE "$2"; then ok "$1"; else
        not_ok "$1: not one line matching /$2/"
        sed 's/^/#   /' "$T/err" | tail -n 20
    fi
}
# boot_common: the kernel parameters that every shelter starts with, from the contract.
boot_common() {
    printf '#include <shelter/boot.h>\nSH_BOOT_COMMON\n' | gcc -E -P -Iinclude - | tail -n 1 | sed 's/" *"//g; s/"//g'
}
# who_has FILE: the first QEMU, or process of an enclave, that has it open; FILE may be a pattern.
who_has() {
    local p
    for p in $(pgrep -f 'qemu-system|sgx-loader'); do
        find "/proc/$p/fd" -lname "$1" 2>/dev/null | grep -q . && { echo "$p"; return; }
    done
}
# until_true SECONDS COMMAND…
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -ge $end ] && return 1
        sleep 0.1
    done
}
