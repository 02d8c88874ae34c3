#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 81-kubernetes in a confidential VM (tdx-sim): PostgreSQL from the same manifest, killed, started on another node with its data.
[ -f build/base/vmlinux ] && command -v qemu-system-x86_64 tc >/dev/null || { echo "skip kubernetes in a machine: no guest kernel, no QEMU or no tc"; exit 0; }
SHELTER_TEST_TEE=tdx-sim exec bash tests/apps/81-kubernetes.sh
