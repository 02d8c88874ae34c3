// SPDX-License-Identifier: Apache-2.0
// What a program asked: a line a call, as strace writes it.
#include "trusted/libos/entry/entry.h"

#define TEXT_MAX 48u

static int put_string(char *out, size_t size, uint64_t addr)
{
    char text[TEXT_MAX + 1];
    long n = addr ? user_string(text, addr, sizeof(text)) : -EFAULT;
    if (n == -EFAULT)
        return fmt(out, size, addr ? "0x%lx" : "NULL", addr);
    const char *more = n < 0 ? "..." : "";
    text[n < 0 ? TEXT_MAX : (size_t)n] = 0;
    for (char *p = text; *p; p++) {
        if (*p < 32 || *p > 126)
            *p = '.';
    }
    return fmt(out, size, "\"%s\"%s", text, more);
}

static int put_arg(char *out, size_t size, char kind, uint64_t v)
{
    switch (kind) {
    case 's':
        return put_string(out, size, v);
    case 'd':
        return (int32_t)v == -100 ? fmt(out, size, "AT_FDCWD") : fmt(out, size, "%d", (int32_t)v);
    case 'u':
        return fmt(out, size, "%u", (uint32_t)v);
    case 'l':
        return fmt(out, size, "%ld", (long)v);
    case 'o':
        return fmt(out, size, "0%lo", v);
    default:
        return v ? fmt(out, size, "0x%lx", v) : fmt(out, size, kind == 'p' ? "NULL" : "0");
    }
}

static size_t put_call(char *line, size_t size, struct thread *t, int64_t nr, const uint64_t a[6])
{
    const struct call_entry *e = call_entry(nr);
    const char *f = e ? e->format : "xxxxxx";
    size_t at;
    if (e)
        at = (size_t)fmt(line, size, "[%d] %s(", t->tid, e->name);
    else
        at = (size_t)fmt(line, size, "[%d] syscall_%ld(", t->tid, (long)nr);
    for (size_t i = 0; f[i] && at < size - 8; i++) {
        if (f[i] == '!')
            break;
        if (i)
            at += (size_t)fmt(line + at, size - at, ", ");
        at += (size_t)put_arg(line + at, size - at, f[i], a[i]);
    }
    return MIN(at, size - 1);
}

void trace_enter(struct thread *t, int64_t nr, const uint64_t a[6])
{
    if (nr != 60 && nr != 231) /* exit, exit_group: there is no result to wait for */
        return;
    char line[400];
    put_call(line, sizeof(line), t, nr, a);
    log_line("%s) = ?", line);
}

void trace_call(struct thread *t, int64_t nr, const uint64_t a[6], long result)
{
    char line[400];
    put_call(line, sizeof(line), t, nr, a);
    if (result == -ERESTARTSYS || result == -ERESTARTNOHAND)
        log_line("%s) = ? ERESTARTSYS", line);
    else if (result < 0 && result > -4096)
        log_line("%s) = -1 errno %ld%s", line, -result,
                 call_entry(nr) && !call_entry(nr)->missing ? "" : " (not implemented)");
    else
        log_line(result > 65535 ? "%s) = 0x%lx" : "%s) = %ld", line, result);
}
