#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# freeradius: accepts and refuses by radclient.
. tests/apps/lib.sh
need freeradius radclient
add "$(command -v freeradius)" /usr/sbin/freeradius
for f in /usr/lib/freeradius/*.so /usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so; do [ -e "$f" ] && add "$f"; done
add_all /usr/share/freeradius
mkdir -p "$R/etc/raddb" "$R/tmp/log"
cat >"$R/etc/raddb/radiusd.conf" <<'END'
prefix = /usr
libdir = /usr/lib/freeradius
logdir = /tmp
run_dir = /tmp
name = radiusd
max_requests = 1024
security {
    allow_core_dumps = no
}
client outside {
    ipaddr = 0.0.0.0/0
    secret = testing123
}
thread pool {
    start_servers = 2
    max_servers = 4
    min_spare_servers = 1
    max_spare_servers = 3
}
modules {
    pap { }
    files { usersfile = /etc/raddb/users }
}
server default {
    listen {
        type = auth
        ipaddr = *
        port = 1812
    }
    authorize {
        files
        pap
    }
    authenticate {
        Auth-Type PAP {
            pap
        }
    }
}
END
echo 'bob Cleartext-Password := "hello"' >"$R/etc/raddb/users"
image freeradius
start freeradius 1812/udp /usr/sbin/freeradius -f -l stdout -d /etc/raddb -D /usr/share/freeradius
ask() { echo "User-Name = bob, User-Password = $1" | timeout 10 radclient -t 2 -r 2 "127.0.0.1:$port" auth testing123 2>&1; }
check "freeradius: accepts" until_true 20 bash -c "echo 'User-Name = bob, User-Password = hello' | timeout 5 radclient -t 1 -r 1 127.0.0.1:$port auth testing123 | grep -q Access-Accept"
check "freeradius: refuses" bash -c "echo 'User-Name = bob, User-Password = wrong' | timeout 10 radclient -t 4 -r 1 127.0.0.1:$port auth testing123 2>&1 | grep -q Access-Reject"
same "freeradius: fifty" "$(for i in $(seq 50); do ask hello; done | grep -c Access-Accept)" 50
idle freeradius
finish_app freeradius 0
