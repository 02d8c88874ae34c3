// SPDX-License-Identifier: Apache-2.0
// A volume's file or block device, for its owner's commands.
#ifndef HOST_STORE_VOLUME_FILE_H
#define HOST_STORE_VOLUME_FILE_H

#include "host/base/error.h"
#include "host/base/util.h"
#include "trusted/volume/volume.h"

struct sh_volume_file {
    const char *path;
    int fd;
    int trial;     /* a file in memory for what is written without `write`, or -1 */
    uint64_t size; /* bytes */
    void *memory;
    struct volume *volume; /* NULL: not opened with a key */
};

/* Locks a volume's file against others that use it. Waits 5 s: a run that has just ended gives its
 * memory back for a while, and its lock at the end. False: it is in use. */
bool sh_volume_lock(int fd, bool shared);

/* Opens the file and locks it against shelters that run with it. 0 or -errno with the sentence; in
 * each case sh_volume_file_close. */
int sh_volume_file_open(struct sh_volume_file *f, const char *path, bool write,
                        struct sh_error *err);
/* Opens the volume in it by the key in that file, 32 bytes. Without `write` nothing of the file
 * changes: a volume that was not closed is put in order in memory. */
int sh_volume_file_unlock(struct sh_volume_file *f, const char *key_file, bool write,
                          struct sh_error *err);
/* Makes an empty one. */
int sh_volume_file_format(struct sh_volume_file *f, const char *key_file, const char *name,
                          struct sh_error *err);
/* 0, or the error of closing the volume. */
int sh_volume_file_close(struct sh_volume_file *f, struct sh_error *err);

/* Encrypts everything anew, for the key in that file: `f` is the old volume, open, which goes with
 * its file's old contents. */
int sh_volume_rewrite(struct sh_volume_file *f, const char *key_file, struct sh_error *err);
/* The bytes of a file; holes stay holes. 0 or -errno. */
int sh_volume_copy_file(int from, int to, uint64_t size);

/* 32 bytes of a file. */
int sh_volume_key(const char *file, uint8_t key[VOLUME_KEY_SIZE], struct sh_error *err);

#endif
