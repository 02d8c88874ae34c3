// SPDX-License-Identifier: Apache-2.0
// Reads JSON (RFC 8259) in place, strictly: no tree, no memory.
//
// Attacks expected here: any bytes. Nesting is at most AGENT_JSON_DEPTH, an object has at most
// AGENT_JSON_MEMBERS members; a name that comes twice, or is written with escapes, is refused, so
// that no two readers see two documents in the same bytes.
#ifndef AGENT_JSON_H
#define AGENT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGENT_JSON_DEPTH 16u
#define AGENT_JSON_MEMBERS 64u

/* A value's bytes, without the space around it; inside a text that was checked. */
struct agent_json {
    const char *at;
    size_t size;
};

/* Checks a whole text, one value and nothing behind it. 0 and the value, or -EBADMSG. */
int agent_json_check(struct agent_json *value, const char *text, size_t size);

/* A member of an object; false when there is none or this is no object. */
bool agent_json_get(struct agent_json object, const char *name, struct agent_json *value);

/* A string's bytes as UTF-8 with a NUL: its size. -EBADMSG when it is no string or has U+0000 in
 * it, -E2BIG when it does not fit. */
long agent_json_string(struct agent_json value, char *out, size_t out_size);

/* The same for a member; -ENOENT when it is not there. */
long agent_json_member(struct agent_json object, const char *name, char *out, size_t out_size);

/* A member that is a whole number of at most 18 digits. 0 or -EBADMSG. */
int agent_json_number(struct agent_json object, const char *name, uint64_t *out);

#endif
