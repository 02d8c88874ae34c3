// SPDX-License-Identifier: Apache-2.0
// Brings pages in when they are touched: in batches, since each one costs the enclave an exit.
#include <asm/signal.h>

#include "lib/settings.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"

#define SEGV_MAPERR 1
#define SEGV_ACCERR 2
#define BUS_ADRERR 2

#define BATCH_MIN 16u
#define BATCH_MAX 256u
#define FILE_BATCH 4u

static int refuse_access(struct mm_fault *f, int signo, int code, int r)
{
    f->signo = signo;
    f->code = code;
    return r;
}

/* Anonymous memory, from addr on: more each time when the program walks through an area. */
static uint64_t batch_count(struct area *a, uint64_t addr)
{
    if (addr == a->next_fault && a->batch)
        a->batch = MIN(a->batch * 2, BATCH_MAX);
    else
        a->batch = BATCH_MIN;
    a->next_fault = addr + ((uint64_t)a->batch << PAGE_SHIFT);
    return a->batch;
}

/* A page of a file costs nearly as much as the fault that it saves (it is copied, hashed and
 * accepted), so only its nearest neighbours come along, on both sides. */
static int populate_around(struct area *a, uint64_t addr)
{
    if (!a->file)
        return page_populate(a, addr, batch_count(a, addr));
    uint64_t start = addr & ~(FILE_BATCH * PAGE_SIZE - 1), end = start + FILE_BATCH * PAGE_SIZE;
    start = MAX(start, a->start);
    int r = page_populate(a, start, (end - start) >> PAGE_SHIFT);
    return r && !page_state(addr) ? page_populate(a, addr, 1) : r;
}

/* Wholly behind the end of its file: the one reason for a SIGBUS. */
static bool behind_end(const struct area *a, uint64_t addr)
{
    return a->file && a->file->inode &&
           a->offset + (addr - a->start) >= page_up(a->file->inode->size);
}

/* A handler must not run for what the host could bring about: a little memory, a block that is not
 * what was built. */
static _Noreturn void cannot_give(int r)
{
    if (r == -ENOMEM)
        log_line(
            "shelter: the program needs more memory than the %lu MiB that it has (-m); it is ended",
            settings.memory >> 20);
    else
        log_line("shelter: a page of the program cannot be brought (errno %d); it is ended", -r);
    process_exit(r == -ENOMEM ? SIGKILL : SIGBUS);
}

int mm_fault(uint64_t addr, int access, struct mm_fault *f)
{
    addr = page_down(addr);
    struct area *a = area_find(addr);
    if (!a)
        return refuse_access(f, SIGSEGV, SEGV_MAPERR, -EFAULT);
    /* Write or execute implies read on this processor. */
    if (access == PORT_R ? !a->prot : !(a->prot & access))
        return refuse_access(f, SIGSEGV, SEGV_ACCERR, -EFAULT);
    uint8_t state = page_state(addr);
    int r = 0;
    if (!state)
        r = populate_around(a, addr);
    state = page_state(addr);
    if (state && !(state & access)) { /* a first write */
        r = state & PAGE_OBJECT ? object_map(a, addr, true) : page_own(a, addr);
        state = page_state(addr);
    }
    if (state & access)
        return 0;
    if (!behind_end(a, addr))
        cannot_give(r);
    return refuse_access(f, SIGBUS, BUS_ADRERR, r ? r : -EFAULT);
}

int mm_ready(uint64_t addr, uint64_t size, int access)
{
    struct mm_fault f;
    if (!size)
        return 0;
    if (!residence_has())
        return -EFAULT;
    if (addr < port_info.user_start || addr >= port_info.user_end ||
        size > port_info.user_end - addr)
        return -EFAULT;
    for (uint64_t at = page_down(addr); at < addr + size; at += PAGE_SIZE) {
        if (!(page_state(at) & access) && mm_fault(at, access, &f))
            return -EFAULT;
    }
    return 0;
}
