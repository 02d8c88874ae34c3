#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# haproxy: a proxy to a server outside, with health checks, under load and with clients that vanish.
. tests/apps/lib.sh
need haproxy wrk curl nginx
add "$(command -v haproxy)" /usr/sbin/haproxy
back=$(free_port)
mkdir -p "$T/www"
head -c 20000 /dev/urandom >"$T/www/index.html"
cat >"$T/nginx.conf" <<END
daemon off; master_process off; error_log stderr crit; pid $T/nginx.pid;
events { worker_connections 4096; }
http { access_log off; server { listen 127.0.0.1:$back; root $T/www; } }
END
nginx -c "$T/nginx.conf" >/dev/null 2>&1 &
backend=$!
cleanup_hooks+=('kill $backend 2>/dev/null')
cat >"$R/etc/haproxy.cfg" <<END
global
    maxconn 2000
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend web
    bind :8080
    http-request return status 200 content-type text/plain lf-string "%[src]\n" if { path /who }
    default_backend servers
backend servers
    option httpchk GET /
    server one 10.0.2.2:$back check inter 500ms
END
# As its first process it would not be ended by the TERM that it sends itself.
BUILD_OPTIONS="--stop-signal USR1" image haproxy
RUN_OPTIONS="--network host-loopback" start haproxy 8080 /usr/sbin/haproxy -f /etc/haproxy.cfg -db
url=http://127.0.0.1:$port
check "haproxy: answers for the server" until_true 20 bash -c "curl -sf '$url/' | cmp - '$T/www/index.html'"
same "haproxy: the client's address" "$(curl -s "$url/who")" 10.0.2.2
wrk_ok "haproxy: 64 connections" "$url/" 4 64
before=$(descriptors)
for i in $(seq 200); do timeout 0.02 curl -s --limit-rate 100 "$url/" >/dev/null 2>&1; done
sleep 1
check "haproxy: clients that vanish leave nothing" [ "$(descriptors)" -le $((before + 8)) ]
check "haproxy: and it answers" curl -sf "$url/" -o /dev/null
idle haproxy
kill $backend
wait $backend 2>/dev/null
check "haproxy: sees that the server is gone" until_true 10 bash -c "curl -s -o /dev/null -w '%{http_code}' '$url/' | grep -q 503"
finish_app haproxy 0
