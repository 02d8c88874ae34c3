// SPDX-License-Identifier: Apache-2.0
// shelter build
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/split.h"
#include "host/cli/cli.h"
#include "host/image/input/buildfile.h"
#include "host/image/write/reference.h"

static int set_command(struct sh_strings *slot, const char *text, struct sh_error *err)
{
    sh_strings_free(slot);
    int r = sh_split(text, slot, err);
    if (!r && !slot->count) /* an empty list, but a given one */
        slot->v = sh_alloc(sizeof(*slot->v));
    return r;
}

static int take_option(struct sh_build *b, enum sh_build_option o, const char *value,
                       struct sh_error *err)
{
    struct sh_config *c = &b->config;
    switch (o) {
    case SH_build_file:
        sh_strings_add(&b->files, value);
        return 0;
    case SH_build_decryption_key:
        sh_config_set(&b->decryption_key, value);
        return 0;
    case SH_build_rootfs:
        sh_config_set(&b->rootfs, value);
        return 0;
    case SH_build_agent:
        sh_config_set(&b->agent, value);
        return 0;
    case SH_build_base:
        sh_config_set(&b->base, value);
        return 0;
    case SH_build_firmware:
        return sh_reference_firmware(&b->firmware, value, err);
    case SH_build_enclave_key:
        sh_config_set(&b->enclave_key, value);
        return 0;
    case SH_build_tag:
        sh_config_set(&b->tag, value);
        return 0;
    case SH_build_command:
        return set_command(&c->command, value, err);
    case SH_build_entrypoint:
        return set_command(&c->entrypoint, value, err);
    case SH_build_env:
        return sh_config_env(c, value, err);
    case SH_build_workdir:
        sh_config_set(&c->workdir, value);
        return 0;
    case SH_build_user:
        sh_config_set(&c->user, value);
        return 0;
    case SH_build_hostname:
        return sh_config_hostname(c, value, err);
    case SH_build_port:
        return sh_config_port(c, value, err);
    case SH_build_max_size:
        return sh_parse_size(value, &b->max_size) || !b->max_size
                   ? sh_fail(err, -EINVAL, "--max-size %s: write a size, as 200G", value)
                   : 0;
    case SH_build_memory:
        return sh_config_memory(c, value, err);
    case SH_build_cpus:
        return sh_config_cpus(c, value, err);
    case SH_build_network:
        return sh_config_network(c, value, err);
    case SH_build_tmpfs:
        return sh_config_mount(c, value, err);
    case SH_build_ulimit:
        return sh_config_limit(c, value, err);
    case SH_build_stop_signal:
        return sh_config_stop_signal(c, value, err);
    case SH_build_allow:
        return sh_config_policy(c, value, err);
    case SH_build_container:
        return sh_build_container(b, value, err);
    case SH_build_data:
        return sh_config_data(c, value, err);
    case SH_build_volume:
        return sh_config_volume(c, value, err);
    case SH_build_mount:
        return sh_config_host_mount(c, value, err);
    case SH_build_lock:
        return sh_config_policy(c, "lock", err);
    case SH_build_no_input:
        return sh_config_policy(c, "no-input", err);
    case SH_build_no_output:
        return sh_config_policy(c, "no-output", err);
    case SH_build_agent_header:
        return sh_config_policy(c, "agent-header", err);
    case SH_build_no_evidence:
        return sh_config_policy(c, "no-evidence", err);
    case SH_build_broker:
        return sh_config_broker(c, value, err);
    case SH_build_broker_key:
        return sh_config_broker_key(c, value, err);
    case SH_build_identity:
        return sh_config_identity(c, value, err);
    case SH_build_secret:
        return sh_config_secret(c, value, err);
    case SH_build_quiet:
        b->quiet = true;
        return 0;
    case SH_build_config: /* was read before */
    case SH_build_end:
        break;
    }
    return 0;
}

/* One pass over the arguments: first for the build file alone, then for all that goes over it. What
 * stops it early is in c->status. */
static int read_options(struct sh_build *b, struct sh_cli *c, bool file_only, struct sh_error *err)
{
    int r = 0;
    for (int o; !r && (o = sh_cli_next(c)) >= 0;)
        if (!file_only)
            r = take_option(b, (enum sh_build_option)o, c->value, err);
        else if (o == SH_build_config)
            r = sh_buildfile_read(c->value, b, err);
    return r;
}

/* -1, or the exit status. */
static int check_inputs(struct sh_build *b, const struct sh_cli *c)
{
    struct stat st;
    bool context = c->count && !stat(c->args[0], &st) && S_ISDIR(st.st_mode);
    if (c->count)
        sh_config_set(context ? &b->context : &b->image, c->args[0]);
    if (context && b->files.count > 1)
        return sh_cli_usage("build", "where a folder is built, one -f names its container file");
    if (context && b->files.count) {
        sh_config_set(&b->containerfile, b->files.v[0]);
        sh_strings_free(&b->files);
    }
    if (b->decryption_key && (!b->image || strncmp(b->image, "docker://", 9)))
        return sh_cli_usage("build", "--decryption-key is for docker:// images");
    if (!b->files.count && !b->rootfs && !b->image && !b->context && !b->containers.count)
        return sh_cli_usage("build", "nothing to build from: give -f FILE, -r TAR or oci:DIR");
    return -1;
}

int cmd_build(int argc, char **argv)
{
    struct sh_build b = {0};
    struct sh_error err = {0};
    char id[SH_ID_TEXT_SIZE];
    struct sh_cli c = sh_cli_start(SH_VERB_build, argc, argv);
    int r = read_options(&b, &c, true, &err), status = c.status;
    if (!r && status < 0) {
        c = sh_cli_start(SH_VERB_build, argc, argv);
        r = read_options(&b, &c, false, &err);
        status = r ? -1 : check_inputs(&b, &c);
    }
    if (!r && status < 0)
        r = sh_build_run(&b, id, &err);
    if (r < 0) {
        status = sh_error_report(&err);
    } else if (status < 0) {
        puts(id);
        status = 0;
    }
    sh_build_free(&b);
    return status;
}
