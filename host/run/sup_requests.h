// SPDX-License-Identifier: Apache-2.0
// Requests to the guest on behalf of clients (counts, traces, evidence), one at a time, and their
// answers. The guest may answer late, twice or never: only the answer that is waited for counts.
#ifndef HOST_RUN_SUP_REQUESTS_H
#define HOST_RUN_SUP_REQUESTS_H

#include "host/run/sup_clients.h"

struct sup_requests {
    struct sup_clients *clients;
    bool debuggable; /* MAPS may be asked */
    uint32_t last;   /* number of the last request */
    uint32_t asking; /* the guest owes the answer to this one; 0: none */
    int64_t asking_by;
    bool traced; /* the guest was told to trace */
};

/* A client's request; `why_not`: it is refused with this sentence, since the inside cannot answer.
 */
void sup_request_take(struct sup_requests *q, struct sup_client *c, const struct sh_frame_view *f,
                      const char *why_not);

/* Puts the next question into the guest's queue; gives up one that is not answered. */
void sup_requests_pump(struct sup_requests *q, struct sh_fifo *to_guest);

/* ANSWER or EVIDENCE, and TRACED, of the guest. */
void sup_requests_answer(struct sup_requests *q, const struct sh_frame_view *f);
void sup_requests_traced(struct sup_requests *q, const struct sh_frame_view *f);

#endif
