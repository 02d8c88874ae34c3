// SPDX-License-Identifier: Apache-2.0
// dm-verity over the disks of the image, by device-mapper's own ioctls.
//
// A block that does not match the tree reads as EIO, and the guest goes on: the workload is told,
// and no wrong byte is ever returned. (Tree format: kernel Documentation/.../verity.rst,
// version 1.)
#include "trusted/guest/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/dm-ioctl.h>

#include "lib/hex.h"

#define BLOCK 4096u
#define PARAMS_SIZE 256

struct request {
    struct dm_ioctl head;
    struct dm_target_spec spec;
    char params[PARAMS_SIZE];
};

static void prepare_request(struct request *r, const char *name, uint32_t flags)
{
    memset(r, 0, sizeof(*r));
    r->head.version[0] = DM_VERSION_MAJOR;
    r->head.data_size = sizeof(*r);
    r->head.data_start = sizeof(r->head);
    r->head.flags = flags;
    strncpy(r->head.name, name, sizeof(r->head.name) - 1);
}

int guest_verity(const char *disk, const char *name, uint64_t size, const uint8_t root_hash[32],
                 char *path, size_t path_size, struct guest_error *e)
{
    struct request r;
    struct stat st;
    char hash[2 * 32 + 1];
    const char *step = "open";
    unsigned long long blocks = size / BLOCK;
    GUEST_AUTOCLOSE int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    if (fd < 0 || stat(disk, &st))
        goto fail;
    sh_hex(hash, root_hash, 32);

    step = "create";
    prepare_request(&r, name, DM_READONLY_FLAG);
    if (ioctl(fd, DM_DEV_CREATE, &r))
        goto fail;
    unsigned minor_number = minor(r.head.dev);

    step = "table";
    prepare_request(&r, name, DM_READONLY_FLAG);
    r.head.target_count = 1;
    r.spec.length = blocks * (BLOCK / 512);
    strcpy(r.spec.target_type, "verity");
    snprintf(r.params, sizeof(r.params), "1 %u:%u %u:%u %u %u %llu %llu sha256 %s -",
             major(st.st_rdev), minor(st.st_rdev), major(st.st_rdev), minor(st.st_rdev), BLOCK,
             BLOCK, blocks, blocks, hash);
    if (ioctl(fd, DM_TABLE_LOAD, &r))
        goto fail;

    step = "resume";
    prepare_request(&r, name, DM_READONLY_FLAG);
    if (ioctl(fd, DM_DEV_SUSPEND, &r))
        goto fail;
    snprintf(path, path_size, "/dev/dm-%u", minor_number);
    return 0;
fail:
    return guest_fail(e, -errno, "cannot set up verity for the image's %s (%s): %s", name, step,
                      strerror(errno));
}
