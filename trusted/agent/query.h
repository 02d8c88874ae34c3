// SPDX-License-Identifier: Apache-2.0
// Parameters of a request's query.
#ifndef AGENT_QUERY_H
#define AGENT_QUERY_H

#include <stdbool.h>

#include "lib/bytes.h"

/* The first parameter of this name, percent-decoded. Its size; -ENOENT; -EINVAL for bad escapes;
 * -E2BIG when it is longer than out_size. It may hold any byte. */
int agent_query_get(struct sh_view query, const char *name, uint8_t *out, size_t out_size);

/* Is every parameter one of `names` (up to NULL), with a value, and none there twice? One that was
 * ignored would make the answer that to another question. */
bool agent_query_known(struct sh_view query, const char *const *names);

#endif
