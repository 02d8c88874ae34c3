// SPDX-License-Identifier: Apache-2.0
// System V message queues.
#include <linux/msg.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

#define QUEUES_MAX 128u
#define SIZE_MAX_ 8192u    /* of a message: kernel.msgmax */
#define BYTES_MAX 16384u   /* of a queue: kernel.msgmnb */
#define ID_STEP QUEUES_MAX /* an id is never that of a removed queue */

struct message {
    struct list node;
    int64_t type;
    size_t size;
    uint8_t data[];
};

struct queue {
    int key, id;
    uint32_t uid, gid, cuid, cgid, mode, refs;
    uint64_t bytes, count, bytes_max;
    int64_t send_time, receive_time, change_time;
    int last_sender, last_receiver;
    bool removed;
    struct list messages;
    struct wait_queue wait;
};

static struct queue *queues[QUEUES_MAX];
static int generation;

static int64_t now_seconds(void)
{
    return (int64_t)(clock_real() / NS);
}

static bool queue_allows(const struct queue *q, uint32_t want)
{
    uint32_t uid = current()->euid;
    uint32_t bits = uid == q->uid || uid == q->cuid         ? q->mode >> 6
                    : in_group(q->gid) || in_group(q->cgid) ? q->mode >> 3
                                                            : q->mode;
    return (want & ~(bits & 7)) == 0;
}

static struct queue *find_queue(int id)
{
    struct queue *q = id < 0 ? NULL : queues[id % QUEUES_MAX];
    return q && q->id == id ? q : NULL;
}

static void put_queue(struct queue *q)
{
    if (--q->refs)
        return;
    list_for_safe(it, nx, &q->messages) los_free(container_of(it, struct message, node));
    los_free(q);
}

static long make_queue(int key, uint32_t mode)
{
    unsigned at = 0;
    while (at < QUEUES_MAX && queues[at])
        at++;
    struct queue *q = at < QUEUES_MAX ? los_alloc(sizeof(*q)) : NULL;
    if (!q)
        return at < QUEUES_MAX ? -ENOMEM : -ENOSPC;
    const struct process *p = current();
    *q = (struct queue){.key = key,
                        .uid = p->euid,
                        .cuid = p->euid,
                        .gid = p->egid,
                        .cgid = p->egid,
                        .mode = mode,
                        .refs = 1,
                        .bytes_max = BYTES_MAX,
                        .change_time = now_seconds()};
    q->id = (int)((uint32_t)generation++ % (INT32_MAX / ID_STEP) * ID_STEP + at);
    list_init(&q->messages);
    wait_queue_init(&q->wait);
    queues[at] = q;
    return q->id;
}

long sys_msgget(int key, int flags)
{
    for (unsigned i = 0; key != IPC_PRIVATE && i < QUEUES_MAX; i++) {
        const struct queue *q = queues[i];
        if (!q || q->key != key)
            continue;
        if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
            return -EEXIST;
        uint32_t want = (uint32_t)(flags >> 6 | flags >> 3 | flags) & 7;
        return queue_allows(q, want) ? q->id : -EACCES;
    }
    return key == IPC_PRIVATE || (flags & IPC_CREAT) ? make_queue(key, (uint32_t)flags & 0777)
                                                     : -ENOENT;
}

/* Until the queue changes; -EIDRM when it went. Keeps q alive meanwhile. */
static int wait_change(struct queue *q)
{
    q->refs++;
    int r = wait_on(&q->wait, NO_DEADLINE);
    if (q->removed)
        r = -EIDRM;
    put_queue(q);
    return r;
}

static long append_message(struct queue *q, uint64_t from, uint64_t size, int64_t type)
{
    struct message *m = los_alloc(sizeof(*m) + size);
    if (!m)
        return -ENOMEM;
    if (user_read(m->data, from, size)) {
        los_free(m);
        return -EFAULT;
    }
    m->type = type;
    m->size = size;
    list_init(&m->node);
    list_append(&q->messages, &m->node);
    q->bytes += size;
    q->count++;
    q->send_time = now_seconds();
    q->last_sender = current()->pid;
    wait_wake_all(&q->wait);
    return 0;
}

long sys_msgsnd(int id, uint64_t from, uint64_t size, int flags)
{
    int64_t type;
    if (size > SIZE_MAX_ || id < 0)
        return -EINVAL;
    if (user_read(&type, from, sizeof(type)))
        return -EFAULT;
    if (type < 1)
        return -EINVAL;
    for (;;) {
        struct queue *q = find_queue(id);
        if (!q)
            return -EINVAL;
        if (!queue_allows(q, 2))
            return -EACCES;
        if (q->bytes + size <= q->bytes_max && q->count + 1 <= q->bytes_max)
            return append_message(q, from + 8, size, type);
        if (flags & IPC_NOWAIT)
            return -EAGAIN;
        int r = wait_change(q);
        if (r)
            return r;
    }
}

static struct message *choose_message(const struct queue *q, int64_t type, int flags)
{
    struct message *best = NULL;
    int64_t limit = type == INT64_MIN ? INT64_MAX : -type;
    list_for(it, &q->messages)
    {
        struct message *m = container_of(it, struct message, node);
        if (type == 0 || (type > 0 && (m->type == type) != !!(flags & MSG_EXCEPT)))
            return m;
        if (type < 0 && m->type <= limit && (!best || m->type < best->type))
            best = m;
    }
    return best;
}

static long take_message(struct queue *q, struct message *m, uint64_t to, uint64_t size, int flags)
{
    if (m->size > size && !(flags & MSG_NOERROR))
        return -E2BIG;
    size = MIN(size, m->size);
    if (user_write(to, &m->type, 8) || user_write(to + 8, m->data, size))
        return -EFAULT;
    list_remove(&m->node);
    q->bytes -= m->size;
    q->count--;
    q->receive_time = now_seconds();
    q->last_receiver = current()->pid;
    los_free(m);
    wait_wake_all(&q->wait);
    return (long)size;
}

long sys_msgrcv(int id, uint64_t to, uint64_t size, int64_t type, int flags)
{
    if (id < 0 || (int64_t)size < 0)
        return -EINVAL;
    if (flags & MSG_COPY)
        return flags & MSG_EXCEPT || !(flags & IPC_NOWAIT) ? -EINVAL : -ENOSYS;
    for (;;) {
        struct queue *q = find_queue(id);
        if (!q)
            return -EINVAL;
        if (!queue_allows(q, 4))
            return -EACCES;
        struct message *m = choose_message(q, type, flags);
        if (m)
            return take_message(q, m, to, size, flags);
        if (flags & IPC_NOWAIT)
            return -ENOMSG;
        int r = wait_change(q);
        if (r)
            return r;
    }
}

static long copy_status(const struct queue *q, uint64_t to)
{
    struct msqid64_ds d = {
        .msg_perm = {.key = q->key,
                     .uid = q->uid,
                     .gid = q->gid,
                     .cuid = q->cuid,
                     .cgid = q->cgid,
                     .mode = (unsigned short)q->mode,
                     .seq = (unsigned short)(q->id / (int)ID_STEP)},
        .msg_stime = q->send_time,
        .msg_rtime = q->receive_time,
        .msg_ctime = q->change_time,
        .msg_cbytes = q->bytes,
        .msg_qnum = q->count,
        .msg_qbytes = q->bytes_max,
        .msg_lspid = q->last_sender,
        .msg_lrpid = q->last_receiver,
    };
    return user_write(to, &d, sizeof(d));
}

static long change_queue(struct queue *q, uint64_t from)
{
    struct msqid64_ds d;
    if (user_read(&d, from, sizeof(d)))
        return -EFAULT;
    if (d.msg_qbytes > BYTES_MAX && !capable(CAP_SYS_RESOURCE))
        return -EPERM;
    q->uid = d.msg_perm.uid;
    q->gid = d.msg_perm.gid;
    q->mode = (q->mode & ~0777u) | (d.msg_perm.mode & 0777u);
    q->bytes_max = d.msg_qbytes;
    q->change_time = now_seconds();
    wait_wake_all(&q->wait);
    return 0;
}

static void remove_queue(struct queue *q)
{
    queues[q->id % (int)QUEUES_MAX] = NULL;
    q->removed = true;
    wait_wake_all(&q->wait);
    put_queue(q);
}

static long copy_limits(uint64_t to)
{
    struct msginfo i = {.msgmax = SIZE_MAX_,
                        .msgmnb = BYTES_MAX,
                        .msgmni = QUEUES_MAX,
                        .msgssz = 16,
                        .msgseg = 0xffff,
                        .msgpool = QUEUES_MAX * BYTES_MAX / 1024,
                        .msgtql = BYTES_MAX,
                        .msgmap = BYTES_MAX};
    int last = 0;
    for (int n = 0; n < (int)QUEUES_MAX; n++)
        last = queues[n] ? n : last;
    return user_write(to, &i, sizeof(i)) ? -EFAULT : last;
}

long sys_msgctl(int id, int command, uint64_t arg)
{
    if (id < 0 || command < 0)
        return -EINVAL;
    if (command == IPC_INFO || command == MSG_INFO)
        return copy_limits(arg);
    if (command != IPC_RMID && command != IPC_SET && command != IPC_STAT)
        return -EINVAL;
    struct queue *q = find_queue(id);
    if (!q)
        return -EINVAL;
    if (command == IPC_STAT)
        return queue_allows(q, 4) ? copy_status(q, arg) : -EACCES;
    uint32_t uid = current()->euid;
    if (uid != q->uid && uid != q->cuid && !capable(CAP_SYS_ADMIN))
        return -EPERM;
    if (command == IPC_SET)
        return change_queue(q, arg);
    remove_queue(q);
    return 0;
}
