#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nginx: keep-alive and PUT under wrk, 20,000 short connections, 10,000 idle ones beside 100 busy ones.
. tests/apps/lib.sh
need nginx wrk curl busybox
add "$(command -v nginx)" /usr/sbin/nginx
add "$(command -v busybox)" /bin/busybox
mkdir -p "$R/etc/nginx" "$R/www" "$R/var/lib/nginx" "$R/var/log/nginx"
cp /etc/nginx/mime.types "$R/etc/nginx/"
head -c 100000 /dev/urandom >"$R/www/big"
echo hello >"$R/www/index.html"
cat >"$R/etc/nginx/nginx.conf" <<'END'
daemon off;
master_process off;
error_log stderr warn;
pid /tmp/nginx.pid;
events { worker_connections 16384; use epoll; }
worker_rlimit_nofile 20000;
http {
    include /etc/nginx/mime.types;
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path /tmp/body;
    server {
        listen 8080 reuseport;
        root /www;
        location /put/ { root /tmp; dav_methods PUT DELETE; create_full_put_path on; client_max_body_size 64m; }
        location /whoami { return 200 "$remote_addr $server_addr\n"; }
    }
}
END
image nginx
start nginx 8080 /bin/busybox sh -c 'ulimit -n 20000; exec nginx -c /etc/nginx/nginx.conf'
url=http://127.0.0.1:$port
check "nginx: answers" until_true 20 curl -sf "$url/"
same "nginx: the client's address and its own" "$(curl -s "$url/whoami")" "10.0.2.2 10.0.2.15"
check "nginx: keep-alive, three requests on a connection" bash -c "curl -sv '$url/' '$url/big' '$url/' -o '$T/1' -o '$T/2' -o '$T/3' 2>&1 | grep -c 'Re-using existing connection' | grep -qx 2"
check "nginx: a large file" cmp "$T/2" "$R/www/big"
wrk_ok "nginx: 32 keep-alive connections" "$url/" 4 32
wrk_ok "nginx: 200 keep-alive connections, 100 kB" "$url/big" 4 200
before=$(descriptors)
python3 tests/apps/clients.py short "$port" 20000 >"$T/out" 2>&1
same "nginx: 20,000 short connections" "$(cat "$T/out")" "20000 answered"
sleep 1
python3 tests/apps/clients.py odd "$port" 100 100000 >"$T/out" 2>&1
same "nginx: slow readers, half-closed, resets, silent ones" "$(cat "$T/out")" "100 of each"
memory() { awk '/VmRSS/ { print int($2 / 1024) }' "/proc/$(loader_pid)/status"; }
grown=$(memory)
python3 tests/apps/clients.py short "$port" 5000 >/dev/null 2>&1
sleep 1
check "nginx: 5,000 more cost no memory" [ $(($(memory) - grown)) -le 4 ]
check "nginx: and no descriptor is left" [ "$(descriptors)" -le $((before + 8)) ]
head -c 3000000 /dev/urandom >"$T/body"
check "nginx: PUT" curl -sf -T "$T/body" "$url/put/a/body"
check "nginx: what was PUT" bash -c "curl -s '$url/put/a/body' | cmp - '$T/body'"
printf 'wrk.method = "PUT"\nwrk.body = string.rep("x", 20000)\nlocal n = 0\nrequest = function() n = n + 1 return wrk.format(nil, "/put/" .. (n %% 50)) end\n' >"$T/put.lua"
wrk_ok "nginx: PUT of 20 kB, 32 connections" "$url/put/x" 4 32 "$T/put.lua"
python3 tests/apps/clients.py idle "$port" 9900 6 >"$T/out" 2>&1 &
clients=$!
until_true 20 bash -c "[ \$(ls /proc/$(loader_pid)/fd | wc -l) -gt 9000 ]"
wrk_ok "nginx: 100 busy connections beside 9,900 idle ones" "$url/" 3 100
wait $clients
same "nginx: the idle ones are answered at last" "$(cat "$T/out")" "9900 answered"
idle nginx
finish_app nginx 0
