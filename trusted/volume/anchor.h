// SPDX-License-Identifier: Apache-2.0
// Was an earlier state of the volume put back? What somebody far from the host remembers of a
// volume (the broker), and how what is found on the disk is judged by it.
//
// A whole earlier copy of a volume is genuine in every byte; only who was told of a later state can
// know. The anchor has, for each volume, the last state that it acknowledged (root record's number
// and tag, blocks of the log) and who may go on from there: the one writer whose states may be
// newer. A writer is 64 random bits, drawn at each open and written into each root record.
//
//   open      the anchor's memory comes, and a lease: nobody else writes while it lasts
//   judge     what is found is the acknowledged state, or a later one of the writer that may go on
//   begin     the anchor takes what was found as the state, and us as the writer that may go on.
//             Only now the first byte is written
//   advance   a later state of ours (compare and swap: from the one acknowledged before)
//   release   the last state, and that nobody goes on: the disk must hold exactly this one
//
// Whoever lost the lease may still write to its disk: those states are no longer of the writer that
// may go on, and are refused at the next open. One thread at a time, no calls to anybody.
#ifndef VOLUME_ANCHOR_H
#define VOLUME_ANCHOR_H

#include "trusted/volume/volume.h"

enum anchor_memory {
    ANCHOR_NEVER,    /* it never saw the volume: only now an empty file passes for a new one */
    ANCHOR_OPEN,     /* `next` may have gone on */
    ANCHOR_RELEASED, /* exactly this state */
    ANCHOR_RESET,    /* its operator says: whatever is found now counts */
    ANCHOR_MEMORIES
};
struct anchor {
    enum anchor_memory memory;
    uint64_t sequence, next;
    uint32_t log_count;
    uint8_t root[16];
};

enum anchor_step { ANCHOR_BEGIN, ANCHOR_ADVANCE, ANCHOR_RELEASE };

/* Why it may not be opened and what to do, or NULL: it may. found NULL: the file is empty. */
const char *anchor_judge(const struct anchor *a, const struct volume_state *found);

/* < 0, 0, > 0: the first state is earlier, the same by number, later. */
int anchor_compare(uint64_t sequence, uint32_t log_count, uint64_t sequence_b,
                   uint32_t log_count_b);

/* --- Time without an acknowledgement --- */

/* How fresh: what the image says. */
enum anchor_mode { ANCHOR_NONE, ANCHOR_SESSION, ANCHOR_STRICT };

#define ANCHOR_PERIOD_MS 1000u /* an advance at least so often, where there is something new */
#define ANCHOR_BEAT_MS 2000u   /* the lease is renewed so often without one */

/* Of one volume that is open. */
struct anchor_watch {
    enum anchor_mode mode;
    bool pauses;    /* what may not go on waits, else -EIO */
    bool lost;      /* for ever: another one has the volume, or the anchor forgot */
    bool away;      /* it did not answer when it was asked last */
    bool over;      /* ... and it was said that changes go on no longer */
    bool wanted;    /* whoever syncs waits for it */
    bool closing;   /* the state it is told next is the last one */
    uint64_t limit; /* ms that changes go on without an answer */
    uint64_t heard; /* when it answered last, ms */
    uint64_t due;   /* when it is asked next, ms, where nobody waits for it */
    struct volume_state acked;
};

/* May a change be made now: 0; -EAGAIN: ask again when something came from the anchor; -EIO. A host
 * that lets nobody ask the anchor wins nothing by it: then changes wait when the limit is over. */
int anchor_may_change(const struct anchor_watch *w, uint64_t now_ms);
/* Has the anchor all of this state? */
bool anchor_has(const struct anchor_watch *w, const struct volume_state *state);
/* Is it to be told of `state`, which is on the disk now? If not, w->due is moved. */
bool anchor_is_due(struct anchor_watch *w, const struct volume_state *state, uint64_t now_ms);
/* What has to be said of its answers, each once. */
enum anchor_news { ANCHOR_NO_NEWS, ANCHOR_LOST, ANCHOR_AWAY, ANCHOR_OVER, ANCHOR_BACK };
/* For the instance's log, as a format: of why (%s), w->limit in s (%lu), and what changes do then
 * (%s, anchor_then). NULL: nothing. */
const char *anchor_words(enum anchor_news news);
const char *anchor_then(const struct anchor_watch *w);
/* An answer came: it has `state`. */
enum anchor_news anchor_heard(struct anchor_watch *w, const struct volume_state *state,
                              uint64_t now_ms);
/* Time went by. */
enum anchor_news anchor_waited(struct anchor_watch *w, uint64_t now_ms);
/* It did not take the state. -ESTALE: and never will. */
enum anchor_news anchor_failed(struct anchor_watch *w, int error, uint64_t now_ms);

/* --- What a monitor may know, where the image's policy lets it --- */

enum volume_count {
    VOLUME_COUNT_SEQUENCE,     /* of the root record on the disk */
    VOLUME_COUNT_LOG,          /* blocks of the log behind it */
    VOLUME_COUNT_PENDING,      /* bytes of changes that are not on the disk yet */
    VOLUME_COUNT_FREE,         /* bytes that can be written */
    VOLUME_COUNT_ACKNOWLEDGED, /* the sequence that the anchor has; 0: there is none */
    VOLUME_COUNT_ACKNOWLEDGED_LOG,
    VOLUME_COUNT_SILENT, /* ms since it answered; 0: there is none */
    VOLUME_COUNT_AWAY,   /* 1: it did not answer when it was asked last */
    VOLUME_COUNT_LOST,   /* 1: nothing is written any more */
    VOLUME_COUNTS
};
/* The words for them in the counts as JSON. */
#define VOLUME_COUNT_WORDS                                                                         \
    {                                                                                              \
        "sequence", "log_blocks", "pending_bytes", "free_bytes", "acknowledged_sequence",          \
            "acknowledged_log_blocks", "silent_ms", "away", "lost"                                 \
    }
/* watch: NULL where nobody remembers its states. Never fails. */
void volume_count(const struct volume *v, const struct anchor_watch *watch, uint64_t now_ms,
                  uint64_t counts[VOLUME_COUNTS]);

/* --- Where another process asks it for us: messages of a local socket, one question at a time ---
 */

/* The first, from there: what it remembers, and who we are for it. */
struct anchor_hello {
    struct anchor anchor;
    uint64_t writer;
    char path[257]; /* of the volume's key */
};
struct anchor_question {
    enum anchor_step step;
    struct volume_state state;
};
struct anchor_answer {
    int32_t error; /* 0, -ESTALE: never, or another -errno, which may pass */
    char text[240];
};

#endif
