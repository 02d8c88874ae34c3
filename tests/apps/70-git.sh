#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# git as Debian ships it: a repository is made, cloned, packed and checked by its own programs.
. tests/apps/lib.sh
need git busybox
for p in git; do add "$(command -v $p)" /usr/bin/$p; done
EXEC=$(git --exec-path)
add_all "$EXEC"
add_all /usr/share/git-core/templates
add "$(command -v busybox)" /bin/busybox
for a in sh cat ls seq rm mkdir env sed grep wc; do ln -sf busybox "$R/bin/$a"; done
cat >"$R/bin/work" <<'END'
#!/bin/sh
set -e
export HOME=/tmp PATH=/usr/bin:/bin GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
git config --global user.email a@b.c
git config --global user.name A
git init -q -b main /tmp/r
cd /tmp/r
i=0
while [ $i -lt 20 ]; do
    seq $i 1000 >f$((i % 5))
    git add .
    git commit -q -m "change $i"
    i=$((i + 1))
done
git clone -q /tmp/r /tmp/clone
cd /tmp/clone
git gc -q --aggressive
git fsck --full
git log --oneline | wc -l
git rev-parse HEAD
END
chmod 755 "$R/bin/work"
mkdir -p "$T/n"
image git
status "git: init, commit, clone, gc, fsck" 0 timeout -k 5 120 "$SHELTER" run --rm --tee sgx-sim -m 1G git /bin/work
got=$(cat "$T/out")
# The same natively, in a folder of its own.
sed "s#/tmp#$T/n#g; s#^export .*#export HOME=$T/n GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'#" "$R/bin/work" >"$T/work"
status "git: natively" 0 sh "$T/work"
same "git: the same commits" "$got" "$(cat "$T/out")"
