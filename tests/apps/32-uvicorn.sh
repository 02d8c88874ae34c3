#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# uvicorn: an ASGI program of Python's asyncio.
. tests/apps/lib.sh
need wrk curl
/usr/bin/python3 -c 'import uvicorn' 2>/dev/null || { skip "apps: uvicorn is not installed (tools/install-deps --apps)"; exit 0; }
add_python
for m in uvicorn click h11 asgiref typing_extensions httptools wsproto colorama; do
    for f in /usr/lib/python3/dist-packages/$m /usr/lib/python3/dist-packages/$m.py; do
        [ -e "$f" ] && cp -r "$f" "$R/usr/lib/python3/dist-packages/"
    done
done
find "$R/usr/lib/python3/dist-packages" -name '*.so' | while read -r f; do add "${f#"$R"}"; done
cat >"$R/data/app.py" <<'END'
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    body = scope['client'][0].encode() if scope['path'] == '/who' else b'hello'
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'%d' % len(body))]})
    await send({'type': 'http.response.body', 'body': body})
END
image uvicorn
start uvicorn 8000 "$python" -m uvicorn --app-dir /data --host 0.0.0.0 --no-access-log app:app
url=http://127.0.0.1:$port
check "uvicorn: answers" until_true 30 curl -sf "$url/"
same "uvicorn: the client's address" "$(curl -s "$url/who")" 10.0.2.2
wrk_ok "uvicorn: 32 keep-alive connections" "$url/" 4 32
idle uvicorn
finish_app uvicorn 0
