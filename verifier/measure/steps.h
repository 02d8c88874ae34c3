// SPDX-License-Identifier: Apache-2.0
// What a measurement is made of, step by step: events of a register, pages of a launch. Two lists
// of steps tell which is the first that differs; a measurement alone only tells that one does.
//
// A step is {"field": the measurement, "what": for people, "digest": hex}. Digests of events are
// those that are extended; those of pages cover address, kind and contents.
#ifndef VERIFIER_MEASURE_STEPS_H
#define VERIFIER_MEASURE_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

// All take an array, or NULL: nobody wants to know.
void sv_step_add(cJSON *steps, const char *field, const char *what, const void *digest,
                 size_t digest_size);
// The digest is SHA-384 of the data.
void sv_step_data(cJSON *steps, const char *field, const char *what, const void *data, size_t size);
// A page: "what, page 0x...", its digest SHA-384 over address, kind and the page (NULL: none).
void sv_step_page(cJSON *steps, const char *field, const char *what, uint64_t address,
                  uint64_t kind, const void *page);
// The events of a log (CCEL, CoCo's, dstack's), in its order. False where it is malformed: then
// those before the fault are there.
bool sv_step_log(cJSON *steps, const void *log, size_t size);

struct sv_difference {
    char field[16];
    int number;              // of the step in its field, from 1; 0: only the field is known
    char what[64];           // the step; "" with number 0
    char want[97], have[97]; // digests, "" where there is no such step
    char have_what[96];      // as what stands there describes itself, "" if it does not
    const char *probably;    // what changed, for people
};

// The first step in which `have` differs from `want`, in fields that both have. False: none.
bool sv_steps_differ(const cJSON *want, const cJSON *have, struct sv_difference *out);
// Where only the measurement is known.
void sv_field_differs(const char *field, const char *want, const char *have,
                      struct sv_difference *out);
// "rtmr2, event 1 (command line); probably ..."
void sv_difference_text(const struct sv_difference *d, char *out, size_t size);

#endif
