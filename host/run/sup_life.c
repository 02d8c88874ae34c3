// SPDX-License-Identifier: Apache-2.0
// What is written down of an instance while it runs.
#include "host/run/sup_life.h"

#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

static int64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void save_state(struct sup_life *l)
{
    /* Nobody hears us when it fails; the lock tells the truth all the same. */
    (void)sh_instance_save_state(l->instance->dir_fd, &l->state);
}

void sup_life_started(struct sup_life *l)
{
    if (l->state.state != SH_STATE_STARTING)
        return;
    l->state.state = SH_STATE_RUNNING;
    l->state.started = wall_ns();
    save_state(l);
}

/* Why it ended, where the status alone does not say: for `status`, `inspect` and the log. */
static void say_signal(struct sup_life *l, uint32_t signal, uint32_t code)
{
    uint32_t number = signal ? signal : code > 128 && code < 128 + 32 ? code - 128 : 0;
    const char *name = sigabbrev_np((int)number), *why = sigdescr_np((int)number);
    if (!number)
        return;
    const char *who = l->asked == number ? "; a command of this host asked for it"
                      : number == SIGKILL
                          ? "; nobody asked for it: perhaps its memory (-m) was full"
                          : "";
    snprintf(l->state.error, sizeof(l->state.error), "%s signal %u (%s%s%s)%s",
             signal ? "the workload was ended by" : "its exit status means", number,
             name ? name : "?", why ? ": " : "", why ? why : "", who);
}

/* The last line of the log. */
static void log_end(struct sup_life *l)
{
    char line[sizeof(l->state.error) + 64];
    int n = snprintf(line, sizeof(line), "ended with exit status %d%s%s", l->state.exit_code,
                     l->state.error[0] ? ": " : "", l->state.error);
    sh_log_add(&l->log, SH_LOG_END, line, (size_t)n);
}

void sup_life_exit(struct sup_life *l, uint32_t code, uint32_t signal, const char *why)
{
    if (l->ended)
        return;
    l->ended = true;
    l->exit_code = code;
    l->exit_signal = signal;
    l->state.exit_code = signal ? 128 + (int)(signal & 0x7f) : (int)(code & 0xff);
    say_signal(l, signal & 0x7f, code & 0xff);
    size_t n = strlen(l->state.error);
    if (why && *why)
        snprintf(l->state.error + n, sizeof(l->state.error) - n, "%s%s", n ? "; " : "", why);
}

void sup_life_error(struct sup_life *l, int status, const char *format, ...)
{
    if (l->ended)
        return;
    l->ended = l->ended_by_error = true;
    l->state.exit_code = status;
    va_list ap;
    va_start(ap, format);
    vsnprintf(l->state.error, sizeof(l->state.error), format, ap);
    va_end(ap);
}

void sup_life_finish(struct sup_life *l)
{
    log_end(l);
    sh_log_close(&l->log);
    l->state.state = SH_STATE_EXITED;
    l->state.finished = wall_ns();
    l->state.supervisor_pid = l->state.child_pid = 0;
    save_state(l);
}
