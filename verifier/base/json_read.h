// SPDX-License-Identifier: Apache-2.0
// The one reader of JSON that a human wrote or a stranger sent (RFC 8259, and stricter where two
// readers could understand two things).
//
// Refused: anything before or behind the one value, a name that stands twice in one object (at any
// depth, compared after escapes were resolved), NUL in any form, text that is no UTF-8, numbers and
// escapes that JSON does not have, nesting deeper than SV_JSON_DEPTH_MAX, and more values than the
// caller allows. All but the names are judged before a byte is allocated, so that a small text
// cannot cost much memory.
#ifndef VERIFIER_BASE_JSON_READ_H
#define VERIFIER_BASE_JSON_READ_H

#include <stddef.h>

#include <cjson/cJSON.h>

#define SV_JSON_DEPTH_MAX 32
// Values in a text of an ordinary kind: collateral, references, policies. A value costs about 100
// bytes of memory.
#define SV_JSON_VALUES_MAX (1u << 17)

// `size` bytes without a terminator. values_max counts objects, arrays, strings, numbers and
// literals; names are free. NULL with a line in why (may be NULL, with why_size 0) that names the
// byte. The caller deletes the result.
cJSON *sv_json_read(const void *text, size_t size, unsigned values_max, char *why, size_t why_size);

// The same, but a string value may end in \u0000, as tools write that take a C string with its
// terminator (collateral of Intel's samples); nothing is lost by it.
cJSON *sv_json_read_c_strings(const void *text, size_t size, unsigned values_max, char *why,
                              size_t why_size);

// The same for a terminated text of an ordinary kind; NULL for NULL.
cJSON *sv_json_read_text(const char *text, char *why, size_t why_size);

#endif
