// SPDX-License-Identifier: Apache-2.0
// The lies of hostile.h: rules, what they change, and what is checked at each exit.
#include "tests/adversary/hostile.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX 16u
#define FIELDS_MAX 12u
#define BYTES_MAX 320u
#define ANY UINT64_MAX
#define START (UINT64_MAX - 1)
#define CANARY 0xc5
#define INTRUSIONS 400
#define RING_HANDLE 5

struct field {
    const char *name; /* of the tables below */
    uint64_t value, other;
    uint8_t bytes[BYTES_MAX];
    unsigned count;
};

struct rule {
    uint64_t where, from, to;
    _Atomic uint64_t seen;
    struct field fields[FIELDS_MAX];
    unsigned field_count;
};

static struct rule rules[RULES_MAX];
static unsigned rule_count;
static bool random_on;
static uint64_t random_state = 0x9e3779b97f4a7c15;
static struct sh_rings *rings; /* of the start block */
static pthread_mutex_t random_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool dirty;

/* Several threads may enter one TCS. Who comes in at CSSA 0 has it; who finds another's interrupt
 * there must leave, since to resume it would be to run on that one's stack. */
static _Atomic bool contested;
static __thread bool entering;
static __thread unsigned busy;

/* The loader's handler, which hostile_handler asks. */
typedef int next_fn(long rdi, long rsi, long rdx, long rsp, long r8, long r9,
                    struct sgx_enclave_run *run);
static next_fn *loaders_handler;

/* --- the rules ---------------------------------------------------------------------------------
 */

static const char *const numbers[] = {
    "result",       "size_a",   "size_b",      "signals",    "control",       "tsc",
    "monotonic",    "realtime", "skip",        "delay",      "race",          "twice",
    "dirty",        "random",   "slot",        "version",    "root",          "root_size",
    "manifest",     "launch",   "hwcap",       "cpu_count",  "manifest_size", "launch_size",
    "flags",        "tsc_hz",   "sites",       "sites_size", "rings",         "in_base",
    "in_put",       "in_dry",   "out_taken",   "error",      "storm",         "kicks",
    "shuffle",      "starve",   "data",        "data_size",  "stdout_taken",  "stdout_error",
    "stdout_storm", "uses",     "known_count", "uses_storm",
};

static bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    if (!strcmp(text, "min") || !strcmp(text, "max") || !strcmp(text, "umax")) {
        *value = *text == 'u' ? UINT64_MAX : text[1] == 'i' ? 1ull << 63 : INT64_MAX;
        return true;
    }
    errno = 0;
    *value = *text == '-' ? (uint64_t)strtoll(text, &end, 0) : strtoull(text, &end, 0);
    return !errno && end != text && !*end;
}

static bool parse_bytes(const char *text, struct field *f)
{
    size_t n = strlen(text);
    if (!n || n % 2 || n / 2 > BYTES_MAX)
        return false;
    for (f->count = 0; f->count < n / 2; f->count++) {
        if (sscanf(text + 2 * f->count, "%2hhx", &f->bytes[f->count]) != 1)
            return false;
    }
    return true;
}

static bool parse_field(char *text, struct field *f)
{
    char *value = strchr(text, '=');
    if (!value)
        return false;
    *value++ = 0;
    f->name = text;
    if (!strcmp(text, "a") || !strcmp(text, "b") || !strcmp(text, "in"))
        return parse_bytes(value, f);
    if (!strcmp(text, "swap") || !strcmp(text, "flicker")) {
        unsigned long long a, b;
        bool good = sscanf(value, "%llu.%llu", &a, &b) == 2;
        f->value = a;
        f->other = b;
        return good;
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (!strcmp(text, numbers[i]))
            return parse_number(value, &f->value);
    }
    return false;
}

static bool parse_where(char *text, struct rule *r)
{
    char *at = strchr(text, '#');
    r->from = 1;
    r->to = UINT64_MAX;
    if (at) {
        *at++ = 0;
        size_t n = strlen(at);
        bool on = n && at[n - 1] == '+';
        if (on)
            at[n - 1] = 0;
        if (!parse_number(at, &r->from))
            return false;
        r->to = on ? UINT64_MAX : r->from;
    }
    if (!strcmp(text, "start"))
        r->where = START;
    else if (!strcmp(text, "any"))
        r->where = ANY;
    else
        return parse_number(text, &r->where);
    return true;
}

static bool parse_rule(char *text, struct rule *r)
{
    char *save, *fields = strchr(text, ':');
    if (!fields)
        return false;
    *fields++ = 0;
    if (!parse_where(text, r))
        return false;
    for (char *f = strtok_r(fields, ",", &save); f; f = strtok_r(NULL, ",", &save)) {
        if (r->field_count == FIELDS_MAX || !parse_field(f, &r->fields[r->field_count++]))
            return false;
    }
    return r->field_count > 0;
}

static const struct field *field(const struct rule *r, const char *name)
{
    for (unsigned i = 0; i < r->field_count; i++) {
        if (!strcmp(r->fields[i].name, name))
            return &r->fields[i];
    }
    return NULL;
}

int hostile_init(const char *spec, struct sh_error *err)
{
    char *save, *text = strdup(spec); /* the rules point into it */
    for (char *r = text ? strtok_r(text, ";", &save) : NULL; r; r = strtok_r(NULL, ";", &save)) {
        if (rule_count == RULES_MAX || !parse_rule(r, &rules[rule_count]))
            return sh_fail(err, -EINVAL, "--hostile has no rule like '%s'", r);
        const struct field *seed = field(&rules[rule_count++], "random");
        if (seed) {
            random_on = true;
            random_state = seed->value * 2 + 1;
        }
    }
    return rule_count ? 0 : sh_fail(err, -EINVAL, "--hostile has no rule");
}

/* --- chance ------------------------------------------------------------------------------------
 */

static uint64_t chance(uint64_t below)
{
    pthread_mutex_lock(&random_lock);
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    uint64_t v = random_state * 0x2545f4914f6cdd1dull;
    pthread_mutex_unlock(&random_lock);
    return below ? (v >> 11) % below : v;
}

static uint64_t some_number(uint64_t now)
{
    static const uint64_t list[] = {0,
                                    1,
                                    2,
                                    3,
                                    7,
                                    8,
                                    100,
                                    4095,
                                    4096,
                                    65535,
                                    65536,
                                    65537,
                                    1u << 31,
                                    UINT32_MAX,
                                    1ull << 32,
                                    SH_ENCLAVE_IMAGE,
                                    SH_ENCLAVE_SIZE - 1,
                                    INT64_MAX,
                                    1ull << 63,
                                    UINT64_MAX,
                                    (uint64_t)-EINTR,
                                    (uint64_t)-EAGAIN,
                                    (uint64_t)-ENOMEM,
                                    (uint64_t)-133,
                                    (uint64_t)-134,
                                    (uint64_t)-512,
                                    (uint64_t)-4095,
                                    (uint64_t)-4096};
    uint64_t n = sizeof(list) / sizeof(list[0]), k = chance(n + 3);
    return k < n ? list[k] : k == n ? chance(0) : k == n + 1 ? now + chance(17) - 8 : now;
}

/* Calls that may be answered without being carried out: the enclave finds out, or need not know. */
static bool may_omit(uint64_t call)
{
    return call == SH_CALL_WAKE || call == SH_CALL_KICK || call == SH_CALL_FLUSH ||
           call == SH_CALL_CLOSE || call == SH_CALL_REMOVE;
}

/* Calls whose result, if it is wrong, a program waits for by right. */
static bool must_happen(uint64_t call)
{
    return call == SH_CALL_EXIT || call == SH_CALL_WAKE || call == SH_CALL_KICK ||
           call == SH_CALL_THREAD || call == SH_CALL_CONTROL;
}

static void spoil(struct sh_slot *s, uint64_t call)
{
    uint64_t kinds = 1 + chance(3);
    for (; kinds; kinds--) {
        switch (chance(must_happen(call) ? 4 : 8)) {
        case 0:
            s->size_a = some_number(s->size_a);
            break;
        case 1:
            s->size_b = some_number(s->size_b);
            break;
        case 2: { /* not those that end the program by right */
            const uint64_t deadly = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 8 | 1 << 14;
            __atomic_fetch_or(&s->signals, chance(0) & ~deadly, __ATOMIC_SEQ_CST);
            break;
        }
        case 3: /* hours, not for ever: at the end of time nothing would ever be due */
            s->tsc = some_number(s->tsc);
            s->monotonic = s->monotonic / 2 + chance(1ull << 45);
            s->realtime = s->realtime / 2 + chance(1ull << 45);
            break;
        case 4:
            for (uint64_t n = chance(600); n; n--)
                s->b[chance(64)] = (uint8_t)chance(256);
            break;
        case 5:
            for (uint64_t n = chance(64); n; n--)
                s->a[chance(1024)] = (uint8_t)chance(256);
            break;
        case 6: /* a word of the host in a ring */
            if (rings) {
                uint64_t *word = &rings->ring[chance(10)].in_base + chance(5);
                *word = some_number(*word);
            }
            break;
        default:
            if (call != SH_CALL_CLOCK)
                s->result = (int64_t)some_number((uint64_t)s->result);
        }
    }
}

/* --- other threads -----------------------------------------------------------------------------
 */

static void start_thread(void *(*run)(void *), void *arg)
{
    pthread_t id;
    if (pthread_create(&id, NULL, run, arg) == 0)
        pthread_detach(id);
}

/* Writes what the enclave reads, between two of its reads. */
static void *racer(void *arg)
{
    struct sh_slot *s = arg;
    for (uint64_t n = 0;; n++) {
        *(volatile int64_t *)&s->result = n & 1 ? 8 : INT64_MAX;
        *(volatile uint64_t *)&s->size_a = n & 1 ? 8 : UINT64_MAX;
        *(volatile uint64_t *)&s->size_b = n & 1 ? 16 : UINT64_MAX;
        *(volatile uint64_t *)&s->tsc = n * 0x123456789;
        if (n % 4096 == 0)
            usleep(1);
    }
    return NULL;
}

/* The words of the host in the ring of RING_HANDLE. */

static void *storm(void *arg)
{
    static const uint64_t list[] = {0, 1, 8, 4095, 65407, 65408, 65536, 1ull << 32, UINT64_MAX - 7};
    struct sh_ring *r = &rings->ring[RING_HANDLE];
    for (uint64_t n = 0;; n++) {
        *(volatile uint64_t *)&r->in_base = list[n % 9];
        *(volatile uint64_t *)&r->in_put = list[n / 9 % 9];
        *(volatile uint64_t *)&r->in_dry = list[n / 81 % 9];
        *(volatile uint64_t *)&r->out_taken = list[n / 729 % 9];
        if (n % 4096 == 0)
            usleep(1);
    }
    return NULL;
}

/* Those in the ring of the standard output. */
static void *storm_output(void *arg)
{
    static const uint64_t list[] = {0, 1, 8, 4095, 65535, 65536, 1ull << 32, UINT64_MAX - 7};
    struct sh_ring *r = &rings->ring[1];
    for (uint64_t n = 0;; n++) {
        *(volatile uint64_t *)&r->error = n / 8 % 3 == 2;
        *(volatile uint64_t *)&r->out_taken = list[n % 8];
        if (n % 4096 == 0)
            usleep(1);
    }
    return NULL;
}

/* Kicks every thread, all the time. */
static void *kicker(void *arg)
{
    for (;;) {
        for (struct loader_thread *t = loader.threads; t; t = t->next)
            loader_thread_kick(t);
        usleep(1000);
    }
    return NULL;
}

static void change_ring(const struct field *f)
{
    static const struct {
        const char *name;
        size_t at;
    } words[] = {
        {"in_base", RING_HANDLE * sizeof(struct sh_ring) + offsetof(struct sh_ring, in_base)},
        {"in_put", RING_HANDLE * sizeof(struct sh_ring) + offsetof(struct sh_ring, in_put)},
        {"in_dry", RING_HANDLE * sizeof(struct sh_ring) + offsetof(struct sh_ring, in_dry)},
        {"out_taken", RING_HANDLE * sizeof(struct sh_ring) + offsetof(struct sh_ring, out_taken)},
        {"error", RING_HANDLE * sizeof(struct sh_ring) + offsetof(struct sh_ring, error)},
        {"stdout_taken", sizeof(struct sh_ring) + offsetof(struct sh_ring, out_taken)},
        {"stdout_error", sizeof(struct sh_ring) + offsetof(struct sh_ring, error)},
    };
    if (rings && !strcmp(f->name, "in"))
        memcpy(rings->ring[RING_HANDLE].in, f->bytes, f->count);
    for (size_t i = 0; rings && i < sizeof(words) / sizeof(words[0]); i++) {
        if (!strcmp(f->name, words[i].name))
            memcpy((uint8_t *)rings->ring + words[i].at, &f->value, sizeof(f->value));
    }
}

static void *intruder(void *arg)
{
    struct loader_thread *t = arg;
    for (int i = 0; i < INTRUSIONS; i++) {
        loader_thread_run(t);
        usleep(200);
    }
    return NULL;
}

/* Of a copy, which the loader does not give back. */
static uint8_t *root_block(struct sh_start *s, uint64_t n)
{
    static uint8_t *copy;
    if (!copy) {
        copy = malloc(s->root_size);
        if (!copy)
            abort();
        memcpy(copy, (const void *)s->root, s->root_size);
        s->root = (uint64_t)copy;
    }
    return copy + n * 4096;
}

static uint8_t *flicker_a, *flicker_b;

static void *flicker(void *arg)
{
    uint64_t a[512], b[512];
    memcpy(a, flicker_a, 4096);
    memcpy(b, flicker_b, 4096);
    for (uint64_t n = 0;; n++) {
        memcpy(flicker_a, n & 1 ? a : b, 4096);
        memcpy(flicker_b, n & 1 ? b : a, 4096);
        if (n % 64 == 0)
            usleep(1);
    }
    return NULL;
}

/* --- what the enclave finds --------------------------------------------------------------------
 */

/* | guard | slot | guard | the slot as the enclave found it | */
#define SLOT_SIZE ((sizeof(struct sh_slot) + 4095) & ~4095ul)

static uint8_t *shadow(const struct sh_slot *s)
{
    return (uint8_t *)s + SLOT_SIZE + 4096;
}

struct sh_slot *hostile_slot(void)
{
    uint8_t *p = mmap(NULL, 2 * SLOT_SIZE + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sh_slot *s = (struct sh_slot *)(p + 4096);
    if (p == MAP_FAILED || mprotect(s, SLOT_SIZE, PROT_READ | PROT_WRITE) ||
        mprotect(shadow(s), SLOT_SIZE, PROT_READ | PROT_WRITE))
        return NULL;
    memset(s->a, CANARY, SLOT_SIZE - offsetof(struct sh_slot, a));
    memcpy(shadow(s), s, SLOT_SIZE);
    return s;
}

/* RDI at the first entry. */
static uint64_t slot_address(const struct loader_thread *t)
{
    for (unsigned i = 0; i < rule_count; i++) {
        const struct field *f = field(&rules[i], "slot");
        if (f)
            return f->value;
    }
    return (uint64_t)t->slot;
}

static void change_start(struct sh_start *s, const struct field *f)
{
    static const struct {
        const char *name;
        size_t at;
    } words[] = {
        {"version", offsetof(struct sh_start, version)},
        {"root", offsetof(struct sh_start, root)},
        {"root_size", offsetof(struct sh_start, root_size)},
        {"manifest", offsetof(struct sh_start, manifest)},
        {"manifest_size", offsetof(struct sh_start, manifest_size)},
        {"launch", offsetof(struct sh_start, launch)},
        {"launch_size", offsetof(struct sh_start, launch_size)},
        {"hwcap", offsetof(struct sh_start, hwcap)},
        {"cpu_count", offsetof(struct sh_start, cpu_count)},
        {"flags", offsetof(struct sh_start, flags)},
        {"sites", offsetof(struct sh_start, sites)},
        {"sites_size", offsetof(struct sh_start, sites_size)},
        {"tsc_hz", offsetof(struct sh_start, tsc_hz)},
        {"rings", offsetof(struct sh_start, rings)},
        {"uses", offsetof(struct sh_start, uses)},
        {"known_count", offsetof(struct sh_start, known_count)},
        {"data", offsetof(struct sh_start, data[0].at)},
        {"data_size", offsetof(struct sh_start, data[0].size)},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!strcmp(f->name, words[i].name))
            memcpy((uint8_t *)s + words[i].at, &f->value, sizeof(f->value));
    }
}

/* What this run uses, and what lies beside, as if earlier ones had: in no order, and never at rest.
 */
static void *uses_storm(void *arg)
{
    struct sh_uses *u = arg;
    for (;;) {
        volatile uint64_t *word = &u->known[chance(SH_USES_MAX)];
        *word = chance(8) ? u->used[chance(SH_USES_MAX)] + chance(3) - 1 : some_number(0);
    }
    return NULL;
}

static void change_uses(struct sh_start *s)
{
    struct sh_uses *u = calloc(1, sizeof(*u));
    s->uses = (uint64_t)u;
    s->known_count = SH_USES_MAX;
    start_thread(uses_storm, u);
}

static void change_root(struct sh_start *s, const struct field *f)
{
    uint8_t copy[4096], *a = root_block(s, f->value), *b = root_block(s, f->other);
    if (!strcmp(f->name, "flicker")) {
        flicker_a = a;
        flicker_b = b;
        start_thread(flicker, NULL);
        return;
    }
    memcpy(copy, a, 4096);
    memcpy(a, b, 4096);
    memcpy(b, copy, 4096);
}

static void change_slot(struct sh_slot *s, const struct field *f)
{
    static const struct {
        const char *name;
        size_t at;
    } words[] = {
        {"result", offsetof(struct sh_slot, result)},
        {"size_a", offsetof(struct sh_slot, size_a)},
        {"size_b", offsetof(struct sh_slot, size_b)},
        {"signals", offsetof(struct sh_slot, signals)},
        {"control", offsetof(struct sh_slot, control)},
        {"tsc", offsetof(struct sh_slot, tsc)},
        {"monotonic", offsetof(struct sh_slot, monotonic)},
        {"realtime", offsetof(struct sh_slot, realtime)},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!strcmp(f->name, words[i].name))
            memcpy((uint8_t *)s + words[i].at, &f->value, sizeof(f->value));
    }
    for (size_t i = 0; f->count && f->name[1] == 0 && i < SH_SLOT_A_SIZE; i++) {
        if (f->name[0] == 'a')
            s->a[i] = f->bytes[i % f->count];
        else if (i < SH_SLOT_B_SIZE)
            s->b[i] = f->bytes[i % f->count];
    }
}

void hostile_start(struct sh_slot *slot)
{
    struct sh_start *start = (struct sh_start *)slot->a;
    rings = (struct sh_rings *)start->rings;
    for (unsigned i = 0; i < rule_count; i++) {
        for (unsigned k = 0; rules[i].where == START && k < rules[i].field_count; k++) {
            const struct field *f = &rules[i].fields[k];
            if (!strcmp(f->name, "swap") || !strcmp(f->name, "flicker"))
                change_root(start, f);
            else if (!strcmp(f->name, "dirty"))
                dirty = true;
            else if (!strcmp(f->name, "uses_storm"))
                change_uses(start);
            change_start(start, f);
        }
    }
    memcpy(shadow(slot), slot, SLOT_SIZE);
}

/* --- calls -------------------------------------------------------------------------------------
 */

static _Noreturn void leak(const char *what, uint64_t which, uint64_t value)
{
    dprintf(2, "hostile: %s %llu leaves the enclave with %#llx\n", what, (unsigned long long)which,
            (unsigned long long)value);
    _exit(SH_HOSTILE_LEAK);
}

static uint64_t up8(uint64_t n)
{
    return (n + 7) & ~7ull;
}

static void check_part(const struct sh_slot *s, const char *what, const uint8_t *from,
                       const uint8_t *to)
{
    const uint8_t *was = shadow(s) + (from - (const uint8_t *)s);
    for (; from < to; from++, was++) {
        if (*from != *was)
            leak(what, (uint64_t)(from - (const uint8_t *)s), *from);
    }
}

/* The enclave wrote as many bytes as it says, up to the next word, and nothing else. */
static void check_slot(const struct sh_slot *s)
{
    if (s->size_a > SH_SLOT_A_SIZE || s->size_b > SH_SLOT_B_SIZE)
        leak("a size of call", s->call, s->size_a);
    check_part(s, "buffer A at", s->a + up8(s->size_a), s->a + SH_SLOT_A_SIZE);
    check_part(s, "buffer B at", s->b + up8(s->size_b), (const uint8_t *)s + SLOT_SIZE);
    check_part(s, "word at", (const uint8_t *)&s->tsc, s->a);
}

/* What was queued in a ring that has been used once: no byte beyond, up to the next word. */
static void check_ring(void)
{
    const struct sh_ring *r = rings ? &rings->ring[RING_HANDLE] : NULL;
    uint64_t put = r ? r->out_put : 0;
    if (!put || put > SH_RING_OUT || r->out_base)
        return;
    for (uint64_t i = up8(put); i < SH_RING_OUT; i++) {
        if (r->out[i])
            leak("ring at", i, r->out[i]);
    }
    for (unsigned i = 0; i < 3; i++) {
        if (r->zero2[i] || r[1].zero2[i])
            leak("ring word", i, r->zero2[i] | r[1].zero2[i]);
    }
}

/* Who lies about the time and loses wake-ups must not let anybody sleep by it: then the enclave
 * still ends, or it is at fault. */
static void wake_early(struct sh_slot *s)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    uint64_t soon = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec + 20000000;
    if (s->args[0] > soon)
        s->args[0] = soon;
}

static void apply(struct rule *r, struct loader_thread *t, void (*serve)(struct loader_thread *t))
{
    static struct loader_thread *starved; /* who called first */
    const struct field *delay = field(r, "delay"), *shuffle = field(r, "shuffle"),
                       *starve = field(r, "starve");
    if (random_on && (t->slot->call == SH_CALL_WAIT || t->slot->call == SH_CALL_POLL))
        wake_early(t->slot);
    /* Denied and started all the same: it is let in nowhere. */
    if (t->slot->call == SH_CALL_THREAD && (field(r, "result") || random_on))
        contested = true;
    bool omit = random_on && may_omit(t->slot->call) && chance(16) == 0;
    if (field(r, "skip") || omit)
        t->slot->result = 0;
    else
        serve(t);
    for (unsigned i = 0; i < r->field_count; i++)
        change_slot(t->slot, &r->fields[i]), change_ring(&r->fields[i]);
    if (field(r, "storm"))
        start_thread(storm, NULL);
    if (rings && field(r, "stdout_storm"))
        start_thread(storm_output, NULL);
    if (field(r, "kicks"))
        start_thread(kicker, NULL);
    if (field(r, "race"))
        start_thread(racer, t->slot);
    if (field(r, "twice")) {
        contested = true;
        start_thread(intruder, t);
    }
    if (field(r, "dirty"))
        dirty = true;
    if (delay)
        usleep((useconds_t)delay->value);
    if (shuffle)
        usleep((useconds_t)chance(shuffle->value));
    if (starve && !starved)
        starved = t;
    if (starve && starved == t)
        usleep((useconds_t)starve->value);
}

static void answer(struct loader_thread *t, void (*serve)(struct loader_thread *t))
{
    uint64_t call = t->slot->call;
    for (unsigned i = 0; i < rule_count; i++) {
        struct rule *r = &rules[i];
        if (r->where != call && r->where != ANY)
            continue;
        uint64_t n = ++r->seen;
        if (n >= r->from && n <= r->to) {
            apply(r, t, serve);
            if (random_on && chance(8) == 0)
                spoil(t->slot, call);
            return;
        }
    }
    serve(t);
}

void hostile_call(struct loader_thread *t, void (*serve)(struct loader_thread *t))
{
    static _Atomic bool racing;
    for (unsigned i = 0; i < rule_count; i++)
        racing = racing || field(&rules[i], "race") || field(&rules[i], "twice");
    if (!racing)
        check_slot(t->slot), check_ring();
    answer(t, serve);
    memcpy(shadow(t->slot), t->slot, SLOT_SIZE);
}

/* --- entries and exits -------------------------------------------------------------------------
 */

/* As hostile_handler leaves them on its stack. */
struct exit_state {
    uint64_t rdi, rsi, rdx, r8, r9, r10, r11, r12, r13, r14, r15;
};

/* Every register that is the enclave's at EEXIT; RAX, RBX, RCX, RSP and RBP are the host's own. */
static void check_exit(const struct exit_state *e, const uint8_t *xsave, uint64_t out)
{
    const uint64_t *r = &e->rsi;
    for (unsigned i = 0; i < 10; i++) {
        if (r[i])
            leak("register", i, r[i]);
    }
    /* At CSSA 1 the vector state is the host's, as it entered. */
    if (out == SH_OUT_RESUME || out == SH_OUT_REFUSED || out == SH_OUT_BROKEN)
        return;
    for (unsigned at = 8; at < 160 + 256; at = at == 23 ? 32 : at + 1) { /* x87, XMM; not MXCSR */
        if (xsave[at])
            leak("byte of the vector state", at, xsave[at]);
    }
    for (unsigned at = 576; (xsave[512] & 4) && at < 576 + 256; at++) { /* upper halves of YMM */
        if (xsave[at])
            leak("byte of the vector state", at, xsave[at]);
    }
}

/* Called by hostile_handler; bit 32 of the result: make the registers dirty. */
__attribute__((used)) static uint64_t at_exit(const struct exit_state *e, const uint8_t *xsave,
                                              struct sgx_enclave_run *run)
{
    if (run->function == SGX_EEXIT)
        check_exit(e, xsave, e->rdi);
    int next = loaders_handler((long)e->rdi, 0, 0, 0, 0, 0, run);
    return (uint32_t)next | (dirty && next > 0 ? 1ull << 32 : 0);
}

/* The C side wants DF and AC clear, x87 and SSE masked; the enclave gets them as a host likes. */
__attribute__((naked)) static int hostile_handler(long rdi, long rsi, long rdx, long rsp, long r8,
                                                  long r9, struct sgx_enclave_run *run)
{
    __asm__("push %rbp\n\t"
            "mov %rsp, %rbp\n\t" /* 8: return address, 16: run */
            "push %rbx\n\t"
            "push %r12\n\t"
            "push %r13\n\t"
            "push %r14\n\t"
            "push %r15\n\t"
            "push %rbp\n\t" /* -48: room for control words */
            "push %r15\n\t"
            "push %r14\n\t"
            "push %r13\n\t"
            "push %r12\n\t"
            "push %r11\n\t"
            "push %r10\n\t"
            "push %r9\n\t"
            "push %r8\n\t"
            "push %rdx\n\t"
            "push %rsi\n\t"
            "push %rdi\n\t"
            "mov %rsp, %rbx\n\t"
            "pushfq\n\t"
            "andq $~0x40400, (%rsp)\n\t"
            "popfq\n\t"
            "and $-64, %rsp\n\t"
            "sub $4096, %rsp\n\t"
            "mov %rsp, %rdi\n\t"
            "mov $512, %ecx\n\t"
            "xor %eax, %eax\n\t"
            "rep stosq\n\t"
            "mov $7, %eax\n\t"
            "xor %edx, %edx\n\t"
            "xsave64 (%rsp)\n\t"
            "fninit\n\t"
            "movl $0x1f80, -48(%rbp)\n\t"
            "ldmxcsr -48(%rbp)\n\t"
            "mov %rbx, %rdi\n\t"
            "mov %rsp, %rsi\n\t"
            "mov 16(%rbp), %rdx\n\t"
            "call at_exit\n\t"
            "bt $32, %rax\n\t"
            "jnc 1f\n\t"
            "movl $0x6000, -48(%rbp)\n\t" /* SSE: nothing masked, rounds to zero */
            "ldmxcsr -48(%rbp)\n\t"
            "movl $0x0c40, -48(%rbp)\n\t" /* x87: nothing masked, single precision, to zero */
            "fldcw -48(%rbp)\n\t"
            "fldz\n\t"
            "fldz\n\t"
            "fldz\n\t"
            "fldz\n\t"
            "fldz\n\t"
            "fldz\n\t"
            "fldz\n\t"
            "fldz\n\t"
            "pcmpeqd %xmm0, %xmm0\n\t"
            "pcmpeqd %xmm7, %xmm7\n\t"
            "pcmpeqd %xmm15, %xmm15\n\t"
            "1:\n\t"
            "mov %rax, %rcx\n\t"
            "lea -40(%rbp), %rsp\n\t"
            "pop %r15\n\t"
            "pop %r14\n\t"
            "pop %r13\n\t"
            "pop %r12\n\t"
            "pop %rbx\n\t"
            "leave\n\t"
            "bt $32, %rcx\n\t"
            "jnc 2f\n\t"
            "movabs $0x5ec2e75ec2e75ec2, %r8\n\t"
            "mov %r8, %r9\n\t"
            "mov %r8, %r10\n\t"
            "mov %r8, %r11\n\t"
            "mov %r8, %rdx\n\t"
            "mov %r8, %rsi\n\t"
            "pushfq\n\t"
            "orq $0x40400, (%rsp)\n\t"
            "popfq\n\t"
            "2:\n\t"
            "mov %ecx, %eax\n\t"
            "ret\n\t");
}

int hostile_enter(struct loader_thread *t, struct sgx_enclave_run *run)
{
    if (!contested)
        t->tid = (int)syscall(SYS_gettid);
    loaders_handler = (next_fn *)run->user_handler;
    run->user_handler = (uint64_t)hostile_handler;
    entering = true;
    return sgx_enter(loader.enclave.driver->entry(), run, SGX_EENTER, slot_address(t), 0, 0);
}

bool hostile_contested(struct loader_thread *t, uint64_t out, const struct sgx_enclave_run *run,
                       int *next)
{
    if (!contested) { /* a kick is no other's interrupt */
        entering = false;
        return false;
    }
    bool faulted = run->function == SGX_EENTER && run->exception_vector == SGX_VECTOR_GP;
    if (faulted && (entering || !t->kicked) && ++busy < 1000) {
        usleep(20);
        *next = SGX_EENTER;
        return true;
    }
    bool lost = (faulted && entering) || (run->function == SGX_EEXIT && entering &&
                                          (out == SH_OUT_RESUME || out == SH_OUT_REFUSED));
    *next = 0;
    if (lost)
        loader_thread_wake(t); /* it may have taken a wake-up with it */
    if (!lost && entering) {
        t->tid = (int)syscall(SYS_gettid);
        busy = 0;
    }
    entering = run->function == SGX_EEXIT && out == SH_OUT_CALL;
    return lost;
}
