// SPDX-License-Identifier: Apache-2.0
// Connections that stay inside: unix sockets, socketpairs, loopback.
#include <asm/poll.h>
#include <asm/signal.h>

#include "trusted/libos/mm/mm.h"
#include "trusted/libos/net/sock.h"
#include "trusted/libos/signal/signal.h"

#define PIECE_MAX 65536u
#define DATAGRAM_MAX 212992u
#define BACKLOG_MAX 4096u
#define NOBODY 65534u /* as who is unknown is told */

static bool is_stream(const struct sock *s)
{
    return s->type == SOCK_STREAM;
}

static void chunk_free(struct chunk *c)
{
    for (uint32_t i = 0; i < c->letter.file_count; i++)
        file_put(c->letter.files[i]);
    los_free(c);
}

static void add_queued(struct sock *s, uint64_t size)
{
    __atomic_store_n(&s->queued, s->queued + size, __ATOMIC_RELAXED);
}

static void chunk_drop(struct sock *s, struct chunk *c)
{
    add_queued(s, -(uint64_t)(c->size - c->at));
    s->file_letters -= c->files;
    list_remove(&c->node);
    chunk_free(c);
}

void inside_pair(struct sock *a, struct sock *b)
{
    sock_get(a);
    sock_get(b);
    a->peer = b;
    b->peer = a;
    a->peer_cred = b->cred;
    b->peer_cred = a->cred;
    a->peer_gone = b->peer_gone = false;
    b->state = SOCK_CONNECTED;
    __atomic_store_n(&a->state, SOCK_CONNECTED, __ATOMIC_RELEASE); /* from now on it can be used */
}

/* Waits until there is room in the queue of who listens; TCP's is long enough. */
static int wait_backlog(struct file *f, struct sock *s, struct sock *listener)
{
    uint64_t deadline = sock_deadline(s->send_timeout);
    int r = 0;
    sock_get(listener);
    while (!r && listener->state == SOCK_LISTENING && listener->pending_count > listener->backlog) {
        struct waiter w;
        if (f->flags & O_NONBLOCK) {
            r = -EAGAIN;
            break;
        }
        wait_begin(&w, &listener->room);
        r = wait_sleep(deadline);
        wait_end(&w);
        r = r == -EINTR ? -ERESTARTSYS : r == -ETIMEDOUT ? -EAGAIN : r;
    }
    if (!r && listener->state != SOCK_LISTENING)
        r = -ECONNREFUSED;
    sock_put(listener);
    return r;
}

/* The other end is made at once and waits to be accepted. */
int inside_connect(struct file *f, struct sock *s, struct sock *listener)
{
    if (listener->state != SOCK_LISTENING || listener->type != s->type || listener->read_shut)
        return -ECONNREFUSED;
    if (s->family == AF_UNIX) {
        int r = wait_backlog(f, s, listener);
        if (r)
            return r;
    } else if (__atomic_load_n(&listener->pending_count, __ATOMIC_RELAXED) >= BACKLOG_MAX) {
        return -ECONNREFUSED;
    }
    struct sock *end = sock_new(listener->family, s->type);
    if (!end)
        return -ENOMEM;
    options_inherit(end, listener);
    end->own = s->family == AF_UNIX ? listener->own : addr_as(&s->other, listener->family);
    end->other = addr_as(&s->own, listener->family);
    end->cred = listener->cred;
    inside_pair(s, end);
    lock_take(&listener->lock, RANK_OBJECT);
    list_append(&listener->pending, &end->pend_node);
    __atomic_store_n(&listener->pending_count, listener->pending_count + 1, __ATOMIC_RELAXED);
    lock_give(&listener->lock);
    wait_wake_events(&listener->wait, POLLIN);
    return 0;
}

/* The last in the queue of `to`: with what l says and, if `files`, its files. */
static void append_chunk(struct sock *to, struct chunk *c, const struct letter *l, bool files)
{
    c->letter = *l;
    if (to->family == AF_UNIX && !l->cred.pid) /* who it is stands there if one of them asks */
        c->letter.cred = l->tells_cred || to->options[OPT_PASSCRED]
                             ? cred_own()
                             : (struct cred){0, NOBODY, NOBODY};
    if (!files)
        c->letter.file_count = 0;
    for (uint32_t i = 0; i < c->letter.file_count; i++)
        file_get(l->files[i]);
    c->files = c->letter.file_count;
    lock_take(&to->lock, RANK_OBJECT);
    list_append(&to->chunks, &c->node);
    add_queued(to, c->size);
    to->file_letters += c->files;
    wait_wake_events(&to->wait, POLLIN);
    lock_give(&to->lock);
}

static int queue_letter(struct sock *to, struct io *io, uint32_t size, const struct letter *l,
                        bool files)
{
    struct chunk *c = los_alloc(sizeof(*c) + size);
    if (!c)
        return -ENOBUFS;
    if (io_get(io, c->data, size)) {
        los_free(c);
        return -EFAULT;
    }
    c->size = size;
    append_chunk(to, c, l, files);
    return 0;
}

int inside_deliver(struct sock *to, const void *data, uint32_t size, const struct letter *l)
{
    struct chunk *c = los_alloc(sizeof(*c) + size);
    if (!c)
        return -ENOBUFS;
    memcpy(c->data, data, size);
    c->size = size;
    append_chunk(to, c, l, false);
    return 0;
}

static long broken_pipe(int flags)
{
    call_alone();
    if (!(flags & MSG_NOSIGNAL_))
        sig_send_thread(self(), SIGPIPE, 0);
    return -EPIPE;
}

/* Waits until the receiver has room. Wakes come on our own queue when it reads. */
static int wait_room(struct file *f, struct sock *s, int flags, uint64_t deadline)
{
    return flags & MSG_DONTWAIT_ ? -EAGAIN : sock_sleep(f, s, 0, deadline);
}

/* What inside_leave may change beside whoever looks. */
#define NOW(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#define SET(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELEASE)

/* What is first sent to a TCP end that takes no more is taken, and answered with a reset. */
static bool is_reset(struct sock *s)
{
    struct sock *p = s->peer;
    bool deaf = NOW(s->peer_gone) || (p && NOW(p->read_shut) && NOW(p->write_shut));
    if (s->family == AF_UNIX || NOW(s->write_shut) || NOW(s->was_reset) || !deaf)
        return false;
    call_alone();
    s->was_reset = true;
    if (p && !s->peer_gone)
        p->error = -ECONNRESET;
    s->peer_gone = true;
    return true;
}

/* Without its lock it is only a guess. */
static uint64_t queued_now(const struct sock *s)
{
    return __atomic_load_n(&s->queued, __ATOMIC_RELAXED);
}

/* Of a connection of unix sockets: whether one of its ends shut the way to (reads) or from s. */
static bool is_shut(const struct sock *s, bool reads)
{
    const struct sock *p = s->peer;
    return NOW(s->peer_gone) || !p ||
           (reads ? NOW(s->read_shut) || NOW(p->write_shut)
                  : NOW(s->write_shut) || NOW(p->read_shut));
}

/* Nothing ended, and nothing is amiss. */
static bool is_plain(const struct sock *s)
{
    return s->state == SOCK_CONNECTED && !NOW(s->error) && s->peer && !NOW(s->peer_gone) &&
           !NOW(s->write_shut) && !NOW(s->read_shut) && !NOW(s->was_reset) &&
           !NOW(s->peer->read_shut) && !NOW(s->peer->write_shut);
}

/* Makes so many of the next bytes usable that their copy does not touch what is not there: else
 * others might run meanwhile. 0: none is. */
static uint64_t ready_bytes(struct sock *s, struct io *io, uint64_t size, int access)
{
    if (!is_plain(s))
        call_alone();
    return los_is_shared() ? io_usable(io, size, access) : size;
}

static long send_stream(struct file *f, struct sock *s, struct io *io, int flags,
                        const struct letter *l)
{
    long done = 0;
    uint64_t deadline = sock_deadline(s->send_timeout);
    bool files = l->file_count;
    if (!is_plain(s))
        call_alone();
    if (NOW(s->error)) {
        call_alone();
        int r = s->error; /* 0: another thread got it meanwhile */
        s->error = 0;
        if (r)
            return r;
    }
    if (!s->peer && s->state != SOCK_CONNECTED)
        return s->family == AF_UNIX ? -ENOTCONN : broken_pipe(flags);
    if (!io->left && (s->family == AF_UNIX ? is_shut(s, false) : NOW(s->write_shut)))
        return broken_pipe(flags);
    while (io->left) {
        uint64_t piece = MIN(io->left, PIECE_MAX);
        if (ready_bytes(s, io, piece, PORT_R) < piece)
            call_alone(); /* what is not there may be touched; the piece fails as a whole */
        if (is_reset(s))
            return (long)io->left;
        if (NOW(s->write_shut) || NOW(s->peer_gone) || !s->peer ||
            (s->family == AF_UNIX && is_shut(s, false)))
            return done ? done : broken_pipe(flags);
        struct sock *to = s->peer;
        uint64_t queued = queued_now(to);
        if (queued >= QUEUE_SIZE) {
            int r = wait_room(f, s, flags, deadline);
            if (r)
                return done ? done : r;
            continue;
        }
        uint32_t n = (uint32_t)MIN(piece, QUEUE_SIZE - queued);
        int r = queue_letter(to, io, n, l, files);
        if (r)
            return done ? done : r;
        files = false;
        done += n;
    }
    return done;
}

/* Of datagrams the first that cannot be sent ends the connection. */
static int no_peer(struct sock *s, int flags)
{
    if (s->state != SOCK_CONNECTED)
        return -ENOTCONN;
    if (s->type == SOCK_SEQPACKET)
        return (int)broken_pipe(flags);
    s->state = SOCK_NEW;
    return -ECONNREFUSED;
}

/* Waits until a datagram of that size fits. UDP's are dropped instead: 1. */
static int wait_fit(struct file *f, struct sock *s, struct sock *to, uint64_t size, int flags)
{
    uint64_t deadline = sock_deadline(s->send_timeout);
    for (;;) {
        if (to == s->peer && s->peer_gone && s->family == AF_UNIX)
            return no_peer(s, flags);
        if (to->read_shut && s->family == AF_UNIX)
            return (int)broken_pipe(flags);
        if (to->queued + size <= QUEUE_SIZE || list_empty(&to->chunks))
            return 0;
        if (s->family != AF_UNIX)
            return 1;
        if (flags & MSG_DONTWAIT_ || f->flags & O_NONBLOCK)
            return -EAGAIN;
        struct waiter w;
        wait_begin(&w, &to->room);
        int r = wait_sleep(deadline);
        wait_end(&w);
        if (r)
            return r == -EINTR ? -ERESTARTSYS : r == -ETIMEDOUT ? -EAGAIN : r;
    }
}

long inside_send(struct file *f, struct sock *s, struct sock *to, struct io *io, int flags,
                 const struct letter *l)
{
    if (is_stream(s))
        return send_stream(f, s, io, flags, l);
    uint64_t size = io->left;
    if (!to)
        return no_peer(s, flags);
    if (s->write_shut)
        return broken_pipe(flags);
    if (size > DATAGRAM_MAX || (s->family != AF_UNIX && size > 65507))
        return -EMSGSIZE;
    sock_get(to);
    int r = wait_fit(f, s, to, size, flags);
    if (!r)
        r = queue_letter(to, io, (uint32_t)size, l, true);
    sock_put(to);
    return r < 0 ? r : (long)size;
}

/* Somebody who waits for room: the peer of a stream, any sender of datagrams. */
static void room_made(struct sock *s)
{
    wait_wake_all(&s->room);
    if (s->peer)
        wait_wake_events(&s->peer->wait, POLLOUT);
}

/* What came with it; its files only to one who wants them, else they go. Who only looks gets the
 * files too, and they stay. */
static void open_letter(struct chunk *c, int flags, struct letter *l, bool files)
{
    bool looks = flags & MSG_PEEK_;
    *l = c->letter;
    for (uint32_t i = 0; files == looks && i < c->letter.file_count; i++)
        looks ? file_get(c->letter.files[i]) : file_put(c->letter.files[i]);
    if (!files)
        l->file_count = 0;
    if (!looks)
        c->letter.file_count = 0;
}

static long receive_message(struct sock *s, struct io *io, int flags, struct letter *l, bool files)
{
    struct chunk *c = container_of(s->chunks.next, struct chunk, node);
    uint64_t n = MIN(io->left, c->size);
    long r = flags & MSG_TRUNC_ ? (long)c->size : (long)n;
    if (io_put(io, c->data, n))
        return -EFAULT;
    open_letter(c, flags, l, files);
    l->truncated = n < c->size;
    if (!(flags & MSG_PEEK_)) {
        chunk_drop(s, c);
        room_made(s);
    }
    return r;
}

static bool is_from_another(const struct sock *s, const struct cred *a, const struct cred *b)
{
    return s->family == AF_UNIX && s->options[OPT_PASSCRED] &&
           (a->pid != b->pid || a->uid != b->uid || a->gid != b->gid);
}

/* Nothing is read beyond a piece that came with files, and with SO_PASSCRED only what one sent. */
static long receive_stream(struct sock *s, struct io *io, int flags, struct letter *l, bool files)
{
    long done = 0;
    bool begun = false;
    list_each_safe(struct chunk, c, &s->chunks, node) {
        uint64_t n = MIN(io->left, c->size - c->at);
        bool barrier = c->letter.file_count > 0;
        if (begun && is_from_another(s, &l->cred, &c->letter.cred)) {
            l->barrier = true;
            break;
        }
        if (io_put(io, c->data + c->at, n))
            return done ? done : -EFAULT;
        if (!begun || barrier)
            open_letter(c, flags, l, files);
        begun = true;
        l->barrier = barrier;
        done += (long)n;
        if (!(flags & MSG_PEEK_)) {
            c->at += (uint32_t)n;
            add_queued(s, -n);
            if (c->at == c->size)
                chunk_drop(s, c);
        }
        if (barrier ||
            (!io->left && !(flags & MSG_PEEK_))) /* who looks sees files of what follows */
            break;
    }
    if (!(flags & MSG_PEEK_))
        room_made(s);
    return done;
}

/* Beside others. -EBUSY: more came than was made ready; alone it must be done otherwise. */
static long receive_beside(struct sock *s, struct io *io, int flags, struct letter *l)
{
    uint64_t there = queued_now(s);
    uint64_t ready = ready_bytes(s, io, MIN(io->left, there), PORT_W);
    if (!los_is_shared())
        return -EBUSY;
    if (!ready && there && !io->left) { /* what comes beside the bytes is there */
        call_alone();
        return -EBUSY;
    }
    if (!ready)
        return there ? -EFAULT : -EAGAIN;
    uint64_t rest = io->left - ready;
    long n = -EBUSY;
    lock_take(&s->lock, RANK_OBJECT);
    io->left = ready;
    if (!s->file_letters && s->queued >= ready)
        n = receive_stream(s, io, flags, l, false);
    io->left += rest;
    lock_give(&s->lock);
    return n;
}

long inside_receive(struct sock *s, struct io *io, int flags, struct letter *l, bool files)
{
    *l = (struct letter){0};
    while (los_is_shared() && is_stream(s) && is_plain(s)) {
        long n = receive_beside(s, io, flags, l);
        if (n != -EBUSY)
            return n;
        if (los_is_shared() && s->file_letters)
            call_alone();
    }
    call_alone();
    if (s->state == SOCK_LISTENING)
        return s->family == AF_UNIX ? -EINVAL : -ENOTCONN;
    if (!list_empty(&s->chunks))
        return is_stream(s) ? receive_stream(s, io, flags, l, files)
                            : receive_message(s, io, flags, l, files);
    if (s->error) {
        int r = s->error;
        s->error = 0;
        return r;
    }
    if (s->type != SOCK_DGRAM && s->state != SOCK_CONNECTED)
        return s->family == AF_UNIX && is_stream(s) ? -EINVAL : -ENOTCONN;
    bool ended = s->read_shut ||
                 (s->type != SOCK_DGRAM && (s->peer_gone || !s->peer || s->peer->write_shut));
    l->none = ended && !is_stream(s);
    return ended ? 0 : -EAGAIN;
}

uint32_t inside_poll(struct sock *s)
{
    lock_take(&s->lock, RANK_OBJECT);
    bool empty = list_empty(&s->chunks), pending = s->pending_count;
    bool gone = NOW(s->peer_gone), error = NOW(s->error);
    bool reads = NOW(s->read_shut), writes = NOW(s->write_shut);
    lock_give(&s->lock);
    uint32_t r = error || s->error_count ? POLLERR : 0;
    if (s->state == SOCK_LISTENING && reads)
        return r | POLLIN | POLLRDNORM | POLLRDHUP | (writes ? POLLHUP : 0);
    if (s->state == SOCK_LISTENING)
        return r | (pending ? POLLIN | POLLRDNORM : 0);
    if (!empty || (error && s->type != SOCK_DGRAM))
        r |= POLLIN | POLLRDNORM;
    if (reads && writes)
        r |= POLLHUP;
    if (reads)
        r |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (s->type == SOCK_DGRAM)
        return r | POLLOUT | POLLWRNORM;
    if (s->peer && s->family == AF_UNIX && is_shut(s, true) && is_shut(s, false))
        r |= POLLHUP;
    if (!s->peer)
        return r | POLLOUT | POLLWRNORM | POLLHUP | (error ? POLLRDHUP : 0);
    if (gone || NOW(s->peer->write_shut))
        r |= POLLIN | POLLRDNORM | POLLRDHUP;
    if ((gone && (error || NOW(s->was_reset))) ||
        (writes && (reads || gone || NOW(s->peer->write_shut))))
        r |= POLLHUP;
    if (gone || writes || queued_now(s->peer) < QUEUE_SIZE)
        r |= POLLOUT | POLLWRNORM;
    return r;
}

void inside_unlisten(struct sock *s)
{
    list_each_safe(struct sock, end, &s->pending, pend_node) {
        list_remove(&end->pend_node);
        if (end->family != AF_UNIX && end->peer)
            end->peer->error = -ECONNRESET;
        inside_close(end);
        sock_put(end);
    }
    s->pending_count = 0;
    wait_wake_all(&s->wait);
    wait_wake_all(&s->room);
}

bool inside_leave(struct sock *s)
{
    struct sock *p = s->peer;
    if (s->type != SOCK_STREAM || s->state != SOCK_CONNECTED || s->host.handle >= 0 || !p ||
        s->path || s->parts || s->error_count)
        return false;
    lock_take(&s->lock, RANK_OBJECT);
    bool can = !s->file_letters && !s->ended;
    bool reset =
        !list_empty(&s->chunks) || (s->family != AF_UNIX && s->linger.on && !s->linger.seconds);
    if (can) {
        s->ended = true;
        SET(s->read_shut, true);
        SET(s->write_shut, true);
        list_each_safe(struct chunk, c, &s->chunks, node)
            chunk_drop(s, c);
    }
    lock_give(&s->lock);
    if (!can)
        return false;
    lock_take(&names_lock, RANK_NAMES);
    list_remove(&s->names);
    lock_give(&names_lock);
    lock_take(&p->lock, RANK_OBJECT);
    if (p->peer == s) {
        SET(p->was_reset, reset);
        if (reset)
            SET(p->error, -ECONNRESET);
        SET(p->peer_gone, true);
        wait_wake_all(&p->wait);
    }
    lock_give(&p->lock);
    wait_wake_all(&s->wait);
    wait_wake_all(&s->room);
    return true;
}

void inside_close(struct sock *s)
{
    list_remove(&s->names);
    if (s->path) {
        s->path->data = NULL;
        inode_put(s->path);
        s->path = NULL;
    }
    struct sock *peer = s->peer;
    /* Who closes with something unread, or without wishing to linger, resets. */
    bool reset = (!list_empty(&s->chunks) && s->type != SOCK_DGRAM) ||
                 (s->family != AF_UNIX && s->linger.on && !s->linger.seconds);
    list_each_safe(struct chunk, c, &s->chunks, node)
        chunk_drop(s, c);
    if (s->state == SOCK_LISTENING)
        inside_unlisten(s);
    s->read_shut = s->write_shut = true;
    if (peer) {
        s->peer = NULL;
        if (peer->peer == s && !s->ended) {
            peer->peer_gone = true;
            peer->was_reset = reset;
            if (reset)
                peer->error = -ECONNRESET;
            wait_wake_all(&peer->wait);
        }
        sock_put(peer);
    }
    wait_wake_all(&s->wait);
    wait_wake_all(&s->room);
}

int sock_sleep(struct file *f, struct sock *s, uint32_t events, uint64_t deadline)
{
    if (f->flags & O_NONBLOCK)
        return -EAGAIN;
    if (s->host.handle >= 0 && outside_known(&s->host) & events)
        return 0; /* said meanwhile */
    struct port_event ask = outside_ask(&s->host, events);
    struct port_wait p = {.set = -1, .asks = 1, .items = &ask};
    struct waiter w;
    wait_begin(&w, &s->wait);
    /* Beside others what is waited for may have come before the wait had begun. */
    bool come = s->host.handle < 0 && los_is_shared() &&
                inside_poll(s) & (events ? events : (uint32_t)POLLOUT);
    int r = come ? 0 : wait_sleep_outside(s->host.handle >= 0 ? &p : NULL, deadline);
    wait_end(&w);
    if (r == -ETIMEDOUT)
        return -EAGAIN;
    return r == -EINTR && deadline == NO_DEADLINE ? -ERESTARTSYS : r;
}
