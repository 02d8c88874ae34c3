// SPDX-License-Identifier: Apache-2.0
// Archives as trees and root images: any order of names, links, folders, whiteouts, in two layers.
// What comes out is a tree whose links and parents agree, and it can be written.
//
// Input: records of kind, name size, target size, name, target; kind's high bit begins a new layer.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host/image/write/erofs.h"
#include "host/image/input/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
    struct sh_source source;
    struct sh_buffer *b;
    size_t at;
};

static int read_memory(struct sh_source *s, void *buffer, size_t size, struct sh_error *err)
{
    struct memory *m = (struct memory *)s;
    size_t n = m->b->size - m->at < size ? m->b->size - m->at : size;
    memcpy(buffer, m->b->data + m->at, n);
    m->at += n;
    return (int)n;
}

/* A ustar header with a right checksum. */
static void add_header(struct sh_buffer *b, uint8_t kind, const uint8_t *name, size_t name_size,
                       const uint8_t *target, size_t target_size)
{
    static const char types[] = "0012345x";
    char h[512] = {0};
    unsigned sum = 0;
    memcpy(h, name, name_size);
    strcpy(h + 100, "0000755");
    strcpy(h + 108, "0000000");
    strcpy(h + 116, "0000000");
    snprintf(h + 124, 12, "%011o", types[kind & 7] == '0' ? (unsigned)kind : 0);
    strcpy(h + 136, "00000000000");
    h[156] = types[kind & 7] == 'x' ? '6' : types[kind & 7];
    memcpy(h + 157, target, target_size);
    memcpy(h + 257, "ustar\00000", 8);
    memset(h + 148, ' ', 8);
    for (size_t i = 0; i < sizeof(h); i++)
        sum += (uint8_t)h[i];
    snprintf(h + 148, 8, "%06o", sum);
    sh_buffer_add(b, h, sizeof(h));
    memset(h, 'x', sizeof(h));
    if (types[kind & 7] == '0' && kind)
        sh_buffer_add(b, h, sizeof(h));
}

struct count {
    const struct sh_inode *inode;
    uint32_t links;
};

static void walk(const struct sh_inode *folder, struct count *counts, size_t *n)
{
    for (size_t i = 0; i < folder->entry_count; i++) {
        const struct sh_entry *e = &folder->entries[i];
        if (!*e->name || !strcmp(e->name, ".") || !strcmp(e->name, "..") || strchr(e->name, '/') ||
            (i && strcmp(folder->entries[i - 1].name, e->name) >= 0))
            abort();
        if (S_ISDIR(e->inode->mode)) {
            if (e->inode->parent != folder)
                abort();
            walk(e->inode, counts, n);
            continue;
        }
        size_t k = 0;
        while (k < *n && counts[k].inode != e->inode)
            k++;
        if (k == *n)
            counts[(*n)++] = (struct count){e->inode, 0};
        counts[k].links++;
    }
}

static void check(struct sh_tree *t, size_t records)
{
    struct sh_erofs_result result;
    struct sh_error err = {0};
    uint8_t root[32];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (sh_erofs_write(t, fd, NULL, &result, &err) ||
        sh_verity_file(fd, result.root_size / 4096, true, root, &err) ||
        memcmp(root, result.root_hash, sizeof(root)))
        abort();
    close(fd);
    struct count *counts = calloc(records + 1, sizeof(*counts));
    size_t n = 0;
    walk(t->root, counts, &n); /* sorted by the writer */
    for (size_t i = 0; i < n; i++)
        if (counts[i].links != counts[i].inode->link_count)
            abort();
    free(counts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char end[1024];
    struct sh_tree t;
    struct sh_error err = {0};
    static int dir = -1;
    size_t records = 0;
    int r = 0;
    if (dir < 0)
        dir = open("/dev/shm", O_RDONLY | O_DIRECTORY);
    if (size > 4096 || sh_tree_init(&t, dir, &err))
        return 0;
    for (size_t at = 0; !r && at < size;) {
        struct sh_buffer b = {0};
        bool layer = data[at] & 0x40;
        for (bool first = true; at + 3 <= size && (first || !(data[at] & 0x80)); first = false) {
            size_t name = data[at + 1] % 101, target = data[at + 2] % 101;
            if (at + 3 + name + target > size)
                name = target = 0;
            add_header(&b, data[at], data + at + 3, name, data + at + 3 + name, target);
            at += 3 + name + target;
            records++;
        }
        at = at + 3 > size ? size : at;
        sh_buffer_add(&b, end, sizeof(end));
        struct memory m = {{.read = read_memory, .name = "fuzz"}, &b, 0};
        r = sh_tar_read(&t, &m.source, layer, NULL, &err);
        sh_buffer_free(&b);
    }
    if (r && !err.text[0])
        abort();
    check(&t, records);
    sh_tree_free(&t);
    return 0;
}
