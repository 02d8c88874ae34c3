# SPDX-License-Identifier: Apache-2.0
# Job control of bash on a terminal, coprocesses, process substitution.
cat >/tmp/e <<'END'
log_user 0
set timeout 20
spawn bash --norc
send "PS1='> '\r"
expect "> '"
send "sleep 100\r"
after 500
send "\032"
expect "Stopped"
send "bg; jobs\r"
expect "Running"
send "fg\r"
after 500
send "\003"
after 300
send "echo s=\$?\r"
expect "s=130"
send "exit\r"
expect eof
puts "job control"
END
expect /tmp/e
coproc cat; echo hi >&${COPROC[1]}; read -r -u ${COPROC[0]} l; echo coproc $l; exec {COPROC[1]}>&-; wait
cat <(echo one) <(echo two)
set -m; sleep 50 & kill %1; wait %1; echo $?
# prints:
# job control
# coproc hi
# one
# two
# 143
