#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Databases on a volume, killed with SIGKILL in the middle of work: redis with appendfsync always, SQLite (WAL and
# rollback journal), PostgreSQL. What they acknowledged is there, and their own checks find nothing. The broker has
# each second's state (freshness=session); an earlier file is refused.
# May take 900 s: some fifteen kills and recoveries, on a machine that may have other work.
. tests/apps/lib.sh
KILLS=${SHELTER_KILLS:-3} # of each, at random moments of its work
need redis-server redis-cli sqlite3 busybox
BIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
export SHELTER_BROKER=$T/broker
simulated_broker 900
head -c 32 /dev/urandom >"$T/key"
for name in redis sqlite-delete sqlite-wal postgres; do "$SHELTER" broker add-resource "volumes/key/$name" "$T/key" --image any; done

# kept NAME COMMAND [OPTION…]: an image of the root folder with a volume at /data.
kept() {
    local name=$1 command=$2
    shift 2
    BUILD_OPTIONS= tar -C "$R" --owner=0 --group=0 -cf "$T/root.tar" .
    check "$name: build" "$SHELTER" build -q -t "$name" -r "$T/root.tar" -c "$command" --broker-key "$T/key.pem" \
        --volume data:/data:key=kbs:///volumes/key/$name:freshness=${FRESH:-session}:size=1G "$@"
    check "$name: reference" "$SHELTER" broker add-reference "$name"
}
# begin NAME PORT: detached, with the volume $T/NAME.disk
begin() {
    port=$(free_port)
    timeout 60 "$SHELTER" run -d --tee sgx-sim --name "$1" -m "${MEMORY:-1G}" -p "127.0.0.1:$port:$2" \
        -i "$(cat "$T/url")" -v "data:$T/$1.disk" "$1" >"$T/out" 2>"$T/err"
}
# cut NAME: as if the machine had gone.
cut() {
    kill -9 "$(loader_pid)"
    until_true 20 bash -c "[ -z \"\$('$SHELTER' ps -q)\" ]"
    "$SHELTER" rm "$1" >/dev/null 2>&1
}
owner_checks() { status "$1: the volume fits together" 0 "$SHELTER" volume check "$T/$1.disk" --key "$T/key"; }

# --- redis ---
add "$(command -v redis-server)" /usr/bin/redis-server
kept redis "/usr/bin/redis-server --dir /data --appendonly yes --appendfsync always --protected-mode no --save ''"
lost=0 told=0
for ((round = 1; round <= KILLS + 2; round++)); do
    begin redis 6379
    until_true 30 redis-cli -p "$port" ping >/dev/null
    have=$(redis-cli -p "$port" get n)
    [ "${have:-0}" -ge "$told" ] || lost=$((lost + told - ${have:-0}))
    rm -f "$T/told"
    (while n=$(timeout 5 redis-cli -p "$port" incr n 2>/dev/null) && [[ $n =~ ^[0-9]+$ ]]; do echo "$n"; done) >"$T/told" 2>/dev/null &
    writer=$!
    until_true 20 bash -c "[ \$(wc -l <'$T/told') -gt $((40 + round * 13 % 100)) ]"
    cut redis
    wait $writer
    told=$(tail -n 1 "$T/told")
done
begin redis 6379
check "redis: comes back" until_true 30 redis-cli -p "$port" ping
have=$(redis-cli -p "$port" get n)
same "redis: acknowledged and lost" "$lost" 0
check "redis: all is there ($told acknowledged, $have found)" test "$have" -ge "$told"
status "redis: SAVE" 0 redis-cli -p "$port" save
status "redis: BGREWRITEAOF" 0 redis-cli -p "$port" bgrewriteaof
cut redis
owner_checks redis

# --- SQLite ---
add "$(command -v sqlite3)" /usr/bin/sqlite3
add "$(command -v busybox)" /bin/busybox
ln -sf busybox "$R/bin/sh"
# With a rollback journal the transaction ends when the journal's name goes; only synchronous=EXTRA syncs that (SQLite's
# manual: with FULL the last one may be rolled back after a power loss).
for mode in delete wal; do
    [ $mode = delete ] && sync=extra || sync=full
    cat >"$R/bin/sqlite" <<END
#!/bin/sh
read count
/usr/bin/sqlite3 /data/db 'pragma integrity_check; create table if not exists t (n integer primary key); select count(*), max(n) from t'
i=0
while [ \$i -lt \$count ]; do
    echo 'insert into t (n) select coalesce(max(n), 0) + 1 from t; select max(n) from t;'
    i=\$((i + 1))
done | /usr/bin/sqlite3 -interactive -cmd 'pragma journal_mode=$mode' -cmd 'pragma synchronous=$sync' /data/db
END
    chmod 755 "$R/bin/sqlite"
    kept "sqlite-$mode" /bin/sqlite
    lost=0 told=0 cuts=0
    for ((round = 1; round <= KILLS + 1; round++)); do
        [ $round -le $KILLS ] && count=100000 || count=20
        rm -f "$T/told.now" # or that of the round before would pass for this one's
        echo $count | timeout 120 "$SHELTER" run --rm --tee sgx-sim -m 512M -i "$(cat "$T/url")" -v "data:$T/sqlite.disk.$mode" \
            "sqlite-$mode" >"$T/told.now" 2>"$T/err" &
        runner=$!
        if [ $count = 100000 ]; then
            until_true 90 bash -c "[ \$(wc -l <'$T/told.now') -gt $((10 + round * 17 % 90)) ]"
            kill -9 "$(loader_pid)" && cuts=$((cuts + 1))
        fi
        wait $runner
        [ "$(head -n 1 "$T/told.now")" = ok ] || not_ok "SQLite, $mode: integrity, round $round: $(head -n 1 "$T/told.now") $(tail -n 1 "$T/err")"
        have=$(sed -n '2s/.*|//p' "$T/told.now")
        [ "${have:-0}" -ge "$told" ] || lost=$((lost + told - ${have:-0}))
        told=$(tail -n +3 "$T/told.now" | grep -aoE '[0-9]+$' | tail -n 1)
        told=${told:-${have:-0}}
    done
    same "SQLite, $mode: killed at work" "$cuts" "$KILLS"
    same "SQLite, $mode: acknowledged and lost" "$lost" 0
    check "SQLite, $mode: wrote ($told)" test "$told" -gt $((KILLS * 10))
done

# --- PostgreSQL ---
[ -n "$BIN" ] && [ -x "$BIN/postgres" ] || { skip "postgres: not installed (tools/install-deps --apps)"; exit 0; }
need psql pgbench
VERSION=$(basename "$(dirname "$BIN")")
echo 'postgres:x:100:100::/data:/bin/sh' >>"$R/etc/passwd"
echo 'postgres:x:100:' >>"$R/etc/group"
for p in postgres initdb; do add "$BIN/$p"; done
add_all "/usr/lib/postgresql/$VERSION/lib"
add_all "/usr/share/postgresql/$VERSION"
for a in cat ls locale kill true chown su; do ln -sf busybox "$R/bin/$a"; done
cat >"$R/bin/server" <<END
#!/bin/sh
set -e
if [ ! -s /data/ready ]; then
    $BIN/initdb -D /data/d -A trust -U postgres
    echo 'host all all all trust' >>/data/d/pg_hba.conf
    echo done >/data/ready
fi
exec $BIN/postgres -D /data/d -k /tmp -c listen_addresses='*'
END
chmod 755 "$R/bin/server"
cat >"$R/bin/first" <<END
#!/bin/sh
chown postgres /data && exec su postgres -c /bin/server
END
chmod 755 "$R/bin/first"
kept postgres /bin/first
export PGHOST=127.0.0.1 PGUSER=postgres PGDATABASE=postgres PGCONNECT_TIMEOUT=10
MEMORY=4G begin postgres 5432
export PGPORT=$port
check "postgres: answers" until_true 60 psql -XAtqc 'select 1'
check "postgres: pgbench -i" timeout 120 pgbench -q -i -s 2
for ((round = 1; round <= KILLS; round++)); do
    timeout 60 pgbench -n -c 4 -j 2 -T 50 -l --log-prefix="$T/pg$round" >"$T/bench" 2>&1 &
    bench=$!
    until_true 30 bash -c "[ \$(cat '$T/pg$round'* 2>/dev/null | wc -l) -gt 100 ]"
    cut postgres
    wait $bench
    MEMORY=4G begin postgres 5432
    export PGPORT=$port
    check "postgres: recovers, round $round" until_true 60 psql -XAtqc 'select 1'
    acked=$(cat "$T"/pg* 2>/dev/null | wc -l)
    found=$(psql -XAtqc 'select count(*) from pgbench_history')
    check "postgres: $acked acknowledged at least, $found found" test "${found:-0}" -ge "$acked"
    same "postgres: sums agree" "$(psql -XAtqc 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)')" t
done
cut postgres
owner_checks postgres
