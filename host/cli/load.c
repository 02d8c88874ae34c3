// SPDX-License-Identifier: Apache-2.0
// shelter load
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/base/progress.h"
#include "host/image/write/reference.h"
#include "host/image/transfer.h"

int cmd_load(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_load, argc, argv);
    const char *file = "-";
    bool quiet = false;
    uint64_t max_size = 0;
    struct sh_strings firmware = {0}, wanted = {0};
    struct sh_error err = {0};
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_load_option)o) {
        case SH_load_input:
            file = c.value;
            break;
        case SH_load_firmware:
            if (sh_reference_firmware(&firmware, c.value, &err))
                return sh_cli_usage("load", "%s", err.text);
            break;
        case SH_load_tag: {
            char *full = sh_tag_full(c.value, &err);
            if (!full)
                return sh_cli_usage("load", "%s", err.text);
            sh_strings_add(&wanted, full);
            free(full);
            break;
        }
        case SH_load_max_size:
            if (sh_parse_size(c.value, &max_size) || !max_size)
                return sh_cli_usage("load", "--max-size %s: write a size, as 200G", c.value);
            break;
        case SH_load_quiet:
            quiet = true;
            break;
        case SH_load_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    if (c.count)
        return sh_cli_usage("load", "unexpected argument '%s'; a file is given by -i", c.args[0]);
    bool standard = !strcmp(file, "-");
    if (standard && isatty(STDIN_FILENO))
        return sh_cli_usage("load", "an image does not come from a terminal; give -i FILE");
    struct sh_store store;
    struct sh_progress progress;
    char id[SH_ID_TEXT_SIZE];
    struct sh_strings tags = {0};
    cleanup_close int fd = standard ? dup(STDIN_FILENO) : open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        sh_fail_errno(&err, -errno, "cannot open %s", file);
        return sh_error_report(&err);
    }
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    sh_progress_start(&progress, quiet);
    int r = sh_image_load(&store, fd, standard ? "standard input" : file, &firmware, &wanted,
                          max_size, &progress, id, &tags, &err);
    sh_progress_end(&progress);
    if (!r)
        puts(id);
    for (size_t i = 0; !r && !quiet && i < tags.count; i++)
        puts(tags.v[i]);
    sh_strings_free(&tags);
    sh_strings_free(&firmware);
    sh_strings_free(&wanted);
    sh_store_close(&store);
    return r ? sh_error_report(&err) : 0;
}
