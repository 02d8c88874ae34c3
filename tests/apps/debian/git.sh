# SPDX-License-Identifier: Apache-2.0
git config --global user.email a@b.c; git config --global user.name A
git init -q -b main /tmp/r; cd /tmp/r
for i in $(seq 20); do seq "$i" 1000 >f$((i % 5)); git add .; git commit -q -m "change $i"; done
git clone -q /tmp/r /tmp/c; cd /tmp/c; git gc -q --aggressive; git fsck --full 2>/dev/null; git log --oneline | wc -l
# prints:
# 20
