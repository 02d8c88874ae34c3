#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# podman with shelter-runtime: the rest of a container's life (a fixed root, logs that follow, terminals, health, restart),
# pods whose containers talk over localhost, play kube, units.
. tests/apps/podman_lib.sh
mkdir "$T/healthy"
printf 'FROM localhost/test\nHEALTHCHECK --interval=1h --retries=2 CMD cat /tmp/well\n' >"$T/healthy/Dockerfile"
check "an image with a HEALTHCHECK" sh -c "timeout 60 buildah --root '$T/pod' --runroot '$T/run' bud --isolation chroot --format docker -q -t healthy '$T/healthy'"
for TEE in $tees; do
    status "$TEE: --read-only" 0 "$T/podman" run --rm --network none --read-only test sh -c \
        'echo x >/www/y || echo fixed; chmod 700 /www || echo fixed; echo z >/tmp/z && cat /tmp/z; echo x >/dev/null && echo null'
    same "... its root is, its memory file systems are not" "$(tr '\n' ' ' <"$T/out")" "fixed fixed z null "
    check "... as the message says" grep -q 'Read-only file system' "$T/err"
    status "$TEE: a terminal that changes its size" 0 python3 tests/pty_run.py 80 expect:name send:'abc\r' expect:'got abc' \
        expect:'33 101' resize:50,120 pause:1 send:'go\r' expect:'50 120' -- "$T/podman" run --rm -it --network none test \
        sh -c 'echo name; read x; echo got $x; stty size; read x; stty size'
    check "$TEE: run -d" p run -d --name c --network none --health-cmd 'cat /tmp/well' --health-interval disable test \
        sh -c 'trap "echo term; exit 3" TERM; echo one; sleep 2; echo two; touch /tmp/well; while :; do sleep 0.2; done'
    (timeout 60 "$T/podman" logs -f c >"$T/follow" 2>/dev/null) &
    follower=$!
    status "$TEE: healthcheck run: not well yet" 1 "$T/podman" healthcheck run c
    check "$TEE: logs -f: both lines as they come" until_true 30 grep -qx two "$T/follow"
    check "$TEE: healthcheck run: well" until_true 20 p healthcheck run c
    status "$TEE: restart" 0 "$T/podman" restart -t 10 c
    check "... its program was asked to end" grep -qx term "$T/follow"
    check "... and runs again" until_true 30 sh -c "[ \$(timeout 20 '$T/podman' logs c 2>/dev/null | grep -cx two) -eq 2 ]"
    status "$TEE: stop" 0 "$T/podman" stop -t 10 c
    same "... the program's own status" "$(p wait c)" 3
    wait $follower
    status "$TEE: generate systemd" 0 "$T/podman" generate systemd --name c
    check "... starts and stops it" grep -q '^ExecStart=.*start c$' "$T/out"
    status "$TEE: rm" 0 "$T/podman" rm c
    # A folder that both sides write to.
    mkdir -p "$T/shared-$TEE"
    echo one >"$T/shared-$TEE/in"
    chown -R 54321:54321 "$T/shared-$TEE"
    check "$TEE: -v FOLDER" p run -d --name v --network none -v "$T/shared-$TEE:/out" test sh -c \
        'cat /out/in >/out/copy; until [ -e /out/go ]; do sleep 0.1; done; cat /out/go >/out/last'
    check "... what is written inside is there while it runs" until_true 60 grep -qx one "$T/shared-$TEE/copy"
    echo two >"$T/shared-$TEE/go.new"
    mv "$T/shared-$TEE/go.new" "$T/shared-$TEE/go"
    same "... and the other way" "$(p wait v; cat "$T/shared-$TEE/last")" "$(printf '0\ntwo')"
    p rm v >/dev/null
    # A check of the image's own: by its timer there is none here (systemd), so podman is asked for it.
    check "$TEE: HEALTHCHECK" p run -d --name h --network none healthy sh -c 'until [ -e /tmp/go ]; do sleep 0.1; done; touch /tmp/well; sleep 1000'
    check "... the engine knows it" sh -c "[ \"\$(timeout 20 '$T/podman' inspect -f '{{.Config.Healthcheck.Retries}}' h)\" = 2 ]"
    status "... not well" 1 "$T/podman" healthcheck run h
    status "... not well, twice" 1 "$T/podman" healthcheck run h
    same "... so it is unhealthy" "$(p inspect -f '{{.State.Healthcheck.Status}}' h 2>/dev/null || p inspect -f '{{.State.Health.Status}}' h)" unhealthy
    check "... what helps it" p exec h touch /tmp/go
    check "... well" until_true 30 p healthcheck run h
    same "... so it is healthy" "$(p inspect -f '{{.State.Healthcheck.Status}}' h 2>/dev/null || p inspect -f '{{.State.Health.Status}}' h)" healthy
    p rm -f -t 0 h >/dev/null
done

# A pod: each container in an enclave of its own, one loopback. Podman's own pause needs no TEE.
TEE=sgx-sim
talks() { # CONTAINER: what it got of its neighbours
    local want='a page a page nobody '
    until_true 30 sh -c "[ \"\$(timeout 20 '$T/podman' logs $1 2>/dev/null | tr '\n' ' ')\" = '$want' ]"
}
ask='for u in localhost:8081 127.0.0.1:8082; do until wget -q -O - http://$u/; do sleep 0.3; done; done; wget -q -O - http://127.0.0.1:8083/ || echo nobody; sleep 1000'
check "pod create" p pod create --name pd
check "... one that listens on loopback" p run -d --pod pd --name a test httpd -f -p 127.0.0.1:8081 -h /www
check "... one that listens everywhere" p run -d --pod pd --name b test httpd -f -p 8082 -h /www
check "... one that asks them" p run -d --pod pd --name ask test sh -c "$ask"
check "they talk over localhost" talks ask || p logs ask | sed 's/^/#   /'
status "what listens on loopback is nowhere else" 1 python3 -c "import socket; socket.create_connection(('$(p inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(p pod inspect -f '{{.InfraContainerID}}' pd)")', 8081), 3)"
# Datagrams: the answers are those of a process beside, on this machine's loopback.
"$T/root/bin/net" echo 9053 >"$T/echo" &
echo=$!
"$T/root/bin/net" ask 9053 9054 >"$T/natively"
kill $echo
check "... UDP: one that echoes" p run -d --pod pd --name echo test net echo 9053
check "... UDP: what a client hears is as on Linux" sh -c "timeout 60 '$T/podman' run --rm --pod pd test net ask 9053 9054 >'$T/inside' && cmp '$T/natively' '$T/inside'" || diff "$T/natively" "$T/inside" | sed 's/^/#   /'
check "... UDP: a port that another container has" sh -c "timeout 60 '$T/podman' run -d --pod pd --name second test net echo 9053 && until timeout 20 '$T/podman' logs second | grep -qx 'listen 98'; do sleep 0.3; done"
p rm -f -t 0 echo second >/dev/null
infra=$(p inspect -f '{{.State.Pid}}' "$(p pod inspect -f '{{.InfraContainerID}}' pd)")
check "the pod's own process is small ($(awk '/^Pss:/ {print $2}' "/proc/$infra/smaps_rollup") KiB)" \
    sh -c "[ \$(awk '/^Pss:/ {print \$2}' /proc/$infra/smaps_rollup) -lt 3072 ]"
status "generate kube" 0 "$T/podman" generate kube pd
cp "$T/out" "$T/pod.yaml"
status "pod rm" 0 "$T/podman" pod rm -f -t 0 pd
status "play kube" 0 "$T/podman" play kube "$T/pod.yaml"
check "... they talk over localhost again" talks pd-ask || p logs pd-ask | sed 's/^/#   /'
status "play kube --down" 0 "$T/podman" play kube --down "$T/pod.yaml"
case $tees in *tdx-sim*)
    TEE=tdx-sim
    check "a machine in a pod" sh -c "timeout 60 '$T/podman' pod create --name vm && timeout 90 '$T/podman' run -d --pod vm --name m test httpd -f -p 80 -h /www"
    status "... alone" 126 "$T/podman" run -d --pod vm test sleep 100
    check "... as the message says" grep -q 'a pod holds one machine, or any number of enclaves' "$T/err"
    status "... pod rm" 0 "$T/podman" pod rm -f -t 0 vm
    # Several containers in one: those of the image that the annotation names.
    web='trap "echo term; exit 6" TERM; httpd -f -p 127.0.0.1:8081 -h /www & wait'
    ask='until wget -q -O - http://localhost:8081/; do sleep 0.3; done; cat; exit 4'
    check "an image of a pod" env SHELTER_BASE="$ROOT/build/base" "$SHELTER" build -q -t pair --allow exec --container "web=$T/root sh -c '$web'" --container "ask=$T/root sh -c '$ask'"
    in_pod() { echo "--pod one --annotation io.shelter.pod=pair --annotation io.shelter.container=$1"; }
    check "two containers in one machine" sh -c "timeout 60 '$T/podman' pod create --name one && timeout 90 '$T/podman' run -d $(in_pod web) --name web test sh -c '$web'"
    status "... the other's input, output and end" 4 sh -c "echo typed | timeout 60 '$T/podman' run -i --rm $(in_pod ask) test sh -c '$ask'"
    same "... they talk over localhost" "$(tr '\n' ' ' <"$T/out")" "a page typed "
    same "... one machine" "$(pgrep -fc "qemu-system.*$T/")" 1
    status "... exec" 3 "$T/podman" exec web sh -c 'cat /proc/1/comm; exit 3'
    same "... in the container" "$(cat "$T/out")" sh
    status "... another command" 126 "$T/podman" run --rm $(in_pod ask) test ls
    check "... is refused with the reason" grep -q 'which command runs' "$T/err"
    status "... stop" 0 "$T/podman" stop -t 10 web
    same "... its own status" "$(p wait web)" 6
    check "... start" p start web
    check "... it runs again" until_true 20 p exec web id
    status "... pod rm" 0 "$T/podman" pod rm -f -t 0 one
    check "... and the machine has gone" until_true 20 sh -c "[ \$(pgrep -fc '[q]emu-system.*$T/') = 0 ]" ;;
esac
nothing_left
