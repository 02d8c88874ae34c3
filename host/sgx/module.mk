# SPDX-License-Identifier: Apache-2.0
# The simulated processor lies one folder deeper than the top Makefile looks, and has assembly. Leaves
# run while the enclave's vector registers are live: no vector code in what they are made of.
SGX_ASM := host/sgx/enter.S host/sgx/sim/entry.S
HOST_SRC += $(wildcard host/sgx/sim/*.c) host/sgx/foreign/settings.c host/sgx/foreign/fault_read.c $(SGX_ASM)
SIM_GENERAL := $(foreach d,o san,$(patsubst %,$(B)/$(d)/host/sgx/sim/%.o,aex enclu encls epc evict machine paging))
SIM_FLAGS := -mgeneral-regs-only -mmemcpy-strategy=rep_8byte:-1:noalign \
    -mmemset-strategy=rep_8byte:-1:noalign
SIM_GENERAL += $(B)/o/host/sgx/foreign/fault.o
$(SIM_GENERAL): WARN += $(SIM_FLAGS)
$(SIM_GENERAL): ALL_CFLAGS += $(SIM_FLAGS)

# The test enclave: freestanding, one flat image.
ENCLAVE_CFLAGS := -std=gnu11 -O2 -Wall -Wextra -ffreestanding -fPIE -fno-stack-protector \
    -mno-red-zone -fcf-protection=none -fno-jump-tables -fno-asynchronous-unwind-tables
$(B)/tests/sgx/enclave.bin: tests/sgx/enclave.c tests/sgx/entry.S tests/sgx/enclave.lds \
    tests/sgx/enclave.h include/shelter/sgx.h
	@mkdir -p $(@D)
	$(call say,SGX,$@)
	$(Q)$(CC) $(ENCLAVE_CFLAGS) -Iinclude -I. -nostdlib -static -Wl,-T,tests/sgx/enclave.lds \
	    -Wl,--no-dynamic-linker -Wl,--build-id=none -o $(@:.bin=.elf) tests/sgx/entry.S tests/sgx/enclave.c
	$(Q)objcopy -O binary $(@:.bin=.elf) $@

# Tests of the simulator run without AddressSanitizer, which takes low addresses and signals for
# itself. Undefined behaviour still stops them.
SGX_TEST_SRC := $(sort $(filter-out host/base/lazy.c,$(wildcard host/sgx/*.c host/sgx/sim/*.c \
    host/base/*.c verifier/measure/sgx*.c lib/*.c))) tests/sgx/harness.c
$(B)/ub/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g $(WARN) $(SIM_UB) -fPIE $(CPPFLAGS) $(PKG_CFLAGS) $(DEPFLAGS) -c -o $@ $<
$(B)/ub/%.o: %.S
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(DEPFLAGS) -c -o $@ $<
SIM_UB := -fsanitize=undefined -fno-sanitize=alignment -fno-sanitize-recover=all
$(patsubst %,$(B)/ub/host/sgx/sim/%.o,aex enclu encls epc evict machine paging): WARN += $(SIM_FLAGS)
$(B)/ub/sgx.a: $(SGX_TEST_SRC:%.c=$(B)/ub/%.o) $(SGX_ASM:%.S=$(B)/ub/%.o)
	@rm -f $@ && ar rcs $@ $^
SGXSIM_TESTS := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_sgxsim*.c))
$(SGXSIM_TESTS:%=$(B)/tests/unit/%): $(B)/tests/unit/%: $(B)/ub/tests/unit/%.o $(B)/ub/sgx.a \
    $(B)/tests/sgx/enclave.bin
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -pie $(SIM_UB) -o $@ $< $(B)/ub/sgx.a -lcrypto -lcmocka -lpthread

$(B)/bench_sgxsim: bench/bench_sgxsim.c $(SGX_TEST_SRC:%.c=$(B)/o/%.o) \
    $(SGX_ASM:%.S=$(B)/o/%.o) $(B)/tests/sgx/enclave.bin
	$(call say,LD,$@)
	$(Q)$(CC) -std=gnu11 -O2 $(WARN) $(CPPFLAGS) -pie -fPIE -o $@ $(filter-out %.bin,$^) -lcrypto -lpthread
.PHONY: bench-sgxsim
bench-sgxsim: $(B)/bench_sgxsim shelter $(B)/sgx-sim
	@$<
	@echo "the same through shelter sgx-sim:"
	@./shelter sgx-sim --no-aesm $< patched
	@./shelter sgx-sim --no-aesm --strict $< strict

# The loader: a program of its own, static-PIE, so that it starts fast and leaves the low terabyte
# to the enclave.
LOADER_SRC := $(filter-out host/sgx/loader/main.c,$(wildcard host/sgx/loader/*.c host/sgx/outside/*.c)) \
    $(filter-out host/sgx/vdso_% host/sgx/sign.c,$(wildcard host/sgx/*.c host/sgx/sim/*.c)) \
    $(addprefix host/base/,cgroup.c descriptor.c egress.c error.c filter.c temp.c util.c walls.c walls_view.c) \
    $(addprefix host/run/,fifo.c frames.c ports.c stream.c) lib/sha2.c lib/cpuid.c lib/io.c \
    $(addprefix host/attest/,aesm.c protobuf.c ecdsa.c quote_write.c sim_qe.c) \
    $(wildcard verifier/measure/sgx*.c)
LOADER_LIBS := $(shell pkg-config --static --libs libcrypto)
LOADER_LINK = $(CC) -static-pie -fPIE -o $@.tmp $^ $(LOADER_LIBS) -lpthread \
    2> >(grep -vE 'statically linked applications|in function .*:$$' >&2) && mv $@.tmp $@
$(B)/loader.a: $(LOADER_SRC:%.c=$(B)/o/%.o) $(SGX_ASM:%.S=$(B)/o/%.o)
	@rm -f $@ && ar rcs $@ $^
$(B)/sgx-loader: $(B)/o/host/sgx/loader/main.o $(B)/loader.a
	$(call say,LD,$@)
	$(Q)$(LOADER_LINK)
all: $(B)/sgx-loader

# The same parts in an attacker's hands, who has a key of his own to sign with.
$(B)/tests/sgx-loader-hostile: $(patsubst %,$(B)/o/tests/adversary/%.o,loader_main hostile attack bare lesser) \
    $(B)/o/host/sgx/sign.o $(B)/loader.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LOADER_LINK)
$(B)/tests/sgx-sign: $(B)/o/tests/adversary/sign.o $(B)/o/host/sgx/sign.o $(B)/loader.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(LOADER_LINK)
UNIT_TESTS += $(B)/tests/sgx-loader-hostile $(B)/tests/sgx-sign

# The attacks on the enclave in full length; `make test` has a part of them.
.PHONY: soak
soak: all $(B)/tests/sgx-loader-hostile
	@SHELTER_SOAK=1 TEST_LIMIT=3600 tests/run tests/e2e/66-attack.sh tests/e2e/67-hostile.sh

# The simulated processor beneath a program of anyone's: linked at an address of its own (foreign.h), where
# nothing is within reach of address 0, so functions that may be absent have to be there.
$(B)/foreign/vdso.so: host/sgx/foreign/vdso_image.S host/sgx/foreign/vdso_image.lds
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -nostdlib -shared -Wl,-soname=linux-vdso.so.1 -Wl,--hash-style=both -Wl,--build-id=none \
	    -Wl,-T,host/sgx/foreign/vdso_image.lds -o $@ $<
$(B)/o/host/sgx/foreign/entry.o: CPPFLAGS += -DVDSO_IMAGE='"$(B)/foreign/vdso.so"'
$(B)/o/host/sgx/foreign/entry.o: $(B)/foreign/vdso.so
FOREIGN_SRC := $(wildcard host/sgx/foreign/*.c) host/sgx/vdso.c lib/sha2.c lib/io.c \
    $(wildcard host/sgx/sim/*.c verifier/measure/sgx*.c)
FOREIGN_OBJ := $(FOREIGN_SRC:%.c=$(B)/o/%.o) $(B)/o/host/sgx/foreign/entry.o $(B)/o/host/sgx/sim/entry.o
FOREIGN_CRT := $(shell $(CC) -print-file-name=crt1.o) $(shell $(CC) -print-file-name=crti.o) \
    $(shell $(CC) -print-file-name=crtbeginS.o)
FOREIGN_CRT_END := $(shell $(CC) -print-file-name=crtendS.o) $(shell $(CC) -print-file-name=crtn.o)
$(B)/sgx-sim: $(FOREIGN_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) -static -no-pie -nostartfiles -Wl,--no-relax -Wl,-z,norelro \
	    -Wl,-Ttext-segment=0x600000000000 -Wl,-u,__cxa_finalize,-u,getentropy,-u,__call_tls_dtors,-u,__glibc_tls_internal_free \
	    -Wl,-u,__printf_buffer_flush_obstack,-u,__printf_buffer_flush_dprintf \
	    -o $@.tmp $(FOREIGN_CRT) $^ $(LOADER_LIBS) -lpthread $(FOREIGN_CRT_END) \
	    2> >(grep -vE 'statically linked applications|in function .*:$$' >&2) && mv $@.tmp $@
all: $(B)/sgx-sim

# Programs that use SGX by the kernel's interface alone, for tests of sgx-sim; on hardware they run as they are.
FOREIGN_TESTS := $(addprefix $(B)/tests/foreign/,bare program abi)
$(B)/tests/foreign/enclave.h: tests/foreign/enclave.S tests/foreign/sign.py
	@mkdir -p $(@D)
	$(call say,SGX,$@)
	$(Q)$(CC) -c -o $(@D)/enclave.o $< && objcopy -O binary -j .text $(@D)/enclave.o $(@D)/enclave.bin
	$(Q)python3 tests/foreign/sign.py $(@D)/enclave.bin $(@D)/key.pem >$@.tmp && mv $@.tmp $@
$(FOREIGN_TESTS): $(B)/tests/foreign/%: tests/foreign/%.c tests/foreign/common.h tests/foreign/enter.h \
    $(B)/tests/foreign/enclave.h
	$(call say,CC,$@)
	$(Q)$(CC) -O2 -Wall -Wextra -D_GNU_SOURCE -I$(B)/tests/foreign $(FOREIGN_FLAGS_$*) -o $@ $< $(FOREIGN_LIBS_$*)
FOREIGN_FLAGS_bare := -nostdlib -static -fno-stack-protector -fno-builtin -fcf-protection=none
FOREIGN_LIBS_program := -lpthread
UNIT_TESTS += $(FOREIGN_TESTS)
