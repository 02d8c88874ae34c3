// SPDX-License-Identifier: Apache-2.0
// How often a stranger can make the broker ask a vendor's service.
//
// Each request over the network takes from a budget; what failed is not asked again for a while, by
// its URL; and few threads wait for the network at the same time.
#ifndef VERIFIER_BROKER_FETCHES_H
#define VERIFIER_BROKER_FETCHES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <shelter/verify.h>

#define SB_FETCH_BURST 24       // requests at once (a platform needs four)
#define SB_FETCH_PER_SECOND 2.0 // and from then on
#define SB_FETCH_FAILED 256     // URLs that failed
#define SB_FETCH_FAILED_MS 60000
#define SB_FETCH_SLOTS 2 // threads that fetch

struct sb_fetches {
    pthread_mutex_t lock;
    double tokens;
    int64_t last_ms;
    unsigned slots, next;
    struct {
        uint8_t digest[32]; // of the URL
        int64_t until_ms;
    } failed[SB_FETCH_FAILED];
};

void sb_fetches_init(struct sb_fetches *f);
// Makes the options ask here before each request.
void sb_fetches_bind(struct sb_fetches *f, struct shelter_fetch_options *o);
// A slot for one evidence. False when all are taken.
bool sb_fetches_begin(struct sb_fetches *f);
void sb_fetches_end(struct sb_fetches *f);

#endif
