// SPDX-License-Identifier: Apache-2.0
// Port `unit`: ordinary libc underneath; answers of the host come from struct unit_host.
#include <shelter/network.h>

#include "trusted/libos/port_unit/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "lib/settings.h"
#include "trusted/libos/base/quote.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/image.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/fs/volume.h"

#define USER_SIZE (1ul << 37)
#define ZONE_SIZE (1ul << 30)

struct unit_host unit_host;
__thread struct thread *unit_self;

struct unit_parker {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool token;
};

static uint64_t reserve_range(uint64_t size)
{
    void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return (uint64_t)p;
}

static struct unit_parker *new_parker(void)
{
    struct unit_parker *p = calloc(1, sizeof(*p));
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->cond, &attr);
    return p;
}

struct thread *unit_thread(int tid)
{
    struct thread *t = calloc(1, sizeof(*t));
    t->self = t;
    t->port = new_parker();
    t->tid = tid;
    t->process = &first_process;
    t->call_nr = -1;
    sig_queue_init(&t->pending);
    unit_self = t;
    los_lock();
    los_new_share(t);
    list_append(&current()->threads, &t->node);
    current()->thread_count++;
    los_unlock();
    return t;
}

int unit_start(const uint8_t *root, uint64_t root_size, uint64_t erofs_size, const uint8_t hash[32])
{
    struct walk w;
    unit_host = (struct unit_host){.root = root, .root_size = root_size};
    if (!port_info.user_end) {
        port_info.user_start = reserve_range(USER_SIZE);
        port_info.user_end = port_info.user_start + USER_SIZE;
        port_info.zone_start = reserve_range(ZONE_SIZE);
        port_info.zone_end = port_info.zone_start + ZONE_SIZE;
        port_info.cpu_count = 2;
        port_info.xfrm = 3;
        port_info.xsave_size = 576;
        static struct thread starter; /* until there is a first process for a thread */
        unit_self = &starter;
        page_init(port_info.zone_start, port_info.zone_end);
        process_init_first();
        caps_start(&first_process);
        for (size_t i = 0; i < ARRAY_COUNT(first_process.limits); i++)
            first_process.limits[i] = (struct limit){UINT64_MAX, UINT64_MAX};
        first_process.limits[7].soft = 256;
        settings.broker = settings.agent = "";
        settings.input = settings.output = settings.outside = true;
        settings.prefix4 = 24;
        memcpy(settings.own4, (const uint8_t[]){SH_NET_OWN_BYTES}, 4);
        settings.signals = UINT64_MAX;
        unit_thread(1);
    }
    los_lock();
    int r = image_open(0, erofs_size, hash, 1024);
    if (!r)
        r = tree_init();
    if (!r)
        r = dev_init();
    if (!r)
        r = proc_init();
    if (!r)
        r = walk_path(AT_FDCWD, "/", 0, &w);
    if (!r)
        cwd_set(w.dentry);
    los_unlock();
    return r;
}

/* Dispatches one call as the program would; the result may be -ERESTARTSYS. */
static long make_call(int64_t nr, const uint64_t a[6])
{
    const struct call_entry *e = call_entry(nr);
    call_count(nr, e);
    if (!e)
        return -ENOSYS;
    if (e->format[0] == '!')
        return call_handle(nr, a);
    self()->call_shared = e->shared;
    los_relock();
    if (!e->shared)
        file_reap();
    long r = call_handle(nr, a);
    if (r == -EAWAY)
        r = volume_wait_change();
    async_tell();
    los_unlock();
    return r;
}

long unit_call(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
    const uint64_t args[6] = {a, b, c, d, e, f};
    long r = make_call(nr, args);
    return r == -ERESTARTSYS || r == -ERESTARTNOHAND ? -EINTR : r;
}

uint64_t unit_memory(uint64_t size)
{
    long r = unit_call(9 /* mmap */, 0, size, 3, 0x22, (uint64_t)-1, 0);
    if (r < 0)
        abort();
    return (uint64_t)r;
}

int port_pages_add(uint64_t addr, uint64_t count, int prot)
{
    return mprotect((void *)addr, count << PAGE_SHIFT, prot) ? -ENOMEM : 0;
}

void port_pages_expect(const struct sh_pages *runs, unsigned count)
{
}

uint32_t port_known_count(void)
{
    return unit_host.known_count;
}

uint64_t port_known_use(uint32_t n)
{
    return n < unit_host.known_count ? unit_host.known[n] : UINT64_MAX;
}

void port_use(uint64_t page)
{
    unit_host.used[unit_host.used_count++ % ARRAY_COUNT(unit_host.used)] = page;
}

int port_pages_fill(uint64_t addr, const void *const *sources, uint64_t count, int prot)
{
    int r = port_pages_add(addr, count, PROT_READ | PROT_WRITE);
    for (uint64_t i = 0; !r && i < count; i++)
        memcpy((void *)(addr + (i << PAGE_SHIFT)), sources[i], PAGE_SIZE);
    return r ? r : port_pages_add(addr, count, prot);
}

int port_pages_protect(uint64_t addr, uint64_t count, int old, int prot)
{
    return port_pages_add(addr, count, prot);
}

void port_pages_remove(const struct sh_pages *runs, unsigned count)
{
    for (; count; count--, runs++)
        mmap((void *)runs->addr, runs->size, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static void *run_service(void *arg)
{
    unit_self = arg;
    los_lock();
    unit_self->service(unit_self);
    abort(); /* it ends by port_thread_exit */
}

int port_thread_start(struct thread *t)
{
    pthread_t id;
    if (!t->service || !unit_host.services)
        return -EAGAIN;
    t->port = new_parker();
    return pthread_create(&id, NULL, run_service, t) || pthread_detach(id) ? -EAGAIN : 0;
}

void port_thread_exit(uint32_t *gone)
{
    abort();
}

void port_thread_kick(struct thread *t)
{
}

/* Never called: port_info.lends is false. */
void port_thread_lend(struct thread *t, struct thread *next)
{
    stop("this port lends nothing");
}

void port_thread_return(struct thread *to, uint32_t *gone)
{
    stop("this port lends nothing");
}

void port_thread_yield(void)
{
    usleep(0);
}

static uint8_t script_byte(void)
{
    return unit_host.script < unit_host.script_end ? *unit_host.script++ : 0;
}

/* The next lie. `size` is what was asked for: answers near it are the likeliest to be believed. */
static void decide_result(uint64_t size)
{
    static const int64_t list[] = {
        0,     1,        2,    3,     5,         -EAGAIN,   -EINTR,    -EIO,    -EINPROGRESS,
        -133,  -134,     -512, -4095, INT64_MIN, INT64_MAX, INT32_MAX, 1 << 24, 65536,
        65537, 1ll << 40};
    if (!unit_host.script)
        return;
    bool over = unit_host.script == unit_host.script_end;
    uint8_t b = script_byte();
    unit_host.lies = true;
    unit_host.lie_size = script_byte();
    if (unit_host.lie_size > 200)
        unit_host.lie_size = UINT32_MAX - (255 - unit_host.lie_size);
    if (over)
        unit_host.lie = -EIO;
    else if (b < 2 * ARRAY_COUNT(list))
        unit_host.lie = list[b / 2];
    else
        unit_host.lie = (int64_t)size + (int8_t)b;
}

/* Bytes that come with an answer, as far as the asker has room. */
static void script_bytes(void *to, uint64_t room)
{
    uint8_t *out = to;
    if (!unit_host.script || unit_host.lie <= 0)
        return;
    for (uint64_t i = 0; i < MIN((uint64_t)unit_host.lie, room); i++)
        out[i] = i < 64 ? script_byte() : (uint8_t)i;
}

/* Lies as told, else -ENOSYS: this host offers nothing. */
static long make_result(void)
{
    unit_host.calls++;
    return unit_host.lies ? unit_host.lie : -ENOSYS;
}

long port_set(void)
{
    decide_result(9);
    return unit_host.lies ? make_result() : (unit_host.calls++, unit_host.set);
}

/* What a set tells of: whatever was prepared, or words of the script about any handle. */
static void find_ready(struct port_wait *w)
{
    struct port_event *to = w->items + w->changes + w->asks;
    w->count = MIN(unit_host.found_count, w->room);
    memcpy(to, unit_host.found, w->count * sizeof(*to));
    unit_host.found_count = 0;
    for (uint32_t i = 0; i < w->changes && unit_host.always && w->count < w->room; i++) {
        to[w->count] = w->items[i];
        to[w->count].ready = w->items[i].events & (POLLIN | POLLOUT);
        w->count += w->items[i].handle == unit_host.always;
    }
    uint32_t most = unit_host.script ? script_byte() % 8u : 0; /* MIN would read the script twice */
    for (; w->count < MIN(w->room, most); w->count++)
        to[w->count] = (struct port_event){.handle = (int8_t)script_byte(),
                                           .ready = (uint16_t)(script_byte() * 257u),
                                           .tag = script_byte()};
}

int port_wait(struct thread *t, struct port_wait *w, uint64_t deadline)
{
    struct unit_parker *p = t->port;
    void (*meanwhile)(void) = t->sleeping ? unit_host.on_sleep : NULL;
    if (meanwhile) {
        unit_host.on_sleep = NULL;
        meanwhile();
    }
    decide_result(0);
    if (w) {
        unit_host.calls++;
        for (uint32_t i = 0; i < w->changes; i++)
            unit_host.changes[unit_host.change_count++ % ARRAY_COUNT(unit_host.changes)] =
                w->items[i];
        for (struct port_event *e = w->items + w->changes; e < w->items + w->changes + w->asks; e++)
            e->ready =
                unit_host.quiet ? 0 : e->events | (unit_host.lies ? (uint16_t)unit_host.lie : 0);
        find_ready(w);
        return unit_host.script && unit_host.lie < 0 ? (int)unit_host.lie : 0;
    }
    if (unit_host.script)
        return 0; /* for no reason at all */
    pthread_mutex_lock(&p->mutex);
    if (unit_host.wakes) {
        unit_host.wakes--;
    } else if (deadline == NO_DEADLINE) {
        while (!p->token)
            pthread_cond_wait(&p->cond, &p->mutex);
    } else {
        struct timespec ts = {(time_t)(deadline / 1000000000u), (long)(deadline % 1000000000u)};
        while (!p->token && !pthread_cond_timedwait(&p->cond, &p->mutex, &ts))
            continue;
    }
    p->token = false;
    pthread_mutex_unlock(&p->mutex);
    return 0;
}

void port_wake(struct thread *t)
{
    struct unit_parker *p = t->port;
    pthread_mutex_lock(&p->mutex);
    p->token = true;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->mutex);
}

void port_wake_at_end(struct thread *t)
{
    port_wake(t);
}

int port_image_read(uint32_t number, uint64_t offset, void *buf, uint32_t size)
{
    if (number >= 1 + unit_host.data_count || offset > unit_host.root_size ||
        size > unit_host.root_size - offset)
        return -EIO;
    memcpy(buf, unit_host.root + offset, size);
    decide_result(0);
    if (unit_host.script && unit_host.lie == 3) /* one wrong byte */
        ((uint8_t *)buf)[unit_host.lie_size % size] ^= 1;
    return 0;
}

int port_sites_read(uint64_t offset, void *buf, uint32_t size)
{
    if (offset > unit_host.sites_size || size > unit_host.sites_size - offset)
        return -EIO;
    memcpy(buf, unit_host.sites + offset, size);
    return 0;
}

/* Entered by patched sites only, which nothing here runs. */
void los_fast(void)
{
}
void los_fast_cpuid(void)
{
}

static void hear_address(const void *addr, uint32_t size, bool bind)
{
    if (addr && size && unit_host.on_address)
        unit_host.on_address(addr, size, bind);
}

static void fill_addr(void *addr, uint32_t *size)
{
    if (!unit_host.lies || !addr || !size)
        return;
    memset(addr, 0xff, MIN(*size, PORT_ADDR_MAX));
    if (unit_host.script && *size >= 2) {
        ((uint8_t *)addr)[0] = script_byte() % 12; /* the family */
        ((uint8_t *)addr)[1] = 0;
    }
    *size = unit_host.lie_size;
}

int64_t port_volume_size(uint32_t number)
{
    unit_host.calls++;
    return unit_host.lies     ? unit_host.lie
           : unit_host.volume ? (int64_t)unit_host.volume_size
                              : -ENOENT;
}

static bool in_volume(uint64_t offset, uint32_t size)
{
    unit_host.calls++;
    return unit_host.volume && !unit_host.lies && size <= PORT_VOLUME_MAX &&
           offset <= unit_host.volume_size && size <= unit_host.volume_size - offset;
}

int port_volume_read(uint32_t number, uint64_t offset, void *buf, uint32_t size)
{
    if (!in_volume(offset, size))
        return -EIO;
    memcpy(buf, unit_host.volume + offset, size);
    return 0;
}

int port_volume_write(uint32_t number, uint64_t offset, const void *buf, uint32_t size)
{
    if (!in_volume(offset, size))
        return -EIO;
    memcpy(unit_host.volume + offset, buf, size);
    return 0;
}

int port_volume_flush(uint32_t number)
{
    unit_host.flushes++;
    return in_volume(0, 0) ? 0 : -EIO;
}

void port_volume_discard(uint32_t number, uint64_t offset, uint64_t size)
{
}

long port_share(const struct sh_share_request *q, const void *data, uint32_t size, void *out,
                uint32_t *out_size)
{
    unit_host.calls++;
    return unit_host.share ? unit_host.share(q, data, size, out, out_size) : -ENOENT;
}

long port_read(int32_t handle, void *buf, uint32_t size)
{
    if (!port_stream_allowed(handle, false))
        return -EBADF;
    unit_host.calls++;
    decide_result(size);
    script_bytes(buf, size);
    if (unit_host.lies)
        return unit_host.lie;
    size_t n = unit_host.input ? MIN(strlen(unit_host.input), size) : 0;
    memcpy(buf, unit_host.input ? unit_host.input : "", n);
    if (unit_host.input)
        unit_host.input += n;
    return (long)n;
}

long port_write(int32_t handle, const void *buf, uint32_t size)
{
    if (!port_stream_allowed(handle, true))
        return -EBADF;
    unit_host.calls++;
    decide_result(size);
    if (unit_host.lies)
        return unit_host.lie;
    uint32_t n = MIN(size, (uint32_t)sizeof(unit_host.output) - unit_host.output_size);
    memcpy(unit_host.output + unit_host.output_size, buf, n);
    unit_host.output_size += n;
    return (long)size;
}

int port_window(void *window)
{
    decide_result(0);
    script_bytes(window, 8);
    return unit_host.lies ? (int)make_result() : -ENOTTY;
}

long port_socket(int family, int type)
{
    decide_result(5);
    if (unit_host.next_handle)
        return unit_host.next_handle;
    return make_result();
}
long port_bind(int32_t handle, const void *addr, uint32_t size)
{
    hear_address(addr, size, true);
    decide_result(0);
    return make_result();
}
long port_listen(int32_t handle, uint32_t backlog)
{
    decide_result(0);
    return make_result();
}
long port_accept(int32_t handle, void *addr, uint32_t *size)
{
    decide_result(7);
    fill_addr(addr, size);
    return make_result();
}
long port_connect(int32_t handle, const void *addr, uint32_t size)
{
    hear_address(addr, size, false);
    decide_result(0);
    return make_result();
}
long port_available(int32_t handle)
{
    decide_result(9);
    return make_result();
}
long port_send(int32_t handle, const void *buf, uint32_t size, const void *addr, uint32_t addr_size,
               bool more)
{
    hear_address(addr, addr_size, false);
    decide_result(size);
    return make_result();
}
long port_recv(int32_t handle, void *buf, uint32_t size, void *addr, uint32_t *addr_size, bool peek)
{
    decide_result(size);
    script_bytes(buf, size);
    fill_addr(addr, addr_size);
    if (unit_host.from)
        memcpy(addr, unit_host.from, *addr_size = 16);
    return make_result();
}
/* Rings: what the script says; without one there are none. */
uint32_t port_ring_put(struct port_ring *p, int32_t handle, const void *buf, uint32_t size,
                       bool more)
{
    return unit_host.script ? script_byte() * 16u % (size + 1) : 0;
}
uint32_t port_ring_take(struct port_ring *p, int32_t handle, void *buf, uint32_t size, bool peek,
                        enum port_left *left)
{
    if (!unit_host.script)
        return 0;
    uint32_t n = MIN(script_byte() * 16u, size);
    *left = script_byte() % 3u;
    if (buf)
        script_bytes(buf, n);
    return n;
}
bool port_ring_exists(int32_t handle)
{
    return unit_host.script;
}
bool port_ring_close(int32_t handle)
{
    return unit_host.script && script_byte() & 1;
}
long port_shutdown(int32_t handle, int how)
{
    decide_result(0);
    return make_result();
}
long port_name(int32_t handle, int what, void *addr, uint32_t *size)
{
    decide_result(0);
    fill_addr(addr, size);
    return make_result();
}
long port_sockopt_get(int32_t handle, int level, int name, void *value, uint32_t *size)
{
    decide_result(0);
    if (unit_host.lies)
        *size = unit_host.lie_size;
    return make_result();
}
long port_sockopt_set(int32_t handle, int level, int name, const void *value, uint32_t size)
{
    decide_result(0);
    return make_result();
}
void port_close(int32_t handle)
{
    unit_host.calls++;
}

void port_session_end(uint32_t session, uint32_t code, uint32_t signal)
{
}

int port_control(struct sh_control_request *request)
{
    unit_host.calls++;
    return -ENOSYS;
}
void port_answer(uint32_t id, int error, const char *text, uint32_t size)
{
    unit_host.calls++;
    unit_host.output_size = (uint32_t)snprintf(unit_host.output, sizeof(unit_host.output),
                                               "%u %d %.*s", id, error, (int)size, text);
}

void port_log(const char *text, uint32_t size)
{
    if (getenv("LIBOS_LOG"))
        fwrite(text, 1, size, stderr);
}

void port_exit(int status)
{
    fflush(stdout);
    _exit(status);
}

void port_stop(void)
{
    port_exit(125);
}

uint64_t port_clock(enum port_clock which)
{
    static const clockid_t ids[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID};
    struct timespec ts;
    if (unit_host.clock[which])
        return unit_host.clock[which];
    clock_gettime(ids[which], &ts);
    uint64_t now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
    if (unit_host.script) { /* back, or on a little: what jumps far makes sleepers sleep */
        uint8_t b = script_byte();
        return b & 1 ? (uint64_t)b << 20 : now + b;
    }
    return now;
}

/* Of whoever asks: near enough. */
uint64_t port_thread_clock(struct thread *t)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int port_random(void *buf, size_t size)
{
    return getrandom(buf, size, 0) == (ssize_t)size ? 0 : -EIO;
}

/* It is there. */
int port_lazy_load(void)
{
    return 0;
}

/* A made-up report: everything 0x5e but the data. */
long port_report(const uint8_t data[64], const void *target, void *report, uint32_t size)
{
    if (size < 432)
        return -EINVAL;
    memset(report, 0x5e, 432);
    memcpy((uint8_t *)report + 320, data, 64);
    return 432;
}

int port_seal_key(bool config, uint8_t key[16])
{
    memset(key, config ? 0xc5 : 0x5c, 16);
    return 0;
}

/* unit_host.quote as it stands, or a well-formed one of version 3. */
long port_quote(const uint8_t data[64], void *quote, uint32_t size)
{
    uint8_t report[432], *q = quote;
    uint32_t n = 48 + 384 + 4;
    port_report(data, NULL, report, sizeof(report));
    memset(quote, 0, size);
    unit_host.calls++;
    decide_result(size);
    script_bytes(quote, size);
    if (unit_host.quote) {
        n = MIN(unit_host.quote_size, size);
        memcpy(quote, unit_host.quote, n);
    } else {
        q[0] = 3;
        memcpy(q + 48, report, 384);
    }
    return claim_quote(quote, unit_host.lies ? unit_host.lie : (long)n, size, report);
}

long port_resolve(const char *name, struct port_address *out, uint32_t count)
{
    if (!count)
        return -EINVAL;
    memset(out, 0, sizeof(*out));
    decide_result(count);
    out->family = unit_host.lies ? (uint16_t)unit_host.lie_size : 2;
    return unit_host.lies ? make_result() : strcmp(name, "broker.test") ? -ENOENT : 1;
}

/* The way back to a program: there is none here. */
void los_resume(struct thread *t)
{
    abort();
}
