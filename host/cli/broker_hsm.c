// SPDX-License-Identifier: Apache-2.0
// The passphrase of a broker that a PKCS #11 token makes: HMAC-SHA256 of a fixed text by a key that
// never leaves it.
#include "host/cli/broker_hsm.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <p11-kit-1/p11-kit/pkcs11.h>

#include "lib/hex.h"

static const char label[] = "shelter-broker-seal-v1";

#define PIN_MAX 256
#define SLOTS_MAX 64

/* RFC 7512, as far as it is needed: all four must be there. */
struct place {
    char *token, *object, *module, *pin;
};

static void free_place(struct place *p)
{
    free(p->token);
    free(p->object);
    free(p->module);
    free(p->pin);
}

/* %XX decoded; NULL for a bad escape or a NUL. */
static char *decode_value(const char *text, size_t size)
{
    char *out = sh_alloc(size + 1);
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
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
    const char *at = uri + strlen(SH_HSM_URI);
    while (*at) {
        size_t n = strcspn(at, ";?&"), i = 0;
        while (i < 4 && strncmp(at, known[i].name, strlen(known[i].name)))
            i++;
        if (i == 4 || *known[i].value)
            return false;
        size_t skip = strlen(known[i].name);
        *known[i].value = decode_value(at + skip, n - skip);
        if (!*known[i].value || !**known[i].value)
            return false;
        at += n + (at[n] != 0);
    }
    return p->token && p->object && p->module && p->pin && *p->module == '/';
}

static int fail_token(CK_RV rv, const struct place *p, const char *what, struct sh_error *err)
{
    return sh_fail(err, -EACCES, "PKCS #11 token '%s': cannot %s (0x%lx); see %s", p->token, what,
                   (unsigned long)rv, p->module);
}

/* The slot whose token has this label. */
static int find_slot(CK_FUNCTION_LIST *f, const struct place *p, CK_SLOT_ID *out,
                     struct sh_error *err)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    CK_RV rv = f->C_GetSlotList(CK_TRUE, slots, &count);
    if (rv != CKR_OK)
        return fail_token(rv, p, "list the slots", err);
    for (CK_ULONG i = 0; i < count && i < SLOTS_MAX; i++) {
        CK_TOKEN_INFO info;
        size_t n = strlen(p->token), size = sizeof(info.label);
        if (f->C_GetTokenInfo(slots[i], &info) != CKR_OK || n > size)
            continue;
        while (size > n && info.label[size - 1] == ' ') /* padded */
            size--;
        if (size == n && !memcmp(info.label, p->token, n)) {
            *out = slots[i];
            return 0;
        }
    }
    return sh_fail(err, -ENOENT,
                   "no PKCS #11 token '%s' is there; its label stands in 'pkcs11-tool "
                   "--module %s --list-slots'",
                   p->token, p->module);
}

static int log_in(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, const struct place *p,
                  struct sh_error *err)
{
    cleanup_free uint8_t *pin = NULL;
    size_t size;
    const char *file = strncmp(p->pin, "file:", 5) ? p->pin : p->pin + 5;
    int r = sh_read_file(AT_FDCWD, file, PIN_MAX, &pin, &size, err);
    if (r)
        return r;
    CK_RV rv = f->C_Login(session, CKU_USER, pin, size && pin[size - 1] == '\n' ? size - 1 : size);
    explicit_bzero(pin, size);
    return rv == CKR_OK ? 0 : fail_token(rv, p, "log in with the PIN", err);
}

/* One secret key of this label, or an error: of two nobody knows which. */
static int find_key(CK_FUNCTION_LIST *f, CK_SESSION_HANDLE session, const struct place *p,
                    CK_OBJECT_HANDLE *out, struct sh_error *err)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_ATTRIBUTE want[] = {{CKA_CLASS, &class, sizeof(class)},
                           {CKA_LABEL, p->object, strlen(p->object)}};
    CK_OBJECT_HANDLE found[2];
    CK_ULONG count = 0;
    CK_RV rv = f->C_FindObjectsInit(session, want, 2);
    if (rv == CKR_OK) {
        rv = f->C_FindObjects(session, found, 2, &count);
        f->C_FindObjectsFinal(session);
    }
    if (rv != CKR_OK)
        return fail_token(rv, p, "look for the key", err);
    if (count != 1)
        return sh_fail(err, -ENOENT,
                       "PKCS #11 token '%s' has %s secret key '%s'; make one with "
                       "'pkcs11-tool --keygen --key-type GENERIC:32 --usage-sign --sensitive'",
                       p->token, count ? "more than one" : "no", p->object);
    *out = found[0];
    return 0;
}

static int ask_token(CK_FUNCTION_LIST *f, const struct place *p, uint8_t mac[32],
                     struct sh_error *err)
{
    CK_MECHANISM hmac = {CKM_SHA256_HMAC, NULL, 0};
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key = 0;
    CK_SLOT_ID slot = 0;
    CK_ULONG size = 32;
    int r = find_slot(f, p, &slot, err);
    if (r)
        return r;
    CK_RV rv = f->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session);
    if (rv != CKR_OK)
        return fail_token(rv, p, "open a session", err);
    r = log_in(f, session, p, err);
    if (!r)
        r = find_key(f, session, p, &key, err);
    if (!r && (rv = f->C_SignInit(session, &hmac, key)) == CKR_OK)
        rv = f->C_Sign(session, (CK_BYTE_PTR)(uintptr_t)label, sizeof(label) - 1, mac, &size);
    if (!r && (rv != CKR_OK || size != 32))
        r = fail_token(rv, p, "make an HMAC-SHA256 with the key", err);
    f->C_CloseSession(session);
    return r;
}

int sh_hsm_passphrase(const char *uri, char out[SH_HSM_PASSPHRASE_SIZE], struct sh_error *err)
{
    struct place p = {0};
    CK_FUNCTION_LIST *f = NULL;
    CK_C_GetFunctionList list = NULL;
    uint8_t mac[32];
    int r = 0;
    if (!parse_uri(uri, &p)) {
        free_place(&p);
        return sh_fail(err, -EINVAL,
                       "'%s' does not name a key; give pkcs11:token=LABEL;object=LABEL?"
                       "module-path=/FILE&pin-source=FILE",
                       uri);
    }
    void *module = dlopen(p.module, RTLD_NOW | RTLD_LOCAL);
    if (module)
        *(void **)&list = dlsym(module, "C_GetFunctionList");
    if (!list || list(&f) != CKR_OK || !f)
        r = sh_fail(err, -ENOENT, "%s is no PKCS #11 module; module-path names one", p.module);
    CK_RV rv = r ? CKR_OK : f->C_Initialize(NULL);
    if (rv != CKR_OK)
        r = fail_token(rv, &p, "be used", err);
    if (!r) {
        r = ask_token(f, &p, mac, err);
        f->C_Finalize(NULL);
    }
    if (!r)
        sh_hex(out, mac, sizeof(mac));
    explicit_bzero(mac, sizeof(mac));
    if (module)
        dlclose(module);
    free_place(&p);
    return r;
}
