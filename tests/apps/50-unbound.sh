#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# unbound: answers over UDP and TCP, with its access control; its own interfaces found by itself.
. tests/apps/lib.sh
need unbound dig
add "$(command -v unbound)" /usr/sbin/unbound
cat >"$R/etc/unbound.conf" <<'END'
server:
    interface-automatic: no
    interface: 0.0.0.0@5353
    interface: ::0@5353
    access-control: 10.0.2.0/24 allow
    access-control: 0.0.0.0/0 refuse
    do-daemonize: no
    username: ""
    chroot: ""
    pidfile: ""
    directory: "/tmp"
    use-syslog: no
    num-threads: 2
    local-zone: "test." static
    local-data: "host.test. IN A 192.0.2.77"
    local-data: 'big.test. IN TXT "XXXX"'
END
sed -i "s/XXXX/$(printf 'x%.0s' $(seq 250))/" "$R/etc/unbound.conf"
image unbound
start unbound 5353/udp,5353 /usr/sbin/unbound -d -c /etc/unbound.conf
ask() { dig +short +time=2 +tries=2 @127.0.0.1 "$@"; }
check "unbound: over UDP" until_true 20 bash -c "[ \"\$(dig +short +time=1 +tries=1 @127.0.0.1 -p ${ports[0]} host.test)\" = 192.0.2.77 ]"
same "unbound: over TCP" "$(ask -p "${ports[1]}" +tcp host.test)" 192.0.2.77
same "unbound: a longer answer" "$(ask -p "${ports[0]}" big.test txt | wc -c)" 253
lost=0
for i in $(seq 200); do [ "$(ask -p "${ports[0]}" host.test)" = 192.0.2.77 ] || lost=$((lost + 1)); done
same "unbound: none of 200 lost" $lost 0
idle unbound
finish_app unbound 0
