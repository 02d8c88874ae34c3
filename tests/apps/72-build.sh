#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make -j4 of a small C project with gcc, all of it in one enclave; what it builds runs there.
. tests/apps/lib.sh
need gcc make as ld busybox
GCC=$(PATH=/usr/bin:$PATH command -v gcc) # not a compiler cache that stands before it in the path
add "$GCC" /usr/bin/gcc
for p in make as ld; do add "$(command -v $p)" /usr/bin/$p; done
D=$(dirname "$(gcc -print-file-name=cc1)")
for p in cc1 collect2; do add "$(gcc -print-prog-name=$p)" "$D/$p"; done
for f in liblto_plugin.so crtbegin.o crtend.o crtbeginS.o crtendS.o libgcc.a libgcc_s.so; do cp -L "$D/$f" "$R$D/" 2>/dev/null; done
cp -rL "$D/include" "$R$D/"
L=/usr/lib/x86_64-linux-gnu
mkdir -p "$R$L" "$R/usr/include"
cp -L $L/crt1.o $L/Scrt1.o $L/crti.o $L/crtn.o $L/libc.so $L/libc_nonshared.a "$R$L/"
cp -rL /usr/include/. "$R/usr/include/" 2>/dev/null
for l in /lib/x86_64-linux-gnu/libc.so.6 /lib64/ld-linux-x86-64.so.2 /lib/x86_64-linux-gnu/libgcc_s.so.1 /lib/x86_64-linux-gnu/libmvec.so.1; do
    [ -e "$R$l" ] || { mkdir -p "$R$(dirname "$l")" && cp -L "$l" "$R$l"; }
done
add "$(command -v busybox)" /bin/busybox
for a in sh cat ls seq rm mkdir; do ln -sf busybox "$R/bin/$a"; done
mkdir -p "$R/project"
for i in $(seq 16); do printf '#include <stdio.h>\n#include <stdlib.h>\nint f%d(int x) { return x * %d + (int)strtol("1", NULL, 10) - 1; }\n' "$i" "$i" >"$R/project/f$i.c"; done
{
    echo '#include <stdio.h>'
    for i in $(seq 16); do echo "int f$i(int);"; done
    echo 'int main(void) { int s = 0;'
    for i in $(seq 16); do echo "s += f$i(2);"; done
    echo 'printf("%d\n", s); return 0; }'
} >"$R/project/main.c"
printf 'OBJ := $(patsubst %%.c,%%.o,$(wildcard *.c))\nprogram: $(OBJ)\n\tgcc -o $@ $^\n%%.o: %%.c\n\tgcc -O2 -c -o $@ $<\n' >"$R/project/Makefile"
printf '#!/bin/sh\nset -e\nexport PATH=/usr/bin:/bin\nmkdir /tmp/p\ncat /project/Makefile >/tmp/p/Makefile\nfor f in /project/*.c; do cat $f >/tmp/p/${f##*/}; done\ncd /tmp/p\nmake -s -j4\n./program\n' >"$R/bin/work"
chmod 755 "$R/bin/work"
image build
status "build: make -j4 with gcc" 0 timeout -k 5 200 "$SHELTER" run --rm --tee sgx-sim -m 2G build /bin/work
same "build: the program's answer" "$(cat "$T/out")" 272
[ -s "$T/err" ] && tail -n 8 "$T/err" | sed 's/^/# /'
