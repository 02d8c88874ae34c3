#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The relying party: starts the key broker in the background for the images of the user's and root's
# stores and prints what `shelter run -i` takes. Run it again after building further images.
#   cd ra; sh ra.sh [-f] [-s SIMULATED_ROOT.pem | --no-simulated] [-l ADDR:PORT] [--stop]
#     -f              show each attestation as it comes, until interrupted
#     -s FILE         accept simulated TEEs of this root (they protect nothing)
#     --no-simulated  accept none. Without either, on a machine that has no TEE, those of the same
#                     stores are accepted, so that the flow can be tried; a line says so
#     -l              where to listen (default 127.0.0.1:8080)
# Every image's measurement becomes known. A launch config that the image's reference does not allow is
# attested and logged too, but gets no secret unless that resource's policy says so (shelter-broker(1)).
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 125
shelter=${SHELTER:-}
[ -n "$shelter" ] || { [ -x "$here/../shelter" ] && shelter=$here/../shelter; } ||
    shelter=$(command -v shelter) || {
    echo "ra.sh: no shelter program; run make first, or set SHELTER" >&2
    exit 125
}
follow='' simulated='' no_simulated='' stop='' listen=127.0.0.1:8080
while [ $# -gt 0 ]; do
    case $1 in
    -f) follow=1 ;;
    -s) simulated=${2:?-s takes a file} && shift ;;
    -l) listen=${2:?-l takes ADDR:PORT} && shift ;;
    --no-simulated) no_simulated=1 ;;
    --stop) stop=1 ;;
    *)
        sed -n '3,12s/^# \{0,1\}//p' "$0" >&2
        exit 125
        ;;
    esac
    shift
done
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
[ -z "$simulated$stop" ] || [ -n "$stop" ] || ! running ||
    echo "ra.sh: it runs already; -s takes effect after ra.sh --stop" >&2
if [ -n "$stop" ]; then
    running || { echo "ra.sh: no relying party is running in $dir" >&2 && exit 125; }
    kill "$pid"
    rm -f "$run/pid" "$run/url"
    exit 0
fi

# The simulated roots of the stores that the images come from; our own is made if need be. Whoever
# holds their keys can read those stores anyway.
simulated_roots() {
    "$shelter" attest --simulated-root || return
    [ -n "${SHELTER_STORE:-}" ] || [ -z "$user" ] || cat "$user_home/.local/share/shelter/sim-tee/root.pem" 2>/dev/null
    [ -n "${SHELTER_STORE:-}" ] || [ "$(id -u)" -eq 0 ] || cat /var/lib/shelter/sim-tee/root.pem 2>/dev/null
    return 0
}
has_tee() {
    "$shelter" doctor --json 2>/dev/null | tr -d ' \t\n' | grep -q '"simulated":false,"usable":true'
}

# add STORE: each tagged image of a store, by its tag.
add() {
    [ -d "$1/tags" ] && [ -r "$1/tags" ] || return 0
    for tag in "$1"/tags/*; do
        [ -r "$tag" ] || continue
        name=$(basename "$tag" | tr % /)
        id=$(head -n 1 "$tag")
        image=$1/images/$id
        [ -r "$image/reference.json" ] || continue
        # The strict one comes first: it decides where both match.
        if "$shelter" broker add-reference "$image" --name "$name" &&
            "$shelter" broker add-reference "$image" --name "$name (any launch)" --insecure-any-launch; then
            echo "image $name"
        else
            echo "ra.sh: $name is left out" >&2
        fi
    done
}
# A new broker only where there is none, and nothing left of one.
[ -e "$dir/broker.db" ] || "$shelter" broker init || exit 125
user=${SUDO_USER:-}
user_home=$HOME
[ -z "$user" ] || user_home=$(getent passwd "$user" | cut -d: -f6)
if [ -n "${SHELTER_STORE:-}" ]; then
    add "$SHELTER_STORE"
else
    [ -n "$user" ] && add "$user_home/.local/share/shelter"
    [ -n "$user" ] || add "${XDG_DATA_HOME:-$HOME/.local/share}/shelter"
    add /var/lib/shelter
fi

if ! running; then
    rm -f "$run/url"
    if [ -z "$simulated$no_simulated" ] && ! has_tee; then
        simulated=$run/simulated.pem
        simulated_roots >"$simulated" || exit 125
        echo "ra.sh: this machine has no TEE: simulated ones of its own are accepted, and protect nothing" >&2
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
[ -z "$follow" ] || exec "$shelter" broker log -f -n 0
