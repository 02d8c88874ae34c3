// SPDX-License-Identifier: Apache-2.0
// What only a volume's owner does with it, who has its key: no shelter needs it.
#ifndef HOST_STORE_VOLUME_OWNER_H
#define HOST_STORE_VOLUME_OWNER_H

#include "trusted/volume/volume.h"

/* Commits first, unless read only; then reads all that is in use and looks whether it fits
 * together: tags, counts, names, map. Calls `say`, which must not call the volume, with a sentence
 * for each fault. How many there are, or -EIO: the volume refuses. */
long volume_check(struct volume *v, void (*say)(void *arg, const char *text), void *arg);

/* From now on another key opens it, which is copied. Nothing but the root records is written. 0;
 * -EROFS; -EIO: either key may be the one that opens it. */
int volume_rekey(struct volume *v, const uint8_t key[VOLUME_KEY_SIZE]);

/* What its root record says of it. */
struct volume_facts {
    uint64_t sequence, blocks; /* blocks: of the disk that are its own */
    bool clean;                /* it was closed in order */
    char name[64];             /* ended by NUL */
};
/* Never fails; *out is the caller's, wholly filled. */
void volume_facts(const struct volume *v, struct volume_facts *out);

#endif
