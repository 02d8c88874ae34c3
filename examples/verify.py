#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Judges evidence with libshelter-verify, by ctypes alone.

verify.py EVIDENCE COLLATERAL [ROOT.pem]      exit status: 0 accept, 1 reject, 2 cannot judge
"""
import ctypes
import json
import sys
import time

lib = ctypes.CDLL("libshelter-verify.so.1")
libc = ctypes.CDLL(None)
P, S = ctypes.c_void_p, ctypes.c_size_t


class Request(ctypes.Structure):
    """struct shelter_verify_request of <shelter/verify.h>."""
    _fields_ = [("size", S), ("evidence", P), ("evidence_size", S), ("type", ctypes.c_int), ("collateral", P),
                ("signer", P), ("signer_size", S), ("ca", P), ("ca_size", S), ("event_log", P), ("event_log_size", S),
                ("policy_json", ctypes.c_char_p), ("reference_json", ctypes.c_char_p), ("nonce", P), ("nonce_size", S),
                ("report_data", P), ("report_data_size", S), ("time", ctypes.c_int64), ("allow_simulated", ctypes.c_bool)]


for name, result, arguments in (
        ("shelter_collateral_load", ctypes.c_int, [ctypes.c_char_p, P, S, ctypes.POINTER(P), ctypes.c_char_p, S]),
        ("shelter_collateral_free", None, [P]),
        ("shelter_verify", ctypes.c_int, [ctypes.POINTER(Request), ctypes.POINTER(P)]),
        ("shelter_verdict_accepted", ctypes.c_bool, [P]), ("shelter_verdict_judged", ctypes.c_bool, [P]),
        ("shelter_verdict_json", P, [P]), ("shelter_verdict_free", None, [P])):
    getattr(lib, name).restype, getattr(lib, name).argtypes = result, arguments


def pointer(data):
    return ctypes.cast(ctypes.c_char_p(data), P)


def main(evidence, collateral, root=None):
    data = open(evidence, "rb").read()
    ca = open(root, "rb").read() if root else b""
    col, verdict, why = P(), P(), ctypes.create_string_buffer(256)
    if lib.shelter_collateral_load(collateral.encode(), pointer(ca) if ca else None, len(ca), ctypes.byref(col), why, len(why)):
        print(why.value.decode(), file=sys.stderr)
        return 2
    request = Request(size=ctypes.sizeof(Request), evidence=pointer(data), evidence_size=len(data), collateral=col,
                      ca=pointer(ca) if ca else None, ca_size=len(ca), time=int(time.time()))
    if lib.shelter_verify(ctypes.byref(request), ctypes.byref(verdict)):
        return 2
    text = lib.shelter_verdict_json(verdict)
    print(json.dumps(json.loads(ctypes.string_at(text)), indent=1))
    libc.free(P(text))
    status = 0 if lib.shelter_verdict_accepted(verdict) else 1 if lib.shelter_verdict_judged(verdict) else 2
    lib.shelter_verdict_free(verdict)
    lib.shelter_collateral_free(col)
    return status


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
