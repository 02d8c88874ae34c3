# SPDX-License-Identifier: Apache-2.0
# Fuzz harnesses: `make fuzz` builds all with clang's libFuzzer and runs each FUZZ_SECONDS.
#
# FUZZ_SRC_<name>: the sources that fuzz_<name>.c needs; a harness without them is not built.

FUZZ_SECONDS ?= 10
FUZZ_CC ?= clang
FUZZ_SRC_launch := lib/launch.c lib/hex.c
FUZZ_SRC_manifest := lib/exec.c lib/manifest.c
FUZZ_SRC_settings := lib/settings.c lib/exec.c lib/manifest.c lib/launch.c lib/hex.c
FUZZ_GUEST := $(addprefix trusted/guest/,channel.c session.c stream.c frames.c loop.c \
    error.c strings.c config.c users.c path.c stats.c device.c) $(LIB_SRC)
FUZZ_SRC_channel := $(FUZZ_GUEST)
FUZZ_SRC_channel_exec := trusted/guest/channel.c lib/exec.c
FUZZ_SRC_guest_readers := $(addprefix trusted/guest/,cmdline.c netconf.c config.c error.c \
    users.c path.c) trusted/copy/tar.c $(addprefix trusted/agent/,request.c query.c) $(LIB_SRC)
FUZZ_SRC_agent_json := $(addprefix trusted/agent/,json.c text.c os_linux.c) lib/hex.c lib/base64.c lib/io.c
FUZZ_SRC_agent_response := $(addprefix trusted/agent/,response.c url.c text.c os_linux.c) lib/base64.c lib/io.c
FUZZ_SRC_agent_jwe := $(addprefix trusted/agent/,key.c rng.c json.c text.c os_linux.c) lib/base64.c lib/hex.c lib/io.c lib/sha2.c
FUZZ_LIBS_agent_jwe = $(MBEDTLS_A)
FUZZ_SRC_measure_sim := $(addprefix verifier/measure/,sim.c sim_bzimage.c ovmf.c)
FUZZ_LIBS_measure_sim := -lcrypto

# The verifier's parsers; their corpora start with made-up evidence of every kind.
FUZZ_VERIFY := $(wildcard $(addprefix verifier/,base/*.c quote/*.c judge/*.c)) $(wildcard verifier/measure/tdx_eventlog*.c) verifier/measure/steps.c lib/base64.c lib/hex.c
FUZZ_VERIFY_NAMES := corim quote collateral tcb cert eventlog policy ra_tls nitro
$(foreach n,$(FUZZ_VERIFY_NAMES),$(eval FUZZ_SRC_$(n) := $(FUZZ_VERIFY)))
$(foreach n,$(FUZZ_VERIFY_NAMES),$(eval FUZZ_LIBS_$(n) := $(PKG_LIBS)))
FUZZ_SRC_tpm := $(FUZZ_VERIFY)
FUZZ_LIBS_tpm := $(PKG_LIBS)
FUZZ_SRC_gpu := $(FUZZ_VERIFY)
FUZZ_LIBS_gpu := $(PKG_LIBS)
FUZZ_SRC_svsm := $(FUZZ_VERIFY)
FUZZ_LIBS_svsm := $(PKG_LIBS)
FUZZ_SRC_firmware := $(addprefix verifier/measure/,snp.c snp_vmsa.c tdx.c ovmf.c sim.c sim_bzimage.c)
FUZZ_LIBS_firmware := -lcrypto

FUZZ_SRC_broker := $(FUZZ_VERIFY) $(wildcard verifier/broker/*.c) lib/exec.c lib/launch.c lib/manifest.c lib/settings.c lib/sha2.c
FUZZ_LIBS_broker := $(PKG_LIBS)
FUZZ_SRC_admin := $(FUZZ_SRC_broker)
FUZZ_LIBS_admin := $(PKG_LIBS)

FUZZ_SRC_sigstruct := verifier/measure/sgx_sigstruct.c $(LIB_SRC)
FUZZ_LIBS_sigstruct := -lcrypto
FUZZ_SRC_sgxsim := $(wildcard host/sgx/sim/*.c) host/sgx/sim/entry.S verifier/measure/sgx_sigstruct.c \
    $(LIB_SRC)
FUZZ_LIBS_sgxsim := -lcrypto -mfsgsbase
FUZZ_SRC_aesm := host/attest/aesm.c host/base/util.c host/base/error.c lib/io.c
FUZZ_SRC_aesm_serve := $(FUZZ_SRC_aesm) $(addprefix host/attest/,aesm_serve.c protobuf.c) lib/sha2.c
# A hostile guest against the supervisor; it brings its whole neighbourhood.
FUZZ_SRC_supervisor := $(wildcard host/run/*.c host/attest/*.c host/base/*.c host/launch/*.c host/launch/*/*.c host/image/*.c host/image/*/*.c host/store/*.c) \
    $(wildcard host/sgx/*.[cS] host/sgx/sim/*.[cS]) $(LIB_SRC) \
    $(filter-out verifier/cli/%,$(VERIFIER_SRC))
FUZZ_LIBS_supervisor := $(PKG_LIBS) -mfsgsbase -lZydis

# The cipher is the harness's: it accepts everything.
FUZZ_SRC_volume := $(filter-out %/crypt.c,$(VOLUME_SRC)) host/store/volume_owner.c lib/sha2.c
FUZZ_LIBS_volume := -Wl,--wrap=node_init
FUZZ_SRC_fuse := $(FUZZ_SRC_volume) $(filter-out %/main.c,$(wildcard trusted/guest/volume/*.c)) lib/io.c

FUZZ_SRC_sites := lib/sites.c
FUZZ_SRC_libos_elf := trusted/libos/proc/elf_parse.c
FUZZ_SRC_ring := trusted/libos/port_sgx/ring.c trusted/libos/port_sgx/copy.c
$(B)/fuzz/ring: CPPFLAGS += -DLIBOS_UNIT
FUZZ_SRC_libos_erofs := trusted/libos/fs/erofs.c
FUZZ_SRC_libos_evidence := trusted/libos/base/quote.c trusted/libos/agent/address.c lib/hex.c

# The whole LibOS behind port `unit`: the host's answers to it, and messages between its sockets; host/image makes its
# root image.
FUZZ_SRC_callouts = $(LIBOS_UNIT) $(LIBOS_COPY) $(VOLUME_SRC) $(VOLUME_CIPHER) $(AGENT_CORE) trusted/agent/request.c trusted/libos/base/sha256.S $(filter-out %/string.c,$(LIB_SRC)) \
    $(wildcard host/image/write/erofs*.c host/image/tree*.c) host/store/sink.c host/base/progress.c host/base/error.c \
    host/base/util.c
FUZZ_LIBS_callouts = $(MBEDTLS_A) $(PKG_LIBS) -lpthread
FUZZ_SRC_messages = $(FUZZ_SRC_callouts)
FUZZ_LIBS_messages = $(FUZZ_LIBS_callouts)
$(B)/fuzz/callouts $(B)/fuzz/messages: CPPFLAGS += -DLIBOS_UNIT

FUZZ_NAMES := $(patsubst fuzz/fuzz_%.c,%,$(wildcard fuzz/fuzz_*.c))
.SECONDEXPANSION:
$(B)/fuzz/%: fuzz/fuzz_%.c $$(FUZZ_SRC_$$*)
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)
	$(Q)$(FUZZ_CC) -std=gnu11 -g -O1 -Wall -Wextra -Wno-unused-parameter $(CPPFLAGS) $(PKG_CFLAGS) \
	    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $@ $^ $(FUZZ_LIBS_$*)

fuzz: $(FUZZ_NAMES:%=$(B)/fuzz/%)
	@for f in $^; do mkdir -p $$f.corpus; echo "== $$f"; \
	    $$f -max_total_time=$(FUZZ_SECONDS) -max_len=70000 -rss_limit_mb=1024 -verbosity=0 \
	        -artifact_prefix=$$f. $$f.corpus \
	        $$([ -d fuzz/seeds/$${f##*/} ] && echo fuzz/seeds/$${f##*/}) || exit; done

# Random calls on paths and messages, on Linux and in port test: the same answers are wanted.
fuzz: | fuzz-calls
.PHONY: fuzz-calls
fuzz-calls: $(B)/libos-test
	tests/diff/fuzz-calls $< $(FUZZ_SECONDS)

fuzz: | fuzz-seed-evidence
.PHONY: fuzz-seed-evidence
fuzz-seed-evidence: $(B)/tests/make_evidence
	@cd $(B)/fuzz && mkdir -p $(FUZZ_VERIFY_NAMES:%=%.corpus) && \
	for k in sgx3 sgx5 tdx4 tdx5 tdx15 tdx15ex snp vlek csv1 csv2 nitro log ra-tls; do \
	    mkdir -p evidence/$$k && $(CURDIR)/$< $$k evidence/$$k || exit; \
	    seed() { for f in $$2; do [ ! -f $$f ] || cp $$f $$1.corpus/$$k-$${f##*/}; done; }; \
	    seed quote "evidence/$$k/quote.bin evidence/$$k/report.bin evidence/$$k/document.cbor"; \
	    [ $$k != nitro ] || { printf '\0'; cat evidence/$$k/document.cbor; } >nitro.corpus/$$k; \
	    seed collateral evidence/$$k/collateral.json; \
	    seed tcb "evidence/$$k/tcb_info.json evidence/$$k/qe_identity.json"; \
	    seed cert "evidence/$$k/pck_chain.pem evidence/$$k/signer.der evidence/$$k/pck_crl.der"; \
	    seed eventlog "evidence/$$k/log.bin evidence/$$k/aael.bin evidence/$$k/log.json"; \
	    seed ra_tls evidence/$$k/cert.der; \
	done; \
	mkdir -p evidence/gpu gpu.corpus && $(CURDIR)/$< gpu evidence/gpu || exit; \
	{ printf '\0'; cat evidence/gpu/additional.json; } >gpu.corpus/json; \
	{ printf '\1'; cat evidence/gpu/spdm.bin; } >gpu.corpus/report; \
	{ printf '\2'; cat evidence/gpu/driver.swidtag; } >gpu.corpus/rim
