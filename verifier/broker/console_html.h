// SPDX-License-Identifier: Apache-2.0
// The console's pages as text. What strangers wrote goes through sb_html_text.
#ifndef VERIFIER_BROKER_CONSOLE_HTML_H
#define VERIFIER_BROKER_CONSOLE_HTML_H

#include <stdbool.h>
#include <stdio.h>

#include <cjson/cJSON.h>

extern const char sb_console_css[];

// Text between tags or in a quoted attribute; control characters become U+FFFD.
void sb_html_text(FILE *out, const char *text);
// The head of a page, with links to the others where somebody is logged in (name not NULL).
// form: the value that its forms carry.
void sb_html_head(FILE *out, const char *title, const char *name, const char *role,
                  const char *form);
void sb_html_foot(FILE *out);

// A page's content from what an operation said. search: as it was asked for.
void sb_html_attested(FILE *out, const cJSON *o);
void sb_html_log(FILE *out, const cJSON *o, bool refusals_only, const char *search);
void sb_html_references(FILE *out, const cJSON *list);
void sb_html_resources(FILE *out, const cJSON *list, const cJSON *log);
void sb_html_volumes(FILE *out, const cJSON *o);
// One proposal, whole, with the buttons that approve and reject it.
void sb_html_proposal(FILE *out, const cJSON *o, const char *form);

#endif
