# SPDX-License-Identifier: Apache-2.0
# A login by a key: a command, a terminal, four at once, scp.
mkdir -p /run/sshd /root/.ssh; chmod 700 /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id; cp /root/.ssh/id.pub /root/.ssh/authorized_keys; ssh-keygen -A >/dev/null
/usr/sbin/sshd -p 2222 -o PidFile=/tmp/sshd.pid -E /tmp/sshd.log; sleep 1
o="-i /root/.ssh/id -o StrictHostKeyChecking=no -o BatchMode=yes -o LogLevel=ERROR"
timeout 60 ssh -p 2222 $o root@127.0.0.1 'id -un'; echo $?
timeout 60 ssh -p 2222 $o -tt root@127.0.0.1 'tty | cut -c1-9; exit 5' </dev/null | tr -d '\r'; echo ${PIPESTATUS[0]}
head -c 3000000 /dev/urandom >/tmp/a; timeout 60 scp -q -P 2222 $o /tmp/a root@127.0.0.1:/tmp/b; cmp /tmp/a /tmp/b && echo copied
for i in 1 2 3 4; do timeout 60 ssh -p 2222 $o root@127.0.0.1 "echo $i" & done | sort
kill "$(cat /tmp/sshd.pid)"
# prints:
# root
# 0
# /dev/pts/
# 5
# copied
# 1
# 2
# 3
# 4
