// SPDX-License-Identifier: Apache-2.0
// System V objects: keys, ids, owners, permission.
#include "trusted/libos/proc/ipc.h"

#include "lib/bytes.h"
#include "trusted/libos/fs/file.h"

bool ipc_allowed(const struct ipc *i, uint32_t want)
{
    uint32_t uid = current()->euid;
    uint32_t bits = uid == i->uid || uid == i->cuid         ? i->mode >> 6
                    : in_group(i->gid) || in_group(i->cgid) ? i->mode >> 3
                                                            : i->mode;
    return !(want & ~(bits & 7)) || capable(CAP_IPC_OWNER);
}

bool ipc_is_owner(const struct ipc *i)
{
    uint32_t uid = current()->euid;
    return uid == i->uid || uid == i->cuid || capable(CAP_SYS_ADMIN);
}

struct ipc *ipc_find(const struct ipc_table *t, int id)
{
    struct ipc *i = id < 0 ? NULL : ipc_at(t, (unsigned)id % IPC_IDS_MAX);
    return i && i->id == id ? i : NULL;
}

int ipc_get(const struct ipc_table *t, int key, int flags, struct ipc **out)
{
    *out = NULL;
    for (unsigned n = 0; key != IPC_PRIVATE && n < IPC_IDS_MAX; n++) {
        struct ipc *i = ipc_at(t, n);
        if (!i || i->key != key)
            continue;
        *out = i;
        if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
            return -EEXIST;
        return ipc_allowed(i, (uint32_t)(flags >> 6 | flags >> 3 | flags) & 7) ? 0 : -EACCES;
    }
    return key == IPC_PRIVATE || (flags & IPC_CREAT) ? 0 : -ENOENT;
}

int ipc_add(struct ipc_table *t, struct ipc *i, int key, int flags)
{
    unsigned at = 0;
    if (!t->items && !(t->items = los_alloc(IPC_IDS_MAX * sizeof(*t->items))))
        return -ENOMEM;
    while (at < IPC_IDS_MAX && t->items[at])
        at++;
    if (at == IPC_IDS_MAX)
        return -ENOSPC;
    i->key = key;
    i->mode = (uint32_t)flags & 0777;
    i->uid = i->cuid = current()->euid;
    i->gid = i->cgid = current()->egid;
    i->id = (int)(t->generation++ % (INT32_MAX / IPC_IDS_MAX) * IPC_IDS_MAX + at);
    t->items[at] = i;
    return i->id;
}

void ipc_remove(struct ipc_table *t, struct ipc *i)
{
    t->items[(unsigned)i->id % IPC_IDS_MAX] = NULL;
}

void ipc_put(uint8_t out[48], const struct ipc *i)
{
    memset(out, 0, 48);
    const uint32_t fields[] = {
        (uint32_t)i->key, i->uid, i->gid, i->cuid, i->cgid, i->mode, (uint32_t)i->id / IPC_IDS_MAX};
    for (unsigned n = 0; n < ARRAY_COUNT(fields); n++)
        sh_put_le32(out + 4 * n, fields[n]);
}

int ipc_set(struct ipc *i, uint64_t from)
{
    uint8_t raw[48];
    if (user_read(raw, from, sizeof(raw)))
        return -EFAULT;
    if (!ipc_is_owner(i))
        return -EPERM;
    i->uid = sh_le32(raw + 4);
    i->gid = sh_le32(raw + 8);
    i->mode = (i->mode & ~0777u) | (sh_le32(raw + 20) & 0777);
    return 0;
}
