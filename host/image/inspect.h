// SPDX-License-Identifier: Apache-2.0
// Shows what the store knows of images.
#ifndef HOST_IMAGE_INSPECT_H
#define HOST_IMAGE_INSPECT_H

#include <cjson/cJSON.h>

#include "host/store/store.h"

/* Prints an image's manifest, tags and reference values, for people or as JSON; an exit status.
 * What went wrong was said on stderr. */
int sh_inspect_image(struct sh_store *store, const char *reference, bool json);

/* An object's members for people, a line a value; empty lists are left out. */
void sh_print_lines(const cJSON *object);

/* Bytes of all its files, and when it came into the store (seconds since 1970). */
int sh_image_stat(const struct sh_image *image, uint64_t *size, int64_t *created,
                  struct sh_error *err);

/* Entry point and command as one line; words with blanks in them stand in quotes. */
char *sh_image_command_line(const struct sh_manifest *m);
/* The same as a JSON list of words; bytes that are not UTF-8 become U+FFFD. */
cJSON *sh_image_command_json(const struct sh_manifest *m);

/* "2026-11-23T12:00:00Z"; out holds at least 32 bytes. */
void sh_format_time(char *out, size_t out_size, int64_t seconds);

#endif
