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
same "pkg-config --cflags needs no other package" "$(PKG_CONFIG_LIBDIR=$T/root/usr/lib/pkgconfig pkg-config --cflags shelter-verify 2>&1 | grep -c 'not found')" 0
example=(env "LD_LIBRARY_PATH=$T/root/usr/lib" python3 "$T/root/usr/share/doc/shelter/examples/verify.py")
status "the installed Python example accepts" 0 "${example[@]}" "$T/tdx/quote.bin" "$T/tdx" "$T/tdx/root.pem"
check "and prints the verdict" grep -q '"tcb_status": "UpToDate"' "$T/out"
status "and rejects a root that is not named" 1 "${example[@]}" "$T/tdx/quote.bin" "$T/tdx"
# Callers of other versions, by the size of what they know.
cat >"$T/sizes.c" <<'EOC'
#include <errno.h>
#include <shelter/verify.h>
#include <string.h>
int main(void)
{
    struct {
        struct shelter_verify_request rq;
        unsigned char later[16];
    } all;
    struct shelter_verdict *v;
    size_t known = sizeof(all.rq), sizes[] = {0, known, known + 8, 8, known - 64, 5000};
    int want[] = {0, 0, 0, -EINVAL, -EINVAL, -EINVAL};
    for (int i = 0; i < 6; i++) {
        memset(&all, 0, sizeof(all));
        all.rq.evidence = "x";
        all.rq.evidence_size = 1;
        all.rq.size = sizes[i];
        if (shelter_verify(&all.rq, &v) != want[i])
            return 10 + i;
        if (!want[i])
            shelter_verdict_free(v);
    }
    all.rq.size = known + 8; /* with a member set that this library does not know */
    all.later[3] = 1;
    return shelter_verify(&all.rq, &v) == -EINVAL ? 0 : 20;
}
EOC
check "a program with structures of other sizes" gcc -Wall -Werror -o "$T/sizes" "$T/sizes.c" $(pkg-config --cflags --libs shelter-verify)
status "sizes of structures" 0 env LD_LIBRARY_PATH="$T/root/usr/lib" "$T/sizes"
status "a C++ compiler takes the header" 0 sh -c \
    'command -v g++ >/dev/null || exit 0; echo "#include <shelter/verify.h>" | g++ -Wall -Werror -fsyntax-only -x c++ -I"$1" -' sh "$T/root/usr/include"

# --- RA-TLS: the example, the callback and the command against a running server ---
mkdir "$T/ra"
"$make_evidence" ra-tls "$T/ra"
check "the example builds against what is installed" gcc -Wall -Wextra -Wno-unused-parameter -Werror \
    -o "$T/client" examples/ra-tls/client.c $(pkg-config --cflags --libs shelter-verify) -lssl -lcrypto
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
openssl s_server -accept "127.0.0.1:$port" -cert "$T/ra/key-and-cert.pem" -key "$T/ra/key-and-cert.pem" -www >/dev/null 2>&1 </dev/null &
server=$!
cleanup_hooks+=("kill $server 2>/dev/null")
until_true 10 sh -c "exec 3<>/dev/tcp/127.0.0.1/$port" || until_true 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
reference() { printf '{"references":[{"tee":"tdx","measurement":{"mrtd":"%s","rtmr1":"%096d","rtmr2":"%096d"}}]}' "$(printf "$1%.0s" $(seq 48))" 0 0; }
reference 11 >"$T/right.json"
reference 12 >"$T/wrong.json"
client() { LD_LIBRARY_PATH=$T/root/usr/lib timeout 30 "$T/client" 127.0.0.1 "$port" "$@"; }
same "an attested server is talked to" "$(client "$T/right.json" "$T/ra" "$T/ra/root.pem" | tail -n 1 | grep -c '^HTTP/1.0 200')" 1
same "another measurement: nothing is said to it" "$(client "$T/wrong.json" "$T/ra" "$T/ra/root.pem")" \
    "refused: the measurement is none of the reference values"
same "a root that is not named" "$(client "$T/right.json" "$T/ra")" \
    "refused: the chain ends in a root that is not trusted"
tls() { status "$1" "$2" "$SHELTER" attest --tls "127.0.0.1:$port" --collateral "$T/ra" --ca "$T/ra/root.pem" "${@:3}"; }
tls "attest --tls: accepted" 0 --reference "$T/right.json"
tls "attest --tls: another measurement" 1 --reference "$T/wrong.json"
tls "attest --tls: the nonce of its claims" 0 --nonce "$(printf 'a nonce' | od -An -tx1 | tr -d ' \n')"
tls "attest --tls: another nonce" 1 --nonce 00
check "attest --tls: and says so" grep -q ra-tls-nonce "$T/out"
status "attest --tls: nobody there" 2 "$SHELTER" attest --tls 127.0.0.1:1 --collateral "$T/ra"
one_line "attest --tls: nobody there: told" "connect"
# A GPU beside it signs what the TEE binds, the digest of the claims; with --nonce too.
gpu() { # FILE, the data in hex that it signs: a GPU of its own each time
    PYTHONPATH=tests/e2e python3 - "$T/gpu" "$1" "$2" <<'EOP'
import sys
from broker_gpu import Gpu
open(sys.argv[2], "w").write(Gpu(sys.argv[1]).evidence(bytes.fromhex(sys.argv[3])[:32]))
EOP
    cat "$T/ra/root.pem" "$T/gpu/root.pem" >"$T/gpu/both.pem"
}
beside() { # NAME STATUS GPU's evidence, further arguments
    status "$1" "$2" "$SHELTER" verify --tls "127.0.0.1:$port" --collateral "$T/ra" --ca "$T/gpu/both.pem" --policy "$T/gpu.json" \
        --additional-evidence "$3" --json "${@:4}"
}
echo '{"nvidia":{"require_rim":false}}' >"$T/gpu.json"
digest=$("$SHELTER" verify --tls "127.0.0.1:$port" --collateral "$T/ra" --ca "$T/ra/root.pem" --json | python3 -c \
    'import json, sys; print(json.load(sys.stdin)["claims"]["report_data"])')
gpu "$T/gpu-here" "$digest"
beside "verify --tls: a GPU beside it" 0 "$T/gpu-here"
beside "verify --tls: ... and the nonce of its claims" 0 "$T/gpu-here" --nonce "$(printf 'a nonce' | od -An -tx1 | tr -d ' \n')"
gpu "$T/gpu-other" "$(printf '%0128d' 0)"
beside "verify --tls: a GPU that signed something else" 1 "$T/gpu-other"
check "verify --tls: ... and says so" grep -q gpu-nonce "$T/out"
kill "$server" 2>/dev/null
# A plain certificate is no evidence.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout "$T/k" -out "$T/c" 2>/dev/null
status "a certificate without evidence" 1 "$SHELTER" verify --certificate "$T/c" --collateral "$T/ra"
check "a certificate without evidence: told" grep -q ra-tls-certificate "$T/out"
