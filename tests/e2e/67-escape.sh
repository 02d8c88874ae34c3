#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A program of an image that wants out of the loader: by the host's system calls themselves, which in the
# simulator it can reach. As root and as an ordinary user: nothing is let through, and the process has no
# rights, no files, no processes and no environment to begin with.
. tests/e2e/lib.sh
enclave_base escape
check "the program" gcc -Wall -Wextra -Wno-unused-parameter -O2 -static -Iinclude -I. -o "$T/escape" tests/adversary/escape.c
status "build" 0 "$SHELTER" build -q -t escape --mount /one --mount /two -f "$T/escape"
image=$SHELTER_STORE/images/$(cat "$T/out")
cp build/sgx-loader "$T/loader"
cp -r "$image" "$T/image"
chmod -R a+rX "$T"
image=$T/image
status "doctor" 0 "$SHELTER" doctor
cp "$T/out" "$T/doctor"
grep -qE '^  ok wall +a PID namespace$' "$T/out" && namespaces=1 || namespaces=
trace=(strace -ff -qq -e trace=landlock_restrict_self -e signal=none -o)
grep -qE '^  ok wall +Landlock' "$T/out" && command -v strace >/dev/null && landlock=1 || landlock=
mounts=()
launch() { # WORD…: a launch config, with ${mounts[@]}
    printf 'version = "0.1.0"\nalgorithm = "sha384"\n\n[data]\n"shelter.launch" = '"'''"'\n'
    printf 'arg %s\n' "$@"
    [ ${#mounts[@]} = 0 ] || printf '%s\n' "${mounts[@]}"
    printf "'''\n"
}
# set_up USER OPTION…: ${load[@]} runs ${words[@]} as that user
set_up() {
    local user=$1 who=()
    shift
    [ "$user" = "$(id -u)" ] || who=(setpriv --reuid "$user" --regid "$user" --clear-groups)
    launch "${words[@]}" >"$T/launch"
    load=(${who[@]+"${who[@]}"} env SHELTER_ESCAPE=nobody-may-know "$T/loader" \
        --signature "$image/base/enclave.sig" --launch "$T/launch" --sites "$image/sites.bin" "$@" \
        "$image/base/enclave" "$image/root.img" "$image/manifest")
}
# Sets $helper, which is what was started, and $child, which runs the enclave.
start() {
    rm -f "$T/stay"
    "${load[@]}" >"$T/stay" 2>"$T/err" &
    helper=$!
    until_true 20 grep -qx ready "$T/stay"
    child=$(pgrep -P "$helper")
}
# What only root sees of a process that its own user may not look into.
[ "$(id -u)" = 0 ] && seen=$namespaces || seen=
field() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }

users=("$(id -u)")
[ "$(id -u)" != 0 ] || users+=(54321)
for user in "${users[@]}"; do
    # Whatever is tried is not allowed; a thread is made by clone, which clone3's EPERM would hide.
    for speed in --network=user --network=none; do
        words=(/bin/escape)
        set_up "$user" "$speed"
        status "user $user, $speed: it runs" 0 "${load[@]}"
        check "user $user, $speed: it finds a way to call the host" grep -qx "gadget found" "$T/out"
        same "user $user, $speed: all that gets through" \
            "$(grep -vE ' EPERM$|^gadget|^end$' "$T/out" | tr '\n' ' ')" \
            "clone3 ENOSYS "
        check "user $user, $speed: it tried all" [ "$(grep -c ' EPERM$' "$T/out")" -ge 60 ]
    done
    words=(/bin/escape helper)
    set_up "$user" --network=user
    status "user $user: nonsense for the helper changes nothing" 0 "${load[@]}"

    words=(/bin/escape connect)
    none="loopback EACCES nowhere EACCES metadata EACCES"
    set_up "$user" --network=user
    status "user $user: it asks for connections" 0 "${load[@]}"
    same "user $user: to none of the host's" "$(tail -n +2 "$T/out" | tr '\n' ' ')" "$none host EACCES "
    set_up "$user" --network=user --broker=10.0.2.2:9
    status "user $user: likewise with a broker on the host" 0 "${load[@]}"
    same "user $user: to that only" "$(tail -n +2 "$T/out" | tr '\n' ' ')" "$none host EINPROGRESS "
    set_up "$user" --network=user --broker=10.0.2.2:10
    status "user $user: or on another port" 0 "${load[@]}"
    same "user $user: to none" "$(tail -n +2 "$T/out" | tr '\n' ' ')" "$none host EACCES "
    set_up "$user" --network=host-loopback
    status "user $user: likewise where the host's loopback is meant" 0 "${load[@]}"
    same "user $user: to that, by its own address only" \
        "$(tail -n +2 "$T/out" | tr '\n' ' ')" "$none host EINPROGRESS "

    # Folders of the host, whose process is asked past the LibOS: nothing gains rights for whoever finds it later.
    folders=$T/folders.$user
    mkdir -p "$folders"/{one,two,outside}
    echo secret | tee "$folders/outside/secret" >"$folders/secret"
    echo text | tee "$folders/one/file" >"$folders/two/kept"
    ln -s ../outside/secret "$folders/one/link"
    ln -s ../outside "$folders/one/way"
    owner=$user
    [ "$user" != 0 ] || owner=54322
    [ "$(id -u)" != 0 ] || chown -Rh "$owner:$owner" "$folders"
    mounts=("mount share0 rw /one" "mount share1 ro /two")
    words=(/bin/escape share)
    set_up "$user" --network=none "--share=0:rw:$folders/one" "--share=1:ro:$folders/two"
    status "user $user: it asks whoever has the folders" 0 ${landlock:+"${trace[@]}" "$T/trace"} "${load[@]}"
    if [ -n "$landlock" ]; then
        same "user $user: Landlock around the enclave, its helper and who has the folders" \
            "$(cat "$T"/trace.* | grep -c 'landlock_restrict_self(.* = 0$')" 3
        rm -f "$T"/trace.*
    fi
    same "user $user: nothing by a name that is a path" "$(grep -cE '^(look|make|remove|rename) EINVAL$' "$T/out")" 24
    same "user $user: nor anything else that leads out" "$(grep -vE '^(gadget|look|make|remove|rename) ' "$T/out" | tr '\n' ' ')" \
        "known 1 set_id done set_id_link EOPNOTSUPP make_set_id done make_folder done make_node EPERM make_node EPERM make_node EPERM make_node EPERM \
read_link ELOOP write_link ELOOP through_link ENOTDIR across EXDEV across_back EROFS read_only EROFS read_only EROFS read_only EROFS \
nobody ESTALE nobody ESTALE long EINVAL unknown ENOSYS "
    same "user $user: no set-id, no device, nothing of root's is there" \
        "$(cd "$folders" && find . \( -perm /6000 -o ! -type f ! -type d ! -type l -o ! -user "$owner" \) -printf '%P %M %U\n')" ""
    same "user $user: what is there" "$(cd "$folders" && find one -type f -printf '%P %m\n' | sort | tr '\n' ' ')" "file 755 made 755 "
    words=(/bin/escape stay)
    set_up "$user" --network=none "--share=0:rw:$folders/one" "--share=1:ro:$folders/two"
    start
    shares=$(pgrep -P "$child")
    same "user $user: who has the folders: no capability, no new rights, a filter" \
        "$(field "$shares" CapEff) $(field "$shares" CapPrm) $(field "$shares" NoNewPrivs) $(field "$shares" Seccomp)" \
        "0000000000000000 0000000000000000 1 2"
    same "user $user: ... the folders' owner, in no group of root's" \
        "$(field "$shares" Uid | cut -f2) $([ "$(id -u)" = 0 ] && field "$shares" Groups | tr -d ' ')" "$owner "
    [ -z "$seen" ] || same "user $user: ... sees them alone" \
        "$(cd "/proc/$shares/root" && find . -type f | sort | tr '\n' ' ')" \
        ".$folders/one/file .$folders/one/made .$folders/two/kept "
    if [ -n "$namespaces" ]; then
        check "user $user: ... has no network" [ "$(readlink "/proc/$shares/ns/net")" != "$(readlink /proc/self/ns/net)" ]
    fi
    kill -KILL "$helper"
    wait "$helper" 2>/dev/null
    check "user $user: ... and dies with its helper" until_true 5 test ! -d "/proc/$shares"
    mounts=()
    words=(/bin/escape)

    # The filter refuses what Landlock would refuse as well: that it is there shows in the call alone.
    if [ -n "$landlock" ]; then
        set_up "$user" --network=user
        status "user $user: it runs, traced" 0 "${trace[@]}" "$T/trace" "${load[@]}"
        same "user $user: Landlock around the enclave, its helper and who connects for it" \
            "$(cat "$T"/trace.* | grep -c 'landlock_restrict_self(.* = 0$')" 3
        rm -f "$T"/trace.*
    fi

    # The process from outside.
    words=(/bin/escape stay)
    set_up "$user" --network=none
    start
    check "user $user: a helper and a process for the enclave" [ -d "/proc/$child" -a -d "/proc/$helper" ]
    same "user $user: it has no capability, no new rights, a filter" \
        "$(field "$child" CapEff) $(field "$child" CapPrm) $(field "$child" NoNewPrivs) $(field "$child" Seccomp)" \
        "0000000000000000 0000000000000000 1 2"
    uid=$(field "$child" Uid | cut -f1)
    if [ "$user" = 0 ]; then
        check "root's is nobody's ($uid)" [ "$uid" -ge $((0x70000000)) ]
        same "root's is in no group" "$(field "$child" Groups)" ""
    else
        same "user $user's stays so" "$uid" "$user"
    fi
    same "user $user: its helper has a filter and gets no new rights" \
        "$(field "$helper" NoNewPrivs) $(field "$helper" Seccomp)" "1 2"
    check "user $user: its helper may read and signal, no more ($(field "$helper" CapEff))" \
        [ $((0x$(field "$helper" CapPrm) & ~0x24)) = 0 ]
    if [ "$(id -u)" = 0 ]; then
        same "user $user: no environment" \
            "$(tr -d '\0' <"/proc/$helper/environ" | wc -c) $(tr -d '\0' <"/proc/$child/environ" | wc -c)" "0 0"
    else
        check "user $user: nobody else of the user's looks into it" bash -c "! cat /proc/$child/environ && ! cat /proc/$helper/environ"
    fi
    if [ -n "$namespaces" ]; then
        same "user $user: process 1 among its own" "$(field "$child" NSpid | awk '{ print $NF }')" 1
        for n in mnt ipc pid net; do
            check "user $user: its own $n namespace" \
                [ "$(readlink "/proc/$child/ns/$n")" != "$(readlink "/proc/self/ns/$n")" ]
        done
        [ -z "$seen" ] || same "user $user: an empty root" "$(ls -A "/proc/$child/root/" 2>&1)" ""
    fi
    [ "$(id -u)" != 0 ] || same "user $user: no file of the host's is open" \
        "$(find "/proc/$child/fd" -type l -printf '%l\n' | grep -vE '^(/dev/null|pipe:|socket:|anon_inode:|/memfd:)' |
            grep -v "^$T/")" ""
    kill -KILL "$helper"
    wait "$helper" 2>/dev/null
    check "user $user: it dies with its helper" until_true 5 test ! -d "/proc/$child"

    set_up "$user" --network=user
    start
    network=$(pgrep -P "$child")
    same "user $user: who connects for it has no capability, no new rights, a filter" \
        "$(field "$network" CapEff) $(field "$network" NoNewPrivs) $(field "$network" Seccomp)" "0000000000000000 1 2"
    [ -z "$seen" ] || same "user $user: nor files" "$(ls -A "/proc/$network/root/" 2>&1)" ""
    [ "$(id -u)" != 0 ] || same "user $user: nor streams" \
        "$(find "/proc/$network/fd" -type l -printf '%l\n' | grep -vE '^(socket:|'"$T"'/err)')" ""
    kill -TERM "$helper"
    wait "$helper" 2>/dev/null
    same "user $user: a signal that somebody sends to the helper ends it" $? 143
    check "user $user: ... and all that belongs to it" until_true 5 bash -c "[ ! -d /proc/$child ] && [ ! -d /proc/$network ]"
done

# A host that lacks walls: told, or refused.
if [ "$(id -u)" = 0 ] && [ -n "$namespaces" ]; then
    words=(/bin/escape)
    set_up 54321 --network=user
    few=(unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"' -)
    few+=(setpriv --bounding-set -all --inh-caps -all "${load[@]:6}")
    status "without namespaces: it runs" 0 "${few[@]}"
    check "without namespaces: told" grep -q "^shelter: warning: the enclave's loader runs without .*PID namespace" "$T/err"
    same "without namespaces: all that gets through" \
        "$(grep -vE ' EPERM$|^gadget|^end$' "$T/out" | tr '\n' ' ')" "clone3 ENOSYS "
    status "without namespaces: refused if asked for" 125 "${few[@]::${#few[@]}-3}" --require-confinement "${few[@]: -3}"
    check "without namespaces: why" grep -q "cannot confine the enclave's loader" "$T/err"
    # Where no mount keeps two folders apart, whoever has them does.
    folders=$T/folders.few
    mkdir -p "$folders"/{one,two}
    echo text | tee "$folders/one/file" >"$folders/two/kept"
    mounts=("mount share0 rw /one" "mount share1 ro /two")
    words=(/bin/escape share)
    set_up 54321 --network=none "--share=0:rw:$folders/one" "--share=1:ro:$folders/two"
    few=("${few[@]:0:12}" "${load[@]:6}")
    status "without namespaces: it asks whoever has the folders" 0 "${few[@]}"
    same "without namespaces: nothing comes into the one that is read-only, nor out of it" \
        "$(grep -E '^(across|read_only)' "$T/out" | tr '\n' ' ') $(ls "$folders/two")" \
        "across EXDEV across_back EROFS read_only EROFS read_only EROFS read_only EROFS  kept"
    mounts=()
    words=(/bin/escape)
    set_up 54321 --network=user --require-confinement
    status "with all walls: not refused" 0 "${load[@]}"
fi

# Limits for all that an instance is, whichever version of cgroups has the controllers.
if grep -qE '^  ok cgroup +one for each instance, with limits' "$T/doctor"; then
    status "an instance" 0 "$SHELTER" run -d --name limited --tee sgx-sim -m 64M escape /bin/escape stay
    until_true 20 sh -c '"$1" logs limited | grep -qx ready' sh "$SHELTER"
    id=$("$SHELTER" inspect --json limited | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
    groups() { find /sys/fs/cgroup -type d -name "shelter-$id" 2>/dev/null; }
    limit() { groups | while read -r g; do cat "$g/$1" 2>/dev/null; done; }
    same "its memory has a limit: its own and a GiB" "$(limit memory.max; limit memory.limit_in_bytes)" $(((64 << 20) + (1 << 30)))
    same "its threads have one" "$(limit pids.max | sort -u)" 32768
    members() { groups | while read -r g; do sort "$g/cgroup.procs" | tr '\n' ' '; echo; done | sort -u; }
    check "all of its processes are in it" until_true 5 eval '[ "$(members | wc -l)" = 1 ] && [ "$(members | wc -w)" -ge 3 ]'
    status "it is removed" 0 "$SHELTER" rm -f limited
    check "and its groups are" until_true 5 eval '[ -z "$(groups)" ]'
fi

# Where the loader is looked for: nobody else may have put it there.
mkdir -p "$T/tree/build" "$T/local/bin/build" "$T/local/lib/shelter"
cp "$SHELTER" "$T/tree/shelter"
cp "$SHELTER" "$T/local/bin/shelter"
printf '#!/bin/sh\ntouch %s/trapped\nexit 3\n' "$T" >"$T/trap"
chmod 755 "$T/trap" "$T/tree" "$T/tree/build"
run=(run --rm --tee sgx-sim escape /bin/escape)
cp "$T/trap" "$T/tree/build/sgx-loader"
cp build/sgx-loader "$T/local/lib/shelter/"
cp "$T/trap" "$T/local/bin/build/sgx-loader"
status "an installed program runs the installed loader" 0 "$T/local/bin/shelter" "${run[@]}"
chmod 777 "$T/tree/build"
status "a loader in a folder where all may write" 125 "$T/tree/shelter" "${run[@]}"
one_line "told" "will not be run"
chmod 755 "$T/tree/build"
ln -sf "$T/trap" "$T/tree/build/sgx-loader"
status "a loader that is a link" 125 "$T/tree/shelter" "${run[@]}"
if [ "$(id -u)" = 0 ]; then
    rm "$T/tree/build/sgx-loader"
    cp "$T/trap" "$T/tree/build/sgx-loader"
    chown 54321 "$T/tree/build/sgx-loader"
    status "somebody else's loader" 125 "$T/tree/shelter" "${run[@]}"
    cp "$T/loader" "$T/tree/build/sgx-loader"
    chown -R 0:0 "$T/tree"
fi
check "no trap was run" [ ! -e "$T/trapped" ]
cp build/sgx-loader "$T/tree/build/sgx-loader.new"
mv "$T/tree/build/sgx-loader.new" "$T/tree/build/sgx-loader"
status "one's own in a tree runs" 0 "$T/tree/shelter" "${run[@]}"
