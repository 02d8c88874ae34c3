#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A guest that has taken QEMU over and wants out: tests/adversary/escape_machine.c is executed in QEMU's
# place. As root and as an ordinary user: it gets at no file, process, key, network or instance of the
# machine. Then the real QEMU and the process beside it, as seen from outside.
. tests/e2e/lib.sh
[ -f build/base/vmlinux ] && [ -f build/base/initramfs ] || { skip "escape-vm: no build/base (make tools)"; exit 0; }
command -v qemu-system-x86_64 >/dev/null || { skip "escape-vm: no QEMU"; exit 0; }
busybox=$(command -v busybox) || { skip "escape-vm: no busybox"; exit 0; }
LIMIT=60
mkdir "$T/attack" "$T/bin"
check "the program" gcc -Wall -Wextra -Wno-unused-parameter -O2 -static -o "$T/attack/qemu" tests/adversary/escape_machine.c
cp shelter "$T/bin/shelter"
mkdir -p "$T/build/base"
cp build/base/* "$T/build/base/"
chmod -R a+rX "$T"
status "doctor" 0 "$SHELTER" doctor
grep -qE '^  ok wall +a PID namespace$' "$T/out" && namespaces=1 || namespaces=
trace=(strace -ff -qq -e trace=landlock_restrict_self,execve,prctl -e signal=none -o)
grep -qE '^  ok wall +Landlock' "$T/out" && command -v strace >/dev/null && landlock=1 || landlock=
field() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }
of() { "${as[@]}" "$T/bin/shelter" inspect --json "$1" | python3 -c "import json,sys; print(json.load(sys.stdin)['$2'])"; }

users=("$(id -u)")
[ "$(id -u)" != 0 ] || users+=(54321)
for user in "${users[@]}"; do
    home=$T/home.$user share=$T/home.$user/share
    mkdir -p "$share"
    as=(env "HOME=$home" "SHELTER_STORE=$home/store" "SHELTER_BASE=$T/build/base" SHELTER_ACCEL=tcg)
    if [ "$user" != "$(id -u)" ]; then
        chown -R "$user:$user" "$home"
        as=(setpriv --reuid "$user" --regid "$user" --clear-groups "${as[@]}")
    fi
    sleep 200 &
    outside=$!
    cleanup_hooks+=("kill $outside 2>/dev/null")
    echo secret >"$home/secret"
    cp "$busybox" "$share/program"
    echo "$outside $home/secret" >"$share/target"
    owner=$user
    [ "$user" != 0 ] || owner=54322
    [ "$(id -u)" != 0 ] || chown -R "$owner:$owner" "$share"
    status "user $user: build" 0 "${as[@]}" "$T/bin/shelter" build -q -t box --mount /data -f "$busybox" -c '/bin/busybox sleep 100'

    # In QEMU's place. Landlock refuses what other walls refuse as well: it shows in the call alone.
    if [ -n "$landlock" ]; then
        status "user $user: it runs, traced" 125 "${trace[@]}" "$T/trace" "${as[@]}" SHELTER_QEMU="$T/attack/qemu" \
            "$T/bin/shelter" run --rm --tee tdx-sim -v "$share:/data" box
        same "user $user: Landlock around QEMU and the process beside it" \
            "$(grep -lE "execve\(\"$T/attack/qemu\"|PR_SET_NAME, \"shelter-network\"" "$T"/trace.* |
                xargs grep -l 'landlock_restrict_self(.* = 0$' | wc -l)" 2
        rm -f "$share"/{result,file,link} "$T"/trace.*
    fi
    status "user $user: it runs" 125 "${as[@]}" SHELTER_QEMU="$T/attack/qemu" "$T/bin/shelter" run --rm --tee tdx-sim -v "$share:/data" box
    same "user $user: it tried all" "$(tail -n 1 "$share/result")" end
    check "user $user: and that is much" [ "$(grep -c ' E' "$share/result")" -ge 75 ]
    if [ -n "$namespaces" ]; then
        same "user $user: all that gets through: a file, and a link that leads nowhere" \
            "$(grep ' done$' "$share/result" | tr '\n' ' ')" "share done link done "
    fi
    same "user $user: no environment, no descriptor of anybody's" \
        "$(grep -E '^(environment|descriptor)' "$share/result")" "environment none"
    check "user $user: the process outside lives" kill -0 "$outside"
    same "user $user: no set-id, no device is left" "$(find "$share" \( -perm /6000 -o -type b -o -type c \))" ""
    kill "$outside"

    # From outside.
    for n in one two; do
        status "user $user: $n" 0 "${as[@]}" "$T/bin/shelter" run -d --tee tdx-sim --name $n -p 127.0.0.1::80 box
    done
    qemu=$(of one pid) supervisor=$(of one supervisor_pid) id=$(of one id)
    network=$(pgrep -P "$supervisor" -x shelter-network)
    for p in "$qemu" "$network"; do
        name=$(cat "/proc/$p/comm")
        same "user $user: $name: no group of processes of ours" "$(ps -o pgid= -p "$p" | tr -d ' ')" "$p"
        same "user $user: $name: no capability, no new rights, a filter" \
            "$(field "$p" CapEff) $(field "$p" CapPrm) $(field "$p" NoNewPrivs) $(field "$p" Seccomp)" \
            "0000000000000000 0000000000000000 1 2"
        uid=$(field "$p" Uid | cut -f1)
        if [ "$user" = 0 ]; then
            check "user $user: $name: nobody's ($uid)" [ "$uid" -ge $((0x70000000)) ]
            same "user $user: $name: in no group" "$(field "$p" Groups | tr -d ' ')" ""
        else
            same "user $user: $name: its user's" "$uid" "$user"
        fi
        if [ -n "$namespaces" ]; then
            same "user $user: $name: process 1 of its own" "$(field "$p" NSpid | awk '{ print $NF }')" 1
            for n in mnt ipc pid uts; do
                check "user $user: $name: its own $n namespace" \
                    [ "$(readlink "/proc/$p/ns/$n")" != "$(readlink /proc/self/ns/$n)" ]
            done
        fi
    done
    same "user $user: QEMU has no environment" "$(tr -d '\0' <"/proc/$qemu/environ" | wc -c)" 0
    if [ -n "$namespaces" ]; then
        check "user $user: QEMU has no network" [ "$(readlink "/proc/$qemu/ns/net")" != "$(readlink /proc/self/ns/net)" ]
        same "user $user: nothing of this machine but programs, devices and one instance's files" \
            "$(cd "/proc/$qemu/root" && find . -xdev -maxdepth 1 -mindepth 1 ! -type l -printf '%P\n' | sort | tr '\n' ' ')" \
            "dev etc proc $(cut -d/ -f2 <<<"$T") usr "
        same "user $user: of the instances its own alone" \
            "$(ls "/proc/$qemu/root$home/store/instances"; ls "/proc/$qemu/root$home/store/instances/$id")" "$id
config.disk"
        [ "$(id -u)" != 0 ] || same "user $user: the process beside it sees one file" \
            "$(cd "/proc/$network/root" && find . -type f -o -type l | tr '\n' ' ')" "./etc/resolv.conf "
    fi
    [ "$(id -u)" != 0 ] || same "user $user: no file that QEMU sees sets an id, and none of the machine outside /dev is a device" \
        "$(awk '$6 !~ /nosuid/ || ($6 !~ /nodev/ && $5 !~ "^/(dev/|$)") { print $5, $6 }' "/proc/$qemu/mountinfo")" ""
    same "user $user: no file is open but the disks" \
        "$(find "/proc/$qemu/fd" -type l -printf '%l\n' | grep -vE '^(/dev/null|pipe:|socket:|anon_inode:|/memfd:)' |
            sed 's,.*/,,' | sort | tr '\n' ' ')" "config.disk root.img "
    if [ "$(id -u)" = 0 ] && [ "$user" = 0 ]; then
        cgroups=$(find /sys/fs/cgroup -name "shelter-$id")
        check "user $user: a cgroup of its own" [ -n "$cgroups" ]
        for c in $cgroups; do
            same "user $user: a cgroup with QEMU alone" "$(cat "$c/cgroup.procs")" "$qemu"
        done
        other=$(of two id)
        "${as[@]}" "$T/bin/shelter" rm -f two >/dev/null
        check "user $user: it goes with its instance" until_true 5 bash -c "! find /sys/fs/cgroup -name 'shelter-$other' | grep -q ."
    fi
    kill -KILL "$supervisor"
    check "user $user: both die with their supervisor" until_true 5 bash -c "! [ -d /proc/$qemu ] && ! [ -d /proc/$network ]"
    "${as[@]}" "$T/bin/shelter" rm -f --all >/dev/null 2>&1
    [ -z "${cgroups:-}" ] || # its supervisor could not
        check "user $user: rm takes the cgroup of a killed supervisor with it" bash -c '! ls -d "$@" 2>/dev/null' - $cgroups
    cgroups=
done

# A host that lacks walls: told, or refused.
if [ "$(id -u)" = 0 ] && [ -n "$namespaces" ]; then
    few=(unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"' -)
    few+=(setpriv --bounding-set -all --inh-caps -all)
    weak=("${as[@]:0:6}" "${few[@]}" "${as[@]:6}" "$T/bin/shelter" run --rm --tee tdx-sim)
    status "without namespaces: it runs" 3 "${weak[@]}" box /bin/busybox sh -c 'exit 3'
    check "without namespaces: told" grep -qE '^shelter: warning: QEMU runs without a PID namespace, ' "$T/err"
    status "without namespaces: refused if asked for" 125 "${weak[@]}" --require-confinement box
    one_line "without namespaces: why" "cannot confine QEMU by a PID namespace, .*--require-confinement"
    status "with all walls: not refused" 3 "${as[@]}" "$T/bin/shelter" run --rm --tee tdx-sim --require-confinement box \
        /bin/busybox sh -c 'exit 3'
fi
