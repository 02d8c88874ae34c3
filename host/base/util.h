// SPDX-License-Identifier: Apache-2.0
// Ownership by scope, files and strings: what every part of the host side uses.
#ifndef HOST_BASE_UTIL_H
#define HOST_BASE_UTIL_H

#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "host/base/error.h"
#include "lib/io.h"
#include "lib/number.h"

static inline void sh_cleanup_free(void *p)
{
    free(*(void **)p);
}
static inline void sh_cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
static inline void sh_cleanup_fclose(FILE **f)
{
    if (*f)
        fclose(*f);
}
static inline void sh_cleanup_closedir(DIR **d)
{
    if (*d)
        closedir(*d);
}
#define cleanup_free __attribute__((cleanup(sh_cleanup_free)))
#define cleanup_close __attribute__((cleanup(sh_cleanup_close)))
#define cleanup_fclose __attribute__((cleanup(sh_cleanup_fclose)))
#define cleanup_closedir __attribute__((cleanup(sh_cleanup_closedir)))

/* Hands an owned pointer or descriptor on; its cleanup then does nothing. */
#define sh_take_ptr(p)                                                                             \
    __extension__({                                                                                \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })
static inline int sh_take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* malloc and friends that end the program with a clear line when memory runs out. */
void *sh_alloc(size_t size); /* zeroed */
void *sh_realloc_array(void *p, size_t count, size_t size);
char *sh_strdup(const char *s);
char *sh_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A growing NULL-terminated list of owned strings; also an argv. */
struct sh_strings {
    char **v;
    size_t count;
};
void sh_strings_add(struct sh_strings *l, const char *s);
void sh_strings_addf(struct sh_strings *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sh_strings_free(struct sh_strings *l);

/* A growing byte buffer. */
struct sh_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
};
void sh_buffer_add(struct sh_buffer *b, const void *data, size_t size);
void sh_buffer_free(struct sh_buffer *b);

/* Reads a whole file of at most `max` bytes; *data is owned by the caller and has a NUL behind it.
 */
int sh_read_file(int dir_fd, const char *path, size_t max, uint8_t **data, size_t *size,
                 struct sh_error *err);

/* A folder to read; its descriptor is dirfd()'s and closed by closedir(). `flags`: O_NOFOLLOW or 0.
 * NULL with errno set, and then nothing stays open. */
DIR *sh_open_folder(int dir_fd, const char *name, int flags);

/* mkdir -p; existing directories are fine. */
int sh_make_dirs(const char *path, mode_t mode, struct sh_error *err);

/* Removes a tree below dir_fd without following symlinks; a missing one is fine. */
int sh_remove_tree(int dir_fd, const char *name);

/* pthread_create for a thread that takes no signals: those of the process are for others. */
int sh_thread_start(pthread_t *id, void *(*run)(void *), void *arg);

/* "512", "64k", "2G", "1.5g", "256MiB" -> bytes. 0 or -EINVAL. */
int sh_parse_size(const char *text, uint64_t *bytes);

/* "3.0 MB" style for people; out holds at least 16 bytes. */
void sh_format_size(char *out, size_t out_size, uint64_t bytes);

#endif
