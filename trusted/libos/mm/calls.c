// SPDX-License-Identifier: Apache-2.0
// The system calls on memory.
#include <linux/mman.h>

#include "lib/settings.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/mounted.h"
#include "trusted/libos/mm/mm.h"

#define PROT_ALL (PROT_READ | PROT_WRITE | PROT_EXEC)
#define MAP_DROPPABLE_TYPE 0x08

/* What MAP_SHARED_VALIDATE takes: flags that all kernels knew. */
#define KNOWN_BY_ALL                                                                               \
    (MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | MAP_GROWSDOWN |       \
     MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB |          \
     MAP_32BIT | 0x80 /* MAP_ABOVE4G */ | 0x4000000 /* MAP_UNINITIALIZED */ |                      \
     (63u << MAP_HUGE_SHIFT))

/* Long calls go by pieces, between which others run: so many pages that are there. Whoever maps at
 * a fixed address waits for those that take pages away (space.clearing), so that none takes his. */
#define PIECE_PAGES 64u

static uint64_t piece_end(uint64_t start, uint64_t end)
{
    uint64_t there = page_next_leaf(space(), start, end);
    uint64_t size = (uint64_t)PIECE_PAGES << PAGE_SHIFT;
    return end - there > size ? there + size : end;
}

static bool begin_clearing(uint64_t start, uint64_t end)
{
    return piece_end(start, end) < end && turn_take(&space()->clearing);
}

static void end_clearing(bool begun)
{
    if (begun)
        turn_give(&space()->clearing);
}

static void populate_range(uint64_t start, uint64_t end)
{
    for (uint64_t at = start, next; at < end; at = next) {
        next = MIN(at + ((uint64_t)PIECE_PAGES << PAGE_SHIFT), end);
        next = MIN(next, (at | ((1ul << 21) - 1)) + 1);
        if (!mm_populate_beside(at, next)) {
            call_upgrade();
            struct area *area = area_find(at);
            if (!area || !area->prot || page_populate(area, at, (next - at) >> PAGE_SHIFT))
                return;
        }
        if (next < end)
            call_pause();
    }
}

static int check_file(struct file *f, int prot, bool shared)
{
    if (!file_can_read(f))
        return -EACCES;
    if (shared && (prot & PROT_WRITE) && f->inode &&
        (f->inode->seals & 24)) /* F_SEAL_WRITE, FUTURE */
        return -EPERM;
    if (shared && (prot & PROT_WRITE) && !file_can_write(f))
        return -EACCES;
    const struct mount *m = f->inode ? f->inode->mount : NULL;
    if (m && m->no_execute && (prot & PROT_EXEC))
        return -EPERM;
    if (m && m->live && shared && file_can_write(f)) /* the host would not see what is stored */
        return -ENODEV;
    return file_can_map(f) ? 0 : -ENODEV;
}

static long map_range(uint64_t addr, uint64_t size, int prot, uint64_t flags, int fd,
                      uint64_t offset)
{
    int type = (int)(flags & MAP_TYPE);
    struct map_request r = {.addr = addr, .size = size, .prot = prot & PROT_ALL};
    if (type != MAP_PRIVATE && type != MAP_SHARED && type != MAP_SHARED_VALIDATE)
        return -EINVAL;
    if (offset & (PAGE_SIZE - 1))
        return -EINVAL;
    if ((flags & MAP_ANONYMOUS) &&
        (type == MAP_SHARED_VALIDATE || (type == MAP_SHARED && (flags & MAP_GROWSDOWN))))
        return -EINVAL;
    if (!size && ((flags & MAP_ANONYMOUS) || fd_file(fd)))
        return -EINVAL;
    if (type == MAP_SHARED_VALIDATE && (flags & ~(uint64_t)KNOWN_BY_ALL))
        return -EOPNOTSUPP;
    if (flags & MAP_HUGETLB)
        return -ENOMEM;
    r.flags = (flags & MAP_FIXED ? MM_FIXED : 0) |
              (flags & MAP_FIXED_NOREPLACE ? MM_NOREPLACE : 0) | (flags & MAP_32BIT ? MM_LOW : 0) |
              (type != MAP_PRIVATE ? MM_SHARED : 0) | (flags & MAP_LOCKED ? MM_LOCKED : 0) |
              (flags & MAP_GROWSDOWN ? MM_GROWS : 0);
    if ((flags & MAP_LOCKED) && mm_may_lock(0, 0) == -EPERM)
        return -EPERM;
    /* What can never be committed is refused now, rather than ending the program later. */
    if (settings.memory && (r.prot & PROT_WRITE) && !(flags & MAP_NORESERVE) &&
        size > settings.memory)
        return -ENOMEM;
    struct file *f = NULL;
    if (!(flags & MAP_ANONYMOUS)) {
        f = fd_file(fd);
        if (!f)
            return -EBADF;
        int e = check_file(f, r.prot, type != MAP_PRIVATE);
        if (!e && (flags & MAP_GROWSDOWN))
            e = -EINVAL;
        if (e)
            return e;
        r.file = file_map_source(f, r.prot) ? f : NULL;
        r.offset = offset;
    }
    /* What forks share is a file without a name; it may be by /dev/zero. */
    bool own = !r.file && (r.flags & MM_SHARED), reads = f && !file_can_write(f);
    if (own) {
        int e = file_new_memory("dev/zero (deleted)", 18, &f);
        if (!e && reads)
            f->flags &= ~(uint32_t)O_ACCMODE;
        if (!e && page_up(size) < size)
            e = -ENOMEM;
        if (!e)
            e = data_truncate(f->inode, page_up(size));
        if (e)
            return e;
        r.file = f;
        r.offset = 0;
    }
    int64_t at = mm_map(&r);
    if (own)
        file_put(f);
    if (at > 0 && (flags & MAP_POPULATE))
        populate_range((uint64_t)at, (uint64_t)at + page_up(size));
    return at;
}

long sys_mmap(uint64_t addr, uint64_t size, int prot, uint64_t flags, int fd, uint64_t offset)
{
    if (!(flags & MAP_ANONYMOUS) || (flags & MAP_TYPE) != MAP_PRIVATE || (flags & MAP_FIXED))
        call_alone();
    bool own = (flags & MAP_FIXED) && turn_take(&space()->clearing);
    long r = map_range(addr, size, prot, flags, fd, offset);
    end_clearing(own);
    return r;
}

/* Part of a shared mapping shows other pages of its file: mapped anew, as Linux does. */
long sys_remap_file_pages(uint64_t addr, uint64_t size, uint64_t prot, uint64_t page,
                          uint64_t flags)
{
    addr &= ~(PAGE_SIZE - 1);
    size &= ~(PAGE_SIZE - 1);
    struct area *a = area_find(addr);
    if (prot || addr + size <= addr || page + (size >> PAGE_SHIFT) < page ||
        page >> (64 - PAGE_SHIFT) || !a || !a->shared || !a->file || size > a->end - addr)
        return -EINVAL;
    int r = mm_unsealed(addr, addr + size);
    if (r)
        return r;
    struct map_request m = {.addr = addr,
                            .size = size,
                            .prot = a->prot,
                            .flags = MM_FIXED | MM_SHARED | (a->locked ? MM_LOCKED : 0),
                            .file = a->file,
                            .offset = page << PAGE_SHIFT};
    file_get(m.file);
    int64_t at = mm_map(&m);
    file_put(m.file);
    if (at >= 0 && !(flags & MAP_NONBLOCK))
        populate_range(addr, addr + size);
    return at < 0 ? at : 0;
}

long sys_munmap(uint64_t addr, uint64_t size)
{
    uint64_t end = addr + page_up(size);
    if ((addr & (PAGE_SIZE - 1)) || end <= addr || addr < port_info.user_start ||
        end > port_info.user_end)
        return -EINVAL;
    bool own = begin_clearing(addr, end);
    int r = mm_unsealed(addr, end); /* as a whole, or nothing goes */
    for (uint64_t next; !r; addr = next) {
        next = piece_end(addr, end);
        if (!unmap_beside(addr, next)) {
            call_upgrade();
            r = mm_unmap(addr, next - addr);
        }
        if (next == end)
            break;
        call_pause();
    }
    end_clearing(own);
    return r;
}

/* Are all addresses of the range mapped? */
static bool is_covered(uint64_t start, uint64_t end)
{
    struct space *s = space();
    lock_take(&s->list, RANK_AREAS);
    bool r = area_covers(start, end);
    lock_give(&s->list);
    return r;
}

/* Checks and rounds a range; -EINVAL or -ENOMEM. */
static int check_range(uint64_t addr, uint64_t size, uint64_t *end)
{
    *end = addr + page_up(size);
    if ((addr & (PAGE_SIZE - 1)) || *end < addr || page_up(size) < size)
        return -EINVAL;
    return *end > port_info.user_end ? -ENOMEM : 0;
}

long sys_mprotect(uint64_t addr, uint64_t size, int prot)
{
    uint64_t end;
    int r = check_range(addr, size, &end);
    if (r || addr == end)
        return r;
    if (prot & ~(PROT_ALL | PROT_SEM))
        return -EINVAL;
    prot &= PROT_ALL;
    if ((r = protect_beside(addr, end, prot)) != -EAGAIN)
        return r;
    call_upgrade();
    const uint64_t whole = end; /* what stands before a hole is changed */
    for (end = addr; end < whole && area_find(end);)
        end = MIN(area_find(end)->end, whole);
    if (end == addr)
        return -ENOMEM;
    if ((r = mm_unsealed(addr, end)) || (r = area_split(addr)) || (r = area_split(end)))
        return r;
    for (size_t i = area_index(addr); i < space()->count && space()->areas[i]->start < end; i++) {
        struct area *area = space()->areas[i];
        if (area->shared && (prot & PROT_WRITE) && !area->write_ok)
            return -EACCES;
        if (area->shared)
            area_clear(area, false); /* they come back with the new rights */
        area->prot = prot;
        r = page_protect(area->start, area->end, prot);
        if (r)
            return r;
    }
    area_merge(addr, end);
    return end < whole ? -ENOMEM : 0;
}

static long move_brk(uint64_t want)
{
    uint64_t old = page_up(space()->brk);
    if (want < space()->brk_start || want > space()->brk_limit ||
        (settings.memory && want - space()->brk_start > settings.memory))
        return (long)space()->brk;
    uint64_t top = page_up(want);
    if (top > old) {
        struct map_request r = {.addr = old,
                                .size = top - old,
                                .prot = PROT_READ | PROT_WRITE,
                                .flags = MM_NOREPLACE,
                                .name = "[heap]"};
        if (mm_map(&r) < 0)
            return (long)space()->brk;
        spare_grown(top);
    } else if (top < old) {
        if (!unmap_beside(top, old)) {
            call_upgrade();
            if (mm_unmap(top, old - top))
                return (long)space()->brk;
        }
    }
    space()->brk = want;
    return (long)want;
}

long sys_brk(uint64_t want)
{
    bool own = turn_take(&space()->clearing);
    long r = move_brk(want);
    end_clearing(own);
    return r;
}

static long grow_or_move(struct area *a, uint64_t addr, uint64_t old, uint64_t size, uint64_t to,
                         unsigned flags)
{
    bool fixed = flags & MREMAP_FIXED, keep = flags & MREMAP_DONTUNMAP;
    if (!fixed && !keep && old && addr + old == a->end && area_free_range(a->end, addr + size) &&
        addr + size <= port_info.user_end && !place_take(a->end, addr + size, false)) {
        struct area more = *a;
        if (a->locked && mm_may_lock(size - old, 0))
            return -EAGAIN;
        more.offset += a->end - a->start;
        more.start = a->end;
        more.end = addr + size;
        int r = area_add(more);
        if (!r)
            area_merge(addr, addr + size);
        if (!r && (r = residence_settle(space(), more.start, more.end)))
            mm_unmap(more.start, more.end - more.start);
        if (!r)
            mm_populate_locked(addr, addr + size);
        return r ? r : (long)addr;
    }
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    int r;
    if ((r = area_split(addr)) || (r = area_split(addr + old)))
        return r;
    a = area_find(addr);
    struct map_request q = {.addr = fixed ? to : 0,
                            .size = size,
                            .prot = a->prot,
                            .flags = (fixed ? MM_FIXED : 0) | (a->shared ? MM_SHARED : 0) |
                                     (a->locked ? MM_LOCKED : 0),
                            .file = a->file,
                            .offset = a->offset,
                            .name = a->name};
    if (a->file)
        file_get(a->file);
    int64_t moved = mm_map(&q);
    if (q.file)
        file_put(q.file);
    if (moved < 0)
        return moved;
    r = page_move(addr, (uint64_t)moved, old);
    if (r)
        return r;
    if (keep) { /* what was there has gone: zeros, or the file's again */
        area_clear(area_find(addr), false);
        area_merge(addr, addr + old);
    } else if (old) {
        mm_unmap(addr, old);
    }
    return moved;
}

long sys_mremap(uint64_t addr, uint64_t old_size, uint64_t new_size, uint64_t flags, uint64_t to)
{
    uint64_t old = page_up(old_size), size = page_up(new_size);
    if ((addr & (PAGE_SIZE - 1)) || !size || size < new_size || size > port_info.user_end ||
        (flags & ~(uint64_t)(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)))
        return -EINVAL;
    if ((flags & MREMAP_DONTUNMAP) && (!(flags & MREMAP_MAYMOVE) || old != size))
        return -EINVAL;
    if ((flags & MREMAP_FIXED) && (!(flags & MREMAP_MAYMOVE) || (to & (PAGE_SIZE - 1)) ||
                                   (to < addr + old && addr < to + size)))
        return -EINVAL;
    struct area *area;
    if ((flags & MREMAP_FIXED) && turn_take(&space()->clearing))
        turn_give(&space()->clearing); /* alone from now on: it goes in one piece */
    area = area_find(addr);
    if (old && mm_unsealed(addr, addr + old))
        return -EPERM;
    if (!area)
        return -EFAULT;
    if (!old && !area->shared) /* else it is mapped a second time */
        return -EINVAL;
    if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && MIN(old, size) > area->end - addr)
        return -EFAULT;
    if (size < old) { /* the rest goes, whatever is mapped there */
        int r = mm_unmap(addr + size, old - size);
        if (r)
            return r;
        old = size;
        area = area_find(addr);
    }
    if (size == old && !(flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)))
        return (long)addr;
    if (old > area->end - addr)
        return -EFAULT;
    return grow_or_move(area, addr, old, size, to, (unsigned)flags);
}

static bool advice_known(int advice)
{
    static const uint8_t known[] = {0,  1,  2,  3,  4,  8,  9,  10, 11, 12, 13,
                                    14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (known[i] == advice)
            return true;
    }
    return false;
}

static int drop_pages(uint64_t start, uint64_t end, int advice)
{
    int r = 0;
    for (size_t i = area_index(start); !r && i < space()->count && space()->areas[i]->start < end;
         i++) {
        const struct area *a = space()->areas[i];
        if ((a->shared || a->file) && advice == MADV_FREE)
            return -EINVAL;
        if (a->sealed && !a->file && !(a->prot & PORT_W))
            return -EPERM; /* what is lost could not be written again */
        if (a->shared)
            continue; /* the file has it */
        page_remove(MAX(start, a->start), MIN(end, a->end));
        r = residence_settle(space(), MAX(start, a->start), MIN(end, a->end));
    }
    return r;
}

/* What a fork does with it. */
static long advise_fork(uint64_t start, uint64_t end, int advice)
{
    int r = area_split(start);
    if (!r)
        r = area_split(end);
    for (size_t i = area_index(start); !r && i < space()->count && space()->areas[i]->start < end;
         i++) {
        struct area *a = space()->areas[i];
        if (advice == MADV_WIPEONFORK && (a->file || a->shared))
            r = -EINVAL;
        else if (advice == MADV_DONTFORK || advice == MADV_DOFORK)
            a->not_forked = advice == MADV_DONTFORK;
        else
            a->wiped_by_fork = advice == MADV_WIPEONFORK;
    }
    area_merge(start, end);
    return r ? r : is_covered(start, end) ? 0 : -ENOMEM;
}

/* A hole in the files that are mapped there. What is not mapped is told at the end. */
static long remove_range(uint64_t start, uint64_t end)
{
    bool covered = is_covered(start, end);
    int r = 0;
    for (size_t i = area_index(start); !r && i < space()->count && space()->areas[i]->start < end;
         i++) {
        const struct area *a = space()->areas[i];
        uint64_t at = MAX(start, a->start), from = a->offset + (at - a->start);
        if (a->locked || !a->file)
            r = -EINVAL;
        else if (!a->shared || !a->write_ok)
            r = -EACCES;
        else
            r = data_punch(a->file->inode, from, from + (MIN(end, a->end) - at));
    }
    return r ? r : covered ? 0 : -ENOMEM;
}

/* As MADV_POPULATE_READ and _WRITE: as far as it goes. */
static long populate_for(uint64_t start, uint64_t end, int right)
{
    long r = 0;
    for (uint64_t at = start, next; !r && at < end; at = next) {
        const struct area *a = area_find(at);
        if (!a)
            return -ENOMEM;
        next = MIN(a->end, end);
        r = a->prot & right ? mm_ready(at, next - at, right) : -EINVAL;
    }
    return r;
}

long sys_madvise(uint64_t addr, uint64_t size, int advice)
{
    uint64_t end;
    bool own;
    if (!advice_known(advice))
        return -EINVAL;
    int r = check_range(addr, size, &end);
    if (r)
        return r;
    switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
    case MADV_FREE:
        if (advice != MADV_DONTNEED_LOCKED && mm_locked_size(space(), addr, end))
            return -EINVAL;
        own = begin_clearing(addr, end);
        for (uint64_t at = addr, next; !r && at < end; at = next) {
            next = piece_end(at, end);
            if (!empty_beside(at, next)) {
                call_upgrade();
                r = drop_pages(at, next, advice);
            }
            if (next < end)
                call_pause();
        }
        end_clearing(own);
        return r ? r : is_covered(addr, end) ? 0 : -ENOMEM;
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
        call_upgrade();
        return populate_for(addr, end, advice == MADV_POPULATE_READ ? PORT_R : PORT_W);
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK:
        call_upgrade();
        return advise_fork(addr, end, advice);
    case MADV_REMOVE:
        call_upgrade();
        return remove_range(addr, end);
    case MADV_HWPOISON:
        return -EINVAL;
    default:
        return is_covered(addr, end) ? 0 : -ENOMEM;
    }
}

/* The files kept elsewhere that are mapped there. An area may be gone when one is synced. */
static long sync_range(uint64_t start, uint64_t end)
{
    long r = 0;
    for (uint64_t at = start; !r && at < end;) {
        const struct area *a = area_find(at);
        if (!a)
            return -ENOMEM;
        struct file *f =
            a->shared && a->file && a->file->inode && a->file->inode->mount ? a->file : NULL;
        at = a->end;
        if (!f)
            continue;
        file_get(f);
        r = mount_sync(f->inode);
        file_put(f);
    }
    return r;
}

long sys_msync(uint64_t addr, uint64_t size, int flags)
{
    if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) ||
        (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
        return -EINVAL;
    uint64_t end;
    int r = check_range(addr, size, &end);
    if (r)
        return r;
    if (!is_covered(addr, end))
        return -ENOMEM;
    if ((flags & MS_INVALIDATE) && mm_locked_size(space(), addr, end))
        return -EBUSY;
    /* The pages are the file's own; those of a volume must reach it. */
    return flags & MS_SYNC ? sync_range(addr, end) : 0;
}

long sys_mincore(uint64_t addr, uint64_t size, uint64_t out)
{
    uint64_t end;
    int r = check_range(addr, size, &end);
    if (r)
        return addr & (PAGE_SIZE - 1) ? r : -ENOMEM;
    if (!is_covered(addr, end))
        return -ENOMEM;
    for (uint64_t at = addr; at < end; at += PAGE_SIZE, out++) {
        const struct area *a = area_find(at);
        const struct inode *i = a->file ? a->file->inode : NULL;
        uint8_t there = page_state(at) != 0 ||
                        (i && radix_get(&i->pages, (a->offset + (at - a->start)) >> PAGE_SHIFT));
        if (user_write(out, &there, 1))
            return -EFAULT;
    }
    return 0;
}

long sys_mseal(uint64_t addr, uint64_t size, uint64_t flags)
{
    uint64_t end = addr + page_up(size);
    if (flags || (addr & (PAGE_SIZE - 1)) || page_up(size) < size || end < addr)
        return -EINVAL;
    if (!is_covered(addr, end))
        return -ENOMEM;
    int r = addr < end ? area_split(addr) : 0;
    if (!r && addr < end)
        r = area_split(end);
    for (size_t i = area_index(addr); !r && i < space()->count && space()->areas[i]->start < end;
         i++)
        space()->areas[i]->sealed = true;
    area_merge(addr, end);
    return r;
}
