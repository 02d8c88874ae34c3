#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Other people's SGX software under sgx-sim, where it can be fetched: Fortanix EDP's crates load their report enclave and
# get a quote of it from AESM, which our verifier judges; the kernel's selftests where its sources are installed.
# May take 600 s: cargo, where nothing is built yet.
. tests/e2e/lib.sh
[ -x build/sgx-sim ] || { skip "apps: sgx-sim is not built (make)"; exit 0; }

# --- Fortanix EDP: sgxs-loaders, report-test, aesm-client ---
edp() {
    mkdir -p "$T/edp/src"
    cat >"$T/edp/Cargo.toml" <<'END'
[package]
name = "edp"
version = "0.1.0"
edition = "2021"
[dependencies]
sgxs-loaders = "0.5"
report-test = "0.5"
aesm-client = { version = "0.6", features = ["sgxs"] }
sgx-isa = "0.6"
END
    cat >"$T/edp/src/main.rs" <<'END'
use aesm_client::AesmClient;
use sgx_isa::Targetinfo;
use sgxs_loaders::isgx::Device;
fn main() {
    let mut loader = Device::new().expect("device").einittoken_provider(AesmClient::new()).build();
    let client = AesmClient::new();
    let ids = client.get_supported_att_key_ids().expect("key ids");
    let id = ids.into_iter().find(|k| k[154] == 2).expect("an ECDSA key");
    let info = client.init_quote_ex(id.clone()).expect("init quote");
    let target = Targetinfo::try_copy_from(info.target_info()).expect("target");
    let report = report_test::report(&target, &mut loader).expect("report");
    println!("{}", report.mrenclave.iter().map(|b| format!("{:02x}", b)).collect::<String>());
    let bytes: &[u8] = report.as_ref();
    let quote = client.get_quote_ex(id, bytes.to_owned(), Some(vec![0; 512]), vec![7; 16]).expect("quote");
    assert_eq!(quote.qe_report().len(), 432);
    std::fs::write(std::env::args().nth(1).unwrap(), quote.quote()).unwrap();
}
END
    (cd "$T/edp" && CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$T/edp/target} timeout 450 cargo build -q &&
        cp "${CARGO_TARGET_DIR:-$T/edp/target}/debug/edp" "$T/edp-program") >"$T/err" 2>&1
}
if ! command -v cargo >/dev/null || { ! command -v protoc >/dev/null && [ -z "${PROTOC:-}" ]; }; then
    skip "EDP: cargo or protoc is not installed (tools/install-deps --apps)"
elif ! edp; then
    skip "EDP: its crates cannot be had: $(tail -n 1 "$T/err" | cut -c1-100)"
else
    for speed in '' --strict; do
        status "EDP $speed: loads its enclave, and has a quote" 0 "$SHELTER" sgx-sim $speed "$T/edp-program" "$T/quote"
        mrenclave=$(cat "$T/out")
    done
    "$SHELTER" attest --collateral "$T/collateral" --tee sgx-sim
    "$SHELTER" verify --evidence "$T/quote" --ca "$SHELTER_STORE/sim-tee/root.pem" --collateral "$T/collateral" \
        --allow-simulated >"$T/verdict" 2>/dev/null
    check "... its signatures are valid" grep -q '^signatures  valid' "$T/verdict"
    check "... the platform is up to date" grep -q '^TCB status  UpToDate' "$T/verdict"
    check "... it is this enclave, which runs in debug mode" grep -q "^mrenclave   $mrenclave" "$T/verdict"
    same "... and nothing else is wrong" "$(grep '^reason' "$T/verdict" | cut -c13-18)" "debug:"
    "$SHELTER" verify --evidence "$T/quote" --collateral "$T/collateral" >"$T/verdict" 2>/dev/null
    same "a verifier that was not given the root rejects it" "$?" 1
fi

# --- tools/testing/selftests/sgx ---
sources=$(ls -d /usr/src/linux-source-*.tar.xz 2>/dev/null | tail -n 1)
if [ -z "$sources" ]; then
    skip "selftests: no kernel sources (apt install linux-source)"
else
    name=$(basename "$sources" .tar.xz)
    tar -C "$T" -xf "$sources" --wildcards "$name/tools/testing/selftests/sgx/*" "$name/tools/testing/selftests/*.h" \
        "$name/arch/x86/include/*asm/sgx.h" "$name/arch/x86/include/asm/enclu.h" "$name/tools/include/*" "$name/tools/arch/x86/include/*" 2>/dev/null
    cd "$T/$name/tools/testing/selftests/sgx" || exit 1
    flags="-I../../../include -Wno-deprecated-declarations"
    {
        for f in main load sigstruct; do gcc $flags -fPIC -c $f.c -o $f.o; done
        gcc -c call.S -o call.o && gcc -c sign_key.S -o sign_key.o
        gcc -o test_sgx main.o load.o sigstruct.o call.o sign_key.o -lcrypto
        gcc -static-pie -nostdlib -ffreestanding -fPIE -fno-stack-protector -mrdrnd $flags test_encl.c test_encl_bootstrap.S \
            -o test_encl.elf -Wl,-T,test_encl.lds,--build-id=none
    } >"$T/err" 2>&1
    if [ ! -x test_sgx ] || [ ! -f test_encl.elf ]; then
        skip "selftests: $name does not build: $(grep -m1 error "$T/err" | cut -c1-100)"
    else
        for speed in '' --strict; do
            timeout 200 "$SHELTER" sgx-sim $speed --epc 64M ./test_sgx >"$T/out" 2>&1
            sed -nE "s/^(not )?ok [0-9]+ /\\1ok selftests $speed: /p" "$T/out"
        done
    fi
    cd "$ROOT" || exit 1
fi
