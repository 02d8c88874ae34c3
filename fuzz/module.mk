# SPDX-License-Identifier: Apache-2.0
# Fuzz harnesses: `make fuzz` builds all with clang's libFuzzer and runs each FUZZ_SECONDS.
#
# FUZZ_SRC_<name>: the sources that fuzz_<name>.c needs; a harness without them is not built.

FUZZ_SECONDS ?= 10
FUZZ_CC ?= clang
FUZZ_SRC_launch := lib/launch.c lib/hex.c
FUZZ_SRC_manifest := lib/manifest.c
FUZZ_GUEST := $(addprefix trusted/guest/,channel.c session.c loop.c error.c policy.c program.c \
    config.c users.c path.c) $(LIB_SRC)
FUZZ_SRC_channel := $(FUZZ_GUEST)
FUZZ_SRC_channel_exec := trusted/guest/channel.c
FUZZ_SRC_guest_readers := $(addprefix trusted/guest/,cmdline.c netconf.c dhcp.c tar.c config.c \
    error.c users.c path.c) trusted/agent/http.c $(LIB_SRC)
FUZZ_SRC_measure_sim := $(addprefix verifier/measure/,sim.c sim_bzimage.c ovmf.c)
FUZZ_LIBS_measure_sim := -lcrypto

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
