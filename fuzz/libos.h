// SPDX-License-Identifier: Apache-2.0
// For harnesses of the whole LibOS behind port `unit`: it is started on an image with one file,
// /data/file, with memory whose parts are guarded. Include it first.
#ifndef FUZZ_LIBOS_H
#define FUZZ_LIBOS_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/image/write/erofs.h"
#include "lib/settings.h"
#include "trusted/libos/base/digest.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/port_unit/unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int stdio_init(void); /* fs/file.h, which has the kernel's fcntl.h */

/* Objects that only pages of the LibOS's zone point to look lost to the leak checker. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

#define ROOM 4096u /* of the buffer that calls may write */
#define GUARD 0xa7

static uint8_t *memory; /* | guard | buffer | guard | arguments | */
static uint8_t *root;
static struct sh_erofs_result built;

static void prepare(void)
{
    char path[] = "/tmp/shelter-callouts.XXXXXX";
    struct sh_inode *folder, *file;
    struct sh_error err = {0};
    struct sh_tree t;
    char *name;
    int dir = open("/tmp", O_RDONLY | O_DIRECTORY), fd = mkstemp(path);
    unlink(path);
    if (sh_tree_init(&t, dir, &err) || sh_tree_parent(&t, "data/file", true, &folder, &name, &err))
        abort();
    file = sh_tree_inode(&t, S_IFREG | 0644);
    file->size = 100000;
    if (sh_tree_reserve(&t, file->size, &file->spool, &err) ||
        sh_tree_link(&t, folder, name, file, &err) || sh_erofs_write(&t, fd, NULL, &built, &err))
        abort();
    free(name);
    root = malloc(built.image_size);
    if (pread(fd, root, built.image_size, 0) != (ssize_t)built.image_size)
        abort();
    sh_tree_free(&t);
    close(fd);
    close(dir);
    digest_init(false);
    if (unit_start(root, built.image_size, built.root_size, built.root_hash))
        abort();
    static struct sh_published_port ports[] = {{80, 6}, {80, 17}};
    settings.ports = ports;
    settings.port_count = 2;
    los_lock();
    if (stdio_init())
        abort();
    los_unlock();
    memory = (uint8_t *)unit_memory(4 * ROOM);
    los_lock(); /* there is nobody to take faults */
    if (mm_ready((uint64_t)memory, 4 * ROOM, PORT_W))
        abort();
    los_unlock();
}

static uint64_t pick(const uint8_t **at, const uint8_t *end)
{
    return *at < end ? *(*at)++ : 0;
}

static void check_guards(void)
{
    for (unsigned i = 0; i < ROOM; i++) {
        if (memory[i] != GUARD || memory[2 * ROOM + i] != GUARD)
            abort();
    }
}

#endif
