// SPDX-License-Identifier: Apache-2.0
// Splits a command into words by quotes.
#include "host/base/split.h"

#include <errno.h>
#include <string.h>

int sh_split(const char *text, struct sh_strings *words, struct sh_error *err)
{
    size_t n = 0;
    bool open = false; /* a word has begun, maybe empty: '' is one */
    char quote = 0;
    cleanup_free char *word = sh_alloc(strlen(text) + 1);
    for (const char *p = text; *p; p++) {
        if (quote && *p == quote) {
            quote = 0;
        } else if (!quote && (*p == '\'' || *p == '"')) {
            quote = *p;
            open = true;
        } else if (!quote && strchr(" \t\n\r", *p)) {
            if (open) {
                word[n] = 0;
                sh_strings_add(words, word);
            }
            open = false;
            n = 0;
        } else {
            if (*p == '\\' && quote != '\'' && p[1] && (!quote || p[1] == '\\' || p[1] == '"'))
                p++;
            word[n++] = *p;
            open = true;
        }
    }
    if (quote)
        return sh_fail(err, -EINVAL, "a %c is not closed in the command: %.80s", quote, text);
    if (open) {
        word[n] = 0;
        sh_strings_add(words, word);
    }
    return 0;
}
