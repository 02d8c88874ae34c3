# SPDX-License-Identifier: Apache-2.0
# The attestation agent: static, into the initramfs, and installed for `shelter build -a`.

AGENT_SRC := $(wildcard trusted/agent/*.c)
AGENT_LIB := lib/hex.c

$(B)/guest/agent: $(AGENT_SRC:%.c=$(B)/guest/o/%.o) $(AGENT_LIB:%.c=$(B)/guest/o/%.o)
	$(call say,LD,$@)
	$(Q)$(MUSL_CC) $(MUSL_LDFLAGS) -o $@.tmp $(MUSL_START) $^ $(MUSL_END) && mv $@.tmp $@

$(B)/san/parts.a: $(patsubst %.c,$(B)/san/%.o,$(filter-out trusted/agent/main.c,$(AGENT_SRC)))
