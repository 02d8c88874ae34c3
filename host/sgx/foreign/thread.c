// SPDX-License-Identifier: Apache-2.0
// The program's threads, as we know them: by their id, since their registers are their own. Looked
// up in signal handlers before there is a thread pointer of ours, so nothing here needs one.
#include "host/sgx/foreign/foreign.h"

#include <elf.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define MAX_THREADS 4096u
#define INDEX_SIZE 8192u
#define STACK_SIZE 0x60000u
#define TCB_SIZE 0x1000u /* more than the C library's struct pthread */

int fgn_pid;
static struct fgn_thread threads[MAX_THREADS];
static _Atomic(struct fgn_thread *) places[INDEX_SIZE]; /* by id; a place is never emptied */
static _Atomic uint32_t used;
static _Atomic int busy;

static size_t tid_offset; /* in the C library's struct pthread: its locks compare it */
static struct {
    const void *image;
    size_t filled, size, align;
} tls;

/* Called on the C library's own thread: its thread pointer becomes that of the program's first. */
struct fgn_thread *fgn_thread_first(void)
{
    const Elf64_Phdr *ph = (const Elf64_Phdr *)getauxval(AT_PHDR);
    struct fgn_thread *t = &threads[0];
    for (uint64_t i = 0; i < getauxval(AT_PHNUM); i++) {
        if (ph[i].p_type == PT_TLS) {
            tls.image = (const void *)ph[i].p_vaddr;
            tls.filled = ph[i].p_filesz;
            tls.size = ph[i].p_memsz;
            tls.align = ph[i].p_align == 0 ? 1 : ph[i].p_align;
        }
    }
    used = 1;
    __asm__ volatile("rdfsbase %0" : "=r"(t->lib_fs));
    int tid = (int)fgn_raw3(SYS_gettid, 0, 0, 0);
    for (tid_offset = 0x40; tid_offset < 0x800; tid_offset += 4) {
        if (memcmp((const uint8_t *)t->lib_fs + tid_offset, &tid, 4) == 0)
            break;
    }
    if (tid_offset == 0x800)
        return NULL;
    t->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (t->stack == MAP_FAILED)
        return NULL;
    t->program_stack.ss_flags = SS_DISABLE;
    t->tid = fgn_pid = tid;
    places[(uint32_t)t->tid % INDEX_SIZE] = t;
    return t;
}

__attribute__((no_stack_protector)) static void copy_bytes(uint8_t *to, const uint8_t *from,
                                                           size_t size)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

__attribute__((no_stack_protector)) static void clear_bytes(uint8_t *to, size_t size)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(0) : "memory");
}

/* | TLS | thread control block | guard | signal stack |, fresh, whoever had it before. */
__attribute__((no_stack_protector)) static bool prepare_thread(struct fgn_thread *t)
{
    size_t room = (tls.size + tls.align + 63) & ~63ul; /* the block ends on a line */
    size_t low = (room + TCB_SIZE + 0xfff) & ~0xffful;
    uint64_t own;
    if (t->stack == NULL) {
        long p = fgn_raw6(SYS_mmap, 0, (long)(low + 0x1000 + STACK_SIZE), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p < 0 && p > -4096)
            return false;
        fgn_raw3(SYS_mprotect, p + (long)low, 0x1000, PROT_NONE);
        t->stack = (uint8_t *)p + low + 0x1000;
    }
    if (t == &threads[0])
        return true; /* the C library's own block */
    uint8_t *tcb = t->stack - 0x1000 - low + room;
    clear_bytes(tcb - room, room + TCB_SIZE);
    copy_bytes(tcb - ((tls.size + tls.align - 1) & ~(tls.align - 1)), tls.image, tls.filled);
    own = (uint64_t)tcb;
    copy_bytes(tcb, (const uint8_t *)&own, 8);        /* thread pointer */
    copy_bytes(tcb + 0x10, (const uint8_t *)&own, 8); /* self */
    /* Stack guard and pointer guard are the process's. */
    copy_bytes(tcb + 0x28, (const uint8_t *)threads[0].lib_fs + 0x28, 16);
    t->lib_fs = own;
    return true;
}

__attribute__((no_stack_protector)) static void set_tid(struct fgn_thread *t, int tid)
{
    copy_bytes((uint8_t *)t->lib_fs + tid_offset, (const uint8_t *)&tid, 4);
}

__attribute__((no_stack_protector)) static bool is_gone(struct fgn_thread *t)
{
    return t->ending && t->tid != 0 && fgn_raw3(SYS_tgkill, fgn_pid, t->tid, 0) == -3 /* ESRCH */;
}

__attribute__((no_stack_protector)) static void take_lock(void)
{
    while (atomic_exchange(&busy, 1) != 0)
        fgn_raw3(SYS_sched_yield, 0, 0, 0);
}

/* The place of an id: that which has it, else the first empty one. */
__attribute__((no_stack_protector)) static _Atomic(struct fgn_thread *) *find_place(int tid)
{
    uint32_t at = (uint32_t)tid % INDEX_SIZE;
    for (uint32_t i = 0; i < INDEX_SIZE; i++, at = (at + 1) % INDEX_SIZE) {
        struct fgn_thread *t = places[at];
        if (t == NULL || t->tid == tid)
            return &places[at];
    }
    return NULL;
}

__attribute__((no_stack_protector)) static struct fgn_thread *new_thread(int tid)
{
    struct fgn_thread *t = NULL;
    /* A record that is free again has a place already, of its old id: it is found there by
     * walking on, since an id's place is searched until an empty one. */
    uint32_t at = (uint32_t)tid % INDEX_SIZE;
    for (uint32_t i = 0; i < INDEX_SIZE && places[at] != NULL; i++, at = (at + 1) % INDEX_SIZE) {
        struct fgn_thread *old = places[at];
        if (old->tid == 0 || (old->ending && old->tid == tid) || is_gone(old)) {
            t = old;
            break;
        }
    }
    if (t == NULL && places[at] == NULL && used < MAX_THREADS) {
        t = &threads[used++];
        places[at] = t;
    }
    if (t == NULL || !prepare_thread(t))
        return NULL;
    set_tid(t, tid);
    t->program_stack = (stack_t){.ss_flags = SS_DISABLE};
    t->hidden = 0;
    t->lent = 0;
    t->sibling = false;
    t->fresh = t->unready = true;
    t->ending = false;
    t->tid = tid;
    return t;
}

/* In the child of a fork: the others are not here. */
__attribute__((no_stack_protector)) void fgn_thread_alone(struct fgn_thread *t)
{
    for (uint32_t i = 0; i < used; i++) {
        if (&threads[i] != t) {
            threads[i].tid = 0;
            threads[i].ending = false;
        }
    }
    fgn_pid = (int)fgn_raw3(SYS_getpid, 0, 0, 0);
    for (uint32_t i = 0; i < INDEX_SIZE; i++)
        places[i] = NULL;
    t->tid = (int)fgn_raw3(SYS_gettid, 0, 0, 0);
    set_tid(t, t->tid);
    t->lent = 0;
    places[(uint32_t)t->tid % INDEX_SIZE] = t;
    for (uint32_t i = 0, at = 0; i < used; i++) { /* those that may be used again */
        if (&threads[i] == t)
            continue;
        while (places[at] != NULL)
            at++;
        places[at++] = &threads[i];
    }
    busy = 0;
}

__attribute__((no_stack_protector)) static struct fgn_thread *find_lender(uint64_t fs)
{
    for (uint32_t i = 0; i < used; i++) {
        if (threads[i].lent != 0 && threads[i].program_fs == fs)
            return &threads[i];
    }
    return NULL;
}

__attribute__((no_stack_protector)) struct fgn_thread *fgn_thread_find(int tid, uint64_t fs)
{
    _Atomic(struct fgn_thread *) *place = find_place(tid);
    struct fgn_thread *t = place != NULL ? *place : NULL;
    if (t != NULL && !t->ending) {
        t->sibling = false;
        if (t->lent == 1) { /* it runs: its child has gone its way */
            t->hidden = t->kept_hidden;
            t->program_stack = t->kept_stack;
        }
        t->lent = 0;
        return t;
    }
    if (fgn_raw3(SYS_getpid, 0, 0, 0) != fgn_pid) {
        t = find_lender(fs);
        if (t != NULL && t->lent == 1) {
            t->sibling = true;
            return t;
        }
        if (t != NULL) {
            fgn_thread_alone(t);
            return t;
        }
    }
    take_lock();
    t = new_thread(tid);
    busy = 0;
    return t;
}

/* As far as we know: one that was never seen may be on its first instructions. */
bool fgn_thread_none_left(void)
{
    for (uint32_t i = 0; i < used; i++) {
        if (threads[i].tid != 0 && !threads[i].ending)
            return false;
    }
    return true;
}
