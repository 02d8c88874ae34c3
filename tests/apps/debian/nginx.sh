# SPDX-License-Identifier: Apache-2.0
# Master and four workers, a reload, an upgrade of the program by USR2.
mkdir -p /var/log/nginx /var/lib/nginx
echo 'worker_processes 4; pid /tmp/pid; error_log /tmp/err; user www-data;
events {} http { access_log off; server { listen 8080; location / { return 200 "$pid\n"; } } }' >/tmp/conf
get() { curl -s http://127.0.0.1:8080/; }
until_ok() { for _ in $(seq 100); do "$@" && return; sleep 0.1; done; echo "not: $*"; }
/usr/sbin/nginx -c /tmp/conf
until_ok get >/dev/null
master=$(cat /tmp/pid)
for c in /proc/[0-9]*/stat; do cut -d' ' -f4 "$c" 2>/dev/null; done | grep -cx "$master"
old=$(get); kill -HUP "$master"
gone() { ! kill -0 "$1" 2>/dev/null; }
until_ok gone "$old"; [ "$(get)" != "$old" ] && echo reloaded
kill -USR2 "$master"; until_ok test -s /tmp/pid.oldbin
kill -QUIT "$master"; until_ok gone "$master"
[ "$(cat /tmp/pid)" != "$master" ] && get | grep -c . && echo upgraded
new=$(cat /tmp/pid); kill -QUIT "$new"; until_ok gone "$new"
# prints:
# 4
# reloaded
# 1
# upgraded
