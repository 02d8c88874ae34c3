// SPDX-License-Identifier: Apache-2.0
// System V semaphores: sets, operations that are done all at once, and what is undone at exit.
#include <linux/sem.h>

#include "lib/bytes.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/proc/ipc.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/time/time.h"

#define SETS_SEMS_MAX 32000u /* of a set: kernel.sem's first */
#define OPS_MAX 500u
#define VALUE_MAX 32767

struct sem {
    uint16_t value;
    int pid;
    uint32_t waits_more, waits_zero;
};

struct set {
    struct ipc ipc;
    uint32_t count, refs;
    bool removed;
    int64_t used_at, changed_at;
    struct wait_queue wait;
    struct list undos;
    struct sem sems[];
};

/* What a process takes back from a set when it ends. */
struct undo {
    struct list node;
    int pid;
    int16_t by[];
};

static struct ipc_table table;

static struct set *find_set(int id)
{
    return (struct set *)ipc_find(&table, id);
}

static void put_set(struct set *s)
{
    if (--s->refs)
        return;
    list_each_safe(struct undo, u, &s->undos, node)
        los_free(u);
    los_free(s);
}

long sys_semget(int key, int count, int flags)
{
    struct ipc *i;
    int r = ipc_get(&table, key, flags, &i);
    if (i && count > (int)((struct set *)i)->count && r != -EEXIST)
        return -EINVAL; /* before rights are asked for */
    if (r || i)
        return r ? r : i->id;
    if (count <= 0 || count > (int)SETS_SEMS_MAX)
        return -EINVAL;
    struct set *s = los_alloc(sizeof(*s) + (size_t)count * sizeof(s->sems[0]));
    if (!s)
        return -ENOMEM;
    s->count = (uint32_t)count;
    s->refs = 1;
    s->changed_at = clock_seconds();
    wait_queue_init(&s->wait);
    list_init(&s->undos);
    r = ipc_add(&table, &s->ipc, key, flags);
    if (r < 0)
        los_free(s);
    return r;
}

static struct undo *undo_of(struct set *s, int pid, bool make)
{
    list_each(struct undo, u, &s->undos, node) {
        if (u->pid == pid)
            return u;
    }
    struct undo *u = make ? los_alloc(sizeof(*u) + s->count * sizeof(u->by[0])) : NULL;
    if (u) {
        u->pid = pid;
        list_append(&s->undos, &u->node);
    }
    return u;
}

/* All of them or none. 0; 1: operation *at has to wait; -ERANGE. */
static int try_ops(struct set *s, const struct sembuf *ops, uint32_t count, uint32_t *at)
{
    int r = 0;
    uint32_t n = 0;
    for (; !r && n < count; n++) {
        struct sem *m = &s->sems[ops[n].sem_num];
        int value = m->value + ops[n].sem_op;
        if (ops[n].sem_op ? value < 0 : m->value)
            r = 1;
        else if (value > VALUE_MAX)
            r = -ERANGE;
        else
            m->value = (uint16_t)value;
    }
    *at = n ? n - 1 : 0;
    for (uint32_t k = 0; r && k < *at; k++)
        s->sems[ops[k].sem_num].value = (uint16_t)(s->sems[ops[k].sem_num].value - ops[k].sem_op);
    return r;
}

static void note_ops(struct set *s, const struct sembuf *ops, uint32_t count, struct undo *u)
{
    for (uint32_t n = 0; n < count; n++) {
        s->sems[ops[n].sem_num].pid = current()->pid;
        if (u && (ops[n].sem_flg & SEM_UNDO))
            u->by[ops[n].sem_num] = (int16_t)(u->by[ops[n].sem_num] - ops[n].sem_op);
    }
    s->used_at = clock_seconds();
    wait_wake_all(&s->wait);
}

static long run_ops(struct set *s, const struct sembuf *ops, uint32_t count, uint64_t deadline)
{
    bool changes = false, undo = false;
    for (uint32_t n = 0; n < count; n++) {
        if (ops[n].sem_num >= s->count)
            return -EFBIG;
        changes = changes || ops[n].sem_op;
        undo = undo || (ops[n].sem_flg & SEM_UNDO);
    }
    if (!ipc_allowed(&s->ipc, changes ? 2 : 4))
        return -EACCES;
    struct undo *u = undo ? undo_of(s, current()->pid, true) : NULL;
    if (undo && !u)
        return -ENOMEM;
    for (;;) {
        uint32_t at;
        int r = try_ops(s, ops, count, &at);
        if (!r)
            note_ops(s, ops, count, u);
        if (r <= 0)
            return r;
        if (ops[at].sem_flg & IPC_NOWAIT)
            return -EAGAIN;
        uint32_t *waits = ops[at].sem_op ? &s->sems[ops[at].sem_num].waits_more
                                         : &s->sems[ops[at].sem_num].waits_zero;
        (*waits)++;
        r = wait_on(&s->wait, deadline);
        (*waits)--;
        if (s->removed)
            return -EIDRM;
        if (r)
            return r == -ETIMEDOUT ? -EAGAIN : r;
    }
}

static long do_semop(int id, uint64_t from, uint32_t count, uint64_t deadline)
{
    struct set *s = find_set(id);
    if (!count || id < 0)
        return -EINVAL;
    if (count > OPS_MAX)
        return -E2BIG;
    struct sembuf *ops = los_alloc(count * sizeof(*ops));
    long r = !ops ? -ENOMEM : user_read(ops, from, count * sizeof(*ops)) ? -EFAULT : 0;
    if (!r && !s)
        r = -EINVAL;
    if (!r) {
        s->refs++;
        r = run_ops(s, ops, count, deadline);
        put_set(s);
    }
    los_free(ops);
    return r;
}

long sys_semtimedop(int id, uint64_t ops, uint32_t count, uint64_t timeout)
{
    uint64_t deadline;
    int r = deadline_from_user(timeout, CLOCK_FROM_NOW, &deadline);
    return r ? r : do_semop(id, ops, count, deadline);
}

static void forget_undo(struct set *s, uint32_t n)
{
    list_each(struct undo, u, &s->undos, node)
        u->by[n] = 0;
}

void sem_exit(struct process *p)
{
    for (unsigned i = 0; i < IPC_IDS_MAX; i++) {
        struct set *s = (struct set *)ipc_at(&table, i);
        struct undo *u = s ? undo_of(s, p->pid, false) : NULL;
        if (!u)
            continue;
        for (uint32_t n = 0; n < s->count; n++) {
            int value = s->sems[n].value + u->by[n];
            if (u->by[n])
                s->sems[n].pid = p->pid;
            s->sems[n].value = (uint16_t)MIN(MAX(value, 0), VALUE_MAX);
        }
        list_remove(&u->node);
        los_free(u);
        wait_wake_all(&s->wait);
    }
}

/* struct semid64_ds */
static int put_state(const struct set *s, uint64_t to)
{
    uint8_t raw[104] = {0};
    ipc_put(raw, &s->ipc);
    sh_put_le64(raw + 48, (uint64_t)s->used_at);
    sh_put_le64(raw + 64, (uint64_t)s->changed_at);
    sh_put_le64(raw + 80, s->count);
    return user_write(to, raw, sizeof(raw));
}

static long set_state(struct set *s, uint64_t from)
{
    int r = ipc_set(&s->ipc, from);
    s->changed_at = r ? s->changed_at : clock_seconds();
    return r;
}

static long remove_set(struct set *s)
{
    if (!ipc_is_owner(&s->ipc))
        return -EPERM;
    s->removed = true;
    ipc_remove(&table, &s->ipc);
    wait_wake_all(&s->wait);
    put_set(s);
    return 0;
}

static long get_all(const struct set *s, uint64_t to)
{
    for (uint32_t n = 0; n < s->count; n++) {
        if (user_write(to + 2 * n, &s->sems[n].value, 2))
            return -EFAULT;
    }
    return 0;
}

static long set_all(struct set *s, uint64_t from)
{
    uint16_t *values = los_alloc(s->count * sizeof(*values));
    long r = !values ? -ENOMEM : user_read(values, from, s->count * sizeof(*values)) ? -EFAULT : 0;
    for (uint32_t n = 0; !r && n < s->count; n++)
        r = values[n] > VALUE_MAX ? -ERANGE : 0;
    for (uint32_t n = 0; !r && n < s->count; n++) {
        s->sems[n].value = values[n];
        s->sems[n].pid = current()->pid;
        forget_undo(s, n);
    }
    los_free(values);
    s->changed_at = clock_seconds();
    wait_wake_all(&s->wait);
    return r;
}

static long set_value(struct set *s, uint32_t n, int value)
{
    if (value < 0 || value > VALUE_MAX)
        return -ERANGE;
    s->sems[n].value = (uint16_t)value;
    s->sems[n].pid = current()->pid;
    forget_undo(s, n);
    s->changed_at = clock_seconds();
    wait_wake_all(&s->wait);
    return 0;
}

/* What concerns one semaphore of the set. */
static long control_one(struct set *s, uint32_t n, int command, uint64_t arg)
{
    const struct sem *m = &s->sems[n];
    switch (command) {
    case GETVAL:
        return m->value;
    case GETPID:
        return m->pid;
    case GETNCNT:
        return m->waits_more;
    case GETZCNT:
        return m->waits_zero;
    default:
        return set_value(s, n, (int)arg);
    }
}

static long control_set(struct set *s, int number, int command, uint64_t arg)
{
    bool one = command == GETVAL || command == SETVAL || command == GETPID || command == GETNCNT ||
               command == GETZCNT;
    bool writes = command == SETVAL || command == SETALL;
    bool owner = command == IPC_RMID || command == IPC_SET;
    if (one && (number < 0 || (uint32_t)number >= s->count))
        return -EINVAL;
    if (!owner && command != SEM_STAT_ANY && !ipc_allowed(&s->ipc, writes ? 2 : 4))
        return -EACCES;
    if (one)
        return control_one(s, (uint32_t)number, command, arg);
    switch (command) {
    case IPC_STAT:
        return put_state(s, arg);
    case SEM_STAT:
    case SEM_STAT_ANY:
        return put_state(s, arg) ? -EFAULT : s->ipc.id;
    case IPC_SET:
        return set_state(s, arg);
    case IPC_RMID:
        return remove_set(s);
    case GETALL:
        return get_all(s, arg);
    case SETALL:
        return set_all(s, arg);
    default:
        return -EINVAL;
    }
}

/* struct seminfo */
static long put_limits(int command, uint64_t to)
{
    int used = 0, sems = 0;
    long highest = 0;
    for (unsigned i = 0; i < IPC_IDS_MAX; i++) {
        const struct set *s = (const struct set *)ipc_at(&table, i);
        used += s != NULL;
        sems += s ? (int)s->count : 0;
        highest = s ? i : highest;
    }
    int info[10] = {
        0,         IPC_IDS_MAX, (int)(IPC_IDS_MAX * SETS_SEMS_MAX), 0, SETS_SEMS_MAX, OPS_MAX, 0, 0,
        VALUE_MAX, VALUE_MAX};
    if (command == SEM_INFO) {
        info[7] = used;
        info[9] = sems;
    }
    return user_write(to, info, sizeof(info)) ? -EFAULT : highest;
}

long sys_semctl(int id, int number, int command, uint64_t arg)
{
    command &= ~IPC_64;
    if (id < 0)
        return -EINVAL;
    if (command == IPC_INFO || command == SEM_INFO)
        return put_limits(command, arg);
    bool by_index = command == SEM_STAT || command == SEM_STAT_ANY;
    struct set *s = by_index ? (struct set *)ipc_at(&table, (unsigned)id) : find_set(id);
    return s ? control_set(s, number, command, arg) : -EINVAL;
}

void sem_line(unsigned index, char *out, size_t size)
{
    const struct set *s = (const struct set *)ipc_at(&table, index);
    if (s)
        fmt(out, size, "%10d %10d  %4o %10u %5u %5u %5u %5u %10ld %10ld\n", s->ipc.key, s->ipc.id,
            s->ipc.mode, s->count, s->ipc.uid, s->ipc.gid, s->ipc.cuid, s->ipc.cgid, s->used_at,
            s->changed_at);
}
