// SPDX-License-Identifier: Apache-2.0
// Port `unit`: the LibOS as a library under sanitizers, with a host that can be told to lie.
#ifndef PORT_UNIT_H
#define PORT_UNIT_H

#include "trusted/libos/libos.h"

/* What the host does. All zero: it behaves (and has nothing to say). */
struct unit_host {
    const uint8_t *root; /* root.img */
    uint64_t root_size;
    uint32_t data_count;  /* sets of data: each the root image's bytes again */
    const uint8_t *sites; /* sites.bin */
    uint64_t sites_size;
    uint8_t *volume; /* number 0; NULL: none */
    uint64_t volume_size, flushes;
    /* Answers port_share; NULL: there are no folders. */
    long (*share)(const struct sh_share_request *q, const void *data, uint32_t size, void *out,
                  uint32_t *out_size);
    /* When set, every call out that can returns `lie`; sizes it reports back are `lie_size`. */
    bool lies;
    long lie;
    uint32_t lie_size;
    /* When set, each call out lies anew by these bytes; at their end all fail with -EIO. */
    const uint8_t *script, *script_end;
    const uint8_t *quote; /* what port_quote gets; NULL: a good one */
    uint32_t quote_size;
    const char *input; /* what port_read and port_recv give, then the end */
    char output[4096]; /* what port_write and port_send took */
    uint32_t output_size;
    uint64_t clock[4]; /* by enum port_clock; 0: the real one */
    uint64_t calls;    /* calls out, of any kind */
    uint64_t wakes;    /* spurious wake-ups still to give */
    long set;          /* the handle that port_set gives */
    long next_handle; /* the one that port_socket gives, whatever else is said; 0: as all answers */
    const void *from; /* a struct sockaddr_in: who sent what port_recv gives; NULL: as else */
    /* Hears of each address that goes out; may be NULL. */
    void (*on_address)(const void *addr, uint32_t size, bool bind);
    const uint64_t *known; /* what earlier runs used */
    uint32_t known_count;
    uint64_t used[64]; /* the last that this one did; counted */
    uint32_t used_count;
    bool services; /* service threads start and run; else there are none */
    bool quiet;    /* nothing that port_wait is asked about is ready; else all of it is */
    struct port_event found[8]; /* what the next port_wait finds in its set */
    uint32_t found_count;
    int32_t always; /* this handle is always ready, told of by the change that adds it; 0: none */
    struct port_event changes[64]; /* the last that were made; counted */
    uint32_t change_count;
    void (*on_sleep)(void); /* called once, when a thread sleeps and before its changes are made */
};
extern struct unit_host unit_host;

/* Brings everything up on an image and its root hash; the calling thread becomes thread 1. */
int unit_start(const uint8_t *root, uint64_t root_size, uint64_t erofs_size,
               const uint8_t hash[32]);
/* Another thread of the process, for the calling host thread. */
struct thread *unit_thread(int tid);
/* A page-aligned piece of program memory, readable and writable. */
uint64_t unit_memory(uint64_t size);
/* A system call by number, arguments as they come. -ERESTARTSYS becomes -EINTR. */
long unit_call(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);
#define UNIT_CALL(nr, a, b, c, d, e, f, ...)                                                       \
    unit_call(nr, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), (uint64_t)(e),       \
              (uint64_t)(f))
#define call(...) UNIT_CALL(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

#endif
