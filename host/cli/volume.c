// SPDX-License-Identifier: Apache-2.0
// shelter volume: the files of volumes, for their owner.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "host/cli/cli.h"
#include "host/store/volume_file.h"
#include "host/store/volume_owner.h"

static int end_command(struct sh_volume_file *f, int r, struct sh_error *err)
{
    int closed = sh_volume_file_close(f, err);
    return r || closed ? sh_error_report(err) : 0;
}

/* Its verbs of two words were found before. */
int cmd_volume(int argc, char **argv)
{
    struct sh_cli c = sh_cli_plain(SH_VERB_volume, argc, argv);
    if (c.status >= 0)
        return c.status;
    if (!c.count)
        return sh_cli_usage("volume", "what should be done with a volume?");
    return sh_cli_usage("volume", "there is no 'volume %s'", c.args[0]);
}

static int make_file(const char *path, const char *text, struct sh_error *err)
{
    uint64_t size;
    if (sh_parse_size(text, &size) || size < (uint64_t)VOLUME_BLOCKS_MIN * 4096)
        return sh_fail(err, -EINVAL, "%s: a volume has 16M at least", text);
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)size))
        return sh_fail_errno(err, -errno, "cannot create %s", path);
    return 0;
}

int cmd_volume_create(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_volume_create, argc, argv);
    const char *key = NULL, *name = "";
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_volume_create_option)o) {
        case SH_volume_create_key:
            key = c.value;
            break;
        case SH_volume_create_name:
            name = c.value;
            break;
        case SH_volume_create_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    struct sh_error err = {0};
    struct sh_volume_file f = {.fd = -1};
    int r = make_file(c.args[0], c.args[1], &err);
    if (!r && key && !(r = sh_volume_file_open(&f, c.args[0], true, &err)))
        r = sh_volume_file_format(&f, key, name, &err);
    return end_command(&f, r, &err);
}

static void add_number(cJSON *o, const char *name, uint64_t n)
{
    cJSON_AddNumberToObject(o, name, (double)n);
}

static cJSON *describe_volume(const struct sh_volume_file *f)
{
    cJSON *o = cJSON_CreateObject();
    struct stat st;
    struct volume_info i;
    struct volume_facts facts;
    cJSON_AddStringToObject(o, "file", f->path);
    add_number(o, "size", f->size);
    add_number(o, "on_disk", fstat(f->fd, &st) ? 0 : (uint64_t)st.st_blocks * 512);
    if (!f->volume)
        return o;
    volume_info(f->volume, &i);
    volume_facts(f->volume, &facts);
    cJSON_AddStringToObject(o, "name", facts.name);
    add_number(o, "volume_size", facts.blocks * 4096);
    add_number(o, "used", (i.blocks - i.free) * 4096);
    add_number(o, "files", i.files);
    add_number(o, "sequence", facts.sequence);
    cJSON_AddBoolToObject(o, "clean", facts.clean);
    return o;
}

int cmd_volume_inspect(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_volume_inspect, argc, argv);
    const char *key = NULL;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        if (o == SH_volume_inspect_key)
            key = c.value;
    if (c.status >= 0)
        return c.status;
    struct sh_error err = {0};
    struct sh_volume_file f;
    int r = sh_volume_file_open(&f, c.args[0], false, &err);
    if (!r && key)
        r = sh_volume_file_unlock(&f, key, false, &err);
    if (!r) {
        cJSON *o = describe_volume(&f);
        char *text = cJSON_Print(o);
        puts(text);
        free(text);
        cJSON_Delete(o);
    }
    return end_command(&f, r, &err);
}

static void say_fault(void *arg, const char *text)
{
    printf("%s: %s\n", (const char *)arg, text);
}

/* The option --key, which must be there. */
static const char *take_key(struct sh_cli *c)
{
    const char *key = NULL;
    while (sh_cli_next(c) >= 0)
        key = c->value;
    if (c->status < 0 && !key)
        c->status = sh_cli_usage("volume check", "a volume's key is needed: --key FILE");
    return key;
}

int cmd_volume_check(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_volume_check, argc, argv);
    const char *key = take_key(&c);
    if (c.status >= 0)
        return c.status;
    struct sh_error err = {0};
    struct sh_volume_file f;
    int r = sh_volume_file_open(&f, c.args[0], false, &err);
    if (!r)
        r = sh_volume_file_unlock(&f, key, false, &err);
    long faults = r ? 0 : volume_check(f.volume, say_fault, c.args[0]);
    if (faults < 0)
        r = sh_fail_errno(&err, (int)faults, "cannot check %s", c.args[0]);
    int status = end_command(&f, r, &err);
    return status ? status : faults > 0;
}

int cmd_volume_grow(int argc, char **argv)
{
    struct sh_cli c = sh_cli_plain(SH_VERB_volume_grow, argc, argv);
    if (c.status >= 0)
        return c.status;
    struct sh_error err = {0};
    struct sh_volume_file f;
    uint64_t size;
    int r = sh_volume_file_open(&f, c.args[0], true, &err);
    if (!r && sh_parse_size(c.args[1], &size))
        r = sh_fail(&err, -EINVAL, "%s is not a size, such as 20G", c.args[1]);
    if (!r && size < f.size)
        r = sh_fail(&err, -EINVAL, "a volume does not shrink: %s has %" PRIu64 " bytes", f.path,
                    f.size);
    if (!r && ftruncate(f.fd, (off_t)size))
        r = sh_fail_errno(&err, -errno, "cannot enlarge %s", f.path);
    return end_command(&f, r, &err);
}

int cmd_volume_backup(int argc, char **argv)
{
    struct sh_cli c = sh_cli_plain(SH_VERB_volume_backup, argc, argv);
    if (c.status >= 0)
        return c.status;
    struct sh_error err = {0};
    struct sh_volume_file f;
    int r = sh_volume_file_open(&f, c.args[0], false, &err);
    cleanup_close int to = r ? -1 : open(c.args[1], O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (!r && to < 0)
        r = sh_fail_errno(&err, -errno, "cannot create %s", c.args[1]);
    if (!r && (r = sh_volume_copy_file(f.fd, to, f.size))) {
        sh_fail_errno(&err, r, "cannot copy %s to %s", c.args[0], c.args[1]);
        unlink(c.args[1]);
    }
    return end_command(&f, r, &err);
}

int cmd_volume_rekey(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_volume_rekey, argc, argv);
    const char *key = NULL, *new_key = NULL;
    bool rewrite = false;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_volume_rekey_option)o) {
        case SH_volume_rekey_rewrite:
            rewrite = true;
            break;
        case SH_volume_rekey_key:
            key = c.value;
            break;
        case SH_volume_rekey_new_key:
            new_key = c.value;
            break;
        case SH_volume_rekey_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    if (!key || !new_key)
        return sh_cli_usage("volume rekey", "both keys are needed: --key FILE --new-key FILE");
    uint8_t bytes[VOLUME_KEY_SIZE];
    struct sh_error err = {0};
    struct sh_volume_file f;
    int r = sh_volume_file_open(&f, c.args[0], true, &err);
    if (!r)
        r = sh_volume_key(new_key, bytes, &err);
    if (!r)
        r = sh_volume_file_unlock(&f, key, true, &err);
    if (!r && rewrite)
        r = sh_volume_rewrite(&f, new_key, &err);
    else if (!r && (r = volume_rekey(f.volume, bytes)))
        sh_fail_errno(&err, r, "cannot change the key of %s", c.args[0]);
    explicit_bzero(bytes, sizeof(bytes));
    return end_command(&f, r, &err);
}
