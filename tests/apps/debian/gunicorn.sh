# SPDX-License-Identifier: Apache-2.0
# Four workers; one that is killed is replaced; a reload.
mkdir /tmp/app; cd /tmp/app
printf 'import os\ndef app(e, s):\n    s("200 OK", [("Content-Type", "text/plain")])\n    return [b"%%d\\n" %% os.getpid()]\n' >app.py
gunicorn -w 4 -b 127.0.0.1:8001 -D -p /tmp/pid --log-file /tmp/log app:app
for _ in $(seq 300); do [ "$(grep -c 'Booting worker' /tmp/log)" = 4 ] && break; sleep 0.1; done
for _ in $(seq 60); do curl -s http://127.0.0.1:8001/; done | sort -u | wc -l | sed 's/[1-4]/some/'
kill -9 "$(curl -s http://127.0.0.1:8001/)"
for _ in $(seq 300); do [ "$(grep -c 'Booting worker' /tmp/log)" = 5 ] && break; sleep 0.1; done
grep -c 'Booting worker' /tmp/log
kill -HUP "$(cat /tmp/pid)"
for _ in $(seq 300); do [ "$(grep -c 'Booting worker' /tmp/log)" = 9 ] && break; sleep 0.1; done
curl -s http://127.0.0.1:8001/ | grep -c .
p=$(cat /tmp/pid); kill "$p"
for _ in $(seq 100); do kill -0 "$p" 2>/dev/null || break; sleep 0.1; done; echo $?
# prints:
# some
# 5
# 1
# 0
