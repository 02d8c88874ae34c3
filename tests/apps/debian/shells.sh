# SPDX-License-Identifier: Apache-2.0
# Pipes, traps, background, here-documents, fifos, xargs: the same in three shells.
cat >/tmp/script <<'END'
trap "echo got USR1" USR1; kill -USR1 $$; echo after
cat <<EOF | tr a-z A-Z | sed s/HERE/THERE/
here doc $((1+2))
EOF
(sleep 0.2; echo background) & wait $!; echo status=$?
x=$(for i in 1 2 3; do echo $i; done | sort -r | tr "\n" ,); echo $x
trap "echo bye" EXIT
sh -c "exit 7"; echo $?
yes | head -n 3 | wc -l
seq 100000 | sort -n | tail -n 1
mkfifo /tmp/fifo; (echo through >/tmp/fifo &); cat /tmp/fifo
seq 40 | xargs -n 5 -P 4 echo | wc -l
END
for shell in bash dash "busybox sh"; do
    rm -f /tmp/fifo
    $shell /tmp/script >"/tmp/by $shell"
done
cat "/tmp/by bash"
cmp "/tmp/by bash" "/tmp/by dash" && cmp "/tmp/by bash" "/tmp/by busybox sh" && echo all the same
# prints:
# got USR1
# after
# THERE DOC 3
# background
# status=0
# 3,2,1,
# 7
# 3
# 100000
# through
# 8
# bye
# all the same
