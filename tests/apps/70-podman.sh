#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# podman with shelter-runtime, in enclaves and in machines: what a user of podman does every day.
. tests/apps/podman_lib.sh
for TEE in $tees; do
    status "$TEE: run: the exit status" 7 "$T/podman" run --rm --network none test sh -c 'echo out; exit 7'
    same "$TEE: run: the output" "$(cat "$T/out")" out
    same "$TEE: run -i" "$(echo hello | p run --rm -i --network none test cat 2>/dev/null)" hello
    status "$TEE: --user, --workdir, --hostname, -e" 0 "$T/podman" run --rm --network none --user 12:34 -w /www --hostname abc -e A=b test sh -c 'echo $(id -u) $(id -g) $(pwd) $(hostname) $A'
    same "... are what the program has" "$(cat "$T/out")" "12 34 /www abc b"
    status "$TEE: --memory, --cpus" 0 "$T/podman" run --rm --network none --memory 128m --cpus 2 test sh -c 'while read -r k v u; do [ "$k" = MemTotal: ] && echo $((v / 1024)); done </proc/meminfo; true'
    check "... are what the program has" sh -c "[ \$(cat '$T/out') -le 128 ]"
    status "$TEE: --entrypoint" 0 "$T/podman" run --rm --network none --entrypoint /bin/echo test entry
    same "... runs it" "$(cat "$T/out")" entry
    # What engines bring as files: copied in.
    echo 'of the host' >"$T/file"
    mkdir -p "$T/folder/..data" && echo key >"$T/folder/..data/key" && ln -sf ..data/key "$T/folder/key"
    status "$TEE: -v FILE, -v FOLDER:ro" 0 "$T/podman" run --rm --network none -v "$T/file:/etc/file" -v "$T/folder:/etc/config:ro" test sh -c 'cat /etc/file /etc/config/key'
    same "... are there" "$(tr '\n' ' ' <"$T/out")" "of the host key "
    printf s3cret | p secret create "s$TEE" - >"$T/out"
    status "$TEE: --secret" 0 "$T/podman" run --rm --network none --secret "s$TEE" --user 12:34 test cat "/run/secrets/s$TEE"
    same "... is there" "$(cat "$T/out")" s3cret
    status "$TEE: --add-host" 0 "$T/podman" run --rm --network none --hostname abc --add-host far:10.9.8.7 test cat /etc/hosts
    check "... is in /etc/hosts" grep -q '^10.9.8.7.*far' "$T/out"
    status "$TEE: --tmpfs" 0 "$T/podman" run --rm --network none --tmpfs /scratch:size=1m,mode=0700 test sh -c 'echo x >/scratch/y && ls -ld /scratch'
    check "... is there" grep -q '^drwx------' "$T/out"
    if [ -x /usr/libexec/podman/catatonit ]; then
        status "$TEE: --init" 5 "$T/podman" run --rm --network none --init test sh -c 'exit 5'
    else skip "$TEE: --init: no catatonit"; fi
    status "$TEE: a program that is not there" 127 "$T/podman" run --rm --network none test nosuch
    status "$TEE: a program that is none" 126 "$T/podman" run --rm --network none test /www/index.html
    if status "$TEE: run -d -p" 0 "$T/podman" run -d --name w -p "127.0.0.1:$port:80" test sh -c 'echo started; exec httpd -f -p 80 -h /www' | grep '^ok'; then
        check "... answers" until_true 30 get
        same "... with the page" "$(get)" "a page"
        check "$TEE: logs" sh -c "timeout 30 $T/podman logs w 2>/dev/null | grep -qx started"
        check "$TEE: ps" sh -c "timeout 30 $T/podman ps --format '{{.Names}} {{.Status}}' | grep -q '^w Up'"
        check "$TEE: stats" sh -c "timeout 30 $T/podman stats --no-stream --format '{{.MemUsage}}' w | grep -qE '[0-9]+(\.[0-9]+)?MB'"
        if p exec w true 2>&1 | grep -q 'cannot run further programs'; then skip "$TEE: exec: not in enclaves yet"; else
            status "$TEE: exec" 3 "$T/podman" exec w sh -c 'echo inside; exit 3'
            same "... its output" "$(cat "$T/out")" inside
        fi
        if status "$TEE: pause" 0 "$T/podman" pause w | grep '^ok'; then
            status "$TEE: unpause" 0 "$T/podman" unpause w
            same "... answers again" "$(get)" "a page"
        fi
        status "$TEE: kill" 0 "$T/podman" kill w
        same "$TEE: wait" "$(p wait w)" 137
        status "$TEE: start again" 0 "$T/podman" start w
        check "... answers" until_true 30 get
        status "$TEE: rm -f" 0 "$T/podman" rm -f -t 0 w
    fi
done
nothing_left
