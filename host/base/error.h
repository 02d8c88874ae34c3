// SPDX-License-Identifier: Apache-2.0
// The sentence that the user reads when something fails, and the exit status that goes with it.
#ifndef HOST_BASE_ERROR_H
#define HOST_BASE_ERROR_H

#include <stdarg.h>

#define SH_EXIT_FAILURE 125   /* Shelter itself failed */
#define SH_EXIT_NOT_RUN 126   /* the command cannot be run */
#define SH_EXIT_NOT_FOUND 127 /* the command is not there */

/* One line: what, why, what to do. Functions that take one set it whenever they return < 0. */
struct sh_error {
    int status; /* exit status; 0 means SH_EXIT_FAILURE */
    char text[1024];
};

/* Sets the sentence (the first one stays: it is nearest to the cause) and returns `code`, a -errno.
 */
int sh_fail(struct sh_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same, with ": strerror(-code)" behind the sentence. */
int sh_fail_errno(struct sh_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Lines for the user are JSON objects from now on: "time", "level", "msg". */
void sh_log_as_json(void);
/* One line on stderr; level: "error" or "warning". */
void sh_log_line(const char *level, const char *text);

/* Prints "shelter: <text>" to stderr as one line (control characters become ?), returns the status.
 */
int sh_error_report(const struct sh_error *err);

#endif
