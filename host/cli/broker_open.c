// SPDX-License-Identifier: Apache-2.0
// The store of a broker of this machine: where it is, opening it, its passphrase.
#include "host/base/data_folder.h"
#include "host/cli/broker.h"
#include "host/cli/broker_hsm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

char *sh_broker_dir(const char *option)
{
    struct sh_error err = {0};
    char *dir =
        option ? sh_strdup(option) : sh_data_folder("SHELTER_BROKER", "shelter-broker", &err);
    if (!dir)
        exit(sh_error_report(&err));
    return dir;
}

#define PASSPHRASE_MAX 1024

/* The same of one that a token makes. */
static int use_token(struct sb_store *st, const char *uri,
                     int (*use)(struct sb_store *, const char *, size_t), struct sh_error *err)
{
    char passphrase[SH_HSM_PASSPHRASE_SIZE];
    int r = sh_hsm_passphrase(uri, passphrase, err);
    if (r)
        return r;
    r = use(st, passphrase, sizeof(passphrase) - 1);
    explicit_bzero(passphrase, sizeof(passphrase));
    if (r == -EACCES)
        return sh_fail(err, r, "the key of %s is not this broker's", uri);
    return r ? sh_fail_errno(err, r, "cannot use the key of %s", uri) : 0;
}

int sh_broker_passphrase(struct sb_store *st, const char *file,
                         int (*use)(struct sb_store *, const char *, size_t), struct sh_error *err)
{
    cleanup_free uint8_t *data = NULL;
    size_t size;
    if (!strncmp(file, SB_PKCS11_SCHEME, strlen(SB_PKCS11_SCHEME)))
        return use_token(st, file, use, err);
    int r = sh_read_file(AT_FDCWD, file, PASSPHRASE_MAX, &data, &size, err);
    if (r)
        return r;
    size_t n = size && data[size - 1] == '\n' ? size - 1 : size;
    r = n ? use(st, (const char *)data, n) : -EINVAL;
    explicit_bzero(data, size);
    if (r == -EACCES)
        return sh_fail(err, r, "the passphrase in %s is not this broker's", file);
    if (r == -EINVAL)
        return sh_fail(err, r, "%s is empty; put a passphrase into it", file);
    return r ? sh_fail_errno(err, r, "cannot use the passphrase in %s", file) : 0;
}

int sh_broker_open(const char *dir, struct sb_store **st, struct sh_error *err)
{
    char why[300] = "";
    int r = sb_store_open(dir, false, st, why, sizeof(why));
    if (r == -ENOENT)
        return sh_fail(err, r,
                       "%s; make it with 'shelter broker init --dir %s', or name another folder "
                       "by --dir",
                       why, dir);
    if (r == -EBADMSG)
        return sh_fail(err, r,
                       "%s; put back a copy of %s/broker.db, or move it away and make a new broker "
                       "with 'shelter broker init'",
                       why, dir);
    if (r)
        return sh_fail(err, r, "%s", why[0] ? why : strerror(-r));
    const char *file = getenv(SH_PASSPHRASE_FILE);
    r = sb_store_sealed(*st) && file ? sh_broker_passphrase(*st, file, sb_store_unlock, err) : 0;
    if (r) {
        sb_store_close(*st);
        *st = NULL;
    }
    return r;
}

int sh_broker_store_error(int rc, const char *what, const char *name, struct sh_error *err)
{
    if (!rc)
        return 0;
    if (rc == -EEXIST)
        return sh_fail(err, rc, "the broker already has a %s '%s'; --replace changes it", what,
                       name);
    if (rc == -ENOENT)
        return sh_fail(err, rc, "the broker has no %s '%s'; see 'shelter broker list'", what, name);
    if (rc == -ENOKEY)
        return sh_fail(err, rc,
                       "the broker's resources are encrypted with a passphrase; name its file in "
                       "$" SH_PASSPHRASE_FILE);
    return sh_fail_errno(err, rc, "cannot change %s '%s' in the broker's database", what, name);
}

void sh_broker_who(char who[60])
{
    const char *sudo = getenv("SUDO_UID");
    uint64_t behind;
    /* Who was root by sudo: a hint, since root can set it; never more than a number. */
    if (sudo && !getuid() && !sh_parse_number(sudo, 0, UINT32_MAX, &behind))
        snprintf(who, 60, "uid 0 (sudo uid %llu)", (unsigned long long)behind);
    else
        snprintf(who, 60, "uid %u", (unsigned)getuid());
}

int sh_broker_log_change(struct sb_store *st, const char *code, struct sh_error *err)
{
    struct timespec t;
    char who[60];
    clock_gettime(CLOCK_REALTIME, &t);
    sh_broker_who(who);
    struct sb_entry e = {.time_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000,
                         .event = "admin",
                         .outcome = "changed",
                         .code = code,
                         .peer = who};
    int r = sb_log_add(st, &e);
    return r ? sh_fail_errno(err, r, "cannot write the broker's audit log") : 0;
}
