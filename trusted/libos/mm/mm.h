// SPDX-License-Identifier: Apache-2.0
// A program's memory: areas (what may be there) and pages (what is there).
#ifndef LIBOS_MM_H
#define LIBOS_MM_H

#include "trusted/libos/base/radix.h"
#include "trusted/libos/libos.h"

struct file;
struct inode;

/* One mapping. Areas do not overlap and stand in ascending order in space()->areas. */
struct area {
    uint64_t start, end;
    int prot;            /* PROT_* the program asked for */
    bool shared;         /* MAP_SHARED of a file: writes go back to it */
    struct file *file;   /* NULL: anonymous */
    uint64_t offset;     /* in the file, of start */
    const char *name;    /* "[heap]", "[stack]" or NULL */
    uint64_t next_fault; /* where the last batch ended, and its pages: batches grow in a row */
    uint32_t batch;
    bool write_ok; /* shared: the file was opened for writing */
};

/* A program's addresses. */
struct space {
    uint32_t refs;
    struct area **areas;
    size_t count, room;
    struct radix leaves; /* by addr >> 21: struct leaf */
    uint64_t brk_start, brk, brk_limit;
    uint64_t map_top;              /* search for free addresses goes down from here */
    uint64_t code_start, code_end; /* window for mappings of files */
    uint64_t mapped_size;
};

static inline struct space *space(void)
{
    return current()->space;
}

/* What is there, a byte a page: PAGE_THERE | rights (PORT_*). */
#define PAGE_THERE 8u
struct leaf {
    uint8_t page[512];
};

/* mm/space.c */
struct space *space_new(void); /* empty, without a place; NULL: no memory */

void mm_init(void);

/* mm/area.c */
struct area *area_find(uint64_t addr);              /* holding addr, or NULL */
size_t area_index(uint64_t addr);                   /* of the first area with end > addr */
int area_add(struct area a);                        /* takes a reference of a.file */
int area_split(uint64_t addr);                      /* makes addr a border */
void area_merge(uint64_t start, uint64_t end);      /* joins what is alike in and around */
bool area_writes(const struct inode *i);            /* a shared mapping of it may be written to */
void area_drop(uint64_t start, uint64_t end);       /* whole areas; borders were made */
bool area_free_range(uint64_t start, uint64_t end); /* nothing mapped there */
uint64_t area_find_gap(uint64_t size, uint64_t low, uint64_t high); /* topmost; 0: none */

/* mm/pages.c */
uint8_t page_state(uint64_t addr);
int page_populate(struct area *a, uint64_t addr, uint64_t count); /* count pages, where missing */
int page_fill(uint64_t addr, const void *page, int prot);         /* one, where there is none */
int page_protect(uint64_t start, uint64_t end, int prot);         /* those that are there */
void page_remove(uint64_t start, uint64_t end);
int page_move(uint64_t from, uint64_t to, uint64_t size);
uint64_t page_count(uint64_t start, uint64_t end); /* those that are there */
int area_write_back(struct area *a, uint64_t start, uint64_t end);

/* mm/fault.c */
struct mm_fault {
    int signo, code; /* SIGSEGV or SIGBUS and its si_code when the result is not 0 */
};
/* Makes the page usable for access (PORT_R, _W or _X). 0, -EFAULT, -ENOMEM, -EIO. */
int mm_fault(uint64_t addr, int access, struct mm_fault *f);
/* The same for a range, for the LibOS's own accesses. 0 or -EFAULT. */
int mm_ready(uint64_t addr, uint64_t size, int access);

/* mm/map.c: the calls' insides, also used by the loader. */
#define MM_FIXED 1
#define MM_SHARED 2
#define MM_NOREPLACE 4
#define MM_LOW 8 /* below 2 GiB */
struct map_request {
    uint64_t addr, size;
    int prot, flags; /* MM_* */
    struct file *file;
    uint64_t offset;
    const char *name;
};
int64_t mm_map(const struct map_request *r); /* the address or -errno */
int mm_unmap(uint64_t addr, uint64_t size);
void mm_reset(void); /* everything, for exec */

#endif
