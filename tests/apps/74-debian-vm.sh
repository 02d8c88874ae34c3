#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What 73-debian.sh runs in an enclave, in a simulated TD: the same image, the same scripts, the same words.
[ -f build/base/vmlinux ] && command -v qemu-system-x86_64 >/dev/null || { echo "skip debian-vm: no guest kernel or no QEMU"; exit 0; }
tee=tdx-sim
. tests/apps/73-debian.sh
