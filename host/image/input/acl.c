// SPDX-License-Identifier: Apache-2.0
// POSIX ACLs: libarchive's entries to Linux's extended attribute (version 2: u32 version, then
// u16 tag, u16 permissions, u32 id each, in ascending order of tag and id).
#include "host/image/input/acl.h"

#include <archive.h>
#include <errno.h>

#include "lib/bytes.h"

#define ACL_ENTRIES_MAX 4096

struct ace {
    uint16_t tag, perm;
    uint32_t id;
};

static int compare_entries(const void *a, const void *b)
{
    const struct ace *x = a, *y = b;
    if (x->tag != y->tag)
        return x->tag - y->tag;
    return x->id < y->id ? -1 : x->id > y->id;
}

static uint16_t linux_tag(int tag)
{
    switch (tag) {
    case ARCHIVE_ENTRY_ACL_USER_OBJ:
        return 0x01;
    case ARCHIVE_ENTRY_ACL_USER:
        return 0x02;
    case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
        return 0x04;
    case ARCHIVE_ENTRY_ACL_GROUP:
        return 0x08;
    case ARCHIVE_ENTRY_ACL_MASK:
        return 0x10;
    case ARCHIVE_ENTRY_ACL_OTHER:
        return 0x20;
    default:
        return 0;
    }
}

static int take_acl(struct sh_inode *inode, struct archive_entry *e, int kind, const char *name,
                    struct sh_error *err)
{
    int type, perm, tag, id;
    const char *who;
    size_t n = 0;
    int count = archive_entry_acl_reset(e, kind);
    if (count <= 0)
        return 0;
    if (count > ACL_ENTRIES_MAX)
        return sh_fail(err, -E2BIG, "an access control list has more than %d entries",
                       ACL_ENTRIES_MAX);
    cleanup_free struct ace *list = sh_realloc_array(NULL, (size_t)count + 8, sizeof(*list));
    while (n < (size_t)count + 8 &&
           archive_entry_acl_next(e, kind, &type, &perm, &tag, &id, &who) == ARCHIVE_OK) {
        uint16_t t = linux_tag(tag);
        if (t)
            list[n++] = (struct ace){t, (uint16_t)(perm & 7),
                                     t == 0x02 || t == 0x08 ? (uint32_t)id : UINT32_MAX};
    }
    if (!n)
        return 0;
    qsort(list, n, sizeof(*list), compare_entries);
    cleanup_free uint8_t *value = sh_alloc(4 + 8 * n);
    sh_put_le32(value, 2);
    for (size_t i = 0; i < n; i++) {
        sh_put_le16(value + 4 + 8 * i, list[i].tag);
        sh_put_le16(value + 6 + 8 * i, list[i].perm);
        sh_put_le32(value + 8 + 8 * i, list[i].id);
    }
    return sh_tree_xattr(inode, name, value, 4 + 8 * n, err);
}

int sh_acl_take(struct sh_inode *inode, struct archive_entry *e, struct sh_error *err)
{
    if (!(archive_entry_acl_types(e) & ARCHIVE_ENTRY_ACL_TYPE_POSIX1E))
        return 0;
    int r = take_acl(inode, e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, "system.posix_acl_access", err);
    return r ? r
             : take_acl(inode, e, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, "system.posix_acl_default", err);
}
