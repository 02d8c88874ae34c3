// SPDX-License-Identifier: Apache-2.0
// Files that the agent gives in the enclave, identity and secrets, and a thread of the LibOS that
// has them renewed.
#include "trusted/agent/core.h"
#include "trusted/libos/agent/agent.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/notify.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"

#define MS 1000000ull

static uint32_t owner, group; /* the workload's user, as it was when it started */
static bool present;          /* a file was given */
static uint64_t due;          /* of agent_os_now_ms; UINT64_MAX: never */
static struct thread *clerk;
static struct wait_queue nobody; /* only time wakes the clerk */

/* For those who wait for a new one by inotify. */
static int put_name(struct dentry *dir, const char *name, struct inode *i)
{
    struct dentry *d;
    int r = tree_put(dir, name, i); /* in one step: never half a file */
    if (r || !notify_wanted() || dentry_lookup(dir, name, strlen(name), &d))
        return r;
    notify_name(d, NOTIFY_MOVED_TO, notify_cookie());
    dentry_put(d);
    return 0;
}

int agent_put_file(const struct agent_secret *s)
{
    struct dentry *dir;
    struct io_vec v;
    struct io io = io_one(&v, (uint64_t)s->data, s->size, true);
    int r = tree_mkdir(s->identity ? SH_IDENTITY_DIR : SH_SECRETS_DIR, 0755, &dir);
    struct inode *i = r ? NULL : inode_new(FS_TMP, S_IFREG | 0400);
    if (!i)
        return r ? r : -ENOMEM;
    if (!present) {
        owner = current()->fsuid;
        group = current()->fsgid;
        present = true;
    }
    dir->inode->uid = dir->inode->gid = 0;
    i->uid = owner;
    i->gid = group;
    if (!s->size || data_write(i, &io, 0) == (long)s->size)
        return put_name(dir, s->name, i);
    inode_put(i);
    return -ENOMEM;
}

/* ---- inside agent_call ---- */

static int give_file(void *arg, const struct agent_secret *s)
{
    los_lock();
    int r = agent_put_file(s);
    los_unlock();
    return r;
}

static long keep_now(void *arg)
{
    struct agent *a = agent_state();
    unsigned signals = agent_renew(a, give_file, NULL);
    due = agent_renew_due(a);
    return signals;
}

static long find_due(void *arg)
{
    due = agent_renew_due(agent_state());
    return 0;
}

/* ---- the clerk ---- */

static void keep_files(struct thread *t)
{
    for (;;) {
        while (clock_now() < due * MS)
            wait_on(&nobody, due * MS);
        long signals = agent_call(AGENT_ASKS_BROKER, keep_now, NULL);
        if (signals < 0) /* its code did not run: not at once again */
            due = clock_now() / MS + 1000;
        for (int n = 1; signals > 0 && n <= 12; n++) {
            struct sig_item item = {.signo = n, .code = 0x80 /* SI_KERNEL */};
            if (signals & 1l << n)
                sig_send_item(&first_process, NULL, &item);
        }
    }
}

int agent_keep_files(void)
{
    long r = !present || clerk ? 0 : agent_call(AGENT_ASKS_NOBODY, find_due, NULL);
    if (r || !present || clerk || due == UINT64_MAX)
        return (int)r;
    wait_queue_init(&nobody);
    clerk = thread_service(keep_files);
    return clerk ? 0 : -ENOMEM;
}
