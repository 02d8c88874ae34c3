// SPDX-License-Identifier: Apache-2.0
// A text that grows: JSON, base64 and numbers are appended; and the one sentence of an error.
#ifndef AGENT_TEXT_H
#define AGENT_TEXT_H

#include "trusted/agent/core.h"

/* Zero-initialise. The first failure (no memory, beyond AGENT_TEXT_MAX) sets failed, and later
 * calls do nothing: check once, at the end. data always ends in a NUL that size does not count. */
#define AGENT_TEXT_MAX (4u << 20)
struct agent_text {
    char *data;
    size_t size, room;
    bool failed;
};

void agent_text_add(struct agent_text *t, const void *data, size_t size);
void agent_text_str(struct agent_text *t, const char *text);
void agent_text_number(struct agent_text *t, uint64_t number);

/* RFC 4648: with padding; url: the other alphabet, without. */
void agent_text_base64(struct agent_text *t, const void *data, size_t size);
void agent_text_base64url(struct agent_text *t, const void *data, size_t size);

/* A JSON string with its quotes, escaped as RFC 8785 wants it. The bytes are taken as UTF-8. */
void agent_text_json(struct agent_text *t, const void *data, size_t size);

/* Wipes what it frees. */
void agent_text_free(struct agent_text *t);

/* Joins the strings up to NULL into e, cut at its size, bytes outside 0x20..0x7e as '?'. Returns
 * code. */
int agent_fail(struct agent_error *e, int code, ...) __attribute__((sentinel));

/* "404"; in out. */
const char *agent_number(char out[21], uint64_t number);

bool agent_same(const char *a, size_t a_size, const char *b);

#endif
