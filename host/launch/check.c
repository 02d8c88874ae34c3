// SPDX-License-Identifier: Apache-2.0
// One line of what this host has or lacks.
#include "host/launch/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool sh_check_add(cJSON *checks, const char *what, bool ok, const char *remedy, const char *detail,
                  ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, detail);
    vsnprintf(text, sizeof(text), detail, ap);
    va_end(ap);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "what", what);
    cJSON_AddBoolToObject(o, "ok", ok);
    cJSON_AddStringToObject(o, "detail", text);
    if (!ok && remedy)
        cJSON_AddStringToObject(o, "remedy", remedy);
    cJSON_AddItemToArray(checks, o);
    return ok;
}

bool sh_check_device(cJSON *checks, const char *path, const char *remedy)
{
    bool ok = !access(path, R_OK | W_OK);
    int code = errno;
    return sh_check_add(checks, "device", ok, remedy, "%s%s%s", path, ok ? "" : ": ",
                        ok ? "" : strerror(code));
}
