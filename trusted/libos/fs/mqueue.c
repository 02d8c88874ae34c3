// SPDX-License-Identifier: Apache-2.0
// POSIX message queues.
#include <asm/poll.h>
#include <linux/mqueue.h>
#include <linux/netlink.h>
#include <linux/time.h>
#include <asm/siginfo.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/net/sock.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

/* What Linux grants without CAP_SYS_RESOURCE (/proc/sys/fs/mqueue). */
#define QUEUES_MAX 256u
#define MESSAGES_MAX 10
#define SIZE_MAX_ 8192
#define PRIORITY_MAX 32768u

struct message {
    struct list node; /* highest priority first, then oldest */
    uint32_t priority;
    size_t size;
    uint8_t data[];
};

struct queue {
    struct list node; /* of those that have a name */
    char name[EROFS_NAME_MAX + 1];
    uint32_t refs, mode, uid, gid;
    int64_t messages_max, size_max, count;
    uint32_t receivers; /* that wait */
    struct list messages;
    struct wait_queue wait;
    struct process *notify; /* NULL: nobody */
    int notify_signal;      /* 0: none is sent */
    uint64_t notify_value;
    struct sock *notify_socket; /* or its cookie goes there, for a thread of the libc */
    uint8_t cookie[NOTIFY_COOKIE_LEN];
};

static struct list names = {&names, &names};
static unsigned queue_count;

/* Nobody is to be told any more; a thread that waits hears why. */
static void end_notify(struct queue *q, uint8_t why)
{
    struct letter l = {.from.size = sizeof(struct sockaddr_nl)};
    q->notify = NULL;
    if (!q->notify_socket)
        return;
    l.from.family = AF_NETLINK;
    q->cookie[NOTIFY_COOKIE_LEN - 1] = why;
    if (!q->notify_socket->read_shut) /* else it was closed */
        inside_deliver(q->notify_socket, q->cookie, sizeof(q->cookie), &l);
    sock_put(q->notify_socket);
    q->notify_socket = NULL;
}

static void put_queue(struct queue *q)
{
    if (--q->refs)
        return;
    list_each_safe(struct message, m, &q->messages, node)
        los_free(m);
    queue_count--;
    los_free(q);
}

static uint32_t mq_poll(struct file *f)
{
    const struct queue *q = f->data;
    return (q->count ? POLLIN | POLLRDNORM : 0u) |
           (q->count < q->messages_max ? POLLOUT | POLLWRNORM : 0u);
}

static void mq_release(struct file *f)
{
    struct queue *q = f->data;
    if (q->notify == current())
        end_notify(q, NOTIFY_REMOVED);
    put_queue(q);
}

static const struct file_ops mq_ops = {
    .poll = mq_poll, .release = mq_release, .name = "mqueue", .stream = true};

static struct queue *find_queue(const char *name)
{
    list_each(struct queue, q, &names, node) {
        if (!strcmp(q->name, name))
            return q;
    }
    return NULL;
}

static int read_name(uint64_t from, char name[EROFS_NAME_MAX + 1])
{
    long n = user_string(name, from, EROFS_NAME_MAX + 1);
    if (n <= 0)
        return n ? (int)n : -ENOENT;
    return strchr(name, '/') ? -EACCES : 0;
}

static bool queue_allows(const struct queue *q, int mask)
{
    struct inode i = {.mode = q->mode, .uid = q->uid, .gid = q->gid};
    return inode_allowed(&i, mask);
}

static int make_queue(const char *name, uint32_t mode, uint64_t attr, struct queue **out)
{
    struct mq_attr a = {.mq_maxmsg = MESSAGES_MAX, .mq_msgsize = SIZE_MAX_};
    if (attr && user_read(&a, attr, sizeof(a)))
        return -EFAULT;
    if (a.mq_maxmsg <= 0 || a.mq_maxmsg > MESSAGES_MAX || a.mq_msgsize <= 0 ||
        a.mq_msgsize > SIZE_MAX_)
        return -EINVAL;
    struct queue *q = queue_count < QUEUES_MAX ? los_alloc(sizeof(*q)) : NULL;
    if (!q)
        return -ENOSPC;
    fmt(q->name, sizeof(q->name), "%s", name);
    q->mode = mode & 0777 & ~current()->fs->umask;
    q->uid = current()->euid;
    q->gid = current()->egid;
    q->messages_max = a.mq_maxmsg;
    q->size_max = a.mq_msgsize;
    q->refs = 1; /* its name's */
    list_init(&q->node);
    list_init(&q->messages);
    wait_queue_init(&q->wait);
    list_append(&names, &q->node);
    queue_count++;
    *out = q;
    return 0;
}

long sys_mq_open(uint64_t from, int flags, uint32_t mode, uint64_t attr)
{
    char name[EROFS_NAME_MAX + 1];
    int r = read_name(from, name);
    if (r)
        return r;
    static const int rights[] = {4, 2, 6};
    struct queue *q = find_queue(name);
    if ((flags & O_ACCMODE) == O_ACCMODE)
        return -EINVAL;
    if (!q && !(flags & O_CREAT))
        return -ENOENT;
    if (q && (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    if (q && !queue_allows(q, rights[flags & O_ACCMODE]))
        return -EACCES;
    if (!q && (r = make_queue(name, mode, attr, &q)))
        return r;
    struct file *f = file_new(&mq_ops, (uint32_t)flags & (O_ACCMODE | O_NONBLOCK));
    if (!f)
        return -ENOMEM;
    q->refs++;
    f->data = q;
    f->wait = &q->wait;
    return fd_install(f, flags & O_CLOEXEC, 0);
}

long sys_mq_unlink(uint64_t from)
{
    char name[EROFS_NAME_MAX + 1];
    int r = read_name(from, name);
    if (r)
        return r;
    struct queue *q = find_queue(name);
    if (!q)
        return -ENOENT;
    if (!capable(CAP_FOWNER) && current()->euid != q->uid)
        return -EPERM;
    list_remove(&q->node);
    put_queue(q);
    return 0;
}

static struct file *queue_file(int fd, bool write)
{
    struct file *f = fd_file(fd);
    return f && f->ops == &mq_ops && (write ? file_can_write(f) : file_can_read(f)) ? f : NULL;
}

static int wait_change(struct queue *q, struct file *f, uint64_t deadline)
{
    if (f->flags & O_NONBLOCK)
        return -EAGAIN;
    int r = wait_on(&q->wait, deadline);
    return r == -EINTR ? -ERESTARTSYS : r;
}

static void add_arrived(struct queue *q, struct message *m)
{
    struct list *at = q->messages.next;
    while (at != &q->messages && container_of(at, struct message, node)->priority >= m->priority)
        at = at->next;
    list_append(at, &m->node); /* before it */
    struct process *p = q->notify;
    if (!q->count++ && p && !q->receivers) {
        struct sig_item item = {.signo = q->notify_signal,
                                .code = SI_MESGQ,
                                .pid = current()->pid,
                                .uid = current()->uid,
                                .value = q->notify_value};
        end_notify(q, NOTIFY_WOKENUP);
        if (item.signo)
            sig_send_item(p, NULL, &item);
    }
    wait_wake_all(&q->wait);
}

long sys_mq_timedsend(int fd, uint64_t from, uint64_t size, uint32_t priority, uint64_t timeout)
{
    uint64_t deadline;
    if (priority >= PRIORITY_MAX)
        return -EINVAL;
    int r = deadline_from_user(timeout, CLOCK_REALTIME, &deadline);
    struct file *f = queue_file(fd, true);
    if (r || !f)
        return r ? r : -EBADF;
    struct queue *q = f->data;
    if (size > (uint64_t)q->size_max)
        return -EMSGSIZE;
    struct message *m = los_alloc(sizeof(*m) + size);
    if (!m)
        return -ENOMEM;
    list_init(&m->node);
    m->priority = priority;
    m->size = size;
    r = user_read(m->data, from, size) ? -EFAULT : 0;
    file_get(f);
    while (!r && q->count >= q->messages_max)
        r = wait_change(q, f, deadline);
    if (r)
        los_free(m);
    else
        add_arrived(q, m);
    file_put(f);
    return r;
}

long sys_mq_timedreceive(int fd, uint64_t to, uint64_t size, uint64_t priority, uint64_t timeout)
{
    uint64_t deadline;
    int r = deadline_from_user(timeout, CLOCK_REALTIME, &deadline);
    struct file *f = queue_file(fd, false);
    if (r || !f)
        return r ? r : -EBADF;
    struct queue *q = f->data;
    if (size < (uint64_t)q->size_max)
        return -EMSGSIZE;
    file_get(f);
    q->receivers++;
    while (!r && !q->count)
        r = wait_change(q, f, deadline);
    q->receivers--;
    long n = r;
    if (!r) {
        struct message *m = container_of(q->messages.next, struct message, node);
        list_remove(&m->node);
        q->count--;
        n = (long)m->size;
        if (user_write(to, m->data, m->size) || (priority && user_write(priority, &m->priority, 4)))
            n = -EFAULT;
        los_free(m);
        wait_wake_all(&q->wait);
    }
    file_put(f);
    return n;
}

struct user_sigevent {
    uint64_t value;
    int32_t signo, notify, pad[12];
};

long sys_mq_notify(int fd, uint64_t event)
{
    struct user_sigevent e = {0};
    if (event && user_read(&e, event, sizeof(e)))
        return -EFAULT;
    if (event && (e.notify < 0 || e.notify > SIGEV_THREAD ||
                  (e.notify == 0 && (e.signo < 1 || e.signo > SIG_COUNT))))
        return -EINVAL;
    struct sock *to = NULL;
    uint8_t cookie[NOTIFY_COOKIE_LEN];
    if (event && e.notify == SIGEV_THREAD) {
        int r;
        struct file *s;
        if (user_read(cookie, e.value, sizeof(cookie)))
            return -EFAULT;
        if (!(to = sock_of(e.signo, &r, &s)))
            return r;
        if (to->family != AF_NETLINK)
            return -EINVAL;
    }
    struct file *f = fd_file(fd);
    if (!f || f->ops != &mq_ops)
        return -EBADF;
    struct queue *q = f->data;
    if (!event) {
        if (q->notify == current())
            end_notify(q, NOTIFY_REMOVED);
        return 0;
    }
    if (q->notify)
        return -EBUSY;
    q->notify = current();
    q->notify_signal = e.notify == 0 ? e.signo : 0;
    q->notify_value = e.value;
    if (to) {
        sock_get(to);
        q->notify_socket = to;
        memcpy(q->cookie, cookie, sizeof(cookie));
    }
    return 0;
}

long sys_mq_getsetattr(int fd, uint64_t new, uint64_t old)
{
    struct mq_attr a;
    if (new &&user_read(&a, new, sizeof(a)))
        return -EFAULT;
    if (new && (a.mq_flags & ~(long)O_NONBLOCK))
        return -EINVAL;
    struct file *f = fd_file(fd);
    if (!f || f->ops != &mq_ops)
        return -EBADF;
    const struct queue *q = f->data;
    struct mq_attr was = {.mq_flags = f->flags & O_NONBLOCK,
                          .mq_maxmsg = q->messages_max,
                          .mq_msgsize = q->size_max,
                          .mq_curmsgs = q->count};
    if (new)
        f->flags = (f->flags & ~(uint32_t)O_NONBLOCK) | ((uint32_t)a.mq_flags & O_NONBLOCK);
    return old && user_write(old, &was, sizeof(was)) ? -EFAULT : 0;
}
