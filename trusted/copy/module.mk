# SPDX-License-Identifier: Apache-2.0
# The program of `shelter cp` in the confidential VM: static, into the initramfs.

$(B)/guest/copy: $(patsubst %.c,$(B)/guest/o/%.o,$(wildcard trusted/copy/*.c) lib/io.c)
	$(call say,LD,$@)
	$(Q)$(MUSL_CC) $(MUSL_LDFLAGS) -o $@.tmp $(MUSL_START) $^ $(MUSL_END) && mv $@.tmp $@

$(B)/san/parts.a: $(B)/san/trusted/copy/tar.o
