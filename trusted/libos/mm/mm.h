// SPDX-License-Identifier: Apache-2.0
// Memory of programs: spaces, areas (what may be there), pages (what is there).
//
// An enclave has one map of addresses and no page tables of its own. So processes live side by side
// at different addresses; those that need the same ones (a fork, two programs that are not position
// independent) share them by time:
//
//   struct space    the addresses of a process, or of several (vfork, CLONE_VM)
//   struct family   spaces that have addresses in common; at most one of them is resident
//   frame           a page that is committed at an address, and whose content it has now
//   aside           a page of a space that is not resident, kept in the LibOS's zone
//
// A page of a shared mapping is the file's own page: struct inode.pages points to where it is, in
// the zone or at the address of one mapping. At another address it is taken away and faults there.
//
// All of this changes while the big lock is held exclusively; where addresses are one process's
// alone also while it is shared (mm/beside.c). Pages come and go then under a lock of the family,
// one for every 2 MiB, which have a leaf and a part of the table of frames of their own, or one for
// all where others may have these addresses; areas under one of the space. Who shares the lock and
// looks an area up keeps no pointer to it.
#ifndef LIBOS_MM_H
#define LIBOS_MM_H

#include "trusted/libos/base/radix.h"
#include "trusted/libos/libos.h"

struct file;
struct inode;
struct site_set;

#define RIGHTS (PORT_R | PORT_W | PORT_X)

/* One mapping. Areas do not overlap and stand in ascending order in space.areas. */
struct area {
    uint64_t start, end;
    int prot;            /* PROT_* the program asked for */
    bool shared;         /* MAP_SHARED: its pages are the file's own */
    bool write_ok;       /* shared: the file was opened for writing */
    bool locked;         /* mm/mlock.c */
    bool sealed;         /* by mseal: it stays as it is */
    bool not_forked;     /* MADV_DONTFORK: a child does not have it */
    bool wiped_by_fork;  /* MADV_WIPEONFORK: a child has zeros there */
    bool grows;          /* MAP_GROWSDOWN: a fault just below makes it larger */
    bool changing;       /* by a call beside others: who meets it makes itself alone */
    struct file *file;   /* NULL: anonymous */
    uint64_t offset;     /* in the file, of start */
    const char *name;    /* "[heap]", "[stack]" or NULL */
    uint64_t next_fault; /* where the last batch ended, and its pages: batches grow in a row */
    uint32_t batch;
    struct space *space;
    struct list mapped; /* of the inode's `maps`, or of itself */
};

#define SLABS_MAX 16u

struct space {
    uint32_t refs;
    uint16_t id; /* owner of frames */
    struct family *family;
    struct list member; /* of family.members */
    struct lock list;   /* RANK_AREAS: of areas and mapped_size */
    struct area **areas;
    size_t count, room;
    struct radix leaves;  /* by addr >> 21: struct leaf */
    struct turn clearing; /* of a long munmap, of who maps over what is there; of brk */
    struct lock lock;     /* RANK_FRAMES: new leaves */
    uint64_t brk_start, brk, brk_limit;
    uint64_t code_start, code_end; /* window for mappings of files */
    struct slab {
        uint64_t low, high;
    } slabs[SLABS_MAX]; /* where other mappings go; the last first */
    uint32_t slab_count;
    uint64_t mapped_size;
    enum { LOCK_NOTHING, LOCK_NOW, LOCK_ON_FAULT } lock_future; /* what is mapped from now on */
    struct site_set *sites;
    bool barriers, global_barriers; /* membarrier was registered for */
    bool ran;                       /* its program, since it is resident */
    /* What the next one that runs the same file may have (mm/spare.c); program 0: nothing. */
    uint64_t program, code_low, stack_low, heap, heap_end;
    uint32_t uid, runs;
    uint64_t slice; /* ns: how long its turn is at least */
};

#define FAULT_LOCKS 16u

struct family {
    uint32_t count;
    struct list members;
    struct space *resident; /* NULL: the last one is gone */
    struct list waiting;    /* struct residence_wait: threads of the others, first come first */
    struct thread *holder;  /* nobody else becomes resident now; NULL: free */
    bool wanted;            /* threads were kicked out: the last one wakes who waits */
    bool leftovers;         /* in its places there are frames of nobody's */
    uint64_t until;         /* the resident's time is its own until then */
    struct {
        struct lock lock; /* RANK_FAMILY: fault_lock */
        uint8_t apart[60];
    } locks[FAULT_LOCKS];
};

static inline struct space *space(void)
{
    return current()->space;
}

/* What is there, a byte a page: PAGE_THERE | rights (PORT_*) | the others. */
#define PAGE_THERE 8u
#define PAGE_COMMON 16u /* read-only, the same for all members of the family that have this bit */
#define PAGE_OBJECT 32u /* the file's own page */
#define PAGE_CLEAN 64u  /* private copy of a file's page, unchanged since */
struct leaf {
    uint64_t settled; /* frame_changes when all of it was as its space wants it */
    uint8_t page[512];
    struct aside {
        void *page[512];    /* the content, where the frame has another's */
        uint8_t equal[512]; /* switches in a row at which it was the same as the other's */
    } * aside;              /* or NULL */
};
/* The place of a page in its leaf. */
static inline unsigned page_slot(uint64_t addr)
{
    return (addr >> PAGE_SHIFT) & 511;
}

/* ---- mm/area.c: of the calling process; alone, or with space.list held ---- */
struct area *area_find(uint64_t addr);   /* holding addr, or NULL */
bool area_is_data(const struct area *a); /* of a program, so that all of it is brought at once */
struct area *area_find_in(const struct space *s, uint64_t addr); /* in any space */
size_t area_index(uint64_t addr);                   /* of the first area with end > addr */
int area_add(struct area a);                        /* takes a reference of a.file */
int area_split(uint64_t addr);                      /* makes addr a border */
void area_merge(uint64_t start, uint64_t end);      /* joins what is alike in and around */
bool area_writes(const struct inode *i);            /* a shared mapping of it may be written to */
void area_drop(uint64_t start, uint64_t end);       /* whole areas; borders were made */
bool area_covers(uint64_t start, uint64_t end);     /* all of it is mapped */
bool area_free_range(uint64_t start, uint64_t end); /* nothing mapped there */
uint64_t area_find_gap(uint64_t size, uint64_t low, uint64_t high); /* topmost; 0: none */
int area_copy_all(struct space *to, const struct space *from);      /* for fork; 0 or -ENOMEM */
void area_drop_all(struct space *s);

/* ---- mm/frame.c: committed pages. Ranges are whole pages. ---- */
#define OWNER_NONE 0u
#define OWNER_OBJECT 0xfffeu /* a file's page */
#define OWNER_COMMON 0xffffu /* what all with PAGE_COMMON have */
#define OWNER_MAX 0xfff0u
int frame_rights(uint64_t addr); /* PORT_*, or -1: there is no frame */
uint16_t frame_owner(uint64_t addr);
/* Counts what changes in the 2 MiB that hold addr; 0: there was never a frame. */
uint64_t frame_changes(uint64_t addr);
void frame_own(uint64_t addr, uint64_t count, uint16_t owner);
/* One of those that had the frame in common wrote to it; how often that was, at most 255. */
void frame_part(uint64_t addr);
unsigned frame_parted(uint64_t addr);
int frame_add(uint64_t addr, uint64_t count, int prot, uint16_t owner); /* zeroed; charges */
/* New ones with these contents; charges. */
int frame_fill(uint64_t addr, const void *const *sources, uint64_t count, int prot, uint16_t owner);
/* Content of a frame that is there or is made. */
int frame_put(uint64_t addr, const void *content, int prot, uint16_t owner);
int frame_protect(uint64_t addr, uint64_t count, int prot);
void frame_remove(uint64_t addr, uint64_t count);
/* Those that go together, since each time costs: whoever is alone counts them as gone at once, and
 * brings nothing there before frame_gone_end. *g is zero at first. */
struct frame_gone {
    unsigned count;
    struct sh_pages runs[PORT_RUNS_MAX];
};
void frame_gone_add(struct frame_gone *g, uint64_t addr, uint64_t count);
void frame_gone_end(struct frame_gone *g);
void frame_forget(uint64_t start, uint64_t end); /* their book-keeping; no frame is left there */
/* The first address >= addr and < end where there is a frame; end: none. */
uint64_t frame_next(uint64_t addr, uint64_t end);

/* Likewise, in 2 MiB, and not as a space wants it that has these pages there (or none: NULL). */
uint64_t frame_next_unlike(uint64_t addr, uint64_t end, const struct leaf *leaf, uint16_t id);

/* ---- mm/pages.c: of the calling process, which is resident ---- */
uint8_t page_state(uint64_t addr);
uint8_t page_state_of(const struct space *s, uint64_t addr);
int page_state_set(struct space *s, uint64_t addr, uint64_t count, uint8_t state); /* 0, -ENOMEM */
/* A common page of s, which is resident, becomes its own, with the same rights. The state is the
 * caller's to set. 0, -ENOMEM. */
int page_unshare(struct space *s, uint64_t addr);
struct leaf *page_leaf(const struct space *s, uint64_t addr); /* or NULL */
void page_leaves_drop(struct space *s); /* all that is known, and what lies aside; alone */
/* The first address >= addr, < end, about which something is known; end: none. */
uint64_t page_next_leaf(const struct space *s, uint64_t addr, uint64_t end);
void **page_aside(struct space *s, uint64_t addr); /* where its content is kept; NULL: no memory */
void page_aside_drop(struct space *s, uint64_t addr);
void page_aside_end(struct leaf *leaf); /* if nothing of it lies aside: there is no other now */
int page_populate(struct area *a, uint64_t addr, uint64_t count); /* count pages, where missing */
int page_bring(struct area *a, uint64_t addr, uint64_t count);    /* likewise, expected already */
/* The content of a private page that follows its file. 0, -EIO, -ENOMEM, -EAGAIN: alone. */
int page_from_file(struct area *a, uint64_t addr, void *page);
int page_fill(uint64_t addr, const void *page, int prot); /* one, where there is none */
int page_protect(uint64_t start, uint64_t end, int prot); /* those that are there */
int page_own(struct area *a, uint64_t addr); /* may be written from now on, if the area may */
void page_remove(uint64_t start, uint64_t end);
uint8_t page_private_state(const struct area *a); /* of a new page of its file */
/* As struct sh_uses names the page at addr; 0: it is not the image's. */
uint64_t page_use(const struct area *a, uint64_t addr);
/* The same of one page of any space, resident or not; its frame may stay until frame_gone_end. */
void page_drop(struct space *s, uint64_t addr, struct frame_gone *gone);
int page_move(uint64_t from, uint64_t to, uint64_t size);
/* The processor knows no write-only or execute-only pages. */
static inline int page_rights(int prot)
{
    return prot ? prot | PORT_R : 0;
}

/* ---- mm/uses.c: what earlier runs used of the image's files ---- */
/* Brings what is known of this part of an area, within one 2 MiB, and is not there; or nothing. */
void uses_bring(struct area *a, uint64_t start, uint64_t end);
/* Brings what a program that was just mapped, and its stack, will need, at once. */
void uses_bring_program(void);

/* ---- mm/object.c: a file's own pages, mapped or not ---- */
/* Does the page lie at a mapping's address? */
static inline bool object_is_mapped(const void *page)
{
    return (uint64_t)page >= port_info.user_start && (uint64_t)page < port_info.user_end;
}
bool object_is_at(const struct area *a, uint64_t addr);    /* is a's page there the frame? */
int object_map(struct area *a, uint64_t addr, bool write); /* 0, -EIO behind the end, -ENOMEM */
/* a's page there; it may live on, unless the area goes and nobody else has the file. */
void object_unmap(struct area *a, uint64_t addr, bool goes);
/* A private copy of the page will follow it: its next store faults. 0, -EAGAIN: alone. */
int object_follow(struct inode *i, uint64_t index);
int object_home(struct inode *i, uint64_t index); /* takes it back from its address */
/* The page will be written by the LibOS; then it was. Between them nothing may fault. */
int object_begin_write(struct inode *i, uint64_t index);
void object_end_write(struct inode *i, uint64_t index);
void object_drop(struct inode *i, uint64_t from, uint64_t end); /* these pages, mapped or not */
void object_map_add(struct area *a); /* the file knows the area from now on */
void object_map_remove(struct area *a);

/* ---- mm/beside.c: what the calling process's own memory lets do while the big lock is shared ----
 */
/* Of private memory without a file. False, and -EAGAIN: it is to be done alone, from the beginning;
 * in part it may have been done. */
bool unmap_beside(uint64_t start, uint64_t end);
int protect_beside(uint64_t start, uint64_t end, int prot); /* or -ENOMEM */
bool empty_beside(uint64_t start, uint64_t end);            /* its pages go, the area stays */

/* ---- mm/fault.c ---- */
struct lock *page_lock(uint64_t addr); /* RANK_FAMILY: of what is in these 2 MiB */
struct mm_fault {
    int signo, code; /* SIGSEGV or SIGBUS and its si_code when the result is not 0 */
};
/* Makes the page usable for access (PORT_R, _W or _X). 0, -EFAULT, -ENOMEM, -EIO. */
int mm_fault(uint64_t addr, int access, struct mm_fault *f);
/* Brings what is not there yet, in one area and one 2 MiB. False: it is to be done alone. */
bool mm_populate_beside(uint64_t start, uint64_t end);
/* The same for a range, for the LibOS's own accesses. 0 or -EFAULT. Then it stays so until the big
 * lock is given up. Who shares it may be alone afterwards (call_alone). */
int mm_ready(uint64_t addr, uint64_t size, int access);

/* ---- mm/space.c ---- */
struct space *space_new(void); /* empty, a family of its own; NULL: no memory or no addresses */
struct space *
space_fork(void); /* a copy of the caller's, which is resident then; NULL: no memory */
void space_put(struct space *s);
void space_tidy(void); /* a little at a time: what forks needed goes back. Whoever has time */
void family_change(struct space *s,
                   struct family *f); /* s, alone in its own, into f, without any */
void family_forget(struct family *f); /* without members or frames */
void leftovers_end(struct family *f); /* with one member at most: frames of nobody's go */
/* Addresses are given by the GiB, each to one family. May the caller's have these? */
bool place_is_free(uint64_t start, uint64_t end);
bool place_is_own(uint64_t start, uint64_t size); /* they are its already; any addresses */
/* Takes them; from another family by becoming one with it, if `join` (sleeps then). 0, -ENOMEM,
 * -EEXIST. */
int place_take(uint64_t start, uint64_t end, bool join);
/* A further run of addresses of at least this size for the caller. False: there are no more. */
bool place_more(uint64_t size);

/* ---- mm/spare.c: what a program leaves for the next one that runs the same file; alone ---- */
void spare_take(const struct inode *i);          /* for the caller's space, which is empty */
void spare_note(uint64_t stack_low, bool fixed); /* it stands now; fixed: it chose its addresses */
void spare_grown(uint64_t heap_end);             /* the heap is so large now */
bool spare_keep(struct space *s);                /* before it goes; true: its family stays */
bool spare_drop(const struct family *f);         /* or all (NULL); false: there was none */
void spare_tidy(void);                           /* those that nobody took for long */

/* ---- mm/residence.c ---- */
/* los_upgrade, and resident afterwards; ends the process where it cannot be. The call is alone
 * until it sleeps or pauses (call_upgrade), or to its end (call_alone). */
bool call_upgrade(void);
bool call_alone(void);
void call_residence(void); /* after a sleep: resident again; likewise */
/* After los_unlock: the big lock again as the call began, and resident. */
void call_relock(void);
void call_pause(void); /* between two pieces of a long call: whoever waits for the lock gets it */
/* Waits until the caller's space is resident. Whoever gave up the big lock calls this before it
 * touches the program's memory again. 0, or -ENOMEM: it cannot be, and the process must end. */
int residence_take(void);
/* Is this what the frame holds for others, who may only read it? Then it is the caller's too. */
bool residence_share(uint64_t addr, const void *content, int prot);
/* What a frame holds goes aside for whoever needs it; then it is nobody's, or gone. 0, -ENOMEM. */
int residence_evict(struct family *f, uint64_t addr);
/* ---- mm/oom.c: when memory is all used ---- */
/* The caller lacks memory. True: it tries again, since another process, which has most, was told to
 * end; false: it ends itself. Gives the lock to nobody. */
bool oom_spare(void);
void oom_wait(void); /* until that one is gone; before the way back to a program */
void oom_ended(const struct process *p);
#define OOM_NEVER (-1000)                    /* oom_score_adj: it is not chosen */
uint64_t oom_score(const struct process *p); /* as /proc/PID/oom_score has it */
uint64_t oom_kills(void);                    /* how many were chosen so far */

bool residence_has(void);       /* the caller's space is resident */
void residence_begin(void);     /* the calling thread is a fork's: its time counts from now on */
void residence_enter(bool ran); /* it comes from there; false: it did not get that far */
bool residence_leave(void); /* it goes there; false: the time is over, call residence_take again */
void residence_idle(void);  /* it is about to sleep */
void residence_wake(struct family *f);  /* whoever has waited longest */
int residence_hold(struct space *next); /* alone in the family; `next` counts as resident. Sleeps */
void residence_release(void);
/* Every thread that runs a program now (registered: of those processes) comes in once; always 0.
 * Sleeps. */
int residence_pass_all(bool registered);
/* Where a range of the resident space meets frames that have others' contents: sets them right. */
int residence_settle(struct space *s, uint64_t start, uint64_t end);

/* ---- mm/map.c: the calls' insides, also used by the loader. ---- */
#define MM_FIXED 1
#define MM_SHARED 2
#define MM_NOREPLACE 4
#define MM_LOW 8   /* below 2 GiB */
#define MM_JOIN 16 /* with MM_NOREPLACE: from another family, if it must be */
#define MM_GROWS 128
#define MM_LOCKED 32 /* -EAGAIN: more than may be */
#define MM_PLACE 64  /* only the addresses, for who maps there next; alone */
struct map_request {
    uint64_t addr, size;
    int prot, flags; /* MM_* */
    struct file *file;
    uint64_t offset;
    const char *name;
};
int64_t mm_map(const struct map_request *r); /* the address or -errno */
int mm_unmap(uint64_t addr, uint64_t size);
void area_clear(struct area *a,
                bool goes); /* its pages go; a file's own live on, see object_unmap */

/* ---- mm/other.c: the memory of any space, by the LibOS. Do not wait. 0, -EFAULT, -ENOMEM; what
 * stands before a page that is not there has been moved. ---- */
int space_read(struct space *s, void *to, uint64_t from, uint64_t size);
int space_write(struct space *s, uint64_t to, const void *from, uint64_t size);
/* Likewise, also where the program itself may not write; in pages of its own, never a file's. */
int space_poke(struct space *s, uint64_t to, const void *from, uint64_t size);

/* May this change? 0, or -EPERM: something there is sealed. */
int mm_unsealed(uint64_t start, uint64_t end);

/* ---- mm/mlock.c ---- */
uint64_t mm_locked_size(struct space *s, uint64_t start, uint64_t end);
/* May the caller lock so much more (`again` of it is locked already)? 0, -EPERM, -ENOMEM. */
int mm_may_lock(uint64_t size, uint64_t again);
int mm_populate_locked(uint64_t start, uint64_t end); /* 0, -ENOMEM */

#endif
