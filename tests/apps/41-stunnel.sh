#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# stunnel: TLS in front of a server outside; it logs who came.
. tests/apps/lib.sh
need stunnel4 curl openssl
add "$(readlink -f "$(command -v stunnel4)")" /usr/bin/stunnel4
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout "$T/key" -out "$T/cert" 2>/dev/null
cat "$T/key" "$T/cert" >"$R/etc/stunnel.pem"
mkdir "$T/www"
echo hello >"$T/www/index.html"
back=$(free_port)
python3 -m http.server -d "$T/www" -b 127.0.0.1 "$back" >/dev/null 2>&1 &
backend=$!
cleanup_hooks+=('kill $backend 2>/dev/null')
cat >"$R/etc/stunnel.conf" <<END
foreground = yes
debug = 5
pid =
[web]
accept = 0.0.0.0:4443
connect = 10.0.2.2:$back
cert = /etc/stunnel.pem
END
image stunnel
RUN_OPTIONS="--network host-loopback" start stunnel 4443 /usr/bin/stunnel4 /etc/stunnel.conf
check "stunnel: TLS" until_true 20 bash -c "[ \"\$(curl -sk https://127.0.0.1:$port/)\" = hello ]"
same "stunnel: twenty at once" "$(for i in $(seq 20); do curl -sk "https://127.0.0.1:$port/" & done | grep -c hello; wait $(jobs -p | grep -v "^$backend$"))" 20
"$SHELTER" logs stunnel >"$T/log" 2>&1
check "stunnel: logs the client's address" grep -q 'connection from 10.0.2.2:' "$T/log"
idle stunnel
finish_app stunnel 0
