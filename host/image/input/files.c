// SPDX-License-Identifier: Apache-2.0
// Puts files of the host into an image, programs with all they need.
#include "host/image/input/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "host/image/input/libraries.h"

#define OBJECTS_MAX 2048

/* What was added for one program, so that each library comes once, under all its names. */
struct added {
    struct sh_object object;
    struct sh_elf elf;
    char *host_path, *image_path;
    dev_t device;
    ino_t number;
    struct sh_inode *inode;
};

struct program {
    struct sh_tree *tree;
    struct added *list[OBJECTS_MAX];
    size_t count;
    const char *interpreter;
};

int sh_files_spool(struct sh_tree *tree, struct sh_inode *inode, int fd, uint64_t size,
                   const char *name, struct sh_error *err)
{
    int r = sh_tree_reserve(tree, size, &inode->spool, err);
    inode->size = size;
    cleanup_free uint8_t *buffer = sh_alloc(1 << 16);
    for (uint64_t at = 0; !r && at < size;) {
        size_t n = size - at < 1 << 16 ? (size_t)(size - at) : 1 << 16;
        r = sh_read_all(fd, buffer, n);
        if (r)
            return sh_fail_errno(err, r, "cannot read %s", name);
        r = sh_pwrite_all(tree->spool_fd, buffer, n, (off_t)(inode->spool + at));
        if (r)
            return sh_fail_errno(err, r, "cannot write the root file system");
        at += n;
    }
    return r;
}

/* Names a new or known inode by an absolute path in the image. */
static int put_inode(struct sh_tree *tree, const char *image_path, struct sh_inode *inode,
                     struct sh_error *err)
{
    struct sh_inode *folder;
    cleanup_free char *name = NULL;
    int r = sh_tree_parent(tree, image_path + 1, true, &folder, &name, err);
    if (!r && !*name)
        r = sh_fail(err, -EISDIR, "'%s' is not a place for a file", image_path);
    struct sh_entry *there = r ? NULL : sh_tree_entry(folder, name);
    if (there && there->inode == inode)
        return 0;
    if (there && S_ISDIR(there->inode->mode))
        r = sh_fail(err, -EISDIR, "'%s' is a folder in the image; a file cannot take its place",
                    image_path);
    return r ? r : sh_tree_link(tree, folder, name, inode, err);
}

static struct sh_inode *find_added(const struct program *p, const struct stat *st)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->list[i]->inode && p->list[i]->device == st->st_dev &&
            p->list[i]->number == st->st_ino)
            return p->list[i]->inode;
    return NULL;
}

/* Owner and time of the build machine would make another image of the same program. */
static int copy_object(struct program *p, struct added *a, int fd, const struct stat *st, bool elf,
                       struct sh_error *err)
{
    struct sh_inode *i =
        sh_tree_inode(p->tree, S_IFREG | (st->st_mode & 0111 || elf ? 0755 : 0644));
    int r = sh_files_spool(p->tree, i, fd, (uint64_t)st->st_size, a->host_path, err);
    if (!r)
        r = put_inode(p->tree, a->image_path, i, err);
    if (r)
        sh_tree_inode_drop(i);
    else
        a->inode = i;
    return r;
}

/* Adds one object; 1 when it was there already under this path. `data_ok`: it need not be ELF. */
static int add_object(struct program *p, const char *host_path, const char *image_path,
                      const struct sh_object *loader, bool data_ok, struct added **out,
                      struct sh_error *err)
{
    struct stat st;
    cleanup_close int fd = open(host_path, O_RDONLY | O_CLOEXEC);
    *out = NULL;
    if (fd < 0 || fstat(fd, &st))
        return sh_fail_errno(err, -errno, "cannot open %s", host_path);
    if (!S_ISREG(st.st_mode))
        return sh_fail(err, -EINVAL, "%s is not a file", host_path);
    for (size_t i = 0; i < p->count; i++)
        if (!strcmp(p->list[i]->image_path, image_path))
            return 1;
    if (p->count == OBJECTS_MAX)
        return sh_fail(err, -E2BIG, "%s needs more than %d libraries", p->list[0]->host_path,
                       OBJECTS_MAX);
    struct added *a = sh_alloc(sizeof(*a));
    struct sh_error elf_err = {0};
    int r = sh_elf_read(fd, host_path, &a->elf, &elf_err);
    if (r && !(data_ok && r == -ENOEXEC)) {
        free(a);
        if (r == -ENOEXEC && !loader)
            return sh_fail(
                err, r,
                "%s is not a Linux program (ELF); to put a data file into the image, say "
                "where: %s:/PATH",
                host_path, host_path);
        return sh_fail(err, r, "%s", elf_err.text);
    }
    a->host_path = sh_strdup(host_path);
    a->image_path = sh_strdup(image_path);
    a->device = st.st_dev;
    a->number = st.st_ino;
    a->object = (struct sh_object){a->host_path, a->image_path, &a->elf, loader};
    p->list[p->count++] = a;
    *out = a;
    /* A library that the root file system or an earlier program brought stays as it is. */
    const struct sh_inode *there = loader ? sh_tree_find(p->tree, image_path) : NULL;
    if (there && S_ISREG(there->mode))
        return 0;
    a->inode = find_added(p, &st);
    return a->inode ? put_inode(p->tree, image_path, a->inode, err)
                    : copy_object(p, a, fd, &st, !r, err);
}

static int add_link(struct sh_tree *tree, const char *image_path, const char *target,
                    struct sh_error *err)
{
    struct sh_inode *link = sh_tree_inode(tree, S_IFLNK | 0777);
    link->target = sh_strdup(target);
    int r = put_inode(tree, image_path, link, err);
    if (r)
        sh_tree_inode_drop(link);
    return r;
}

/* Adds all that object number `k` needs; what is new is appended, and so gets its turn. */
static int add_needed(struct program *p, size_t k, struct sh_error *err)
{
    struct added *a = p->list[k];
    for (size_t i = 0; i < a->elf.needed.count; i++) {
        const char *needed = a->elf.needed.v[i];
        struct sh_library found;
        struct added *next;
        bool known = false;
        /* ld.so loads a name once, whoever asks later. */
        for (size_t n = 1; n < p->count && !known; n++) {
            const char *slash = strrchr(p->list[n]->image_path, '/');
            known = !strcmp(slash + 1, needed);
        }
        if (known)
            continue;
        int r = sh_library_find(&a->object, needed, p->interpreter, &found, err);
        if (!r)
            r = add_object(p, found.host_path, found.image_path, &a->object, false, &next, err);
        if (r >= 0 && found.link && !sh_tree_find(p->tree, found.link))
            r = add_link(p->tree, found.link, found.image_path, err);
        sh_library_free(&found);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Splits SRC[:DST]; the DST of an argument without one is /bin/<name of SRC>, a folder's /<name>.
 */
static int split_target(const char *text, char **source, char **target, struct sh_error *err)
{
    const char *colon = strrchr(text, ':');
    if (colon && colon > text && colon[1] == '/') {
        *source = sh_format("%.*s", (int)(colon - text), text);
        *target = sh_strdup(colon + 1);
    } else {
        const char *slash = strrchr(text, '/');
        const char *name = slash ? slash + 1 : text;
        if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
            return sh_fail(err, -EINVAL, "'%s' has no name; say where it goes: %s:/PATH", text,
                           text);
        struct stat st;
        *source = sh_strdup(text);
        *target = sh_format("%s/%s", !stat(text, &st) && S_ISDIR(st.st_mode) ? "" : "/bin", name);
    }
    return 0;
}

/* One file, with what it needs. `data_ok`: it need not be a program. */
static int add_file(struct sh_tree *tree, const char *source, const char *target, bool data_ok,
                    struct sh_error *err)
{
    cleanup_free char *real = realpath(source, NULL);
    if (!real)
        return sh_fail_errno(err, -errno, "cannot open %s", source);
    struct program *p = sh_alloc(sizeof(*p));
    p->tree = tree;
    struct added *a = NULL;
    int r = add_object(p, real, target, NULL, data_ok, &a, err);
    if (!r && a->elf.interpreter) {
        struct added *interpreter;
        p->interpreter = a->elf.interpreter;
        cleanup_free char *ld = realpath(p->interpreter, NULL);
        if (!ld)
            r = sh_fail_errno(err, -errno, "%s needs the dynamic linker %s", source,
                              p->interpreter);
        else
            r = add_object(p, ld, p->interpreter, &a->object, false, &interpreter, err);
    }
    for (size_t k = 0; r >= 0 && k < p->count; k++)
        r = add_needed(p, k, err);
    for (size_t i = 0; i < p->count; i++) {
        sh_elf_free(&p->list[i]->elf);
        free(p->list[i]->host_path);
        free(p->list[i]->image_path);
        free(p->list[i]);
    }
    free(p);
    return r < 0 ? r : 0;
}

/* --- folders --- */

#define DEPTH_MAX 64

static int add_folder(struct sh_tree *tree, const char *source, const char *target, int depth,
                      struct sh_error *err);

static int add_member(struct sh_tree *tree, const char *source, const char *target, int depth,
                      struct sh_error *err)
{
    struct stat st;
    char link[4096];
    ssize_t n;
    if (lstat(source, &st))
        return sh_fail_errno(err, -errno, "cannot open %s", source);
    switch (st.st_mode & S_IFMT) {
    case S_IFREG:
        return add_file(tree, source, target, true, err);
    case S_IFDIR:
        return add_folder(tree, source, target, depth + 1, err);
    case S_IFLNK:
        n = readlink(source, link, sizeof(link) - 1);
        if (n <= 0)
            return sh_fail_errno(err, n ? -errno : -EINVAL, "cannot read the link %s", source);
        link[n] = 0;
        return add_link(tree, target, link, err);
    default:
        return sh_fail(err, -EINVAL, "%s is neither a file nor a folder nor a link", source);
    }
}

/* In every locale the same. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* All that is in it, names in order, so that one folder makes one image. */
static int add_folder(struct sh_tree *tree, const char *source, const char *target, int depth,
                      struct sh_error *err)
{
    struct dirent **names;
    struct sh_inode *parent, *made;
    cleanup_free char *name = NULL;
    if (depth > DEPTH_MAX)
        return sh_fail(err, -ELOOP, "%s is more than %d folders deep", source, DEPTH_MAX);
    int r = sh_tree_parent(tree, target + 1, true, &parent, &name, err);
    if (!r && *name)
        r = sh_tree_add_folder(tree, parent, name, &made, err);
    int count = r ? 0 : scandir(source, &names, NULL, by_bytes);
    if (count < 0)
        return sh_fail_errno(err, -errno, "cannot read the folder %s", source);
    for (int i = 0; i < count; i++) {
        const char *each = names[i]->d_name;
        cleanup_free char *from = sh_format("%s/%s", source, each);
        cleanup_free char *to = sh_format("%s/%s", strcmp(target, "/") ? target : "", each);
        if (!r && strcmp(each, ".") && strcmp(each, ".."))
            r = add_member(tree, from, to, depth, err);
        free(names[i]);
    }
    if (count)
        free(names);
    return r;
}

int sh_files_add(struct sh_tree *tree, const char *text, char **path, struct sh_error *err)
{
    struct stat st;
    cleanup_free char *source = NULL, *target = NULL;
    int r = split_target(text, &source, &target, err);
    if (r)
        return r;
    *path = NULL;
    if (!stat(source, &st) && S_ISDIR(st.st_mode))
        return add_folder(tree, source, target, 0, err);
    r = add_file(tree, source, target, strcmp(source, text) != 0, err);
    if (!r)
        *path = sh_take_ptr(target);
    return r;
}

/* --- skeleton --- */

static int add_text(struct sh_tree *tree, const char *path, const char *text, struct sh_error *err)
{
    if (sh_tree_find(tree, path))
        return 0;
    struct sh_inode *i = sh_tree_inode(tree, S_IFREG | 0644);
    i->size = strlen(text);
    int r = sh_tree_reserve(tree, i->size, &i->spool, err);
    if (!r) {
        r = sh_pwrite_all(tree->spool_fd, text, i->size, (off_t)i->spool);
        r = r ? sh_fail_errno(err, r, "cannot write the root file system")
              : put_inode(tree, path, i, err);
    }
    if (r)
        sh_tree_inode_drop(i);
    return r;
}

int sh_files_skeleton(struct sh_tree *tree, bool accounts, struct sh_error *err)
{
    static const struct {
        const char *name;
        uint32_t mode;
    } folders[] = {{"dev", 0755}, {"etc", 0755}, {"proc", 0555}, {"root", 0700},
                   {"run", 0755}, {"sys", 0555}, {"tmp", 01777}};
    int r = 0;
    for (size_t i = 0; !r && i < sizeof(folders) / sizeof(folders[0]); i++) {
        struct sh_inode *made;
        if (sh_tree_entry(tree->root, folders[i].name))
            continue;
        r = sh_tree_add_folder(tree, tree->root, folders[i].name, &made, err);
        if (!r)
            made->mode = S_IFDIR | folders[i].mode;
    }
    if (!r && accounts)
        r = add_text(tree, "/etc/passwd",
                     "root:x:0:0:root:/root:/bin/sh\n"
                     "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
                     err);
    if (!r && accounts)
        r = add_text(tree, "/etc/group", "root:x:0:\nnogroup:x:65534:\n", err);
    if (!r && accounts)
        r = add_text(tree, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n",
                     err);
    return r;
}
