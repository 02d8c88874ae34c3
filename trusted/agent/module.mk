# SPDX-License-Identifier: Apache-2.0
# The attestation agent: static, into the initramfs, and installed for `shelter build -a`.
#
# AGENT_CORE is the part that the enclave links too: it needs string.h, mbedTLS, lib/ and what
# trusted/agent/os.h declares.

AGENT_CORE := $(addprefix trusted/agent/,api.c client.c core.c events.c evidence.c exchange.c hsm.c identity.c json.c key.c \
    query.c ratls.c rcar.c renew.c rng.c response.c secret.c text.c tls.c url.c volume.c)
AGENT_SRC := $(wildcard trusted/agent/*.c)
AGENT_LIB := lib/base64.c lib/exec.c lib/hex.c lib/io.c lib/launch.c lib/manifest.c lib/settings.c lib/sha2.c trusted/volume/anchor.c

# Debian's archives are made for glibc: trusted/agent/glibc_names.c gives the names that musl lacks.
MBEDTLS_DIR := $(dir $(shell $(CC) -print-file-name=libmbedcrypto.a))
MBEDTLS_A := $(addprefix $(MBEDTLS_DIR),libmbedtls.a libmbedx509.a libmbedcrypto.a)

$(B)/guest/agent: $(AGENT_SRC:%.c=$(B)/guest/o/%.o) $(AGENT_LIB:%.c=$(B)/guest/o/%.o)
	$(call say,LD,$@)
	$(Q)$(MUSL_CC) $(MUSL_LDFLAGS) -o $@.tmp $(MUSL_START) $^ $(MBEDTLS_A) $(MUSL_END) && \
	    mv $@.tmp $@

# glibc_names.c is for musl alone, main.c is the program.
$(B)/san/parts.a: $(patsubst %.c,$(B)/san/%.o,$(filter-out \
    trusted/agent/main.c trusted/agent/glibc_names.c,$(AGENT_SRC)))

UNIT_LIBS_test_agent := $(MBEDTLS_A)
UNIT_LIBS_test_agent_volume := $(MBEDTLS_A)

# The whole program under sanitizers, impatient, for tests/e2e/43-agent.sh.
$(B)/tests/agent: $(filter-out trusted/agent/glibc_names.c,$(AGENT_SRC)) $(AGENT_LIB) \
        $(wildcard trusted/agent/*.h) include/shelter/agent.h
	@mkdir -p $(@D)
	$(call say,SAN,$@)
	$(Q)$(CC) -std=gnu11 -O1 -g $(WARN) -fsanitize=address,undefined -fno-sanitize-recover=all \
	    $(CPPFLAGS) -DAGENT_REQUEST_MS=1500u -DBACK_OFF_MS=20 -DSTART_MS=6000u -o $@ $(filter %.c,$^) $(MBEDTLS_A)
unit-tests: $(B)/tests/agent

# What the agent makes of a TEE's files, for others' parsers (tests/apps/90-interop.sh).
$(B)/tests/agent_evidence: tests/tools/agent_evidence.c $(filter-out trusted/agent/main.c \
        trusted/agent/glibc_names.c,$(AGENT_SRC)) $(AGENT_LIB) $(wildcard trusted/agent/*.h) include/shelter/agent.h
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O1 -g $(WARN) $(CPPFLAGS) -o $@ $(filter %.c,$^) $(MBEDTLS_A)
