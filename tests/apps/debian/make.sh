# SPDX-License-Identifier: Apache-2.0
# make -j4 with gcc.
mkdir /tmp/p; cd /tmp/p
for i in $(seq 12); do echo "int f$i(void) { return $i; }" >f$i.c; done
{ for i in $(seq 12); do echo "int f$i(void);"; done; echo '#include <stdio.h>'; echo 'int main(void) { printf("%d\n", 0'; for i in $(seq 12); do echo "+ f$i()"; done; echo '); }'; } >m.c
printf 'p: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tgcc -o $@ $^\n' >Makefile
make -s -j4 && ./p
# prints:
# 78
