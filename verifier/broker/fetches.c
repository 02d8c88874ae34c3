// SPDX-License-Identifier: Apache-2.0
// The budget of fetches, and the list of what failed.
#include "verifier/broker/fetches.h"
#include "verifier/broker/clock.h"

#include <errno.h>
#include <string.h>

#include "lib/sha2.h"

void sb_fetches_init(struct sb_fetches *f)
{
    memset(f, 0, sizeof(*f));
    pthread_mutex_init(&f->lock, NULL);
    f->tokens = SB_FETCH_BURST;
    f->last_ms = sb_clock_ms();
}

static bool has_failed(const struct sb_fetches *f, const uint8_t digest[32], int64_t now)
{
    for (unsigned i = 0; i < SB_FETCH_FAILED; i++)
        if (f->failed[i].until_ms > now && !memcmp(f->failed[i].digest, digest, 32))
            return true;
    return false;
}

static int before_fetch(void *arg, const char *url)
{
    struct sb_fetches *f = arg;
    uint8_t digest[32];
    int64_t now = sb_clock_ms();
    int rc = 0;

    sh_sha256(digest, url, strlen(url));
    pthread_mutex_lock(&f->lock);
    f->tokens += (double)(now - f->last_ms) * SB_FETCH_PER_SECOND / 1000;
    f->tokens = f->tokens > SB_FETCH_BURST ? SB_FETCH_BURST : f->tokens;
    f->last_ms = now;
    if (has_failed(f, digest, now))
        rc = -EHOSTDOWN;
    else if (f->tokens < 1)
        rc = -EDQUOT;
    else
        f->tokens -= 1;
    pthread_mutex_unlock(&f->lock);
    return rc;
}

static void after_fetch(void *arg, const char *url, int rc)
{
    struct sb_fetches *f = arg;

    if (!rc)
        return;
    pthread_mutex_lock(&f->lock);
    sh_sha256(f->failed[f->next].digest, url, strlen(url));
    f->failed[f->next].until_ms = sb_clock_ms() + SB_FETCH_FAILED_MS;
    f->next = (f->next + 1) % SB_FETCH_FAILED;
    pthread_mutex_unlock(&f->lock);
}

void sb_fetches_bind(struct sb_fetches *f, struct shelter_fetch_options *o)
{
    o->before = before_fetch;
    o->after = after_fetch;
    o->arg = f;
}

bool sb_fetches_begin(struct sb_fetches *f)
{
    bool good;

    pthread_mutex_lock(&f->lock);
    good = f->slots < SB_FETCH_SLOTS;
    f->slots += good;
    pthread_mutex_unlock(&f->lock);
    return good;
}

void sb_fetches_end(struct sb_fetches *f)
{
    pthread_mutex_lock(&f->lock);
    f->slots--;
    pthread_mutex_unlock(&f->lock);
}
