#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two shelters that know each other by their identities: nginx in an enclave, PostgreSQL in a VM, TLS with certificates on both
# sides, neither of them changed. One that is revoked is refused.
. tests/apps/lib.sh
BIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$BIN" ] && [ -x "$BIN/postgres" ] || { skip "identity: PostgreSQL is not installed (tools/install-deps --apps)"; exit 0; }
need nginx psql curl busybox openssl runuser
[ -f build/base/vmlinux ] && [ -f build/base/initramfs ] || { skip "identity: no guest kernel (make tools)"; exit 0; }
[ "$(id -u)" = 0 ] || { skip "identity: initdb needs another user than the one that runs this"; exit 0; }
LIMIT=150
export SHELTER_BASE=$ROOT/build/base SHELTER_BROKER=$T/broker
E=$ROOT/examples/identity
VERSION=$(basename "$(dirname "$BIN")")

# The web server's root, and the database's with a cluster made beforehand.
add "$(command -v nginx)" /usr/sbin/nginx
add "$(readlink -f "/usr/lib/postgresql/$VERSION/bin/psql")" /bin/psql
add "$(command -v busybox)" /bin/busybox
for a in sh sleep mv; do ln -sf busybox "$R/bin/$a"; done
mkdir -p "$R/etc/nginx" "$R/www" "$R/var/lib/nginx" "$R/var/log/nginx"
cp "$E/nginx.conf" "$R/etc/nginx/"
cat >"$R/bin/web" <<'END'
#!/bin/sh
# Each second what the database says, as a page; then nginx, which SIGHUP reaches.
export PGSSLMODE=verify-full PGSSLCERT=/run/identity/certificate.pem PGSSLKEY=/run/identity/key.pem PGSSLROOTCERT=/run/identity/ca.pem
export PGSSLCRL=/run/identity/crl.pem PGHOST=db.example.org PGHOSTADDR=10.0.2.2 PGPORT=$1 PGUSER=web PGDATABASE=postgres PGCONNECT_TIMEOUT=10
while :; do
    psql -XAtqc "select current_user, ssl, version, client_dn from pg_stat_ssl where pid = pg_backend_pid()" >/www/next 2>&1
    mv /www/next /www/page
    sleep 1
done &
exec nginx -c /etc/nginx/nginx.conf
END
chmod 755 "$R/bin/web"
tar -C "$R" --owner=0 --group=0 -cf "$T/web.tar" .
R=$T/db
mkdir -p "$R"/{bin,etc,tmp,run,data,dev,proc}
chmod 1777 "$R/tmp"
printf 'root:x:0:0:root:/root:/bin/sh\npostgres:x:100:100::/data:/bin/sh\n' >"$R/etc/passwd"
printf 'root:x:0:\npostgres:x:100:\n' >"$R/etc/group"
add "$BIN/postgres"
add_all "/usr/lib/postgresql/$VERSION/lib"
add_all "/usr/share/postgresql/$VERSION"
install -d -o nobody "$T/cluster"
chmod 711 "$T"
runuser -u nobody -- "$BIN/initdb" -D "$T/cluster/d" -A trust -U postgres --no-locale -E UTF8 --no-sync >"$T/out" 2>&1
echo "create role web login;" | runuser -u nobody -- "$BIN/postgres" --single -D "$T/cluster/d" postgres >>"$T/out" 2>&1
cp "$E/postgresql.conf" "$E/pg_hba.conf" "$E/pg_ident.conf" "$T/cluster/d/"
check "a cluster" test -s "$T/cluster/d/PG_VERSION"
cp -r "$T/cluster/d" "$R/data/d"
chmod -R go-rwx "$R/data/d"
tar -C "$R" --owner=0 --group=0 --exclude=./data/d -cf "$T/db.tar" .
tar -C "$R" --owner=100 --group=100 -rf "$T/db.tar" ./data/d

# The broker, and the two lines.
simulated_broker 900
db_port=$(free_port)
check "build: db" "$SHELTER" build -q -t db -r "$T/db.tar" -u postgres --broker-key "$T/key.pem" --identity spiffe://example.org/db:HUP \
    -c "$BIN/postgres -D /data/d"
check "build: web" "$SHELTER" build -q -t web -r "$T/web.tar" --broker-key "$T/key.pem" --identity spiffe://example.org/web:HUP -c "/bin/web $db_port"
for name in db web; do
    "$SHELTER" broker add-reference $name:latest >/dev/null
    check "identity of $name" "$SHELTER" broker add-identity "spiffe://example.org/$name" --image $name:latest --dns $name.example.org
done
web_port=$(free_port) own_port=$(free_port)
check "run: db, in a VM" "$SHELTER" run -d --name db --tee tdx-sim -m 1G -i "$(cat "$T/url")" -p "127.0.0.1:$db_port:5432" db
check "run: web, in an enclave" "$SHELTER" run -d --name web --tee sgx-sim -m 1G --network host-loopback -i "$(cat "$T/url")" \
    -p "127.0.0.1:$web_port:8443" -p "127.0.0.1:$own_port:9443" web
"$SHELTER" broker identity ca >"$T/ca.pem"
page() { curl -s --max-time 5 --cacert "$T/ca.pem" --resolve "web.example.org:$web_port:127.0.0.1" "https://web.example.org:$web_port/page"; }
says() { page >"$T/page" && grep -q "$1" "$T/page"; }
if until_true 120 says '^web|t|'; then ok "the enclave's client and the VM's server know each other"; else
    not_ok "no TLS between them: $(cat "$T/page")"
    "$SHELTER" logs db | tail -n 3
    "$SHELTER" logs web | tail -n 3
fi
same "what PostgreSQL saw" "$(page)" "web|t|TLSv1.3|/CN=web.example.org"
same "nginx: without a certificate" "$(curl -s -o /dev/null -w '%{http_code}' --cacert "$T/ca.pem" \
    --resolve "web.example.org:$own_port:127.0.0.1" "https://web.example.org:$own_port/")" 400
check "PostgreSQL: without a certificate" sh -c "! PGSSLMODE=require PGSSLCERT=/none PGSSLROOTCERT=/none psql -XAtqc 'select 1' \
    'host=127.0.0.1 port=$db_port user=web dbname=postgres' 2>'$T/err'"
check "PostgreSQL: told why" grep -q "requires a valid client certificate" "$T/err"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=web.example.org -keyout "$T/own.key" -out "$T/own.pem" 2>/dev/null
chmod 600 "$T/own.key"
check "PostgreSQL: a certificate of one's own making" sh -c "! PGSSLMODE=require PGSSLCERT=$T/own.pem PGSSLKEY=$T/own.key PGSSLROOTCERT=/none \
    psql -XAtqc 'select 1' 'host=127.0.0.1 port=$db_port user=web dbname=postgres' 2>'$T/err'"
# Within its lifetime of an hour: PostgreSQL has the list, and is told.
check "revoke" "$SHELTER" broker remove-resource spiffe://example.org/web
begun=$(date +%s)
check "refused: the revoked identity" until_true 90 says 'revoked'
echo "# refused $(($(date +%s) - begun)) s after it was revoked"
"$SHELTER" kill web db >/dev/null 2>&1
