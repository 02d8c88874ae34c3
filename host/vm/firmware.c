// SPDX-License-Identifier: Apache-2.0
// Firmware files: which one, and whether its GUIDed table says it can do what the TEE needs.
//
// The table of OVMF ends 32 bytes before the end of the file and is read backwards:
//
//   ... | data | u16 size | GUID |  ...  | u16 size of the table | GUID of the table | 32 bytes | end
//
// Each size counts data, size and GUID.
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "host/vm/parts.h"
#include "lib/bytes.h"

#define FIRMWARE_SIZE_MAX (64u << 20)

/* GUIDs as they stand in the file: the first three fields little endian. */
static const uint8_t table_guid[16] = {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
                                       0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d};
/* 7255371f-3a3b-4b04-927b-1da6efa8d454: SEV hash table (address and size) */
static const uint8_t hash_table_guid[16] = {0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b,
                                            0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54};
/* e47a6535-984a-4798-865e-4685a7bf8ec2: offset of the TDX metadata */
static const uint8_t tdx_guid[16] = {0x35, 0x65, 0x7a, 0xe4, 0x4a, 0x98, 0x98, 0x47,
                                     0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2};

/* struct SevHashTable of QEMU with its padding: the room that the firmware must give. */
#define HASH_TABLE_SIZE 176u

/* The data of the entry with this GUID and its size, or NULL. */
static const uint8_t *find_entry(const uint8_t *p, size_t size, const uint8_t guid[16],
                                 size_t *data_size)
{
    if (size < 32 + 18)
        return NULL;
    const uint8_t *end = p + size - 32 - 16;
    size_t left = sh_le16(end - 2);
    if (memcmp(end, table_guid, 16) || left < 18 || left > size - 32)
        return NULL;
    end -= 2;
    left -= 18;
    while (left >= 18) {
        size_t entry = sh_le16(end - 18);
        if (entry < 18 || entry > left)
            return NULL;
        if (!memcmp(end - 16, guid, 16)) {
            *data_size = entry - 18;
            return end - entry;
        }
        end -= entry;
        left -= entry;
    }
    return NULL;
}

/* Firmware that has no use for the table has the entry all the same, with address and size zero. */
static bool holds_hashes(const uint8_t *p, size_t size)
{
    size_t n;
    const uint8_t *data = find_entry(p, size, hash_table_guid, &n);
    return data && n == 8 && sh_le32(data) && sh_le32(data + 4) >= HASH_TABLE_SIZE;
}

static bool is_tdvf(const uint8_t *p, size_t size)
{
    size_t n;
    const uint8_t *data = find_entry(p, size, tdx_guid, &n);
    return data && n == 4 && sh_le32(data) && sh_le32(data) <= size;
}

static int need(const char *path, bool (*has)(const uint8_t *, size_t), const char *what,
                const char *package, struct sh_error *err)
{
    uint8_t *data;
    size_t size;
    int r = sh_read_file(AT_FDCWD, path, FIRMWARE_SIZE_MAX, &data, &size, err);
    if (r)
        return r;
    bool usable = has(data, size);
    free(data);
    if (usable)
        return 0;
    return sh_fail(err, -EBADMSG, "the firmware %s %s; use the one of %s", path, what, package);
}

int sh_vm_firmware_has_hash_table(const char *path, struct sh_error *err)
{
    return need(path, holds_hashes,
                "has no place for kernel hashes, so kernel and command line would not be "
                "measured", "ovmf-amdsev", err);
}

int sh_vm_firmware_has_tdx(const char *path, struct sh_error *err)
{
    return need(path, is_tdvf, "is not made for TDX", "ovmf-inteltdx", err);
}

int sh_vm_pick_firmware(struct sh_vm_config *config, const char *const *paths, const char *package,
                        struct sh_error *err)
{
    if (!config->firmware)
        config->firmware = sh_vm_first_file(paths);
    if (!config->firmware)
        return sh_fail(err, -ENOENT, "no firmware for %s is there; install %s or give --firmware FILE",
                       config->tee->name, package);
    if (access(config->firmware, R_OK))
        return sh_fail_errno(err, -errno, "cannot read the firmware %s", config->firmware);
    return 0;
}
