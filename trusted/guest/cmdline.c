// SPDX-License-Identifier: Apache-2.0
// The kernel command line: it is measured, and only Shelter's own keys are read here.
#include "trusted/guest/guest.h"

#include <errno.h>
#include <string.h>

#include "lib/hex.h"

/* Is the word "key..."? Then *value is what follows. */
static bool has_key(const char *word, size_t size, const char *key, const char **value,
                    size_t *value_size)
{
    size_t n = strlen(key);
    if (size < n || memcmp(word, key, n))
        return false;
    *value = word + n;
    *value_size = size - n;
    return true;
}

static int parse_digest(uint8_t out[48], const char *value, size_t size)
{
    char text[97];
    if (size != 96)
        return -EINVAL;
    memcpy(text, value, 96);
    text[96] = 0;
    return sh_unhex(out, 48, text);
}

int guest_cmdline_parse(struct guest_cmdline *c, const char *text, struct guest_error *e)
{
    bool has_tee = false, has_manifest = false;
    *c = (struct guest_cmdline){0};
    for (const char *at = text; *at;) {
        size_t size = strcspn(at, " \t\n");
        const char *value;
        size_t n;
        int rc = 0;
        if (has_key(at, size, SH_BOOT_KEY_TEE, &value, &n)) {
            rc = has_tee ? -EEXIST : !n || n >= sizeof(c->tee) ? -EINVAL : 0;
            if (!rc)
                memcpy(c->tee, value, n);
            has_tee = true;
        } else if (has_key(at, size, SH_BOOT_KEY_MANIFEST, &value, &n)) {
            rc = has_manifest ? -EEXIST : parse_digest(c->manifest, value, n);
            has_manifest = true;
        } else if (has_key(at, size, SH_BOOT_KEY_LAUNCH, &value, &n)) {
            rc = c->has_launch ? -EEXIST : parse_digest(c->launch, value, n);
            c->has_launch = true;
        } else if (has_key(at, size, "console=", &value, &n)) {
            c->console = true;
        } else if (size == strlen("shelter.probe") && !memcmp(at, "shelter.probe", size)) {
            c->probe = true;
        } else if (has_key(at, size, "shelter.", &value, &n)) {
            rc = -EINVAL;
        }
        if (rc)
            return guest_fail(e, rc, "kernel command line: '%.*s' is %s",
                              (int)(size > 40 ? 40 : size), at,
                              rc == -EEXIST ? "there twice" : "malformed");
        at += size;
        at += strspn(at, " \t\n");
    }
    if (c->probe)
        return 0;
    if (!has_tee || !has_manifest)
        return guest_fail(e, -EINVAL, "kernel command line: %s is missing",
                          has_tee ? SH_BOOT_KEY_MANIFEST : SH_BOOT_KEY_TEE);
    return 0;
}
