// SPDX-License-Identifier: Apache-2.0
// What the files of the store share among themselves.
#ifndef HOST_STORE_STORE_TAGS_H
#define HOST_STORE_STORE_TAGS_H

#include "host/store/store.h"

/* Lower-case hexadecimal, at least so many digits and at most an id's. */
bool sh_is_id(const char *text, size_t digits_min);

/* The id behind a full tag. 0 or -ENOENT. */
int sh_store_read_tag(struct sh_store *store, const char *full_tag, char id[SH_ID_TEXT_SIZE]);

/* Removes a tag's file. */
void sh_store_drop_tag(struct sh_store *store, const char *full_tag);

/* The id of a reference; *tag is its full tag (owned by the caller) or NULL when it was an id. */
int sh_store_resolve(struct sh_store *store, const char *reference, char id[SH_ID_TEXT_SIZE],
                     char **tag, struct sh_error *err);

/* The lock on every change; *fd is closed to give it back. */
int sh_store_lock(struct sh_store *store, int *fd, struct sh_error *err);

#endif
