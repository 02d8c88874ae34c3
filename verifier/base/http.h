// SPDX-License-Identifier: Apache-2.0
// GET with limits and a cache: what is fetched is judged like any file, so the cache need not be
// trusted either.
#ifndef VERIFIER_BASE_HTTP_H
#define VERIFIER_BASE_HTTP_H

#include <shelter/verify.h>

#define SV_HEADER_SIZE_MAX (32u << 10)

struct sv_reply {
    uint8_t *body; // NUL follows its end
    size_t size;
    char *chain; // the wanted header, URL-decoded; NULL if absent
};

// Fetches `url`; `header` (may be NULL) is the one whose value is wanted. From the cache while the
// entry has not expired. 0 or -errno (-ETIMEDOUT, -EFBIG, -ENOENT for 404, -EPROTO), with a line.
int sv_http_get(const struct shelter_fetch_options *o, const char *url, const char *header,
                struct sv_reply *out, char *why, size_t why_size);
// Keeps a reply that proved well-formed until `expiry`. Failure to store is not an error.
void sv_http_keep(const struct shelter_fetch_options *o, const char *url,
                  const struct sv_reply *reply, int64_t expiry);
void sv_reply_free(struct sv_reply *reply);

#endif
