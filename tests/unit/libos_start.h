// SPDX-License-Identifier: Apache-2.0
// How unit tests of the LibOS begin: port `unit` with an empty root, or with an image of the
// builder's.
#ifndef TESTS_LIBOS_START_H
#define TESTS_LIBOS_START_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/image/write/erofs.h"
#include "trusted/libos/base/digest.h"
#include "trusted/libos/port_unit/unit.h"

/* Objects that only pages of the LibOS's zone point to look lost to the leak checker. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* An erofs of one block: an empty root directory. What unit_start answers. */
static inline int start_empty(void)
{
    static _Alignas(4096) uint8_t root[4096];
    uint8_t hash[32];
    const uint32_t magic = 0xe0f5e1e2u;
    const uint16_t nid = 64, mode = 040755, links = 2;
    memcpy(root + 1024, &magic, 4);
    root[1024 + 12] = 12;
    memcpy(root + 1024 + 14, &nid, 2);
    memcpy(root + nid * 32 + 4, &mode, 2);
    memcpy(root + nid * 32 + 6, &links, 2);
    digest_init(false);
    digest_sha256(hash, root, sizeof(root));
    return unit_start(root, sizeof(root), sizeof(root), hash);
}

/* The image of a tree, which stays the caller's; so are the bytes that come back. */
static inline uint8_t *start_tree(struct sh_tree *t, struct sh_erofs_result *built)
{
    char path[] = "/tmp/shelter-libos.XXXXXX";
    struct sh_error err = {0};
    int fd = mkstemp(path);
    unlink(path);
    assert_int_equal(sh_erofs_write(t, fd, NULL, built, &err), 0);
    uint8_t *root = malloc(built->image_size);
    assert_int_equal(pread(fd, root, built->image_size, 0), (ssize_t)built->image_size);
    close(fd);
    digest_init(false);
    assert_int_equal(unit_start(root, built->image_size, built->root_size, built->root_hash), 0);
    return root;
}

#endif
