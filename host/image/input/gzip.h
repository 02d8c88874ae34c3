// SPDX-License-Identifier: Apache-2.0
// Takes gzip off a source and checks it: libarchive, which does the same for the other
// compressions, looks neither at gzip's checksums and lengths nor at what stands behind its data.
#ifndef HOST_IMAGE_INPUT_GZIP_H
#define HOST_IMAGE_INPUT_GZIP_H

#include "host/image/input/tar.h"

/* What `from` holds without gzip; what is not gzip passes as it is. Members may follow one another
 * (RFC 1952, 2.2), and zeros behind the last; anything else is -EBADMSG, as are another checksum,
 * length and a cut end. The checksum stands at the end: who wants to rely on it reads to the end.
 * What is read
 * from outside counts for `budget`, which may be NULL. Owned by the caller; `from` must outlive it.
 */
struct sh_source *sh_gzip_source(struct sh_source *from, struct sh_budget *budget);
/* Is it (`source` is one of ours) gzip? Known after the first read. */
bool sh_gzip_is(const struct sh_source *source);

void sh_gzip_free(struct sh_source *source);

#endif
