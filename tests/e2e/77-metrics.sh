#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a node's monitor sees of running instances: shelter top, shelter metrics, lines of logs as JSON.
. tests/e2e/lib.sh
[ -x build/sgx-loader ] && [ -f build/base/enclave ] || { skip "metrics: not built (make)"; exit 0; }
B=$(command -v busybox)
check "build, with stats" "$SHELTER" build -q -t open --allow stats -f "$B"
check "build, without" "$SHELTER" build -q -t shut -f "$B"
check "run one" "$SHELTER" run -d --tee sgx-sim --name 'open.1' open /bin/busybox sleep 100
check "run the other" "$SHELTER" run -d --tee sgx-sim --name shut.1 shut /bin/busybox sleep 100
status "metrics" 0 "$SHELTER" metrics
cp "$T/out" "$T/text"
cat >"$T/read.py" <<'END'
import re, sys
seen, samples = set(), {}
for line in open(sys.argv[1]):
    m = re.fullmatch(r'# TYPE (\w+) (counter|gauge|untyped)\n', line)
    if m:
        assert m[1] not in seen, line
        seen.add(m[1])
    elif not line.startswith('# HELP '):
        m = re.fullmatch(r'(shelter_instance_\w+)\{((?:\w+="[^"\\\n]*",?)+)\} ([0-9.e+]+)\n', line)
        assert m and m[1] in seen, line
        samples[m[1], dict(re.findall(r'(\w+)="([^"]*)"', m[2]))['instance']] = float(m[3])
names = lambda i: {n for n, instance in samples if instance == i}
inside = {'shelter_instance_inside_calls_out', 'shelter_instance_inside_aex', 'shelter_instance_inside_committed_bytes', 'shelter_instance_processor_total'}
assert inside <= names('open.1'), inside - names('open.1')
assert not any('inside' in n or 'processor' in n or 'calls_out' in n for n in names('shut.1'))
for i in ('open.1', 'shut.1'):
    assert 1 << 20 < samples['shelter_instance_memory_bytes', i] < 64 << 20, samples
    assert samples['shelter_instance_host_processes', i] >= 2 and samples['shelter_instance_info', i] == 1
END
status "metrics: Prometheus' form, the inside's counts only where they are allowed" 0 python3 "$T/read.py" "$T/text"
sed 's/^/#   /' "$T/err" | tail -n 3
"$SHELTER" metrics --listen "unix:$T/socket" >"$T/where" &
server=$!
cleanup_hooks+=('kill $server 2>/dev/null')
check "metrics --listen: a unix socket" until_true 20 test -S "$T/socket"
same "... its owner's" "$(stat -c %a "$T/socket")" 600
status "... another beside it" 125 "$SHELTER" metrics --listen "unix:$T/socket"
one_line "... is told" "the address is in use"
ask() { curl -s -m 20 -o "$T/body" -w '%{http_code}' --unix-socket "$T/socket" "$@"; }
same "... /healthz" "$(ask http://node/healthz)" 200
same "... /metrics" "$(ask http://node/metrics)" 200
status "... the same" 0 python3 "$T/read.py" "$T/body"
same "... nothing else" "$(ask http://node/)" 404
same "... and only GET" "$(ask -X POST http://node/metrics)" 405
kill $server
wait $server
check "... it takes its socket with it" [ ! -e "$T/socket" ]

status "top" 0 "$SHELTER" top --count 2 --interval 1
same "... two sights of two" "$(grep -c sgx-sim "$T/out")" 4
check "... the second knows rates" sh -c "tail -n 2 '$T/out' | grep -qE '^open.1 +sgx-sim +[0-9.]+% +[0-9.]+M +[0-9.]+M( +[0-9]+){4}$'"
check "... of what is allowed" sh -c "tail -n 2 '$T/out' | grep -qE '^shut.1 +sgx-sim +[0-9.]+% +[0-9.]+M( +-){4} +[0-9]+$'"
status "top --json" 0 "$SHELTER" top --count 1 --json
same "... a list a line" "$(python3 -c "import json; print(sorted((i['instance'], 'stats' in i) for i in json.load(open('$T/out'))))")" "[('open.1', True), ('shut.1', False)]"
for wrong in "--interval 0" "--count 0" "--interval x"; do status "top $wrong" 125 "$SHELTER" top $wrong; done

status "run --log-format json" 127 "$SHELTER" run --rm --tee sgx-sim --log-format json open /nosuch
same "... each line is an object" "$(python3 -c "
import json
for line in open('$T/err'):
    print(json.loads(line)['level'], end=' ')")" "warning error "
status "run --log-format xml" 125 "$SHELTER" run --log-format xml open
status "run --read-only" 1 "$SHELTER" run --rm --tee sgx-sim --read-only shut /bin/busybox touch /x
check "... says so" grep -q 'Read-only file system' "$T/err"
