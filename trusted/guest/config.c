// SPDX-License-Identifier: Apache-2.0
// The config disk: manifest and launch config, each compared with its digest before it is read; the
// settings that follow from both.
#include "trusted/guest/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sha2.h"

int guest_config_split(struct guest_config *c, const void *data, size_t size, struct guest_error *e)
{
    struct sh_reader r = sh_reader(data, size);
    const uint8_t *magic = sh_read(&r, 8);
    uint32_t manifest_size = sh_read_le32(&r);
    uint32_t launch_size = sh_read_le32(&r);
    *c = (struct guest_config){0};
    if (r.failed || memcmp(magic, SH_BOOT_CONFIG_MAGIC, 8))
        return guest_fail(e, -EBADMSG, "the config disk does not start with %s",
                          SH_BOOT_CONFIG_MAGIC);
    if (manifest_size > SH_MANIFEST_SIZE_MAX || launch_size > SH_LAUNCH_SIZE_MAX)
        return guest_fail(e, -EBADMSG, "the config disk states impossible sizes");
    c->manifest_bytes = (struct sh_view){sh_read(&r, manifest_size), manifest_size};
    c->launch = (struct sh_view){sh_read(&r, launch_size), launch_size};
    if (r.failed)
        return guest_fail(e, -EBADMSG, "the config disk is cut short");
    return 0;
}

int guest_config_manifest(struct guest_config *c, const uint8_t digest[SH_ID_SIZE],
                          struct guest_error *e)
{
    uint8_t got[SH_SHA384_SIZE];
    sh_sha384(got, c->manifest_bytes.data, c->manifest_bytes.size);
    if (!sh_equal_ct(got, digest, sizeof(got)))
        return guest_fail(e, -EBADMSG, "the manifest is not the one that was measured");
    int rc = sh_manifest_parse(&c->manifest, c->manifest_bytes.data, c->manifest_bytes.size);
    if (rc == -EPROTO)
        return guest_fail(e, rc, "the manifest has another version than this guest reads");
    return rc ? guest_fail(e, rc, "the manifest is malformed") : 0;
}

int guest_config_launch(struct guest_config *c, const uint8_t *digest, size_t size,
                        struct guest_error *e)
{
    uint8_t got[SH_SHA384_SIZE];
    sh_sha384(got, c->launch.data, c->launch.size);
    if (size < 32 || size > sizeof(got) || !sh_equal_ct(got, digest, size))
        return guest_fail(e, -EBADMSG, "the launch config is not the one bound to this TEE");
    const char *why = "no memory for the settings";
    size_t arena_size = sh_settings_size(&c->manifest, c->launch.size);
    c->arena = malloc(arena_size);
    int rc = c->arena ? sh_settings_make(&c->settings, &c->manifest, c->launch.data, c->launch.size,
                                         c->arena, arena_size, &why)
                      : -ENOMEM;
    return rc ? guest_fail(e, rc, "%s", why) : 0;
}
