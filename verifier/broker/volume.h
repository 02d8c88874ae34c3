// SPDX-License-Identifier: Apache-2.0
// Volumes (docs/broker.md): an attested session gets a volume's key together with the state that
// was acknowledged last, holds it by a lease, and moves the state on by compare and swap.
//
// Nothing here goes by the wall clock. A lease is live as long as its holder was heard, by this
// process's monotonic clock, within SB_LEASE_MS; one that this process has not seen before counts
// from then. So a broker that starts anew, or whose clock was set, takes no lease from one that
// lives.
#ifndef VERIFIER_BROKER_VOLUME_H
#define VERIFIER_BROKER_VOLUME_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define SB_LEASE_MS 6000

struct sb_request;
struct sb_volume;

struct sb_leases {
    pthread_mutex_t lock;
    struct sb_lease *first; // of each volume that was seen
};
void sb_leases_init(struct sb_leases *l);
void sb_leases_free(struct sb_leases *l);
// How long the lease is live from now on if nobody is heard; 0: it is not, or there is none.
int64_t sb_lease_left(struct sb_leases *l, const char *path, const struct sb_volume *v,
                      int64_t now_ms);

// "SEQUENCE-LOG-ROOT"; the numbers.
bool sb_volume_state_ok(const char *text, uint64_t *sequence, uint64_t *log);

// The endpoints; rest: REPOSITORY/TYPE/TAG of the volume's key.
void sb_volume_open(struct sb_request *r, const char *rest);
void sb_volume_advance(struct sb_request *r, const char *rest);

#endif
