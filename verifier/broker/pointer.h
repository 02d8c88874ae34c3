// SPDX-License-Identifier: Apache-2.0
// JSON pointers (RFC 6901), and conditions on what they lead to: the part of a policy that reads
// tokens of any shape.
#ifndef VERIFIER_BROKER_POINTER_H
#define VERIFIER_BROKER_POINTER_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

#define SB_POINTER_MAX 512 // bytes

// Whether it is one. many: one of its parts may be "*", every member.
bool sb_pointer_ok(const char *pointer, bool many);
// NULL where there is nothing.
const cJSON *sb_pointer_get(const cJSON *root, const char *pointer);

// {POINTER: CONDITION, ...}: an array has the values that are allowed; an object has "not" (values
// that are not), "min" and "max" (numbers).
bool sb_where_ok(const cJSON *where);
// Whether all of them hold; with "*" for every member, and for one at least. What is not there
// holds nothing. False with a sentence in why.
bool sb_where_holds(const cJSON *where, const cJSON *root, char *why, size_t why_size);

#endif
