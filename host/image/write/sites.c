// SPDX-License-Identifier: Apache-2.0
// Writes sites.bin: the sites of every program in a tree, in the order of inode numbers.
#include "host/image/write/sites.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "host/store/sink.h"
#include "lib/bytes.h"

#define ELF_MAGIC "\177ELF"
#define PROGRAM_MIN 64u

struct found {
    uint64_t nid;
    struct sh_site_list list;
};

struct writer {
    const struct sh_tree *tree;
    struct sh_progress *progress;
    struct found *files;
    size_t file_count, room;
    uint64_t site_count, searched;
    struct sh_error *err;
};

/* The spool holds files without gaps, so a mapping of one begins at the page before. */
static int search_file(struct writer *w, const struct sh_inode *i)
{
    uint8_t magic[4];
    struct found found = {.nid = i->nid};
    if (i->size < PROGRAM_MIN)
        return 0;
    int r = sh_pread_all(w->tree->spool_fd, magic, sizeof(magic), (off_t)i->spool);
    if (r)
        return sh_fail_errno(w->err, r, "cannot read a temporary file in the store");
    if (memcmp(magic, ELF_MAGIC, sizeof(magic)))
        return 0;
    uint64_t skip = i->spool % 4096;
    uint8_t *map = mmap(NULL, (size_t)(i->size + skip), PROT_READ, MAP_PRIVATE, w->tree->spool_fd,
                        (off_t)(i->spool - skip));
    if (map == MAP_FAILED)
        return sh_fail_errno(w->err, -errno, "cannot read a temporary file in the store");
    sh_sites_find_in(map + skip, (size_t)i->size, &found.list);
    munmap(map, (size_t)(i->size + skip));
    w->searched += i->size;
    sh_progress_show(w->progress, "finding call sites", w->searched, w->tree->spool_size);
    if (!found.list.count) {
        free(found.list.v);
        return 0;
    }
    if (w->file_count == w->room) {
        w->room = w->room ? 2 * w->room : 64;
        w->files = sh_realloc_array(w->files, w->room, sizeof(*w->files));
    }
    w->files[w->file_count++] = found;
    w->site_count += found.list.count;
    return 0;
}

static int walk_folder(struct writer *w, const struct sh_inode *folder)
{
    int r = 0;
    for (size_t k = 0; !r && k < folder->entry_count; k++) {
        const struct sh_inode *i = folder->entries[k].inode;
        if (S_ISDIR(i->mode))
            r = walk_folder(w, i);
        else if (S_ISREG(i->mode))
            r = search_file(w, i);
    }
    return r;
}

static int by_nid(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return x->nid < y->nid ? -1 : x->nid > y->nid;
}

/* Ascending; a file with several names is there once. */
static void sort_lists(struct writer *w)
{
    size_t n = 0;
    if (w->file_count)
        qsort(w->files, w->file_count, sizeof(*w->files), by_nid);
    for (size_t i = 0; i < w->file_count; i++) {
        if (n && w->files[i].nid == w->files[n - 1].nid) {
            w->site_count -= w->files[i].list.count;
            free(w->files[i].list.v);
        } else {
            w->files[n++] = w->files[i];
        }
    }
    w->file_count = n;
}

static void encode_sites(const struct writer *w, struct sh_buffer *out)
{
    uint8_t head[SH_SITES_HEAD_SIZE] = SH_SITES_MAGIC;
    static const uint8_t zeros[4096];
    uint32_t first = 0;
    sh_put_le32(head + 8, SH_SITES_VERSION);
    sh_put_le32(head + 12, (uint32_t)w->file_count);
    sh_put_le32(head + 16, (uint32_t)w->site_count);
    sh_buffer_add(out, head, sizeof(head));
    for (size_t i = 0; i < w->file_count; i++) {
        uint8_t d[SH_SITES_FILE_SIZE];
        sh_put_le64(d, w->files[i].nid);
        sh_put_le32(d + 8, first);
        sh_put_le32(d + 12, (uint32_t)w->files[i].list.count);
        sh_buffer_add(out, d, sizeof(d));
        first += (uint32_t)w->files[i].list.count;
    }
    for (size_t i = 0; i < w->file_count; i++) {
        for (size_t k = 0; k < w->files[i].list.count; k++) {
            struct sh_site s = w->files[i].list.v[k];
            sh_put_le32((uint8_t *)&s.offset, s.offset);
            sh_buffer_add(out, &s, sizeof(s));
        }
    }
    sh_buffer_add(out, zeros, -out->size % sizeof(zeros));
}

static int write_file(const struct sh_buffer *b, int dir_fd, uint8_t hash[32], struct sh_error *err)
{
    struct sh_sink sink;
    cleanup_close int fd = openat(dir_fd, "sites.bin", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot write into the store");
    int r = sh_sink_open(&sink, fd, b->size / SH_VERITY_BLOCK, err);
    if (!r)
        r = sh_sink_add(&sink, b->data, b->size, err);
    if (!r)
        r = sh_sink_finish(&sink, err);
    memcpy(hash, sink.root, 32);
    sh_sink_close(&sink);
    return r;
}

int sh_sites_write(const struct sh_tree *tree, int dir_fd, struct sh_progress *progress,
                   uint64_t *data_size, uint8_t hash[32], struct sh_error *err)
{
    struct writer w = {.tree = tree, .progress = progress, .err = err};
    struct sh_buffer b = {0};
    *data_size = 0;
    int r = walk_folder(&w, tree->root);
    sort_lists(&w);
    if (!r && w.file_count) {
        encode_sites(&w, &b);
        *data_size = b.size;
        r = b.size > SH_SITES_SIZE_MAX
                ? sh_fail(err, -EFBIG, "the image's programs have too many system calls to list")
                : write_file(&b, dir_fd, hash, err);
    }
    for (size_t i = 0; i < w.file_count; i++)
        free(w.files[i].list.v);
    free(w.files);
    sh_buffer_free(&b);
    return r;
}
