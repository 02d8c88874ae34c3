// SPDX-License-Identifier: Apache-2.0
// From a bundle's rootfs to an image in the store, converted when its layers are new.
#include "host/oci/image.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <linux/openat2.h>
#include <mntent.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "host/image/build.h"
#include "host/store/base_files.h"
#include "lib/hex.h"
#include "lib/sha2.h"

#define TAG_FORMAT "shelter-oci/%s:latest"

/* --- which rootfs it is --- */

static void hash_text(struct sh_sha256 *h, const char *text)
{
    sh_sha256_update(h, text, strlen(text) + 1);
}

/* Names, kinds, owners and sizes below a folder. `content`: what the files hold too, and no times,
 * for an upper layer, which each container has anew; else times, which tell of every change. */
static int hash_folder(struct sh_sha256 *h, const char *path, bool content, struct sh_error *err)
{
    char *const paths[] = {(char *)path, NULL};
    FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    int r = walk ? 0 : sh_fail_errno(err, -errno, "cannot read %s", path);
    /* In the order of the folder, which may differ for equal trees: then it is converted again. */
    for (FTSENT *e; !r && (e = fts_read(walk));) {
        const struct stat *st = e->fts_statp;
        if (e->fts_info == FTS_DP)
            continue;
        if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS) {
            r = sh_fail_errno(err, -e->fts_errno, "cannot read %s", e->fts_path);
            break;
        }
        uint64_t facts[] = {st->st_mode, st->st_uid, st->st_gid,
                            S_ISDIR(st->st_mode) ? 0 : st->st_size, st->st_rdev};
        hash_text(h, e->fts_path + strlen(path));
        sh_sha256_update(h, facts, sizeof(facts));
        if (!content) {
            uint64_t times[] = {st->st_ino, (uint64_t)st->st_mtim.tv_sec,
                                (uint64_t)st->st_mtim.tv_nsec, (uint64_t)st->st_ctim.tv_sec,
                                (uint64_t)st->st_ctim.tv_nsec};
            sh_sha256_update(h, times, sizeof(times));
        } else if (S_ISREG(st->st_mode) && st->st_size) {
            cleanup_free uint8_t *data = NULL;
            size_t size;
            r = sh_read_file(AT_FDCWD, e->fts_path, SIZE_MAX / 2, &data, &size, err);
            if (!r)
                sh_sha256_update(h, data, size);
        } else if (S_ISLNK(st->st_mode)) {
            char target[PATH_MAX];
            ssize_t n = readlink(e->fts_path, target, sizeof(target));
            sh_sha256_update(h, target, n > 0 ? (size_t)n : 0);
        }
    }
    if (walk)
        fts_close(walk);
    return r;
}

/* The value of a mount option, without its escapes; owned by the caller. */
static char *option_of(const struct mntent *m, const char *name)
{
    const char *at = hasmntopt(m, name);
    if (!at || !(at = strchr(at, '=')))
        return NULL;
    char *value = sh_format("%.*s", (int)strcspn(at + 1, ","), at + 1), *to = value;
    for (const char *from = value; *from; from++)
        *to++ = *from == '\\' && from[1] ? *++from : *from;
    *to = 0;
    return value;
}

/* An overlay mount: its lower layers by name and identity, its upper one by what it holds. */
static int hash_overlay(struct sh_sha256 *h, const struct mntent *m, struct sh_error *err)
{
    cleanup_free char *lower = option_of(m, "lowerdir"), *upper = option_of(m, "upperdir");
    char *rest = NULL;
    struct stat st;
    for (char *one = lower ? strtok_r(lower, ":", &rest) : NULL; one;
         one = strtok_r(NULL, ":", &rest)) {
        hash_text(h, one);
        if (!stat(one, &st)) {
            uint64_t facts[] = {st.st_dev, st.st_ino, (uint64_t)st.st_ctim.tv_sec,
                                (uint64_t)st.st_ctim.tv_nsec};
            sh_sha256_update(h, facts, sizeof(facts));
        }
    }
    return upper ? hash_folder(h, upper, true, err) : 0;
}

static int hash_rootfs(struct sh_sha256 *h, const char *rootfs, struct sh_error *err)
{
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    int r = 1;
    for (struct mntent *m; mounts && r == 1 && (m = getmntent(mounts));)
        if (!strcmp(m->mnt_dir, rootfs) && !strcmp(m->mnt_type, "overlay"))
            r = hash_overlay(h, m, err);
    if (mounts)
        endmntent(mounts);
    return r == 1 ? hash_folder(h, rootfs, false, err) : r;
}

/* Another kernel, enclave or Shelter makes another image of the same files. */
static int hash_base(struct sh_sha256 *h, struct sh_error *err)
{
    static const char *const files[] = {"enclave", "vmlinux", "bzImage", "initramfs"};
    cleanup_free char *base = sh_base_find(NULL, err);
    if (!base)
        return -ENOENT;
    hash_text(h, SHELTER_VERSION);
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        struct stat st;
        cleanup_free char *path = sh_format("%s/%s", base, files[i]);
        if (stat(path, &st))
            continue;
        uint64_t facts[] = {st.st_dev, st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec,
                            (uint64_t)st.st_mtim.tv_nsec};
        sh_sha256_update(h, facts, sizeof(facts));
    }
    return 0;
}

static int make_key(const struct oci_bundle *b, char key[65], struct sh_error *err)
{
    struct sh_sha256 h;
    uint8_t digest[32];
    sh_sha256_init(&h);
    int r = hash_base(&h, err);
    for (size_t i = 0; !r && i < b->bind_count; i++) {
        if (b->binds[i].kind == OCI_BIND_SHARE || b->binds[i].kind == OCI_BIND_PROGRAM)
            hash_text(&h, b->binds[i].target);
        if (b->binds[i].kind == OCI_BIND_PROGRAM)
            r = hash_folder(&h, b->binds[i].source, true, err);
    }
    for (size_t i = 0; i < b->tmpfs.count; i++)
        hash_text(&h, b->tmpfs.v[i]);
    if (!r)
        r = hash_rootfs(&h, b->rootfs, err);
    sh_sha256_final(&h, digest);
    sh_hex(key, digest, sizeof(digest));
    return r;
}

/* --- conversion --- */

/* What an engine expects to be able to do with a container. Whoever wants it otherwise builds the
 * image and names it by the annotation. */
static int convert_rootfs(const struct oci_bundle *b, const char *tag, struct sh_error *err)
{
    char id[SH_ID_TEXT_SIZE];
    struct sh_build build = {.quiet = true};
    build.tag = sh_strdup(tag);
    build.rootfs = sh_strdup(b->rootfs);
    int r = sh_config_policy(&build.config, "exec,signal,stats,files,pod", err);
    for (size_t i = 0; !r && i < b->bind_count; i++) {
        const struct oci_bind *bind = &b->binds[i];
        cleanup_free char *place = sh_format("%s:cover", bind->target);
        if (bind->kind == OCI_BIND_SHARE)
            r = sh_config_host_mount(&build.config, place, err);
        else if (bind->kind == OCI_BIND_PROGRAM)
            sh_strings_addf(&build.files, "%s:%s", bind->source, bind->target);
    }
    for (size_t i = 0; !r && i < b->tmpfs.count; i++)
        r = sh_config_mount(&build.config, b->tmpfs.v[i], err);
    if (!r)
        r = sh_build_run(&build, id, err);
    sh_build_free(&build);
    return r;
}

static bool is_there(struct sh_store *store, const char *tag)
{
    struct sh_error none = {0};
    struct sh_image image;
    int r = sh_image_open(store, tag, &image, &none);
    if (!r)
        sh_image_close(&image);
    return !r;
}

/* Whoever comes meanwhile for the same rootfs waits, and finds it made. */
static int convert_once(struct sh_store *store, const struct oci_bundle *b, const char *key,
                        const char *tag, struct sh_error *err)
{
    if (mkdirat(store->dir_fd, "oci", 0700) && errno != EEXIST)
        return sh_fail_errno(err, -errno, "cannot create the folder oci in the store");
    cleanup_free char *name = sh_format("oci/%s", key);
    cleanup_close int fd = openat(store->dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX))
        return sh_fail_errno(err, -errno, "cannot lock %s in the store", name);
    int r = is_there(store, tag) ? 0 : convert_rootfs(b, tag, err);
    if (r)
        unlinkat(store->dir_fd, name, 0);
    return r;
}

char *oci_image_of(const struct oci_bundle *b, struct sh_error *err)
{
    const char *named = oci_annotation(b, "io.shelter.image");
    struct sh_store store;
    char key[65];
    if (named)
        return sh_strdup(named);
    if (make_key(b, key, err) || sh_store_open(&store, err))
        return NULL;
    char *tag = sh_format(TAG_FORMAT, key);
    if (!is_there(&store, tag) && convert_once(&store, b, key, tag, err)) {
        free(tag);
        tag = NULL;
    }
    sh_store_close(&store);
    return tag;
}

/* --- the program --- */

/* 0, or why it cannot be run. */
static int try_program(int root_fd, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
    struct stat st;
    cleanup_close int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st))
        return -errno;
    return S_ISREG(st.st_mode) && (st.st_mode & 0111) ? 0 : -EACCES;
}

static const char *path_of(const struct oci_process *p)
{
    for (size_t i = p->env.count; i--;)
        if (!strncmp(p->env.v[i], "PATH=", 5))
            return p->env.v[i] + 5;
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

int oci_image_check_program(const struct oci_bundle *b, struct sh_error *err)
{
    const char *program = b->process.args.v[0];
    cleanup_close int root_fd = open(b->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = -ENOENT;
    if (oci_annotation(b, "io.shelter.image"))
        return 0; /* another rootfs than this folder's */
    for (size_t i = 0; i < b->bind_count; i++)
        if (b->binds[i].kind == OCI_BIND_PROGRAM && !strcmp(b->binds[i].target, program))
            return 0;
    if (strchr(program, '/')) {
        cleanup_free char *full =
            *program == '/' ? sh_strdup(program) : sh_format("%s/%s", b->process.workdir, program);
        r = try_program(root_fd, full);
    } else {
        cleanup_free char *list = sh_strdup(path_of(&b->process));
        char *rest = NULL;
        for (char *one = strtok_r(list, ":", &rest); one && r; one = strtok_r(NULL, ":", &rest)) {
            cleanup_free char *full = sh_format("%s/%s", one, program);
            int found = try_program(root_fd, full);
            r = r == -EACCES && found ? r : found;
        }
        if (r && r != -EACCES)
            return sh_fail(err, -ENOENT, "exec: \"%s\": executable file not found in $PATH",
                           program);
    }
    return r ? sh_fail(err, r, "exec: \"%s\": %s", program,
                       r == -EACCES ? "permission denied" : "no such file or directory")
             : 0;
}
