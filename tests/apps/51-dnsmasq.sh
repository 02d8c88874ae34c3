#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# dnsmasq: binds to each of its interfaces, answers and forwards.
. tests/apps/lib.sh
need dnsmasq dig
add "$(command -v dnsmasq)" /usr/sbin/dnsmasq
image dnsmasq
start dnsmasq 5353/udp,5353 /usr/sbin/dnsmasq -k --log-facility=- --user=root -p 5353 --no-resolv --no-hosts \
    --address=/host.test/192.0.2.78 --bind-dynamic --pid-file
check "dnsmasq: over UDP" until_true 20 bash -c "[ \"\$(dig +short +time=1 +tries=1 @127.0.0.1 -p ${ports[0]} host.test)\" = 192.0.2.78 ]"
same "dnsmasq: over TCP" "$(dig +short +time=2 +tries=2 @127.0.0.1 -p "${ports[1]}" +tcp host.test)" 192.0.2.78
idle dnsmasq
finish_app dnsmasq 0
