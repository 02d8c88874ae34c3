# SPDX-License-Identifier: Apache-2.0
# The guest kernel, from the user's cache; kernel/build makes it there once.
.PHONY: kernel
kernel: $(B)/base/vmlinux $(B)/base/bzImage

KERNEL_INPUT := kernel/build kernel/check kernel/shelter.fragment kernel/drivers.allow \
    $(wildcard kernel/patches/*.patch)

# Copies, renamed into place: a store may hold hard links to what lies here. Each make has a
# name of its own for them: two in one tree, both waiting for the kernel, take nothing from each other.
$(B)/base/vmlinux $(B)/base/bzImage &: $(KERNEL_INPUT)
	@mkdir -p $(B)/base
	@kernel/pin && dir=$$(kernel/build) && for f in vmlinux bzImage; do \
	    new=$(B)/base/$$f.$$$$ && cp "$$dir/$$f" $$new && touch $$new && \
	    mv $$new $(B)/base/$$f || exit; \
	done
