// SPDX-License-Identifier: Apache-2.0
// A RIM of NVIDIA's: what a driver or a firmware of a GPU measures as. A SWID tag (XML) with an
// enveloped signature over its canonical form (Canonical XML 1.1, ECDSA with SHA-384).
//
// The reader takes the form in which NVIDIA writes them and no other: one element SoftwareIdentity
// whose last child is the signature; no entities, comments, CDATA or DTD; a prefix declared once.
// It makes the canonical form itself, and everything that is believed is read from that form: what
// was signed is what is read. Of the signature it takes only the value and the certificates; what
// is signed (SignedInfo) is made here, so that no algorithm or reference in the file counts.
#ifndef VERIFIER_QUOTE_RIM_H
#define VERIFIER_QUOTE_RIM_H

#include "verifier/base/x509.h"

#define SV_RIM_FILE_MAX (256u << 10)
#define SV_RIM_MAX 64 // files
#define SV_RIM_VALUES_MAX 1024
#define SV_RIM_HASH_SIZE 48

struct sv_rim_value {
    uint16_t index; // from 0; the measurement's own number is one more
    uint8_t hash[SV_RIM_HASH_SIZE];
};

struct sv_rim {
    char version[40];  // of the driver ("545.00") or the firmware ("96.00.5E.00.01")
    const char *fault; // why it is not to be believed; NULL: its signature and its chain hold
    bool simulated;
    int64_t not_before, not_after;
    size_t count;
    struct sv_rim_value *value; // alternatives of one index stand in a row; free()
};

// Reads and judges one. 0, -EBADMSG for what is no RIM, -ENOMEM.
int sv_rim_read(const void *text, size_t size, const struct sv_certs *named, struct sv_rim *out);

#endif
