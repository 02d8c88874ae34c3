#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nginx as it is installed: a master and two workers, which share a listener or have one each.
. tests/apps/lib.sh
need nginx wrk curl
add "$(command -v nginx)" /usr/sbin/nginx
mkdir -p "$R/etc/nginx" "$R/www" "$R/var/lib/nginx" "$R/var/log/nginx"
cp /etc/nginx/mime.types "$R/etc/nginx/"
echo hello >"$R/www/index.html"
cat >"$R/etc/nginx/nginx.conf" <<'END'
daemon off;
user root;
worker_processes 2;
error_log stderr warn;
pid /tmp/nginx.pid;
events { worker_connections 1024; }
http {
    include /etc/nginx/mime.types;
    access_log off;
    server { listen 8080; root /www; location /pid { return 200 "$pid\n"; } }
    server { listen 8081 reuseport; root /www; location /pid { return 200 "$pid\n"; } }
}
END
image nginx
start nginx 8080,8081 /usr/sbin/nginx -c /etc/nginx/nginx.conf
for p in "${ports[@]}"; do
    url=http://127.0.0.1:$p
    check "nginx workers: answer" until_true 20 curl -sf "$url/"
    wrk_ok "nginx workers: 32 connections" "$url/" 3 32
done
same "nginx workers: both serve a listener of their own" "$(for i in $(seq 40); do curl -s "http://127.0.0.1:${ports[1]}/pid"; done | sort -u | wc -l)" 2
idle nginx
finish_app nginx 0
