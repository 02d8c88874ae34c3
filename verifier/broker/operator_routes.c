// SPDX-License-Identifier: Apache-2.0
// The table of endpoints at the address for operators.
#include "verifier/broker/admin_http.h"
#include "verifier/broker/console.h"

const struct sb_route sb_operator_routes[] = {
    {"POST", "/admin/v0/", SB_ADMIN_BODY_MAX, false, true, sb_admin_act, sb_admin_enter},
    {"GET", "/console/style.css", 0, true, false, sb_console_style, sb_console_on},
    {"GET", "/console/login", 0, true, false, sb_console_login_page, sb_console_on},
    {"POST", "/console/login", SB_CONSOLE_FORM_MAX, false, false, sb_console_login, sb_console_on},
    {"GET", "/console/", 0, false, false, sb_console_page, sb_console_enter},
    {"POST", "/console/", SB_CONSOLE_FORM_MAX, false, false, sb_console_form, sb_console_enter},
    {"GET", "/healthz", 0, true, false, sb_console_health, NULL},
    {NULL, NULL, 0, false, false, NULL, NULL},
};
