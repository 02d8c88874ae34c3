# SPDX-License-Identifier: Apache-2.0
# Volumes: one source for the LibOS, the VM's server, the owner's commands and the tests. The cipher is three
# objects of Debian's libcrypto.a, OpenSSL's assembly, which need nothing but a word about the processor.

LIBCRYPTO_A := $(shell $(CC) -print-file-name=libcrypto.a)

# The member's name has a prefix that differs between versions.
$(VOLUME_CIPHER): $(B)/volume/%.o: $(LIBCRYPTO_A)
	@mkdir -p $(@D)
	$(call say,PARTS,$@)
	$(Q)ar p $< $$(ar t $< | grep -m1 -E -- '(^|-)$*\.o$$') >$@.tmp && mv $@.tmp $@

shelter: $(VOLUME_SRC:%.c=$(B)/o/%.o) $(VOLUME_CIPHER)
$(B)/san/parts.a: $(VOLUME_SRC:%.c=$(B)/san/%.o) $(VOLUME_CIPHER)
