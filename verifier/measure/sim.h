// SPDX-License-Identifier: Apache-2.0
// Launch measurement of a simulated TD (tdx-sim), from the bytes that are loaded. Pure.
//
//   MRTD    TDX module's rule (Intel TDX Module Base spec, TDH.MEM.PAGE.ADD and TDH.MR.EXTEND) over
//           every page of the firmware, where it is mapped: it ends at 4 GiB
//   RTMR0   one event: SHA-384 of struct sh_sim_config, what the host chose for the machine. The
//           devices (disks, network, shares) are not in it: the guest believes none of them
//   RTMR1   PVH: one event, SHA-384 of the vmlinux file.
//           bzImage: the Authenticode SHA-384 of the file with the header fields that QEMU fills
//           in, then the four events of a UEFI boot, as OVMF extends them on direct boot
//   RTMR2   SHA-384 of the command line in UTF-16LE with its NUL (OVMF: with " initrd=initrd"),
//   then
//           SHA-384 of the initramfs
//   RTMR3   zero: the workload's
//
// An RTMR is extended so: new = SHA-384(old || digest of the event).
#ifndef VERIFIER_MEASURE_SIM_H
#define VERIFIER_MEASURE_SIM_H

#include <stdbool.h>

#include "lib/bytes.h"
#include "verifier/measure/steps.h"

/* Launch measurement of a TD (SHA-384 each) and the launch config's field. */
struct sh_td_measurement {
    uint8_t mrtd[48];
    uint8_t rtmr[4][48];
    uint8_t mrconfigid[48];
};

/* RTMR0's event, little endian, as it stands. */
struct sh_sim_config {
    char magic[8]; /* SH_SIM_CONFIG_MAGIC */
    uint32_t boot; /* 0: PVH, 1: bzImage */
    uint32_t cpus;
    uint64_t memory; /* bytes */
};
#define SH_SIM_CONFIG_MAGIC "SHLTRTD0"

struct sh_sim_input {
    struct sh_view firmware; /* whole 4 KiB pages */
    struct sh_view kernel;   /* vmlinux or bzImage */
    struct sh_view initramfs;
    const char *command_line; /* as given to QEMU */
    bool bzimage;             /* false: PVH */
    uint64_t memory;          /* bytes */
    uint32_t cpus;
    cJSON *steps; /* gets what is measured, or NULL */
};

/* All but mrconfigid, which is the launch config's digest. 0; -EBADMSG for a firmware that is not
 * whole pages or a bzImage that is none. */
int sh_sim_measure(const struct sh_sim_input *in, struct sh_td_measurement *m);

/* MRTD's digest of `size` bytes (whole pages) at guest physical address `gpa`. */
int sh_sim_mrtd(uint8_t mrtd[48], const void *data, size_t size, uint64_t gpa);

/* rtmr = SHA-384(rtmr || digest) */
void sh_sim_extend(uint8_t rtmr[48], const uint8_t digest[48]);

/* Authenticode digest (SHA-384) of a PE file (Windows Authenticode Portable Executable Signature
 * Format, 2008). -EBADMSG for anything else. */
int sh_sim_authenticode(uint8_t digest[48], const void *data, size_t size);

/* Fills in the fields of a bzImage's header as QEMU's direct boot does (hw/i386/x86.c) on q35 with
 * this memory and initramfs. -EBADMSG if it is no bzImage of boot protocol 2.2 or later. */
int sh_sim_patch_bzimage(uint8_t *data, size_t size, uint64_t memory, size_t initramfs_size);

#endif
