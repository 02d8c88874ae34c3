# SPDX-License-Identifier: Apache-2.0
# The LibOS: freestanding objects (general registers only; canaries at gs, CANARY of entry/offsets.h,
# as fs is the program's), the runner of port `test`, and a sanitized archive for unit tests.

LIBOS_SRC := $(wildcard trusted/libos/*/*.c)
LIBOS_PORT_TEST := $(wildcard trusted/libos/port_test/*.c)
LIBOS_PORT_UNIT := $(wildcard trusted/libos/port_unit/*.c)
LIBOS_CORE := $(filter-out $(LIBOS_PORT_TEST) $(LIBOS_PORT_UNIT) trusted/libos/port_sgx/%,$(LIBOS_SRC))
LIBOS_LIB := lib/manifest.c lib/sites.c lib/cpuid.c lib/launch.c lib/settings.c lib/users.c lib/sha2.c lib/hex.c lib/exec.c
LIBOS_CFLAGS := -std=gnu11 -O2 -g $(WARN) $(REPRO) -ffreestanding -fPIE \
    -fvisibility=hidden -mgeneral-regs-only -fno-strict-aliasing -fcf-protection=none \
    -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections -mno-red-zone \
    -fstack-clash-protection -fstack-protector-strong -mstack-protector-guard=tls -mstack-protector-guard-reg=gs \
    -mstack-protector-guard-offset=8 -ftrivial-auto-var-init=zero
LIBOS_CPPFLAGS := -Iinclude -I.

$(B)/libos/%.o: %.c trusted/libos/module.mk
	@mkdir -p $(@D)
	$(call say,LIBOS,$<)
	$(Q)$(CC) $(LIBOS_CFLAGS) $(LIBOS_CPPFLAGS) $(DEPFLAGS) -c -o $@ $<
$(B)/libos/%.o: %.S trusted/libos/module.mk
	@mkdir -p $(@D)
	$(call say,LIBOS,$<)
	$(Q)$(CC) -c $(LIBOS_CPPFLAGS) $(DEPFLAGS) -o $@ $<

# The agent's lazy part: what runs only inside agent_call. One object, in sections of its own: the core of
# trusted/agent, its surroundings here, and those parts of Debian's mbedTLS that they call.
LIBOS_MBEDTLS := $(B)/libos/mbedtls
$(LIBOS_MBEDTLS)/parts.a: tools/mbedtls-parts $(MBEDTLS_A)
	@mkdir -p $(@D)
	$(call say,PARTS,$@)
	$(Q)CC='$(CC)' tools/mbedtls-parts $@ $(@D)/absent.S
$(LIBOS_MBEDTLS)/absent.S: $(LIBOS_MBEDTLS)/parts.a ; @true
$(LIBOS_MBEDTLS)/absent.o: $(LIBOS_MBEDTLS)/absent.S
	$(Q)$(CC) -c -o $@ $<
LIBOS_LAZY_SRC := $(addprefix trusted/libos/agent/,libc.c mbedtls.c os_libos.c address.c) lib/base64.c $(AGENT_CORE)
$(B)/libos/lazy.o: $(LIBOS_LAZY_SRC:%.c=$(B)/libos/%.o) $(LIBOS_MBEDTLS)/absent.o \
    $(LIBOS_MBEDTLS)/parts.a trusted/libos/agent/lazy.lds
	$(call say,LD,$@)
	$(Q)$(CC) -r -nostdlib -Wl,-T,trusted/libos/agent/lazy.lds -o $@ $(filter-out %.lds,$^) -lgcc

LIBOS_OBJ := $(patsubst %.c,$(B)/libos/%.o,$(filter-out $(LIBOS_LAZY_SRC),$(LIBOS_CORE))) \
    $(LIBOS_LIB:%.c=$(B)/libos/%.o) $(B)/libos/trusted/libos/entry/entry.o \
    $(B)/libos/trusted/libos/entry/fast.o $(B)/libos/trusted/libos/base/sha256.o \
    $(B)/libos/trusted/libos/agent/enter.o $(B)/libos/trusted/agent/request.o $(B)/libos/lazy.o \
    $(VOLUME_SRC:%.c=$(B)/libos/%.o) $(VOLUME_CIPHER)

# The program of `shelter cp`, which the enclave carries in its lazy part.
LIBOS_COPY := $(B)/libos/trusted/libos/agent/copy.o
$(LIBOS_COPY): LIBOS_CPPFLAGS += -DCOPY_PROGRAM='"$(B)/guest/copy"'
$(LIBOS_COPY): $(B)/guest/copy
LIBOS_OBJ += $(LIBOS_COPY)

$(B)/libos-test: $(LIBOS_OBJ) $(LIBOS_PORT_TEST:%.c=$(B)/libos/%.o)
	$(call say,LD,$@)
	$(Q)$(CC) -static-pie -nostdlib -Wl,--gc-sections -Wl,-z,noexecstack -Wl,-z,relro,-z,now \
	    -Wl,--no-dynamic-linker -o $@ $^
all: $(B)/libos-test

# Unit tests: the same sources under sanitizers behind port `unit`, whose host lies when told to.
LIBOS_UNIT := $(filter-out trusted/libos/base/string.c $(addprefix trusted/libos/agent/,libc.c mbedtls.c),\
    $(LIBOS_CORE)) $(LIBOS_PORT_UNIT)
$(B)/san/trusted/libos/%.o: CPPFLAGS += -DLIBOS_UNIT
$(B)/san/libos.a: $(LIBOS_UNIT:%.c=$(B)/san/%.o) $(B)/libos/trusted/libos/base/sha256.o $(LIBOS_COPY)
	@rm -f $@ && ar rcs $@ $^
LIBOS_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_libos*.c))
# Before the other parts: the agent's surroundings are the LibOS's here.
$(foreach t,$(LIBOS_TESTS),$(eval UNIT_FIRST_$t := $(B)/san/libos.a))
$(foreach t,$(LIBOS_TESTS),$(eval UNIT_LIBS_$t := $(B)/san/libos.a $(B)/san/parts.a $(MBEDTLS_A)))
$(LIBOS_TESTS:%=$(B)/tests/unit/%): $(B)/san/libos.a
$(LIBOS_TESTS:%=$(B)/san/tests/unit/%.o): CPPFLAGS += -DLIBOS_UNIT

# The enclave's side of the rings stands alone.
UNIT_FIRST_test_ring := $(addprefix $(B)/san/trusted/libos/port_sgx/,ring.o copy.o)
$(B)/tests/unit/test_ring: $(UNIT_FIRST_test_ring)
$(B)/san/tests/unit/test_ring.o: CPPFLAGS += -DLIBOS_UNIT

# The same under the thread sanitizer, for the locks.
LIBOS_TSAN := $(LIBOS_UNIT) $(AGENT_CORE) trusted/agent/request.c $(LIB_SRC) $(VOLUME_SRC) tests/unit/test_libos_locks.c
$(B)/tsan/%.o: %.c
	@mkdir -p $(@D)
	$(call say,TSAN,$<)
	$(Q)$(CC) -std=gnu11 -O1 -g $(WARN) -fsanitize=thread -fno-omit-frame-pointer -DLIBOS_UNIT $(CPPFLAGS) $(DEPFLAGS) \
	    -c -o $@ $<
$(B)/tests/unit/test_libos_locks_tsan: $(LIBOS_TSAN:%.c=$(B)/tsan/%.o) $(B)/libos/trusted/libos/base/sha256.o $(LIBOS_COPY) $(VOLUME_CIPHER)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -fsanitize=thread -o $@ $^ $(MBEDTLS_A) -lcmocka
UNIT_TESTS += $(B)/tests/unit/test_libos_locks_tsan

# The enclave: MRENCLAVE covers every byte of it, so that no date and no path may get in. Linked twice: the digests
# of the lazy part, which is loaded when it is needed, and of the hashed part, which is not measured, stand in the
# measured part. They are only as long as they are, so that the second link places all as the first did. A third
# keeps what debuggers want.
SGX_PORT_OBJ := $(patsubst %.c,$(B)/libos/%.o,$(wildcard trusted/libos/port_sgx/*.c)) \
    $(B)/libos/trusted/libos/port_sgx/entry.o $(B)/libos/trusted/libos/port_sgx/vdso.o
SGX_LINK = $(CC) -static -no-pie -nostdlib -Wl,--gc-sections -Wl,-z,noexecstack -Wl,--build-id=none \
    -Wl,-z,max-page-size=4096 -Wl,-z,norelro -Wl,--no-relax -Wl,--strip-debug \
    -Wl,-T,trusted/libos/port_sgx/enclave.lds
SGX_LINK_DEBUG = $(filter-out %--strip-debug,$(SGX_LINK))
SGX_PARTS := lazy hashed
SGX_PART_lazy := -j .lazy.text -j .lazy.rodata -j .lazy.data
SGX_PART_hashed := -j .text -j .rodata
SGX_DIGESTS = for part in $(SGX_PARTS); do \
    printf '.section .rodata.digests, "a"\n.globl sgx_%s_digest\nsgx_%s_digest: .byte %s\n' $$part $$part \
    "$$(sha256sum <$@.$$part | cut -c1-64 | sed 's/../0x&, /g; s/, $$//')"; done | $(CC) -x assembler -c -o $@.digest.o -
SGX_CUT = $(foreach p,$(SGX_PARTS),objcopy -O binary $(SGX_PART_$p) $(1) $@.$p$(2) &&)
$(B)/base/enclave: $(LIBOS_OBJ) $(SGX_PORT_OBJ) trusted/libos/port_sgx/enclave.lds
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)for part in $(SGX_PARTS); do : >$@.$$part; done; $(SGX_DIGESTS)
	$(Q)$(SGX_LINK) -o $@.first $(filter %.o,$^) $@.digest.o
	$(Q)$(call SGX_CUT,$@.first) $(SGX_DIGESTS)
	$(Q)$(SGX_LINK) -o $@.tmp $(filter %.o,$^) $@.digest.o
	$(Q)$(call SGX_CUT,$@.tmp,.second) $(foreach p,$(SGX_PARTS),cmp $@.$p $@.$p.second &&) true
	$(Q)$(SGX_LINK_DEBUG) -o $(B)/enclave.debug $(filter %.o,$^) $@.digest.o
	$(Q)rm -f $@.first $(foreach p,$(SGX_PARTS),$@.$p $@.$p.second) $@.digest.o && mv $@.tmp $@
all: $(B)/base/enclave

# How deep its stacks get: the compiler's call graphs, made beside the objects, since ccache keeps none.
LIBOS_STACK_SRC := $(sort $(LIBOS_CORE) $(LIBOS_LAZY_SRC)) $(wildcard trusted/libos/port_sgx/*.c) $(LIBOS_LIB) trusted/agent/request.c \
    $(VOLUME_SRC)
$(B)/stack/%.ci: %.c trusted/libos/module.mk
	@mkdir -p $(@D)
	$(call say,STACK,$<)
	$(Q)CCACHE_DISABLE=1 $(CC) $(LIBOS_CFLAGS) $(LIBOS_CPPFLAGS) -fcallgraph-info=su -MMD -MP -MT $@ -MF $(@:.ci=.d) \
	    -c -o $(@:.ci=.o) $<
$(B)/libos-stack: tools/check-stack trusted/libos/stack.txt $(B)/base/enclave $(LIBOS_STACK_SRC:%.c=$(B)/stack/%.ci)
	$(Q)tools/check-stack $(B)/stack $(B)/enclave.debug trusted/libos/stack.txt >$@.tmp && mv $@.tmp $@
