// SPDX-License-Identifier: Apache-2.0
// Manifest and launch config together: u16 size of the manifest's records, the records (magic,
// root hash and root size are put before them), then the lines of a launch config.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_list(const struct sh_string_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (strlen(l->items[i]) > SH_LAUNCH_SIZE_MAX)
            abort();
    if (l->items[l->count])
        abort();
}

/* Whatever the host says: what the image's owner froze is as he built it. */
static void check(const struct sh_settings *s, const struct sh_settings *built, uint64_t policy)
{
    check_list(&s->args);
    check_list(&s->env);
    check_list(&s->secrets);
    if (!sh_hostname_ok(s->hostname) || s->workdir[0] != '/' || sh_settings_published(s, 6, 8006) ||
        (s->port_count && !s->outside) || (s->secrets.count && !s->locked) ||
        ((policy & SH_POLICY_NO_INPUT) && (s->input || s->terminal)) ||
        ((policy & SH_POLICY_NO_OUTPUT) && (s->output || s->terminal)) || (s->requests & ~policy))
        abort();
    if (!(policy & SH_POLICY_LOCK))
        return;
    if (s->args.count != built->args.count || strcmp(s->user, built->user) ||
        strcmp(s->workdir, built->workdir) || strcmp(s->hostname, built->hostname) ||
        (s->outside && !built->outside) ||
        s->env.count != built->env.count + (s->terminal && s->env.count != built->env.count))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t manifest[SH_MANIFEST_SIZE_MAX];
    static char text[SH_LAUNCH_SIZE_MAX];
    size_t n = size < 2 ? 0 : sh_le16(data);
    if (size < 2 || n > size - 2 || n > SH_MANIFEST_SIZE_MAX - 72)
        return 0;
    memset(manifest, 0, 72);
    memcpy(manifest, SH_MANIFEST_MAGIC "\1", 9);
    sh_put_le32(manifest + 12, (uint32_t)(72 + n));
    sh_put_le16(manifest + 16, SH_TAG_ROOT_HASH);
    sh_put_le32(manifest + 20, 32);
    sh_put_le16(manifest + 56, SH_TAG_ROOT_SIZE);
    sh_put_le32(manifest + 60, 8);
    sh_put_le64(manifest + 64, 4096);
    memcpy(manifest + 72, data + 2, n);
    struct sh_manifest m;
    if (sh_manifest_parse(&m, manifest, 72 + n))
        return 0;
    size_t lines = size - 2 - n;
    if (lines > sizeof(text) - 256)
        return 0;
    size_t at = (size_t)sprintf(text, "%s", SH_LAUNCH_HEAD);
    memcpy(text + at, data + 2 + n, lines);
    at += lines;
    at += (size_t)sprintf(text + at, "%s", SH_LAUNCH_TAIL);

    struct sh_settings s, built;
    const char *why, *built_why;
    size_t room = sh_settings_size(&m, at),
           own_room = sh_settings_size(&m, strlen(SH_LAUNCH_EMPTY));
    void *arena = malloc(room), *own = malloc(own_room);
    int rc = sh_settings_make(&s, &m, text, at, arena, room, &why);
    int built_rc = sh_settings_make(&built, &m, SH_LAUNCH_EMPTY, strlen(SH_LAUNCH_EMPTY), own,
                                    own_room, &built_why);
    if (rc == -ENOMEM || built_rc == -ENOMEM || !rc != !why)
        abort();
    if (!rc && !built_rc)
        check(&s, &built, m.policy);
    free(arena);
    free(own);
    return 0;
}
