// SPDX-License-Identifier: Apache-2.0
// The progress line of builds, saves and loads.
#include "host/base/progress.h"

#include "host/base/util.h"

void sh_progress_start(struct sh_progress *p, bool quiet)
{
    *p = (struct sh_progress){.on = !quiet && isatty(STDERR_FILENO)};
}

void sh_progress_show(struct sh_progress *p, const char *what, uint64_t done, uint64_t total)
{
    if (!p || !p->on)
        return;
    int64_t now = sh_now_ms();
    if (p->last_ms && now - p->last_ms < 100)
        return;
    p->last_ms = now;
    p->shown = true;
    char a[16], b[16];
    sh_format_size(a, sizeof(a), done);
    if (total) {
        sh_format_size(b, sizeof(b), total);
        fprintf(stderr, "\r\033[K%s: %s of %s (%d%%)", what, a, b, (int)(done * 100.0 / total));
    } else {
        fprintf(stderr, "\r\033[K%s: %s", what, a);
    }
}

void sh_progress_end(struct sh_progress *p)
{
    if (p && p->shown)
        fputs("\r\033[K", stderr);
    if (p)
        p->shown = false;
}
