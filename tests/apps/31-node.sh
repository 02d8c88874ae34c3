#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Node: a program from stdin, an HTTP server under load, networkInterfaces.
. tests/apps/lib.sh
need node wrk curl
add "$(readlink -f "$(command -v node)")" /usr/bin/node
add_dns
cat >"$R/data/server.js" <<'END'
const http = require('http'), os = require('os');
http.createServer((q, r) => {
  if (q.url === '/who') return r.end(q.socket.remoteAddress + '\n');
  if (q.url === '/interfaces') return r.end(JSON.stringify(Object.keys(os.networkInterfaces())) + '\n');
  r.end('hello\n');
}).listen(8080, '0.0.0.0');
process.on('SIGTERM', () => process.exit(0));
END
image node
export LIMIT=60
printf 'console.log("from stdin", 6 * 7)\n' >"$T/script"
status "node: a program from stdin" 0 "$SHELTER" run --tee sgx-sim --rm -m 2G node /usr/bin/node - <"$T/script"
same "node: ran" "$(cat "$T/out")" "from stdin 42"
MEMORY=2G start node 8080 /usr/bin/node /data/server.js
url=http://127.0.0.1:$port
check "node: answers" until_true 30 curl -sf "$url/"
same "node: the client's address" "$(curl -s "$url/who")" 10.0.2.2
same "node: interfaces" "$(curl -s "$url/interfaces")" '["lo","eth0"]'
wrk_ok "node: 64 keep-alive connections" "$url/" 4 64
idle node
finish_app node 0
