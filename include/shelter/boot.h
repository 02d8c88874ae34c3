// SPDX-License-Identifier: Apache-2.0
// What the host hands to a confidential VM at boot: kernel command line and two disks.
//
// Command line (measured), in this order, and nothing else:
//
//   <SH_BOOT_COMMON> shelter.tee=<tee> shelter.manifest=<96 hex digits>
//       [shelter.launch=<96 hex digits>]    CSV only, which has no field for it
//       [SH_BOOT_DEBUG]                     --debug only
//
// Disks (virtio-blk, read-only but for volumes; their serial numbers only help to find them,
// nothing is believed because of them): SH_BOOT_ROOT_SERIAL is root.img (erofs, then its verity
// tree); SH_BOOT_CONFIG_SERIAL is this, padded with zeros to 4 KiB:
//
//   0       8               12             16
//   +-------+---------------+--------------+----------------+---------------+
//   | magic | manifest size | launch size  | manifest bytes | launch bytes  |
//   +-------+---------------+--------------+----------------+---------------+
#ifndef SHELTER_BOOT_H
#define SHELTER_BOOT_H

#include <stdint.h>

/* Why each: kernel/README.md. */
#define SH_BOOT_COMMON                                                                             \
    "quiet loglevel=0 panic=-1 random.trust_bootloader=off random.trust_cpu=on "                   \
    "tsc=reliable nohpet no_timer_check noreplace-smp rcupdate.rcu_expedited=1 "                   \
    "page_alloc.shuffle=1"
/* The last loglevel counts: with --debug the kernel talks. */
#define SH_BOOT_DEBUG "console=ttyS0 loglevel=7"
#define SH_BOOT_KEY_TEE "shelter.tee="
#define SH_BOOT_KEY_MANIFEST "shelter.manifest="
#define SH_BOOT_KEY_LAUNCH "shelter.launch="

#define SH_BOOT_ROOT_SERIAL "shelter-root"
#define SH_BOOT_CONFIG_SERIAL "shelter-config"
#define SH_BOOT_DATA_SERIAL "shelter-data"     /* and a number: as the manifest counts data */
#define SH_BOOT_VOLUME_SERIAL "shelter-volume" /* and a number: as the manifest counts volumes */
#define SH_BOOT_CONFIG_MAGIC "SHLTRCFG"

struct sh_boot_config_head {
    char magic[8];
    uint32_t manifest_size;
    uint32_t launch_size;
};

/* A shared folder's 9p mount tag, as in the launch config's mount lines: "share0", "share1", ... */
#define SH_BOOT_SHARE_TAG "share"

#endif
