# SPDX-License-Identifier: Apache-2.0
# Benchmarks print tables; nothing in them passes or fails.
.PHONY: bench-vm
bench-vm:
	@$(MAKE) tools all
	@bench/bench-vm

.PHONY: bench-sgx
bench-sgx:
	@$(MAKE) tools all
	@bench/bench-sgx

# What attestation adds to a start: the agent's line of bench-attest.
.PHONY: bench-agent
bench-agent:
	@$(MAKE) tools all
	@bench/bench-agent
.PHONY: bench-attest
bench-attest: # one after another, since they share the cores
	@for part in bench-verify bench-broker bench-agent; do $(MAKE) $$part || exit; done

# Processes: fork, spawn, changes of residence.
.PHONY: bench-proc
bench-proc:
	@$(MAKE) shelter $(B)/sgx-loader $(B)/base/enclave
	@bench/bench-proc

# Threads on separate objects, and waits behind big calls.
.PHONY: bench-locks
bench-locks:
	@$(MAKE) shelter $(B)/sgx-loader $(B)/base/enclave
	@bench/bench-locks

# A volume beside a file of this machine, tmpfs and gocryptfs.
.PHONY: bench-volume
bench-volume:
	@$(MAKE) shelter $(B)/sgx-loader $(B)/base/enclave $(B)/guest/volume
	@bench/bench-volume

# Containers beside other runtimes; as root, with podman.
.PHONY: bench-oci
bench-oci:
	@$(MAKE) shelter $(B)/sgx-loader $(B)/base/enclave tools
	@bench/bench-oci

# All of them, one after another, with charts: docs/performance.md.
.PHONY: bench-report
bench-report:
	@bench/bench-report
