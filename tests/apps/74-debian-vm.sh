#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What 73-debian.sh runs in an enclave, in a simulated TD: the same image, the same scripts, the same words.
# May take 7200 s: each of its programs runs in a machine that is emulated where there is no KVM.
[ -f build/base/vmlinux ] && command -v qemu-system-x86_64 >/dev/null || { echo "skip debian-vm: no guest kernel or no QEMU"; exit 0; }
tee=tdx-sim
each=900
. tests/apps/73-debian.sh
