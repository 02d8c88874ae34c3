// SPDX-License-Identifier: Apache-2.0
// The image's identity in the enclave: its files, and a thread of the LibOS that has them renewed.
#include "trusted/agent/core.h"
#include "trusted/libos/agent/agent.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define MS 1000000ull

static uint32_t owner, group; /* the workload's user, as it was when it started */
static bool present;
static uint64_t due; /* of agent_os_now_ms; UINT64_MAX: never */
static struct thread *clerk;
static struct wait_queue nobody; /* only time wakes the clerk */

int agent_put_identity(const struct agent_secret *s)
{
    struct dentry *dir;
    struct io_vec v;
    struct io io = io_one(&v, (uint64_t)s->data, s->size, true);
    int r = tree_mkdir(SH_IDENTITY_DIR, 0755, &dir);
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
    if (data_write(i, &io, 0) == (long)s->size)
        return tree_put(dir, s->name, i); /* in one step: never half a file */
    inode_put(i);
    return -ENOMEM;
}

/* ---- inside agent_call ---- */

static int give_file(void *arg, const struct agent_secret *s)
{
    los_lock();
    int r = agent_put_identity(s);
    los_unlock();
    return r;
}

static long keep_now(void *arg)
{
    struct agent_error e;
    struct agent *a = agent_state();
    int r = agent_identity_keep(a, give_file, NULL, &e);
    due = agent_identity_due(a);
    return r > 0 ? agent_identity_signal(a) : 0;
}

static long find_due(void *arg)
{
    due = agent_identity_due(agent_state());
    return 0;
}

/* ---- the clerk ---- */

static void keep_identity(struct thread *t)
{
    for (;;) {
        while (clock_now() < due * MS)
            wait_on(&nobody, due * MS);
        long signal = agent_call(AGENT_ASKS_BROKER, keep_now, NULL);
        struct sig_item item = {.signo = (int)signal, .code = 0x80 /* SI_KERNEL */};
        if (signal > 0)
            sig_send_item(&first_process, NULL, &item);
        else if (signal < 0) /* its code did not run: not at once again */
            due = clock_now() / MS + 1000;
    }
}

int agent_keep_identity(void)
{
    if (!present || clerk)
        return 0;
    long r = agent_call(AGENT_ASKS_NOBODY, find_due, NULL);
    if (r)
        return (int)r;
    wait_queue_init(&nobody);
    clerk = thread_service(keep_identity);
    return clerk ? 0 : -ENOMEM;
}
