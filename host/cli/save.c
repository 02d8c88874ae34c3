// SPDX-License-Identifier: Apache-2.0
// shelter save
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/temp.h"
#include "host/cli/cli.h"
#include "host/base/interrupt.h"
#include "host/base/progress.h"
#include "host/image/transfer.h"

/* To a file: a name appears only when all is written. */
static int save_to(struct sh_store *store, const char *reference, const char *file,
                   struct sh_progress *progress, struct sh_error *err)
{
    if (!strcmp(file, "-")) {
        if (isatty(STDOUT_FILENO))
            return sh_fail(err, -EINVAL, "an image does not go to a terminal; give -o FILE");
        return sh_image_save(store, reference, STDOUT_FILENO, progress, err);
    }
    struct stat st;
    struct sh_temp temp;
    if (!stat(file, &st) && !S_ISREG(st.st_mode)) { /* a pipe or device */
        cleanup_close int fd = open(file, O_WRONLY | O_CLOEXEC);
        return fd < 0 ? sh_fail_errno(err, -errno, "cannot write %s", file)
                      : sh_image_save(store, reference, fd, progress, err);
    }
    int r = sh_temp_open(&temp, AT_FDCWD, file, 0644);
    if (r)
        return sh_fail_errno(err, r, "cannot write %s", file);
    const char *const names[] = {temp.name, NULL};
    sh_interrupt_remove(AT_FDCWD, names);
    r = sh_image_save(store, reference, temp.fd, progress, err);
    sh_interrupt_done();
    if (!r && (r = sh_temp_commit(&temp, true)))
        return sh_fail_errno(err, r, "cannot write %s", file);
    sh_temp_drop(&temp);
    return r;
}

int cmd_save(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_save, argc, argv);
    const char *file = "-";
    bool quiet = false;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_save_option)o) {
        case SH_save_output:
            file = c.value;
            break;
        case SH_save_quiet:
            quiet = true;
            break;
        case SH_save_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    struct sh_store store;
    struct sh_progress progress;
    struct sh_error err = {0};
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    sh_progress_start(&progress, quiet);
    int r = save_to(&store, c.args[0], file, &progress, &err);
    sh_progress_end(&progress);
    sh_store_close(&store);
    return r ? sh_error_report(&err) : 0;
}
