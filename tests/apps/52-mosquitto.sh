#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mosquitto: a broker, subscribers and publishers.
. tests/apps/lib.sh
need mosquitto mosquitto_pub mosquitto_sub
add "$(command -v mosquitto)" /usr/sbin/mosquitto
printf 'listener 1883 0.0.0.0\nallow_anonymous true\nuser root\npersistence false\n' >"$R/etc/mosquitto.conf"
image mosquitto
start mosquitto 1883 /usr/sbin/mosquitto -c /etc/mosquitto.conf
check "mosquitto: takes a message" until_true 20 mosquitto_pub -h 127.0.0.1 -p "$port" -t a -m x
for i in $(seq 10); do
    timeout 20 mosquitto_sub -h 127.0.0.1 -p "$port" -t news -C 50 -q 1 >"$T/sub.$i" &
done
sleep 1
seq 50 | mosquitto_pub -h 127.0.0.1 -p "$port" -t news -l -q 1
wait
same "mosquitto: ten subscribers hear all of 50" "$(cat "$T"/sub.* | wc -l)" 500
idle mosquitto
finish_app mosquitto 0
