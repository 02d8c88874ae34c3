#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The relying party: lets the named images of the caller's store attest, starts the key broker in the background and prints
# what `shelter run -i` takes. Run it again to name further images.
#   cd ra; sh ra.sh [-f] [-s ROOT.pem | --simulated] [-l ADDR:PORT] [--replace] IMAGE...     or --stop
#     -f           show each attestation as it comes, until interrupted
#     -s FILE      accept simulated TEEs of this root (they protect nothing)
#     --simulated  accept this store's own simulated TEEs, to try the flow on one machine
#     -l           where to listen (default 127.0.0.1:8080)
#     --replace    an image that was registered under this name before gives way to the one of today
# An image's measurement becomes known by its name. A launch config that its reference does not allow is
# attested and logged too, but gets no secret unless that resource's policy says so (shelter-broker(1)).
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 125
shelter=${SHELTER:-}
[ -n "$shelter" ] || { [ -x "$here/../shelter" ] && shelter=$here/../shelter; } ||
    shelter=$(command -v shelter) || {
    echo "ra.sh: no shelter program; run make first, or set SHELTER" >&2
    exit 125
}
usage() {
    sed -n '3,13s/^# \{0,1\}//p' "$0" >&2
    exit 125
}
follow='' simulated='' own='' stop='' replace='' listen=127.0.0.1:8080 images=''
while [ $# -gt 0 ]; do
    case $1 in
    -f) follow=1 ;;
    -s) simulated=${2:?-s takes a file} && shift ;;
    -l) listen=${2:?-l takes ADDR:PORT} && shift ;;
    --simulated) own=1 ;;
    --replace) replace=--replace ;;
    --stop) stop=1 ;;
    -* | '' | [./]* | *[!A-Za-z0-9._:/-]*) usage ;; # a file or folder is no image of the store
    *) images="$images $1" ;;
    esac
    shift
done
[ -z "$simulated" ] || [ -z "$own" ] || usage
if [ -n "${SHELTER_BROKER:-}" ]; then
    dir=$SHELTER_BROKER
elif [ "$(id -u)" -eq 0 ]; then
    dir=/var/lib/shelter-broker
else
    dir=${XDG_DATA_HOME:-$HOME/.local/share}/shelter-broker
fi
export SHELTER_BROKER="$dir"
run=$dir/ra
mkdir -p "$dir" && chmod 700 "$dir" && mkdir -p "$run" || exit 125

# The broker of an earlier call: its pid counts only while it is still a broker of this folder.
running() {
    pid=$(cat "$run/pid" 2>/dev/null) && [ -n "$pid" ] && [ -s "$run/url" ] &&
        tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$run/url"
}
if [ -n "$stop" ]; then
    running || { echo "ra.sh: no relying party is running in $dir" >&2 && exit 125; }
    kill "$pid"
    rm -f "$run/pid" "$run/url"
    exit 0
fi
[ -z "$simulated$own" ] || ! running || echo "ra.sh: it runs already; -s and --simulated take effect after ra.sh --stop" >&2

# A new broker only where there is none, and nothing left of one.
[ -e "$dir/broker.db" ] || "$shelter" broker init || exit 125
failed=0
for name in $images; do
    case $name in *:*) ;; *) name=$name:latest ;; esac
    # The strict one comes first: it decides where both match.
    # shellcheck disable=SC2086 # no word where there is no switch
    if "$shelter" broker add-reference "$name" --name "$name" $replace >/dev/null &&
        "$shelter" broker add-reference "$name" --name "$name (any launch)" --insecure-any-launch $replace >/dev/null; then
        echo "image $name"
    else
        echo "ra.sh: $name is left out" >&2
        failed=125
    fi
done
[ "$failed" -eq 0 ] || exit "$failed"

if ! running; then
    rm -f "$run/url"
    if [ -n "$own" ]; then
        simulated=$run/simulated.pem
        "$shelter" attest --simulated-root >"$simulated" || exit 125
        echo "ra.sh: simulated TEEs of this store are accepted, and protect nothing" >&2
    fi
    set -- --listen "$listen" --url-file "$run/url"
    [ -z "$simulated" ] || set -- "$@" --allow-simulated "$simulated"
    [ ! -d "$dir/collateral" ] || set -- "$@" --collateral "$dir/collateral"
    nohup "$shelter" broker serve "$@" >"$run/log" 2>&1 </dev/null &
    echo $! >"$run/pid"
    n=0
    until [ -s "$run/url" ]; do
        n=$((n + 1))
        if [ $n -gt 100 ] || ! kill -0 "$(cat "$run/pid")" 2>/dev/null; then
            cat "$run/log" >&2
            rm -f "$run/pid"
            echo "ra.sh: the broker did not start; see the line above" >&2
            exit 125
        fi
        sleep 0.1
    done
fi
echo "attestation address: -i $(cat "$run/url")"
[ -n "$images" ] || "$shelter" broker list | grep -q '^reference' || echo "ra.sh: no image can attest yet; name some: ra.sh IMAGE..." >&2
[ -z "$follow" ] || exec "$shelter" broker log -f -n 0
