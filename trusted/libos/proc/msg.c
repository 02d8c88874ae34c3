// SPDX-License-Identifier: Apache-2.0
// System V message queues.
#include <linux/msg.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/proc/ipc.h"

#define SIZE_MAX_ 8192u  /* of a message: kernel.msgmax */
#define BYTES_MAX 16384u /* of a queue: kernel.msgmnb */

struct message {
    struct list node;
    int64_t type;
    size_t size;
    uint8_t data[];
};

struct queue {
    struct ipc ipc;
    uint32_t refs;
    uint64_t bytes, count, bytes_max;
    int64_t send_time, receive_time, change_time;
    int last_sender, last_receiver;
    bool removed;
    struct list messages;
    struct wait_queue wait;
};

static struct ipc_table table;

static struct queue *find_queue(int id)
{
    return (struct queue *)ipc_find(&table, id);
}

static void put_queue(struct queue *q)
{
    if (--q->refs)
        return;
    list_each_safe(struct message, m, &q->messages, node)
        los_free(m);
    los_free(q);
}

long sys_msgget(int key, int flags)
{
    struct ipc *i;
    int r = ipc_get(&table, key, flags, &i);
    if (r || i)
        return r ? r : i->id;
    struct queue *q = los_alloc(sizeof(*q));
    if (!q)
        return -ENOMEM;
    q->refs = 1;
    q->bytes_max = BYTES_MAX;
    q->change_time = clock_seconds();
    list_init(&q->messages);
    wait_queue_init(&q->wait);
    r = ipc_add(&table, &q->ipc, key, flags);
    if (r < 0)
        los_free(q);
    return r;
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
    q->send_time = clock_seconds();
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
        if (!ipc_allowed(&q->ipc, 2))
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
    int64_t at = 0;
    int64_t limit = type == INT64_MIN ? INT64_MAX : -type;
    list_each(struct message, m, &q->messages, node) {
        if (flags & MSG_COPY) { /* the one that stands there */
            if (at++ == type)
                return m;
            continue;
        }
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
    if ((flags & MSG_COPY) && m->size > size)
        return -EINVAL;
    size = MIN(size, m->size);
    if (user_write(to, &m->type, 8) || user_write(to + 8, m->data, size))
        return -EFAULT;
    if (flags & MSG_COPY)
        return (long)size;
    list_remove(&m->node);
    q->bytes -= m->size;
    q->count--;
    q->receive_time = clock_seconds();
    q->last_receiver = current()->pid;
    los_free(m);
    wait_wake_all(&q->wait);
    return (long)size;
}

long sys_msgrcv(int id, uint64_t to, uint64_t size, int64_t type, int flags)
{
    if (id < 0 || (int64_t)size < 0)
        return -EINVAL;
    if ((flags & MSG_COPY) && ((flags & MSG_EXCEPT) || !(flags & IPC_NOWAIT)))
        return -EINVAL;
    for (;;) {
        struct queue *q = find_queue(id);
        if (!q)
            return -EINVAL;
        if (!ipc_allowed(&q->ipc, 4))
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
        .msg_stime = q->send_time,
        .msg_rtime = q->receive_time,
        .msg_ctime = q->change_time,
        .msg_cbytes = q->bytes,
        .msg_qnum = q->count,
        .msg_qbytes = q->bytes_max,
        .msg_lspid = q->last_sender,
        .msg_lrpid = q->last_receiver,
    };
    ipc_put((uint8_t *)&d.msg_perm, &q->ipc);
    return user_write(to, &d, sizeof(d));
}

static long change_queue(struct queue *q, uint64_t from)
{
    struct msqid64_ds d;
    if (user_read(&d, from, sizeof(d)))
        return -EFAULT;
    if (d.msg_qbytes > BYTES_MAX && !capable(CAP_SYS_RESOURCE))
        return -EPERM;
    int r = ipc_set(&q->ipc, from);
    if (r)
        return r;
    q->bytes_max = d.msg_qbytes;
    q->change_time = clock_seconds();
    wait_wake_all(&q->wait);
    return 0;
}

static long remove_queue(struct queue *q)
{
    if (!ipc_is_owner(&q->ipc))
        return -EPERM;
    ipc_remove(&table, &q->ipc);
    q->removed = true;
    wait_wake_all(&q->wait);
    put_queue(q);
    return 0;
}

/* struct msginfo: limits, or how much there is. */
static long copy_info(int command, uint64_t to)
{
    struct msginfo i = {.msgmax = SIZE_MAX_,
                        .msgmnb = BYTES_MAX,
                        .msgmni = IPC_IDS_MAX,
                        .msgssz = 16,
                        .msgseg = 0xffff,
                        .msgpool = IPC_IDS_MAX * (BYTES_MAX / 1024),
                        .msgtql = BYTES_MAX,
                        .msgmap = BYTES_MAX};
    int last = 0, used[3] = {0};
    for (int n = 0; n < (int)IPC_IDS_MAX; n++) {
        const struct queue *q = (const struct queue *)ipc_at(&table, (unsigned)n);
        last = q ? n : last;
        used[0] += q != NULL;
        used[1] += q ? (int)q->count : 0;
        used[2] += q ? (int)q->bytes : 0;
    }
    if (command == MSG_INFO) {
        i.msgpool = used[0];
        i.msgmap = used[1];
        i.msgtql = used[2];
    }
    return user_write(to, &i, sizeof(i)) ? -EFAULT : last;
}

long sys_msgctl(int id, int command, uint64_t arg)
{
    bool by_index = command == MSG_STAT || command == MSG_STAT_ANY;
    if (id < 0 || command < 0)
        return -EINVAL;
    if (command == IPC_INFO || command == MSG_INFO)
        return copy_info(command, arg);
    if (command != IPC_RMID && command != IPC_SET && command != IPC_STAT && !by_index)
        return -EINVAL;
    struct queue *q = by_index ? (struct queue *)ipc_at(&table, (unsigned)id) : find_queue(id);
    if (!q)
        return -EINVAL;
    if (command == IPC_SET)
        return change_queue(q, arg);
    if (command == IPC_RMID)
        return remove_queue(q);
    if (command != MSG_STAT_ANY && !ipc_allowed(&q->ipc, 4))
        return -EACCES;
    return copy_status(q, arg) ? -EFAULT : by_index ? q->ipc.id : 0;
}

void msg_line(unsigned index, char *out, size_t size)
{
    const struct queue *q = (const struct queue *)ipc_at(&table, index);
    if (q)
        fmt(out, size, "%10d %10d  %4o  %10lu %10lu %5d %5d %5u %5u %5u %5u %10ld %10ld %10ld\n",
            q->ipc.key, q->ipc.id, q->ipc.mode, q->bytes, q->count, q->last_sender,
            q->last_receiver, q->ipc.uid, q->ipc.gid, q->ipc.cuid, q->ipc.cgid, q->send_time,
            q->receive_time, q->change_time);
}
