// SPDX-License-Identifier: Apache-2.0
// Where a member's value lies in a JSON text: signatures are over these exact bytes.
#ifndef VERIFIER_BASE_JSON_SPAN_H
#define VERIFIER_BASE_JSON_SPAN_H

#include <stdbool.h>
#include <stddef.h>

// The span of the value of a member of the outermost object, as it stands in the text.
bool sv_json_span(const char *text, size_t size, const char *name, const char **value,
                  size_t *value_size);

#endif
