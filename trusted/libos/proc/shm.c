// SPDX-License-Identifier: Apache-2.0
// System V shared memory: a file without a name, mapped.
#include <linux/mman.h>
#include <linux/shm.h>

#include "lib/bytes.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/ipc.h"
#include "trusted/libos/time/time.h"

#define SIZE_MAX_ (1ul << 40)
#define MODE_REMOVED 01000u
#define MODE_LOCKED 02000u

struct segment {
    struct ipc ipc;
    struct file *file;
    uint64_t size;
    int creator, last;
    int64_t attached_at, detached_at, changed_at;
    bool removed; /* gone with its last mapping */
};

static struct ipc_table table;

static uint64_t attach_count(const struct segment *s)
{
    uint64_t n = 0;
    list_each(struct area, a, &s->file->inode->maps, mapped)
        n += !a->offset;
    return n;
}

/* Those whose last mapping went since they were removed. */
static void sweep_segments(void)
{
    for (unsigned i = 0; i < IPC_IDS_MAX; i++) {
        struct segment *s = (struct segment *)ipc_at(&table, i);
        if (!s || !s->removed || attach_count(s))
            continue;
        ipc_remove(&table, &s->ipc);
        file_put(s->file);
        los_free(s);
    }
}

static struct segment *find_segment(int id)
{
    sweep_segments();
    return (struct segment *)ipc_find(&table, id);
}

static long make_segment(int key, uint64_t size, int flags)
{
    struct segment *s = size && size <= SIZE_MAX_ ? los_alloc(sizeof(*s)) : NULL;
    if (!s)
        return size && size <= SIZE_MAX_ ? -ENOMEM : -EINVAL;
    char name[32];
    int n = fmt(name, sizeof(name), "SYSV%08x (deleted)", (uint32_t)key);
    int r = file_new_memory(name, (size_t)n, &s->file);
    if (!r && (r = data_truncate(s->file->inode, page_up(size))))
        file_put(s->file);
    if (!r && (r = ipc_add(&table, &s->ipc, key, flags)) < 0)
        file_put(s->file);
    if (r < 0) {
        los_free(s);
        return r;
    }
    s->size = size;
    s->creator = current()->pid;
    s->changed_at = clock_seconds();
    return s->ipc.id;
}

long sys_shmget(int key, uint64_t size, int flags)
{
    struct ipc *i;
    sweep_segments();
    if (flags & SHM_HUGETLB)
        return -ENOMEM;
    int r = ipc_get(&table, key, flags, &i);
    if (i && size > ((struct segment *)i)->size && r != -EEXIST)
        return -EINVAL; /* before rights are asked for */
    if (r || i)
        return r ? r : i->id;
    return make_segment(key, size, flags);
}

long sys_shmat(int id, uint64_t addr, int flags)
{
    struct segment *s = find_segment(id);
    if (!s)
        return -EINVAL;
    if (addr && (flags & SHM_RND))
        addr = page_down(addr);
    if ((addr & (PAGE_SIZE - 1)) || (!addr && (flags & SHM_REMAP)))
        return -EINVAL;
    if (!ipc_allowed(&s->ipc, flags & SHM_RDONLY ? 4 : 6))
        return -EACCES;
    struct map_request r = {.addr = addr,
                            .size = page_up(s->size),
                            .prot = PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) |
                                    (flags & SHM_EXEC ? PROT_EXEC : 0),
                            .flags = MM_SHARED | (!addr               ? 0
                                                  : flags & SHM_REMAP ? MM_FIXED
                                                                      : MM_NOREPLACE),
                            .file = s->file};
    int64_t at = mm_map(&r);
    if (at < 0)
        return at == -EEXIST ? -EINVAL : at;
    s->attached_at = clock_seconds();
    s->last = current()->pid;
    return at;
}

static struct segment *segment_of(const struct inode *i)
{
    for (unsigned n = 0; n < IPC_IDS_MAX; n++) {
        struct segment *s = (struct segment *)ipc_at(&table, n);
        if (s && s->file->inode == i)
            return s;
    }
    return NULL;
}

long sys_shmdt(uint64_t addr)
{
    const struct area *a = area_find(addr);
    struct segment *s =
        a && a->file && a->start == addr && !a->offset ? segment_of(a->file->inode) : NULL;
    if (!s || (addr & (PAGE_SIZE - 1)))
        return -EINVAL;
    const struct inode *i = a->file->inode;
    uint64_t end = addr + page_up(s->size);
    for (uint64_t at = addr; at < end && (a = area_find(at)) && a->file && a->file->inode == i;) {
        uint64_t next = MIN(a->end, end);
        int r = mm_unmap(at, next - at);
        if (r)
            return r;
        at = next;
    }
    s->detached_at = clock_seconds();
    s->last = current()->pid;
    sweep_segments();
    return 0;
}

/* struct shmid64_ds */
static int put_state(const struct segment *s, uint64_t to)
{
    uint8_t raw[112] = {0};
    ipc_put(raw, &s->ipc);
    if (s->removed)
        sh_put_le32(raw + 20, s->ipc.mode | MODE_REMOVED);
    const uint64_t fields[] = {s->size, (uint64_t)s->attached_at, (uint64_t)s->detached_at,
                               (uint64_t)s->changed_at};
    for (unsigned n = 0; n < ARRAY_COUNT(fields); n++)
        sh_put_le64(raw + 48 + 8 * n, fields[n]);
    sh_put_le32(raw + 80, (uint32_t)s->creator);
    sh_put_le32(raw + 84, (uint32_t)s->last);
    sh_put_le64(raw + 88, attach_count(s));
    return user_write(to, raw, sizeof(raw));
}

static long set_state(struct segment *s, uint64_t from)
{
    int r = ipc_set(&s->ipc, from);
    s->changed_at = r ? s->changed_at : clock_seconds();
    return r;
}

static long remove_segment(struct segment *s)
{
    if (!ipc_is_owner(&s->ipc))
        return -EPERM;
    s->removed = true;
    s->ipc.key = IPC_PRIVATE;
    sweep_segments();
    return 0;
}

/* Told, and no more: nothing is ever swapped out by us. */
static long lock_segment(struct segment *s, bool lock)
{
    uint32_t uid = current()->euid;
    if (!capable(CAP_IPC_LOCK) && uid != s->ipc.uid && uid != s->ipc.cuid)
        return -EPERM;
    int r = lock ? mm_may_lock(page_up(s->size), 0) : 0;
    if (r)
        return r;
    s->ipc.mode = (s->ipc.mode & ~MODE_LOCKED) | (lock ? MODE_LOCKED : 0);
    return 0;
}

/* IPC_INFO and SHM_INFO: limits, and how much there is (struct shminfo64, struct shm_info). */
static long put_limits(int command, uint64_t to)
{
    const uint64_t most = UINT64_MAX - (1ul << 24); /* what /proc/sys/kernel says, as Linux */
    uint64_t limits[9] = {most, 1, IPC_IDS_MAX, IPC_IDS_MAX, most};
    uint64_t used[6] = {0};
    long highest = 0;
    for (unsigned n = 0; n < IPC_IDS_MAX; n++) {
        const struct segment *s = (const struct segment *)ipc_at(&table, n);
        used[0] += s != NULL;
        used[1] += s ? page_up(s->size) >> PAGE_SHIFT : 0;
        highest = s ? n : highest;
    }
    used[2] = used[1];
    int r = command == IPC_INFO ? user_write(to, limits, sizeof(limits))
                                : user_write(to, used, sizeof(used));
    return r ? r : highest;
}

long sys_shmctl(int id, int command, uint64_t arg)
{
    command &= ~IPC_64;
    if (id < 0 || command < 0)
        return -EINVAL;
    if (command == IPC_INFO || command == SHM_INFO)
        return put_limits(command, arg);
    bool by_index = command == SHM_STAT || command == SHM_STAT_ANY;
    struct segment *s =
        by_index ? (struct segment *)ipc_at(&table, (unsigned)id) : find_segment(id);
    if (!s)
        return -EINVAL;
    switch (command) {
    case IPC_STAT:
    case SHM_STAT:
    case SHM_STAT_ANY:
        if (command != SHM_STAT_ANY && !ipc_allowed(&s->ipc, 4))
            return -EACCES;
        return put_state(s, arg) ? -EFAULT : by_index ? s->ipc.id : 0;
    case IPC_SET:
        return set_state(s, arg);
    case IPC_RMID:
        return remove_segment(s);
    case SHM_LOCK:
    case SHM_UNLOCK:
        return lock_segment(s, command == SHM_LOCK);
    default:
        return -EINVAL;
    }
}

void shm_line(unsigned index, char *out, size_t size)
{
    if (!index)
        sweep_segments();
    const struct segment *s = (const struct segment *)ipc_at(&table, index);
    if (s)
        fmt(out, size,
            "%10d %10d  %4o %21lu %5d %5d  %5lu %5u %5u %5u %5u %10ld %10ld %10ld %21lu %21lu\n",
            s->ipc.key, s->ipc.id, s->ipc.mode | (s->removed ? MODE_REMOVED : 0), s->size,
            s->creator, s->last, attach_count(s), s->ipc.uid, s->ipc.gid, s->ipc.cuid, s->ipc.cgid,
            s->attached_at, s->detached_at, s->changed_at, s->file->inode->page_count << PAGE_SHIFT,
            0ul);
}
