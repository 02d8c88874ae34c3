#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# libshelter-verify as others use it: installed, found by pkg-config, linked both ways, from threads.
. tests/e2e/lib.sh
make_evidence=$ROOT/build/tests/make_evidence
[ -x "$make_evidence" ] || { skip "verify-library: build/tests/make_evidence is not built"; exit 0; }
check "make install-verify" make -s install-verify DESTDIR="$T/root" PREFIX=/usr
export PKG_CONFIG_LIBDIR=$T/root/usr/lib/pkgconfig:$(pkg-config --variable pc_path pkg-config)
export PKG_CONFIG_SYSROOT_DIR=$T/root
cat >"$T/user.c" <<'EOF'
#include <pthread.h>
#include <shelter/verify.h>
#include <stdio.h>
#include <stdlib.h>
static struct shelter_verify_request rq;
static void *judge(void *out)
{
    for (int i = 0; i < 50; i++) {
        struct shelter_verdict *v;
        if (shelter_verify(&rq, &v))
            return NULL;
        *(int *)out += shelter_verdict_accepted(v);
        shelter_verdict_free(v);
    }
    return NULL;
}
static void *slurp(const char *path, size_t *size)
{
    char *data = malloc(1 << 20);
    FILE *f = fopen(path, "rb");
    *size = f ? fread(data, 1, 1 << 20, f) : 0;
    if (f)
        fclose(f);
    return data;
}
int main(int argc, char **argv)
{
    struct shelter_collateral *col;
    pthread_t thread[4];
    int accepted[4] = {0}, sum = 0;
    char why[256];
    rq.evidence = slurp(argv[1], &rq.evidence_size);
    rq.ca = slurp(argv[3], &rq.ca_size);
    rq.time = atoll(argv[4]);
    if (shelter_collateral_load(argv[2], rq.ca, rq.ca_size, &col, why, sizeof(why)))
        return 1;
    rq.collateral = col;
    for (int i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, judge, &accepted[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        sum += accepted[i];
    }
    shelter_collateral_free(col);
    printf("%d\n", sum);
    return 0;
}
EOF
mkdir "$T/tdx"
"$make_evidence" tdx15 "$T/tdx"
run="$T/tdx/quote.bin $T/tdx $T/tdx/root.pem $(date +%s)"
check "links with the shared library" gcc -Wall -Werror -o "$T/user" "$T/user.c" \
    $(pkg-config --cflags --libs shelter-verify) -pthread
same "four threads, one collateral, shared library" \
    "$(LD_LIBRARY_PATH=$T/root/usr/lib timeout 60 "$T/user" $run)" 200
check "links with the static library" gcc -Wall -Werror -o "$T/user-static" "$T/user.c" \
    -I"$T/root/usr/include" "$T/root/usr/lib/libshelter-verify.a" \
    $(PKG_CONFIG_SYSROOT_DIR='' pkg-config --libs libcrypto libcurl libcjson) -pthread
same "four threads, one collateral, static library" "$(timeout 60 "$T/user-static" $run)" 200
same "only the public names are exported" \
    "$(nm -D --defined-only "$T/root/usr/lib/libshelter-verify.so" | awk '{print $3}' | grep -vc '^shelter_')" 0
status "a C++ compiler takes the header" 0 sh -c \
    'command -v g++ >/dev/null || exit 0; echo "#include <shelter/verify.h>" | g++ -Wall -Werror -fsyntax-only -x c++ -I"$1" -' sh "$T/root/usr/include"
