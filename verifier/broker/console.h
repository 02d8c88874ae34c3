// SPDX-License-Identifier: Apache-2.0
// Pages for operators (`broker serve --console`): HTML without scripts, one style sheet, forms.
//
// An operator logs in with the credential of the admin API and sees and does what their role may:
// each page is an operation of admin.h. The browser keeps a cookie that says who, until when, and a
// MAC over both and the credential's digest by a key of this boot; removing the operator ends it.
//
// Attacks expected here: markup in whatever strangers sent (all of it is escaped, and the policy
// allows no script); forms of other sites (SameSite, a value in each form that only our pages have,
// and the browser's own word for where a request comes from); frames.
#ifndef VERIFIER_BROKER_CONSOLE_H
#define VERIFIER_BROKER_CONSOLE_H

#include "verifier/broker/answer.h"

#define SB_CONSOLE_FORM_MAX 4096

// Before a body: is there a console? Else there is no such endpoint.
bool sb_console_on(struct sb_request *r);
// And has who asks logged in? Else they are sent to the page for it.
bool sb_console_enter(struct sb_request *r);

void sb_console_style(struct sb_request *r, const char *rest);
void sb_console_health(struct sb_request *r, const char *rest);
void sb_console_login_page(struct sb_request *r, const char *rest);
void sb_console_login(struct sb_request *r, const char *rest);
// The page named by `rest`; "": the first one.
void sb_console_page(struct sb_request *r, const char *rest);
// What a form asks for: approve, reject, logout.
void sb_console_form(struct sb_request *r, const char *rest);

#endif
