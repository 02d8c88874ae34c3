// SPDX-License-Identifier: Apache-2.0
// Reads the part of TOML 1.0 that build files need; what it does not read it refuses, by line.
//
// Read: comments, bare and quoted keys, [tables] of one level, basic and literal strings on one
// line, decimal integers, booleans, lists of strings and integers (over several lines, too). Not
// read: dotted keys, multi-line strings, floats, dates, inline tables, lists of tables.
#ifndef HOST_IMAGE_INPUT_TOML_H
#define HOST_IMAGE_INPUT_TOML_H

#include "host/base/util.h"

#define SH_TOML_SIZE_MAX (1u << 20)
#define SH_TOML_ITEMS_MAX 4096u

enum sh_toml_type { SH_TOML_STRING, SH_TOML_INTEGER, SH_TOML_BOOLEAN, SH_TOML_LIST };

struct sh_toml_item {
    char *key; /* "name", or "table.name" */
    enum sh_toml_type type;
    char *text;             /* a string; an integer's or boolean's digits or word too */
    int64_t number;         /* an integer; a boolean as 0 or 1 */
    struct sh_strings list; /* a list, its integers as digits */
    unsigned line;
};

struct sh_toml {
    struct sh_toml_item *v;
    size_t count;
};

/* `name` is for sentences. A key that comes twice, text that is not UTF-8, and control characters
 * are refused. */
int sh_toml_parse(const char *data, size_t size, const char *name, struct sh_toml *toml,
                  struct sh_error *err);
void sh_toml_free(struct sh_toml *toml);

#endif
