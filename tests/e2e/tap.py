# SPDX-License-Identifier: Apache-2.0
"""What the cases against a broker print: a line of TAP each."""


def same(name, got, want):
    print(f"ok {name}" if got == want else f"not ok {name}: got {got!r}, want {want!r}", flush=True)


def refused(name, answer, status, code):
    """An answer (status, body, ...) that is a problem of this code."""
    same(name, (answer[0], answer[1].get("type", "").removeprefix("urn:shelter:broker:") if isinstance(answer[1], dict) else answer[1]), (status, code))


def run(main, servers, platform):
    """main(), after which none of the servers (subprocess.Popen) is left, nor the platform."""
    try:
        main()
    finally:
        for left in servers:
            if left.poll() is None:
                left.kill()
        platform.close()
