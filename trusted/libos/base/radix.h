// SPDX-License-Identifier: Apache-2.0
// A sparse array of pointers by 64-bit index: pages of a file, blocks of the image, leaves of
// memory.
//
// Looking is safe beside one thread that adds; taking away needs that nobody looks.
#ifndef LIBOS_RADIX_H
#define LIBOS_RADIX_H

#include <stdint.h>

struct radix {
    uint64_t root; /* the topmost node's address | levels of nodes (aligned to 16); 0: empty */
};

void *radix_get(const struct radix *r, uint64_t index);
/* The place for this index, made if need be; NULL when there is no memory. Holds NULL at first. */
void **radix_slot(struct radix *r, uint64_t index);
/* Fills a place beside those who look. */
void radix_put(void **slot, void *item);
/* Empties the place, and frees the nodes that hold nothing then: nobody looks meanwhile. */
void radix_remove(struct radix *r, uint64_t index);
/* Calls free_item for each pointer at or above `from` and clears it; frees all nodes if from is 0.
 */
void radix_clear(struct radix *r, uint64_t from, void (*free_item)(void *));
/* The first index >= from that holds a pointer; its pointer, or NULL. */
void *radix_next(const struct radix *r, uint64_t from, uint64_t *index);

#endif
