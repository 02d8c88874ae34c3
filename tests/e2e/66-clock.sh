#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs alone: it makes the processors as busy as it needs them.
# The enclave's clocks against the host's, beside programs that take the processors: many starts, since the rate is
# measured at the start, from what the host says in time or late.
. tests/e2e/lib.sh
LIMIT=60
enclave_base clock
cat >"$T/clock.c" <<'C'
#include <stdio.h>
#include <time.h>
#include <unistd.h>
static long long at(int clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}
int main(void)
{
    char c;
    while (read(0, &c, 1) == 1) {
        printf("%lld %lld\n", at(CLOCK_MONOTONIC), at(CLOCK_REALTIME));
        fflush(stdout);
    }
    return 0;
}
C
gcc -O2 -static -o "$T/clock" "$T/clock.c"
status "build" 0 "$SHELTER" build -q -t clock -f "$T/clock:/bin/clock"
cat >"$T/hold.py" <<'P'
"""Starts it again and again. Each answer came between question and arrival, and so did each clock's value: what a
clock went forward between two answers is between the least and the most that the host's went."""
import os, subprocess, sys, time

busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * os.cpu_count())]
wrong, worst, runs = [], 0.0, int(sys.argv[1])
try:
    for n in range(runs):
        p = subprocess.Popen([os.environ["SHELTER"], "run", "--tee", "sgx-sim", "--rm", "clock", "/bin/clock"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        answers = []
        for pause in (0, 0.05, 0.2, 0.4):
            time.sleep(pause)
            asked = time.monotonic_ns(), time.time_ns()
            p.stdin.write(b"x")
            p.stdin.flush()
            said = [int(v) for v in p.stdout.readline().split()]
            answers.append((asked, said, (time.monotonic_ns(), time.time_ns())))
        p.stdin.close()
        p.wait()
        for clock in (0, 1):
            for i in range(1, len(answers)):
                first, last = answers[i - 1], answers[i]
                least, most = last[0][clock] - first[2][clock], last[2][clock] - first[0][clock]
                went = last[1][clock] - first[1][clock]
                slack = 2_000_000 + most // 256  # the rate is followed, not known
                off = max(least - slack - went, went - most - slack, 0)
                worst = max(worst, abs(went - (least + most) / 2) / most)
                if off or went <= 0:
                    wrong.append("run %d clock %d part %d: %d ns, the host's %d to %d" % (n, clock, i, went, least, most))
        for asked, said, got in answers:
            if not asked[1] - 50_000_000 <= said[1] <= got[1] + 50_000_000:
                wrong.append("run %d: the time of day is %d, the host's %d to %d" % (n, said[1], asked[1], got[1]))
finally:
    for b in busy:
        b.kill()
        b.wait()
print("\n".join(wrong[:20]))
print("%d starts, %d wrong" % (runs, len(wrong)))
P
status "clocks beside busy processors" 0 python3 "$T/hold.py" "${CLOCK_RUNS:-20}"
same "20 starts: no clock is too fast, too slow or at another time" "$(tail -n 1 "$T/out")" "${CLOCK_RUNS:-20} starts, 0 wrong"
grep -v wrong$ "$T/out" | sed 's/^/# /'
