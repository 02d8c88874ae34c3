// SPDX-License-Identifier: Apache-2.0
// Finds and copies the base files.
#include "host/store/base_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/evp.h>

#include "lib/hex.h"

#define SBOM_MAX (4u << 20)

const char *const sh_base_names[SH_BASE_COUNT] = {"vmlinux", "bzImage", "initramfs", "enclave"};

bool sh_base_has(int dir_fd, size_t i)
{
    cleanup_free char *path = sh_format("base/%s", sh_base_names[i]);
    return !faccessat(dir_fd, path, F_OK, 0);
}

static bool is_folder(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

char *sh_base_find(const char *given, struct sh_error *err)
{
    if (!given || !*given)
        given = getenv("SHELTER_BASE");
    if (given && *given) {
        if (is_folder(given))
            return sh_strdup(given);
        sh_fail(err, -ENOENT, "there is no folder %s with base files", given);
        return NULL;
    }
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n > 0) {
        exe[n] = 0;
        *strrchr(exe, '/') = 0;
        char *path = sh_format("%s/build/base", exe);
        if (is_folder(path))
            return path;
        free(path);
        path = sh_format("%s/../lib/shelter/base", exe);
        if (is_folder(path))
            return path;
        free(path);
    }
    sh_fail(err, -ENOENT,
            "the guest kernel has not been built; run 'make tools' in Shelter's folder, or give "
            "--base");
    return NULL;
}

static int copy_file(const char *source, int dir_fd, const char *target, struct sh_error *err)
{
    cleanup_free uint8_t *buffer = sh_alloc(1 << 18);
    cleanup_close int in = open(source, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return sh_fail_errno(err, -errno, "cannot open %s", source);
    cleanup_close int out = openat(dir_fd, target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (out < 0)
        return sh_fail_errno(err, -errno, "cannot write a base file into the store");
    for (ssize_t n; (n = read(in, buffer, 1 << 18)) != 0;) {
        if (n < 0)
            return sh_fail_errno(err, -errno, "cannot read %s", source);
        int r = sh_write_all(out, buffer, (size_t)n);
        if (r)
            return sh_fail_errno(err, r, "cannot write a base file into the store");
    }
    return fsync(out) ? sh_fail_errno(err, -errno, "cannot write a base file into the store") : 0;
}

static char *pool_path(const uint8_t digest[48])
{
    char text[97];
    sh_hex(text, digest, 48);
    return sh_format("base/%s", text);
}

/* Links the store's copy of this content to dir_fd/target, if there is a good one. */
static bool link_known(int store_fd, const uint8_t digest[48], int dir_fd, const char *target)
{
    uint8_t got[48];
    struct sh_error ignored = {0};
    cleanup_free char *path = pool_path(digest);
    if (linkat(store_fd, path, dir_fd, target, 0))
        return false;
    if (!sh_digest_file(dir_fd, target, got, &ignored) && !memcmp(got, digest, 48))
        return true;
    /* Damaged: no further image shall have it. */
    unlinkat(store_fd, path, 0);
    unlinkat(dir_fd, target, 0);
    return false;
}

/* Gives dir_fd/target, which has this digest, to the store's base/, or takes the store's copy. */
static int share_file(int store_fd, const uint8_t digest[48], int dir_fd, const char *target,
                      struct sh_error *err)
{
    cleanup_free char *spare = sh_format("%s.own", target);
    cleanup_free char *path = pool_path(digest);
    mkdirat(store_fd, "base", 0700);
    /* A file system without hard links keeps the copy; nothing else changes. */
    if (!linkat(dir_fd, target, store_fd, path, 0))
        return 0;
    if (errno == EEXIST && link_known(store_fd, digest, dir_fd, spare) &&
        renameat(dir_fd, spare, dir_fd, target))
        return sh_fail_errno(err, -errno, "cannot write a base file into the store");
    unlinkat(dir_fd, spare, 0);
    return 0;
}

static bool is_there(const char *from, size_t i)
{
    cleanup_free char *path = sh_format("%s/%s", from, sh_base_names[i]);
    return !access(path, F_OK) || errno != ENOENT;
}

/* Before the guest kernel is built an image is for enclaves only. */
static bool may_lack(const char *from, size_t i)
{
    if (i >= SH_BASE_MACHINE)
        return !is_there(from, i);
    return !is_there(from, 0) && !is_there(from, 1) && is_there(from, SH_BASE_ENCLAVE);
}

/* Beside them, where there is one. It is not measured, and says so by not being in the manifest. */
static int copy_sbom(const char *from, int dir_fd, struct sh_error *err)
{
    cleanup_free char *source = sh_format("%s/sbom.spdx.json", from);
    return access(source, R_OK) ? 0 : copy_file(source, dir_fd, SH_BASE_SBOM, err);
}

int sh_base_copy(const char *from, int store_fd, int dir_fd, struct sh_error *err)
{
    if (mkdirat(dir_fd, "base", 0755))
        return sh_fail_errno(err, -errno, "cannot create a folder in the store");
    for (size_t i = 0; i < SH_BASE_COUNT; i++) {
        uint8_t digest[48];
        cleanup_free char *source = sh_format("%s/%s", from, sh_base_names[i]);
        cleanup_free char *target = sh_format("base/%s", sh_base_names[i]);
        if (may_lack(from, i))
            continue;
        if (access(source, R_OK))
            return sh_fail_errno(err, -errno,
                                 "cannot open the base file %s (run 'make tools', or give --base)",
                                 source);
        int r = sh_digest_file(AT_FDCWD, source, digest, err);
        if (!r && link_known(store_fd, digest, dir_fd, target))
            continue;
        if (!r)
            r = copy_file(source, dir_fd, target, err);
        /* Of the copy: the source may be in the middle of a build. */
        if (!r)
            r = sh_digest_file(dir_fd, target, digest, err);
        if (!r)
            r = share_file(store_fd, digest, dir_fd, target, err);
        if (r)
            return r;
    }
    return copy_sbom(from, dir_fd, err);
}

int sh_base_sbom(int dir_fd, const char *name, char **text, struct sh_error *err)
{
    struct sh_error why = {0};
    cleanup_free uint8_t *data = NULL;
    size_t size;
    bool good = !sh_read_file(dir_fd, SH_BASE_SBOM, SBOM_MAX, &data, &size, &why);
    for (size_t i = 0; good && i < SH_BASE_COUNT; i++) {
        uint8_t digest[48];
        char hex[97];
        cleanup_free char *path = sh_format("base/%s", sh_base_names[i]);
        if (!sh_base_has(dir_fd, i))
            continue;
        good = !sh_digest_file(dir_fd, path, digest, &why);
        sh_hex(hex, digest, sizeof(digest));
        good = good && strstr((char *)data, hex);
    }
    if (!good)
        return sh_fail(err, -ENODATA,
                       "%s has no bill of materials of its base files: it was loaded, or built "
                       "where 'make tools' had made none",
                       name);
    *text = (char *)sh_take_ptr(data);
    return 0;
}

int sh_base_share_file(int store_fd, int dir_fd, const char *name, struct sh_error *err)
{
    uint8_t digest[48];
    cleanup_close int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd))
        return sh_fail_errno(err, -errno, "cannot write %s into the store", name);
    int r = sh_digest_file(dir_fd, name, digest, err);
    return r ? r : share_file(store_fd, digest, dir_fd, name, err);
}

int sh_base_share(int store_fd, int dir_fd, struct sh_error *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < SH_BASE_COUNT; i++) {
        uint8_t digest[48];
        cleanup_free char *target = sh_format("base/%s", sh_base_names[i]);
        if (!sh_base_has(dir_fd, i))
            continue;
        r = sh_digest_file(dir_fd, target, digest, err);
        if (!r)
            r = share_file(store_fd, digest, dir_fd, target, err);
    }
    return r;
}

void sh_base_clean(int store_fd)
{
    cleanup_closedir DIR *dir = sh_open_folder(store_fd, "base", 0);
    if (!dir)
        return;
    int fd = dirfd(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        if (!fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode) &&
            st.st_nlink == 1)
            unlinkat(fd, e->d_name, 0);
    }
}

int sh_digest_file(int dir_fd, const char *path, uint8_t digest[48], struct sh_error *err)
{
    cleanup_close int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot open %s", path);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    cleanup_free uint8_t *buffer = sh_alloc(1 << 18);
    bool ok = hash && EVP_DigestInit_ex(hash, EVP_sha384(), NULL);
    ssize_t n = 0;
    while (ok && (n = read(fd, buffer, 1 << 18)) > 0)
        ok = EVP_DigestUpdate(hash, buffer, (size_t)n);
    int code = n < 0 ? -errno : -EIO;
    ok = ok && n == 0 && EVP_DigestFinal_ex(hash, digest, NULL);
    EVP_MD_CTX_free(hash);
    return ok ? 0 : sh_fail_errno(err, code, "cannot read %s", path);
}
