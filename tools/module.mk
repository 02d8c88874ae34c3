# SPDX-License-Identifier: Apache-2.0
# What an attacker must break: counted for `make tcb`, and kept beside the base files for `shelter tcb`.
tcb: $(B)/base/tcb.json
	@tools/tcb

tools: $(B)/base/tcb.json $(B)/base/sbom.spdx.json
$(B)/base/sbom.spdx.json: tools/sbom $(B)/base/vmlinux $(B)/base/bzImage $(B)/base/initramfs $(B)/base/enclave
	$(call say,SBOM,$@)
	$(Q)tools/sbom base >$@.tmp && mv $@.tmp $@
$(B)/base/tcb.json: tools/tcb $(B)/base/vmlinux $(B)/base/bzImage $(B)/base/initramfs
	$(call say,TCB,$@)
	$(Q)tools/tcb --json >$@.tmp && mv $@.tmp $@
