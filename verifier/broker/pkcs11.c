// SPDX-License-Identifier: Apache-2.0
// Modules, sessions, and the few calls that are made in them.
#include "verifier/broker/pkcs11.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <p11-kit-1/p11-kit/pkcs11.h>

#include "lib/hex.h"

#define PIN_MAX 256
#define SLOTS_MAX 64

// --- The name of a key ---

struct place {
    char *token, *object, *module, *pin;
};

static void free_place(struct place *p)
{
    free(p->token);
    free(p->object);
    free(p->module);
    free(p->pin);
    *p = (struct place){0};
}

// %XX decoded; NULL for a bad escape or a NUL.
static char *decode_value(const char *text, size_t size)
{
    char *out = malloc(size + 1);
    size_t n = 0;

    for (size_t i = 0; out && i < size; i++) {
        int high = 0, low = 0;

        if (text[i] != '%') {
            out[n++] = text[i];
            continue;
        }
        if (i + 2 >= size || (high = sh_hex_digit(text[i + 1])) < 0 ||
            (low = sh_hex_digit(text[i + 2])) < 0 || !(high | low)) {
            free(out);
            return NULL;
        }
        out[n++] = (char)(high << 4 | low);
        i += 2;
    }
    if (out)
        out[n] = 0;
    return out;
}

static bool parse_uri(const char *uri, struct place *p)
{
    const struct {
        const char *name;
        char **value;
    } known[] = {{"token=", &p->token},
                 {"object=", &p->object},
                 {"module-path=", &p->module},
                 {"pin-source=", &p->pin}};
    const char *at = uri + strlen(SB_PKCS11_SCHEME);

    if (strncmp(uri, SB_PKCS11_SCHEME, strlen(SB_PKCS11_SCHEME)))
        return false;
    while (*at) {
        size_t n = strcspn(at, ";?&"), i = 0, skip;

        while (i < 4 && strncmp(at, known[i].name, strlen(known[i].name)))
            i++;
        if (i == 4 || *known[i].value)
            return false;
        skip = strlen(known[i].name);
        *known[i].value = decode_value(at + skip, n - skip);
        if (!*known[i].value || !**known[i].value)
            return false;
        at += n + (at[n] != 0);
    }
    return p->token && p->object && p->module && p->pin && *p->module == '/';
}

bool sb_pkcs11_uri_ok(const char *uri)
{
    struct place p = {0};
    bool ok = parse_uri(uri, &p);

    free_place(&p);
    return ok;
}

// --- A session ---

struct session {
    struct place place;
    CK_FUNCTION_LIST *f; // NULL: no session is open
    CK_SESSION_HANDLE handle;
    char *why;
    size_t why_size;
};

static int fail(struct session *s, CK_RV rv, const char *what)
{
    snprintf(s->why, s->why_size, "PKCS #11 token '%s': cannot %s (0x%lx); see %s", s->place.token,
             what, (unsigned long)rv, s->place.module);
    return -EACCES;
}

static CK_FUNCTION_LIST *open_module(const char *path)
{
    CK_C_INITIALIZE_ARGS threads = {.flags = CKF_OS_LOCKING_OK};
    CK_C_GetFunctionList list = NULL;
    CK_FUNCTION_LIST *f = NULL;
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CK_RV rv;

    if (module)
        *(void **)&list = dlsym(module, "C_GetFunctionList");
    if (list && list(&f) == CKR_OK && f &&
        ((rv = f->C_Initialize(&threads)) == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED))
        return f;
    if (module)
        dlclose(module);
    return NULL;
}

// Those that were loaded stay, with what they know of their tokens.
static CK_FUNCTION_LIST *find_module(const char *path)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct module {
        struct module *next;
        CK_FUNCTION_LIST *f;
        char path[];
    } * first;
    struct module *m;
    CK_FUNCTION_LIST *f = NULL;

    pthread_mutex_lock(&lock);
    for (m = first; m && strcmp(m->path, path); m = m->next) {
    }
    if (m)
        f = m->f;
    else if ((m = malloc(sizeof(*m) + strlen(path) + 1)) && (f = open_module(path))) {
        memcpy(m->path, path, strlen(path) + 1);
        m->f = f;
        m->next = first;
        first = m;
    } else
        free(m);
    pthread_mutex_unlock(&lock);
    return f;
}

// The slot whose token has this label.
static int find_slot(struct session *s, CK_FUNCTION_LIST *f, CK_SLOT_ID *out)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    CK_RV rv = f->C_GetSlotList(CK_TRUE, slots, &count);

    if (rv != CKR_OK)
        return fail(s, rv, "list the slots");
    for (CK_ULONG i = 0; i < count && i < SLOTS_MAX; i++) {
        CK_TOKEN_INFO info;
        size_t n = strlen(s->place.token), size = sizeof(info.label);

        if (f->C_GetTokenInfo(slots[i], &info) != CKR_OK || n > size)
            continue;
        while (size > n && info.label[size - 1] == ' ') // padded
            size--;
        if (size == n && !memcmp(info.label, s->place.token, n)) {
            *out = slots[i];
            return 0;
        }
    }
    snprintf(s->why, s->why_size,
             "no PKCS #11 token '%s' is there; its label stands in 'pkcs11-tool --module %s "
             "--list-slots'",
             s->place.token, s->place.module);
    return -ENOENT;
}

static int log_in(struct session *s)
{
    const char *path = s->place.pin;
    CK_UTF8CHAR pin[PIN_MAX + 1];
    FILE *file = fopen(strncmp(path, "file:", 5) ? path : path + 5, "re");
    size_t n = file ? fread(pin, 1, sizeof(pin), file) : 0;
    int error = file ? 0 : errno;
    CK_RV rv;

    if (file)
        fclose(file);
    if (!file || n > PIN_MAX) {
        OPENSSL_cleanse(pin, n);
        snprintf(s->why, s->why_size, "cannot read the PIN in %s: %s", path,
                 file ? "it is too long" : strerror(error));
        return -ENOENT;
    }
    if (n && pin[n - 1] == '\n')
        n--;
    rv = s->f->C_Login(s->handle, CKU_USER, pin, n);
    OPENSSL_cleanse(pin, sizeof(pin));
    return rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN ? 0
                                                            : fail(s, rv, "log in with the PIN");
}

static void end_session(struct session *s)
{
    if (s->f)
        s->f->C_CloseSession(s->handle);
    free_place(&s->place);
}

// 0 or -errno; end_session in any case.
static int begin_session(struct session *s, const char *uri, char *why, size_t why_size)
{
    CK_FUNCTION_LIST *f;
    CK_SLOT_ID slot = 0;
    CK_RV rv;
    int rc;

    *s = (struct session){.why = why, .why_size = why_size};
    if (!parse_uri(uri, &s->place)) {
        snprintf(why, why_size,
                 "'%s' does not name a key; give pkcs11:token=LABEL;object=LABEL?"
                 "module-path=/FILE&pin-source=FILE",
                 uri);
        return -EINVAL;
    }
    f = find_module(s->place.module);
    if (!f) {
        snprintf(why, why_size, "%s is no PKCS #11 module; module-path names one", s->place.module);
        return -ENOENT;
    }
    rc = find_slot(s, f, &slot);
    if (rc)
        return rc;
    rv = f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &s->handle);
    if (rv != CKR_OK)
        return fail(s, rv, "open a session");
    s->f = f;
    return log_in(s);
}

// One key of this label, or an error: of two nobody knows which.
static int find_key(struct session *s, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *out)
{
    bool secret = class == CKO_SECRET_KEY;
    CK_ATTRIBUTE want[] = {{CKA_CLASS, &class, sizeof(class)},
                           {CKA_LABEL, s->place.object, strlen(s->place.object)}};
    CK_OBJECT_HANDLE found[2];
    CK_ULONG count = 0;
    CK_RV rv = s->f->C_FindObjectsInit(s->handle, want, 2);

    if (rv == CKR_OK) {
        rv = s->f->C_FindObjects(s->handle, found, 2, &count);
        s->f->C_FindObjectsFinal(s->handle);
    }
    if (rv != CKR_OK)
        return fail(s, rv, "look for the key");
    if (count != 1) {
        snprintf(s->why, s->why_size,
                 "PKCS #11 token '%s' has %s %s key '%s'; 'pkcs11-tool --%s' makes one",
                 s->place.token, count ? "more than one" : "no", secret ? "secret" : "private",
                 s->place.object, secret ? "keygen" : "keypairgen");
        return -ENOENT;
    }
    *out = found[0];
    return 0;
}

// --- What a key does ---

static const struct algorithm {
    struct sb_pkcs11_algorithm shown;
    CK_OBJECT_CLASS class;
    CK_MECHANISM_TYPE mechanism, hash;
    CK_ULONG mgf;
} algorithms[] = {
    {{"ES256", SB_PKCS11_SIGN, 32, 64}, CKO_PRIVATE_KEY, CKM_ECDSA, 0, 0},
    {{"ES384", SB_PKCS11_SIGN, 48, 96}, CKO_PRIVATE_KEY, CKM_ECDSA, 0, 0},
    {{"RS256", SB_PKCS11_SIGN, 32, 0}, CKO_PRIVATE_KEY, CKM_RSA_PKCS, 0, 0},
    {{"PS256", SB_PKCS11_SIGN, 32, 0},
     CKO_PRIVATE_KEY,
     CKM_RSA_PKCS_PSS,
     CKM_SHA256,
     CKG_MGF1_SHA256},
    {{"RSA-OAEP", SB_PKCS11_UNWRAP, 0, 0},
     CKO_PRIVATE_KEY,
     CKM_RSA_PKCS_OAEP,
     CKM_SHA_1,
     CKG_MGF1_SHA1},
    {{"RSA-OAEP-256", SB_PKCS11_UNWRAP, 0, 0},
     CKO_PRIVATE_KEY,
     CKM_RSA_PKCS_OAEP,
     CKM_SHA256,
     CKG_MGF1_SHA256},
    {{"A256KW", SB_PKCS11_UNWRAP, 0, 0}, CKO_SECRET_KEY, CKM_AES_KEY_WRAP, 0, 0},
};

const struct sb_pkcs11_algorithm *sb_pkcs11_find(const char *name)
{
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
        if (!strcmp(algorithms[i].shown.name, name))
            return &algorithms[i].shown;
    return NULL;
}

// Its first member is what callers see.
static const struct algorithm *whole(const struct sb_pkcs11_algorithm *a)
{
    return (const struct algorithm *)a;
}

union parameters {
    CK_RSA_PKCS_PSS_PARAMS pss;
    CK_RSA_PKCS_OAEP_PARAMS oaep;
};

static CK_MECHANISM mechanism_of(const struct algorithm *a, union parameters *p)
{
    CK_MECHANISM m = {a->mechanism, NULL, 0};

    memset(p, 0, sizeof(*p));
    if (a->mechanism == CKM_RSA_PKCS_PSS) {
        p->pss = (CK_RSA_PKCS_PSS_PARAMS){a->hash, a->mgf, a->shown.digest_size};
        m = (CK_MECHANISM){a->mechanism, &p->pss, sizeof(p->pss)};
    } else if (a->mechanism == CKM_RSA_PKCS_OAEP) {
        p->oaep = (CK_RSA_PKCS_OAEP_PARAMS){a->hash, a->mgf, CKZ_DATA_SPECIFIED, NULL, 0};
        m = (CK_MECHANISM){a->mechanism, &p->oaep, sizeof(p->oaep)};
    }
    return m;
}

// The key, and that the token knows this way to decrypt: what it says of that says nothing of what
// is decrypted.
static int begin_decrypt(struct session *s, const struct algorithm *a, CK_MECHANISM *m,
                         CK_OBJECT_HANDLE *key)
{
    int rc = find_key(s, a->class, key);
    CK_RV rv;

    if (rc || a->shown.use != SB_PKCS11_UNWRAP || a->class == CKO_SECRET_KEY)
        return rc;
    rv = s->f->C_DecryptInit(s->handle, m, *key);
    return rv == CKR_OK ? 0 : fail(s, rv, "unwrap by this algorithm");
}

int sb_pkcs11_look(const char *uri, const struct sb_pkcs11_algorithm *a, char *why, size_t why_size)
{
    union parameters p;
    CK_MECHANISM m = mechanism_of(whole(a), &p);
    CK_OBJECT_HANDLE key;
    struct session s;
    int rc = begin_session(&s, uri, why, why_size);

    if (!rc)
        rc = begin_decrypt(&s, whole(a), &m, &key);
    end_session(&s);
    return rc;
}

static int sign(struct session *s, CK_MECHANISM *m, CK_OBJECT_CLASS class, const void *data,
                size_t size, uint8_t *out, CK_ULONG *out_size)
{
    CK_OBJECT_HANDLE key = 0;
    int rc = find_key(s, class, &key);
    CK_RV rv;

    if (rc)
        return rc;
    rv = s->f->C_SignInit(s->handle, m, key);
    if (rv == CKR_OK)
        rv = s->f->C_Sign(s->handle, (CK_BYTE_PTR)(uintptr_t)data, size, out, out_size);
    return rv == CKR_OK ? 0 : fail(s, rv, "sign with the key");
}

int sb_pkcs11_hmac(const char *uri, const char *text, uint8_t out[32], char *why, size_t why_size)
{
    CK_MECHANISM hmac = {CKM_SHA256_HMAC, NULL, 0};
    CK_ULONG size = 32;
    struct session s;
    int rc = begin_session(&s, uri, why, why_size);

    if (!rc)
        rc = sign(&s, &hmac, CKO_SECRET_KEY, text, strlen(text), out, &size);
    if (!rc && size != 32)
        rc = fail(&s, CKR_OK, "make an HMAC-SHA256 with the key");
    end_session(&s);
    return rc;
}

int sb_pkcs11_sign(const char *uri, const struct sb_pkcs11_algorithm *a, const uint8_t *digest,
                   uint8_t out[SB_PKCS11_BYTES_MAX], size_t *size, char *why, size_t why_size)
{
    // DigestInfo of SHA-256 (RFC 8017, 9.2)
    static const uint8_t prefix[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                     0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    uint8_t text[sizeof(prefix) + 64];
    size_t n = whole(a)->mechanism == CKM_RSA_PKCS ? sizeof(prefix) : 0;
    CK_ULONG got = SB_PKCS11_BYTES_MAX;
    union parameters p;
    CK_MECHANISM m = mechanism_of(whole(a), &p);
    struct session s;
    int rc = begin_session(&s, uri, why, why_size);

    memcpy(text, prefix, n);
    memcpy(text + n, digest, a->digest_size);
    if (!rc)
        rc = sign(&s, &m, whole(a)->class, text, n + a->digest_size, out, &got);
    if (!rc && (got > SB_PKCS11_BYTES_MAX || (a->signature_size && got != a->signature_size)))
        rc = fail(&s, CKR_OK, "sign by this algorithm: the key is of another kind");
    end_session(&s);
    *size = got;
    return rc;
}

// What was wrapped becomes an object of this session, is read, and ends.
static CK_RV unwrap_key(struct session *s, CK_MECHANISM *m, CK_OBJECT_HANDLE key,
                        const uint8_t *data, size_t data_size, uint8_t *out, CK_ULONG *size)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE made[] = {{CKA_CLASS, &class, sizeof(class)},
                           {CKA_KEY_TYPE, &type, sizeof(type)},
                           {CKA_TOKEN, &no, sizeof(no)},
                           {CKA_SENSITIVE, &no, sizeof(no)},
                           {CKA_EXTRACTABLE, &yes, sizeof(yes)}};
    CK_ATTRIBUTE value = {CKA_VALUE, out, *size};
    CK_OBJECT_HANDLE object = 0;
    CK_RV rv = s->f->C_UnwrapKey(s->handle, m, key, (CK_BYTE_PTR)(uintptr_t)data, data_size, made,
                                 sizeof(made) / sizeof(made[0]), &object);

    if (rv != CKR_OK)
        return rv;
    rv = s->f->C_GetAttributeValue(s->handle, object, &value, 1);
    s->f->C_DestroyObject(s->handle, object);
    *size = value.ulValueLen;
    return rv;
}

int sb_pkcs11_unwrap(const char *uri, const struct sb_pkcs11_algorithm *a, const uint8_t *wrapped,
                     size_t wrapped_size, uint8_t out[SB_PKCS11_BYTES_MAX], size_t *size, char *why,
                     size_t why_size)
{
    bool secret = whole(a)->class == CKO_SECRET_KEY;
    CK_ULONG got = SB_PKCS11_BYTES_MAX;
    union parameters p;
    CK_MECHANISM m = mechanism_of(whole(a), &p);
    CK_OBJECT_HANDLE key = 0;
    struct session s;
    int rc = begin_session(&s, uri, why, why_size);
    CK_RV rv = CKR_OK;

    if (!rc)
        rc = begin_decrypt(&s, whole(a), &m, &key);
    if (!rc && secret)
        rv = unwrap_key(&s, &m, key, wrapped, wrapped_size, out, &got);
    else if (!rc)
        rv = s.f->C_Decrypt(s.handle, (CK_BYTE_PTR)(uintptr_t)wrapped, wrapped_size, out, &got);
    if (!rc && (rv != CKR_OK || got > SB_PKCS11_BYTES_MAX)) {
        fail(&s, rv, "unwrap with the key");
        rc = -EBADMSG;
    }
    end_session(&s);
    *size = rc ? 0 : got;
    return rc;
}
