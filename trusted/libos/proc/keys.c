// SPDX-License-Identifier: Apache-2.0
// Keyrings (keyrings(7)): keys in memory that a process possesses, and passes on to its children.
// Nothing makes a key that is not there: request_key only finds.
#include <linux/keyctl.h>

#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/proc/keys.h"
#include "trusted/libos/time/time.h"

#define KEYS_MAX 4096u /* of all; RING_MAX in one ring */
#define RING_MAX 1024u
#define NEST_MAX 6u
#define PAYLOAD_MAX 32767u
#define TEXT_MAX 4096u
#define NOBODY 65534u
#define VIEW 1u
#define READ 2u
#define WRITE 4u
#define SEARCH 8u
#define LINK 16u
#define SETATTR 32u
#define PERM_ALL 0x3f3f3f3fu
#define PERM_OWN 0x3f010000u     /* all to who possesses it, to see it to who owns it */
#define PERM_USER 0x1f3f0000u    /* rings of users */
#define PERM_SESSION 0x3f030000u /* nameless ones */
#define PERM_NAMED 0x3f130000u

enum key_type { USER, LOGON, BIG_KEY, KEYRING, TYPES };
static const char *const type_names[TYPES] = {"user", "logon", "big_key", "keyring"};

struct key {
    struct list node; /* of all */
    uint32_t refs;
    int32_t serial;
    enum key_type type;
    char *description;
    uint32_t uid, gid, perm;
    bool revoked;
    uint64_t expires; /* 0: never */
    uint8_t *payload;
    uint32_t size;
    struct key **links; /* of a ring */
    uint32_t count;
};

static struct list all = {&all, &all};
static uint32_t key_count;

static struct key *key_get(struct key *k)
{
    k->refs++;
    return k;
}

/* A ring's keys are let go one after another; rings in it wait in a list of those that are over. */
static void release_key(struct key *k)
{
    static struct list over = {&over, &over};
    if (!k || --k->refs)
        return;
    list_remove(&k->node);
    list_append(&over, &k->node);
    while (!list_empty(&over)) {
        struct key *gone = container_of(over.next, struct key, node);
        list_remove(&gone->node);
        for (uint32_t i = 0; i < gone->count; i++) {
            if (--gone->links[i]->refs)
                continue;
            list_remove(&gone->links[i]->node);
            list_append(&over, &gone->links[i]->node);
        }
        if (gone->payload)
            memset(gone->payload, 0, gone->size);
        los_free(gone->payload);
        los_free(gone->links);
        los_free(gone->description);
        los_free(gone);
        key_count--;
    }
}

static struct key *find_serial(int32_t serial)
{
    list_each(struct key, k, &all, node) {
        if (k->serial == serial)
            return k;
    }
    return NULL;
}

/* Without references yet. NULL: no memory, or too many. */
static struct key *make_key(enum key_type type, const char *description, uint32_t perm)
{
    struct key *k = key_count < KEYS_MAX ? los_alloc(sizeof(*k)) : NULL;
    if (!k || !(k->description = los_strdup(description))) {
        los_free(k);
        return NULL;
    }
    k->type = type;
    k->uid = current()->fsuid;
    k->gid = current()->fsgid;
    k->perm = perm;
    do {
        if (port_random(&k->serial, sizeof(k->serial)))
            stop("no random numbers");
        k->serial &= INT32_MAX;
    } while (k->serial < 3 || find_serial(k->serial));
    list_append(&all, &k->node);
    key_count++;
    return k;
}

static bool is_expired(const struct key *k)
{
    return k->expires && clock_now() >= k->expires;
}

/* 0, or why it is of no use any more. */
static int check_alive(const struct key *k)
{
    return k->revoked ? -EKEYREVOKED : is_expired(k) ? -EKEYEXPIRED : 0;
}

/* ---- who may ---- */

static bool is_allowed(const struct key *k, uint32_t need, bool possessed)
{
    const struct process *p = current();
    uint32_t mine = k->perm;
    if (k->uid == p->fsuid)
        mine = k->perm >> 16;
    else if ((k->perm >> 8 & 63) && in_group(k->gid))
        mine = k->perm >> 8;
    if (possessed)
        mine |= k->perm >> 24;
    return (mine & need) == need;
}

/* What is looked for below a ring: one key, or a type and description. */
struct wanted {
    const struct key *key;
    enum key_type type;
    const char *description;
    int error; /* why one that fits cannot be had: the most telling */
};

static bool fits_wanted(const struct key *k, const struct wanted *w)
{
    return w->key ? k == w->key : k->type == w->type && !strcmp(k->description, w->description);
}

static bool take_candidate(const struct key *k, struct wanted *w, bool possessed)
{
    if (!fits_wanted(k, w))
        return false;
    int e = w->key ? 0 : check_alive(k);
    if (!e && !w->key && !is_allowed(k, SEARCH, possessed))
        e = -EACCES;
    if (e)
        w->error = e;
    return !e;
}

/* Below `ring`, in rings that may be searched, to a depth of NEST_MAX. */
static struct key *search_ring(struct key *ring, struct wanted *w, bool possessed)
{
    struct {
        const struct key *ring;
        uint32_t at;
    } way[NEST_MAX] = {{ring, 0}};
    unsigned depth = 1;
    if (take_candidate(ring, w, possessed))
        return ring;
    if (ring->type != KEYRING || check_alive(ring))
        return NULL;
    for (uint32_t steps = 0; depth && steps < KEYS_MAX; steps++) {
        if (way[depth - 1].at == way[depth - 1].ring->count) {
            depth--;
            continue;
        }
        struct key *k = way[depth - 1].ring->links[way[depth - 1].at++];
        if (take_candidate(k, w, possessed))
            return k;
        if (k->type == KEYRING && depth < NEST_MAX && !check_alive(k) &&
            is_allowed(k, SEARCH, possessed)) {
            way[depth].ring = k;
            way[depth++].at = 0;
        }
    }
    return NULL;
}

/* In the rings that the caller has. */
static struct key *search_own(struct wanted *w)
{
    struct key *const own[] = {self()->keyring, current()->keyring, current()->session_keyring};
    for (unsigned i = 0; i < ARRAY_COUNT(own); i++) {
        struct key *k = own[i] ? search_ring(own[i], w, true) : NULL;
        if (k)
            return k;
    }
    return NULL;
}

/* ---- rings of users, sessions, processes, threads ---- */

/* A user's ring, made when it is first asked for; it stays. */
static struct key *user_ring(const char *format)
{
    char name[32];
    fmt(name, sizeof(name), format, current()->uid);
    list_each(struct key, k, &all, node) {
        if (k->type == KEYRING && k->uid == current()->uid && !strcmp(k->description, name))
            return k;
    }
    struct key *k = make_key(KEYRING, name, PERM_USER);
    if (k) {
        k->uid = current()->uid;
        k->gid = UINT32_MAX;
        key_get(k);
    }
    return k;
}

static struct key *own_ring(struct key **place, const char *name, uint32_t perm, bool make)
{
    if (!*place && make && (*place = make_key(KEYRING, name, perm)))
        key_get(*place);
    return *place;
}

static struct key *session_ring(bool make)
{
    struct process *p = current();
    if (p->session_keyring)
        return p->session_keyring;
    if (make)
        return own_ring(&p->session_keyring, "_ses", PERM_SESSION, true);
    struct key *of_user = user_ring("_uid_ses.%u");
    return of_user ? p->session_keyring = key_get(of_user) : NULL;
}

static int find_special(int32_t id, bool make, struct key **out)
{
    switch (id) {
    case KEY_SPEC_THREAD_KEYRING:
        *out = own_ring(&self()->keyring, "_tid", PERM_OWN, make);
        break;
    case KEY_SPEC_PROCESS_KEYRING:
        *out = own_ring(&current()->keyring, "_pid", PERM_OWN, make);
        break;
    case KEY_SPEC_SESSION_KEYRING:
        *out = session_ring(make);
        return *out ? 0 : -ENOMEM;
    case KEY_SPEC_USER_KEYRING:
        *out = user_ring("_uid.%u");
        return *out ? 0 : -ENOMEM;
    case KEY_SPEC_USER_SESSION_KEYRING:
        *out = user_ring("_uid_ses.%u");
        return *out ? 0 : -ENOMEM;
    case KEY_SPEC_REQKEY_AUTH_KEY:
        return -ENOKEY;
    default:
        return -EINVAL;
    }
    return *out ? 0 : make ? -ENOMEM : -ENOKEY;
}

struct found {
    struct key *key;
    bool possessed;
};

#define ANY_STATE 1u /* flags of find_key */
#define MAKE 2u

/* The key that a program names, and may use so. */
static int find_key(int32_t id, uint32_t flags, uint32_t need, struct found *f)
{
    *f = (struct found){.possessed = true};
    if (id < 0) {
        int r = find_special(id, flags & MAKE, &f->key);
        if (r)
            return r;
    } else {
        f->key = id ? find_serial(id) : NULL;
        if (!f->key)
            return id ? -ENOKEY : -EINVAL;
        struct wanted w = {.key = f->key};
        f->possessed = search_own(&w) != NULL;
    }
    int r = flags & ANY_STATE ? 0 : check_alive(f->key);
    return r ? r : is_allowed(f->key, need, f->possessed) ? 0 : -EACCES;
}

static int find_ring(int32_t id, uint32_t flags, uint32_t need, struct found *f)
{
    int r = find_key(id, flags, need, f);
    return r ? r : f->key->type == KEYRING ? 0 : -ENOTDIR;
}

/* ---- links ---- */

static uint32_t place_in(const struct key *ring, const struct key *k)
{
    uint32_t i = 0;
    while (i < ring->count && ring->links[i] != k)
        i++;
    return i;
}

static void unlink_at(struct key *ring, uint32_t i)
{
    struct key *k = ring->links[i];
    memmove(&ring->links[i], &ring->links[i + 1], (--ring->count - i) * sizeof(*ring->links));
    release_key(k);
}

/* Takes the place of one of the same type and description. */
static int link_key(struct key *ring, struct key *k)
{
    struct wanted ours = {.key = ring};
    if (place_in(ring, k) < ring->count)
        return 0;
    if (k->type == KEYRING && search_ring(k, &ours, true))
        return -EDEADLK;
    if (ring->count == RING_MAX)
        return -ENFILE;
    struct key **links = los_realloc(ring->links, (ring->count + 1) * sizeof(*links));
    if (!links)
        return -ENOMEM;
    ring->links = links;
    links[ring->count++] = key_get(k);
    for (uint32_t i = 0; i + 1 < ring->count; i++) {
        if (links[i]->type == k->type && !strcmp(links[i]->description, k->description)) {
            unlink_at(ring, i);
            break;
        }
    }
    return 0;
}

/* ---- what programs give ---- */

/* A type's name: -EPERM for the kernel's own, -ENODEV for one that is not known. */
static int read_type(uint64_t from)
{
    char name[32];
    long n = user_string(name, from, sizeof(name));
    if (n < 0)
        return n == -ENAMETOOLONG ? -EINVAL : (int)n;
    if (name[0] == '.')
        return -EPERM;
    for (int i = 0; i < TYPES; i++) {
        if (!strcmp(name, type_names[i]))
            return i;
    }
    return name[0] ? -ENODEV : -EINVAL;
}

/* Of los_alloc. */
static int read_text(uint64_t from, char **out)
{
    char *text = los_alloc(TEXT_MAX);
    long n = text ? user_string(text, from, TEXT_MAX) : -ENOMEM;
    if (n < 0)
        los_free(text);
    else
        *out = text;
    return n == -ENAMETOOLONG ? -EINVAL : n < 0 ? (int)n : 0;
}

static int read_payload(enum key_type type, uint64_t from, uint64_t size, uint8_t **out)
{
    *out = NULL;
    if (type == KEYRING)
        return size ? -EINVAL : 0;
    if (!size || size > (type == BIG_KEY ? (1u << 20) - 1 : PAYLOAD_MAX))
        return -EINVAL;
    *out = los_alloc(size);
    if (!*out)
        return -ENOMEM;
    if (!user_read(*out, from, size))
        return 0;
    los_free(*out);
    *out = NULL;
    return -EFAULT;
}

static void set_payload(struct key *k, uint8_t *payload, uint64_t size)
{
    if (k->payload)
        memset(k->payload, 0, k->size);
    los_free(k->payload);
    k->payload = payload;
    k->size = (uint32_t)size;
    k->expires = 0;
}

static int check_description(enum key_type type, const char *text)
{
    const char *colon = strchr(text, ':');
    if (!*text)
        return -EINVAL;
    if (type == KEYRING && text[0] == '.')
        return -EPERM;
    return type == LOGON && (!colon || colon == text) ? -EINVAL : 0;
}

static long put_key(enum key_type type, const char *text, uint8_t *payload, uint64_t size,
                    struct key *ring)
{
    uint32_t i = 0;
    while (i < ring->count &&
           (ring->links[i]->type != type || strcmp(ring->links[i]->description, text)))
        i++;
    if (type != KEYRING && i < ring->count && !check_alive(ring->links[i])) {
        struct key *k = ring->links[i];
        if (!is_allowed(k, WRITE, true))
            return -EACCES;
        set_payload(k, payload, size);
        return k->serial;
    }
    struct key *k = make_key(type, text, type == LOGON ? PERM_OWN & ~(READ << 24) : PERM_OWN);
    if (!k)
        return -EDQUOT;
    int32_t serial = k->serial;
    key_get(k);
    int r = link_key(ring, k);
    if (!r)
        set_payload(k, payload, size);
    release_key(k);
    return r ? r : serial;
}

long sys_add_key(uint64_t type_name, uint64_t description, uint64_t payload, uint64_t size,
                 int ring)
{
    struct found f;
    char *text = NULL;
    uint8_t *bytes = NULL;
    if (size >= 1u << 20)
        return -EINVAL;
    int type = read_type(type_name);
    if (type < 0 && type != -ENODEV)
        return type;
    long r = description ? read_text(description, &text) : -EINVAL;
    if (!r && type >= 0)
        r = check_description((enum key_type)type, text);
    if (!r && size && !payload)
        r = -EFAULT;
    if (!r)
        r = find_ring(ring, MAKE, WRITE, &f);
    if (!r && type < 0)
        r = -ENODEV;
    if (!r)
        r = read_payload((enum key_type)type, payload, size, &bytes);
    if (!r) {
        r = put_key((enum key_type)type, text, bytes, size, f.key);
        if (r < 0)
            los_free(bytes);
    }
    los_free(text);
    return r;
}

/* What was found goes into the ring that the caller names, if it does. */
static long give_found(struct key *k, int32_t ring)
{
    struct found f;
    if (!ring)
        return k->serial;
    int r = find_ring(ring, MAKE, WRITE, &f);
    if (!r && !is_allowed(k, LINK, true))
        r = -EACCES;
    if (!r)
        r = link_key(f.key, k);
    return r ? r : k->serial;
}

long sys_request_key(uint64_t type_name, uint64_t description, uint64_t info, int ring)
{
    char *text = NULL, *more = NULL;
    int type = read_type(type_name);
    if (type < 0 && type != -ENODEV)
        return type;
    long r = read_text(description, &text);
    if (!r && info)
        r = read_text(info, &more);
    los_free(more);
    if (!r && type < 0)
        r = -ENOKEY;
    struct wanted w = {.type = (enum key_type)type, .description = text, .error = -ENOKEY};
    struct found f;
    if (!r && ring)
        r = find_ring(ring, MAKE, WRITE, &f);
    if (!r) {
        if (!current()->session_keyring)
            session_ring(false);
        struct key *k = search_own(&w);
        r = k ? give_found(k, ring) : w.error == -EACCES ? -EACCES : -ENOKEY;
    }
    los_free(text);
    return r;
}

/* ---- keyctl ---- */

static long join_session(uint64_t name)
{
    char *text = NULL;
    struct key *ring = NULL;
    int r = name ? read_text(name, &text) : 0;
    if (!r && text && text[0] == '.')
        r = -EPERM;
    list_each(struct key, k, &all, node) {
        if (!r && text && k->type == KEYRING && !check_alive(k) && !strcmp(k->description, text) &&
            k->uid == current()->uid && is_allowed(k, SEARCH, false))
            ring = k;
    }
    if (!r && !ring)
        ring = make_key(KEYRING, text ? text : "_ses", text ? PERM_NAMED : PERM_SESSION);
    los_free(text);
    if (r || !ring)
        return r ? r : -ENOMEM;
    struct key *old = current()->session_keyring;
    current()->session_keyring = key_get(ring);
    release_key(old);
    return ring->serial;
}

static long update_key(int32_t id, uint64_t payload, uint64_t size)
{
    struct found f;
    uint8_t *bytes;
    if (size > PAGE_SIZE)
        return -EINVAL;
    int r = find_key(id, 0, WRITE, &f);
    if (!r && f.key->type == KEYRING)
        r = -EOPNOTSUPP;
    if (!r)
        r = read_payload(f.key->type, payload, size, &bytes);
    if (!r)
        set_payload(f.key, bytes, size);
    return r;
}

static long revoke_key(int32_t id)
{
    struct found f;
    int r = find_key(id, 0, WRITE, &f);
    if (r == -EACCES)
        r = find_key(id, 0, SETATTR, &f);
    if (!r)
        f.key->revoked = true;
    return r;
}

/* It is gone for everybody. */
static long invalidate_key(int32_t id)
{
    struct found f;
    int r = find_key(id, 0, SEARCH, &f);
    if (r)
        return r;
    key_get(f.key);
    list_each(struct key, ring, &all, node) {
        uint32_t i = place_in(ring, f.key);
        if (i < ring->count)
            unlink_at(ring, i);
    }
    f.key->revoked = true;
    release_key(f.key);
    return 0;
}

static long own_key(int32_t id, uint32_t uid, uint32_t gid)
{
    struct found f;
    if (uid == UINT32_MAX && gid == UINT32_MAX)
        return 0;
    int r = find_key(id, ANY_STATE, SETATTR, &f);
    if (r)
        return r;
    if (!capable(CAP_SYS_ADMIN) && ((uid != UINT32_MAX && uid != f.key->uid) ||
                                    (gid != UINT32_MAX && gid != f.key->gid && !in_group(gid))))
        return -EACCES;
    if (uid != UINT32_MAX)
        f.key->uid = uid;
    if (gid != UINT32_MAX)
        f.key->gid = gid;
    return 0;
}

static long set_perm(int32_t id, uint32_t perm)
{
    struct found f;
    if (perm & ~PERM_ALL)
        return -EINVAL;
    int r = find_key(id, ANY_STATE, SETATTR, &f);
    if (!r && f.key->uid != current()->fsuid && !capable(CAP_SYS_ADMIN))
        r = -EACCES;
    if (!r)
        f.key->perm = perm;
    return r;
}

static long set_timeout(int32_t id, uint32_t seconds)
{
    struct found f;
    int r = find_key(id, ANY_STATE, SETATTR, &f);
    if (!r)
        f.key->expires = seconds ? deadline_in(seconds * NS) : 0;
    return r;
}

/* What has room is put there; the size in any case. */
static long put_bytes(uint64_t to, uint64_t room, const void *from, uint64_t size)
{
    if (to && room >= size && user_write(to, from, size))
        return -EFAULT;
    return (long)size;
}

static long describe_key(int32_t id, uint64_t to, uint64_t room)
{
    struct found f;
    int r = find_key(id, ANY_STATE, VIEW, &f);
    char *text = r ? NULL : los_alloc(TEXT_MAX + 64);
    if (!text)
        return r ? r : -ENOMEM;
    uint32_t gid = f.key->gid == UINT32_MAX ? NOBODY : f.key->gid;
    int n = fmt(text, TEXT_MAX + 64, "%s;%d;%d;%08x;%s", type_names[f.key->type], (int)f.key->uid,
                (int)gid, f.key->perm, f.key->description);
    long result = put_bytes(to, room, text, (uint64_t)n + 1);
    los_free(text);
    return result;
}

static long read_key(int32_t id, uint64_t to, uint64_t room)
{
    struct found f;
    int r = find_key(id, 0, 0, &f);
    if (r)
        return r == -EINVAL ? -ENOKEY : r;
    if (!is_allowed(f.key, READ, f.possessed) && !f.possessed)
        return -EACCES;
    if (f.key->type == LOGON)
        return -EOPNOTSUPP;
    if (f.key->type != KEYRING)
        return put_bytes(to, room, f.key->payload, f.key->size);
    for (uint32_t i = 0; to && room >= f.key->count * 4ul && i < f.key->count; i++) {
        if (user_write(to + i * 4ul, &f.key->links[i]->serial, 4))
            return -EFAULT;
    }
    return (long)(f.key->count * 4ul);
}

static long clear_ring(int32_t id)
{
    struct found f;
    int r = find_ring(id, MAKE, WRITE, &f);
    while (!r && f.key->count)
        unlink_at(f.key, f.key->count - 1);
    return r;
}

static long change_link(int32_t id, int32_t ring, bool is_new)
{
    struct found f, k;
    int r = find_ring(ring, is_new ? MAKE : 0, WRITE, &f);
    if (!r)
        r = find_key(id, is_new ? MAKE : ANY_STATE, is_new ? LINK : 0, &k);
    if (r || is_new)
        return r ? r : link_key(f.key, k.key);
    uint32_t i = place_in(f.key, k.key);
    if (i == f.key->count)
        return -ENOENT;
    unlink_at(f.key, i);
    return 0;
}

static long search_for(int32_t ring, uint64_t type_name, uint64_t description, int32_t to)
{
    struct found f, d;
    char *text = NULL;
    int type = read_type(type_name);
    if (type < 0 && type != -ENODEV)
        return type;
    long r = read_text(description, &text);
    if (!r)
        r = find_ring(ring, 0, SEARCH, &f);
    if (!r && to)
        r = find_ring(to, MAKE, WRITE, &d);
    struct wanted w = {.type = (enum key_type)type, .description = text, .error = -ENOKEY};
    if (!r && type < 0)
        r = -ENOKEY;
    if (!r) {
        struct key *k = search_ring(f.key, &w, f.possessed);
        r = k ? give_found(k, to) : w.error;
    }
    los_free(text);
    return r;
}

static long ring_id(int32_t id, bool make)
{
    struct found f;
    int r = find_key(id, make ? MAKE : 0, SEARCH, &f);
    return r ? r : f.key->serial;
}

/* Where request_key would put new keys, of which there are none: remembered. */
static long set_request_ring(int32_t where)
{
    int32_t old = current()->request_keyring;
    if (where == KEY_REQKEY_DEFL_NO_CHANGE)
        return old;
    if (where < KEY_REQKEY_DEFL_DEFAULT || where > KEY_REQKEY_DEFL_REQUESTOR_KEYRING ||
        where == KEY_REQKEY_DEFL_GROUP_KEYRING)
        return -EINVAL;
    current()->request_keyring = where;
    return old;
}

long sys_keyctl(int command, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    static const uint8_t can[2] = {KEYCTL_CAPS0_CAPABILITIES | KEYCTL_CAPS0_BIG_KEY |
                                   KEYCTL_CAPS0_INVALIDATE};
    struct found f;
    int32_t id = (int32_t)a;
    int r;
    switch (command) {
    case KEYCTL_GET_KEYRING_ID:
        return ring_id(id, (int)b);
    case KEYCTL_JOIN_SESSION_KEYRING:
        return join_session(a);
    case KEYCTL_UPDATE:
        return update_key(id, b, c);
    case KEYCTL_REVOKE:
        return revoke_key(id);
    case KEYCTL_CHOWN:
        return own_key(id, (uint32_t)b, (uint32_t)c);
    case KEYCTL_SETPERM:
        return set_perm(id, (uint32_t)b);
    case KEYCTL_DESCRIBE:
        return describe_key(id, b, c);
    case KEYCTL_CLEAR:
        return clear_ring(id);
    case KEYCTL_LINK:
    case KEYCTL_UNLINK:
        return change_link(id, (int32_t)b, command == KEYCTL_LINK);
    case KEYCTL_SEARCH:
        return search_for(id, b, c, (int32_t)d);
    case KEYCTL_READ:
        return read_key(id, b, c);
    case KEYCTL_SET_REQKEY_KEYRING:
        return set_request_ring(id);
    case KEYCTL_SET_TIMEOUT:
        return set_timeout(id, (uint32_t)b);
    case KEYCTL_ASSUME_AUTHORITY:
        return id < 0 ? -EINVAL : id ? -ENOKEY : 0;
    case KEYCTL_GET_SECURITY:
        r = find_key(id, ANY_STATE, VIEW, &f);
        return r ? r : put_bytes(b, c, "", 1);
    case KEYCTL_INVALIDATE:
        return invalidate_key(id);
    case KEYCTL_CAPABILITIES:
        return user_write(a, can, MIN(b, sizeof(can))) ||
                       (b > sizeof(can) && user_zero(a + sizeof(can), b - sizeof(can)))
                   ? -EFAULT
                   : (long)sizeof(can);
    default:
        return -EOPNOTSUPP;
    }
}

void keys_fork(struct process *p)
{
    p->keyring = NULL;
    if (p->session_keyring)
        key_get(p->session_keyring);
}

void keys_drop(struct key **place)
{
    struct key *k = *place;
    *place = NULL;
    release_key(k);
}
