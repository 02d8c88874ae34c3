// SPDX-License-Identifier: Apache-2.0
// The enclave's ELF file as the pages that are added and measured, in order: one walk for the
// loader, the signer and whoever predicts MRENCLAVE. See <shelter/enclave.h>.
#ifndef HOST_SGX_IMAGE_H
#define HOST_SGX_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "host/base/error.h"
#include <shelter/enclave.h>
#include <shelter/sgx.h>

#define SGX_IMAGE_SIZE_MAX (64u << 20)
#define SGX_IDENTITY_SIZE 48u

/* Gets a page-aligned page, which stays as it is; `offset` is from SECS.BASEADDR, `flags` are
 * SECINFO's. `measured`: with its contents; others are zeros, or held against a digest inside. */
typedef int sgx_image_page_fn(void *arg, uint64_t offset, const uint8_t *page, uint64_t flags,
                              bool measured, struct sh_error *err);

/* A file that was checked whole. It points into the caller's bytes. */
struct sgx_image {
    const uint8_t *data;
    size_t size;
    uint64_t start, end; /* of its pages in ELRANGE, without the lazy ones and what follows them */
    const uint8_t *lazy; /* bytes of the lazy segments */
    uint64_t lazy_size;
    uint64_t tcs;   /* its only one */
    bool notify;    /* set by who walks: the TCS as enclaves with AEX-Notify need it */
    uint64_t entry; /* its first instruction */
};

/* -EINVAL: no enclave of ours, with the reason. */
int sgx_image_open(struct sgx_image *image, const void *data, size_t size, struct sh_error *err);

/* Every page in the order of the measurement, with `identity` in its place. */
int sgx_image_walk(const struct sgx_image *image, const uint8_t identity[SGX_IDENTITY_SIZE],
                   sgx_image_page_fn *fn, void *arg, struct sh_error *err);

/* Calls fn once a segment with its range and PROT_* bits. */
int sgx_image_segments(const struct sgx_image *image,
                       int (*fn)(void *arg, uint64_t offset, uint64_t size, int prot,
                                 struct sh_error *err),
                       void *arg, struct sh_error *err);

int sgx_image_measure(const struct sgx_image *image, const uint8_t identity[SGX_IDENTITY_SIZE],
                      uint8_t mrenclave[32], struct sh_error *err);

/* SECS as the loader creates it; `xfrm` is what the processor offers, of which x87, SSE, AVX and
 * AVX-512 are taken; `attributes`: DEBUG, and AEXNOTIFY where image->notify is. */
void sgx_image_secs(struct sgx_secs *secs, uint64_t xfrm, uint64_t attributes);

#define SGX_ISV_PROD_ID 0x5348u /* "SH" */
#define SGX_ISV_SVN 1u

#endif
