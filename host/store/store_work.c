// SPDX-License-Identifier: Apache-2.0
// The store: work in progress, installing and removing images.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "host/store/base_files.h"
#include "host/store/signature.h"
#include "host/base/interrupt.h"
#include "host/store/store_tags.h"

/* Removes what killed builds left. The store is locked, so no folder is between mkdir and flock. */
static void remove_leftovers(struct sh_store *store)
{
    cleanup_closedir DIR *dir = sh_open_folder(store->dir_fd, "tmp", 0);
    if (!dir)
        return;
    int fd = dirfd(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        cleanup_close int entry = openat(fd, e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (entry >= 0 && flock(entry, LOCK_EX | LOCK_NB))
            continue;
        sh_remove_tree(fd, e->d_name);
    }
    sh_base_clean(store->dir_fd);
}

int sh_work_begin(struct sh_store *store, struct sh_work *work, struct sh_error *err)
{
    uint64_t random = 0;
    cleanup_close int lock = -1;
    *work = (struct sh_work){.store = store, .dir_fd = -1};
    int r = sh_store_lock(store, &lock, err);
    if (r)
        return r;
    remove_leftovers(store);
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        random = (uint64_t)getpid();
    snprintf(work->name, sizeof(work->name), "tmp/%016llx", (unsigned long long)random);
    sh_strings_addf(&work->names, "%s/base/", work->name);
    sh_strings_addf(&work->names, "%s/", work->name);
    sh_interrupt_remove(store->dir_fd, (const char *const *)work->names.v);
    if (!mkdirat(store->dir_fd, work->name, 0755))
        work->dir_fd = openat(store->dir_fd, work->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (work->dir_fd >= 0 && !flock(work->dir_fd, LOCK_EX | LOCK_NB))
        return 0;
    r = sh_fail_errno(err, -errno, "cannot create a temporary folder in the store %s", store->path);
    sh_interrupt_done();
    sh_strings_free(&work->names);
    return r;
}

void sh_work_end(struct sh_work *work)
{
    if (work->dir_fd < 0)
        return;
    if (*work->name) {
        sh_remove_tree(work->store->dir_fd, work->name);
        sh_base_clean(work->store->dir_fd); /* what it had already given to all */
    }
    sh_interrupt_done();
    sh_strings_free(&work->names);
    close(work->dir_fd);
    work->dir_fd = -1;
}

/* 1: the same bytes, 0: not, or one is missing. */
static bool same_file(int dir_a, int dir_b, const char *name)
{
    cleanup_close int a = openat(dir_a, name, O_RDONLY | O_CLOEXEC);
    cleanup_close int b = openat(dir_b, name, O_RDONLY | O_CLOEXEC);
    struct stat sa, sb;
    if (a < 0 || b < 0)
        return a < 0 && b < 0;
    if (fstat(a, &sa) || fstat(b, &sb) || sa.st_size != sb.st_size)
        return false;
    if (sa.st_ino == sb.st_ino && sa.st_dev == sb.st_dev)
        return true;
    for (off_t at = 0; at < sa.st_size;) {
        uint8_t x[65536], y[65536];
        size_t n = sa.st_size - at < 65536 ? (size_t)(sa.st_size - at) : 65536;
        if (sh_pread_all(a, x, n, at) || sh_pread_all(b, y, n, at) || memcmp(x, y, n))
            return false;
        at += (off_t)n;
    }
    return true;
}

static bool same_base(int a, int b)
{
    return same_file(a, b, "base/vmlinux") && same_file(a, b, "base/bzImage") &&
           same_file(a, b, "base/initramfs") && same_file(a, b, "base/enclave") &&
           same_file(a, b, SH_SIGNATURE) && same_file(a, b, SH_SIGNATURE_DEBUG) &&
           same_file(a, b, "reference.json");
}

/* Everything to the disk before the name appears: a crash leaves a whole image or none. */
static int sync_folder(int dir_fd)
{
    static const char *const names[] = {"root.img",
                                        "manifest",
                                        "reference.json",
                                        "base/vmlinux",
                                        "base/bzImage",
                                        "base/initramfs",
                                        "base/enclave",
                                        SH_SIGNATURE,
                                        SH_SIGNATURE_DEBUG,
                                        SH_BASE_SBOM,
                                        "sites.bin",
                                        "base",
                                        "."};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        cleanup_close int fd = openat(dir_fd, names[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
            continue;
        if (fd < 0 || fsync(fd))
            return -errno;
    }
    return 0;
}

/* Swaps two names; where the file system cannot do that at once, the store's lock hides the steps.
 */
static int exchange_names(int dir_fd, const char *a, const char *b)
{
    cleanup_free char *spare = sh_format("%s-old", a);
    if (!renameat2(dir_fd, a, dir_fd, b, RENAME_EXCHANGE))
        return 0;
    if (errno != EINVAL || renameat(dir_fd, b, dir_fd, spare))
        return -errno;
    if (renameat(dir_fd, a, dir_fd, b)) {
        int r = -errno;
        renameat(dir_fd, spare, dir_fd, b);
        return r;
    }
    return renameat(dir_fd, spare, dir_fd, a) ? -errno : 0;
}

int sh_work_install(struct sh_work *work, const char *id, bool replace, struct sh_error *err)
{
    struct sh_store *store = work->store;
    cleanup_free char *path = sh_format("images/%s", id);
    cleanup_close int lock = -1;
    int r = sync_folder(work->dir_fd);
    if (r)
        return sh_fail_errno(err, r, "cannot write the image into the store %s", store->path);
    r = sh_store_lock(store, &lock, err);
    if (r)
        return r;
    cleanup_close int old = openat(store->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (old < 0) {
        if (renameat(store->dir_fd, work->name, store->dir_fd, path))
            return sh_fail_errno(err, -errno, "cannot put the image into the store %s",
                                 store->path);
        *work->name = 0;
    } else if (!same_base(old, work->dir_fd)) {
        if (!replace)
            return sh_fail(
                err, -EEXIST,
                "image %.12s is in the store with another kernel, initramfs or reference "
                "values; remove that first: shelter rmi %.12s",
                id, id);
        /* The old folder takes our temporary name; it goes away when nobody uses it any more. */
        r = exchange_names(store->dir_fd, work->name, path);
        if (r)
            return sh_fail_errno(err, r, "cannot put the image into the store %s", store->path);
        if (!flock(old, LOCK_EX | LOCK_NB))
            sh_remove_tree(store->dir_fd, work->name);
        *work->name = 0;
    }
    cleanup_close int images = openat(store->dir_fd, "images", O_RDONLY | O_CLOEXEC);
    if (images >= 0)
        fsync(images);
    if (!*work->name)
        flock(work->dir_fd, LOCK_UN);
    return 0;
}

/* --- removing --- */

/* A tag may be left of an image that somebody removed by hand. */
static bool has_image(struct sh_store *store, const char *id)
{
    cleanup_free char *path = sh_format("images/%s", id);
    return !faccessat(store->dir_fd, path, F_OK, 0);
}

static int remove_image(struct sh_store *store, const char *id, bool force, struct sh_error *err)
{
    cleanup_free char *path = sh_format("images/%s", id);
    cleanup_free char *away = sh_format("tmp/removed-%.16s-%d", id, (int)getpid());
    cleanup_close int fd = openat(store->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : sh_fail_errno(err, -errno, "cannot open image %.12s", id);
    bool busy = flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (busy && !force)
        return sh_fail(err, -EBUSY,
                       "image %.12s is in use; stop its instances ('shelter ps') or give -f", id);
    if (renameat(store->dir_fd, path, store->dir_fd, away))
        return sh_fail_errno(err, -errno, "cannot remove image %.12s", id);
    if (!busy)
        sh_remove_tree(store->dir_fd, away);
    sh_base_clean(store->dir_fd);
    return 0;
}

int sh_store_remove(struct sh_store *store, const char *reference, bool force,
                    struct sh_strings *report, struct sh_error *err)
{
    char id[SH_ID_TEXT_SIZE];
    cleanup_free char *tag = NULL;
    cleanup_close int lock = -1;
    struct sh_tags all = {0};
    int r = sh_store_lock(store, &lock, err);
    if (!r)
        r = sh_store_resolve(store, reference, id, &tag, err);
    if (!r)
        r = sh_store_all_tags(store, &all, err);
    size_t others = 0;
    for (size_t i = 0; !r && i < all.count; i++)
        others += !strcmp(all.v[i].id, id) && (!tag || strcmp(all.v[i].name, tag));
    if (!r && tag && others) {
        sh_store_drop_tag(store, tag);
        sh_strings_addf(report, "untagged %s", tag);
    } else if (!r && !tag && others > 1 && !force) {
        r = sh_fail(err, -EBUSY, "image %.12s has %zu tags; remove them one by one or give -f", id,
                    others);
    } else if (!r) {
        bool there = has_image(store, id);
        r = remove_image(store, id, force, err);
        for (size_t i = 0; !r && i < all.count; i++) {
            if (strcmp(all.v[i].id, id))
                continue;
            sh_store_drop_tag(store, all.v[i].name);
            sh_strings_addf(report, "untagged %s", all.v[i].name);
        }
        if (!r && there)
            sh_strings_addf(report, "removed %s", id);
    }
    sh_tags_free(&all);
    return r;
}
