# SPDX-License-Identifier: Apache-2.0
# For the tests of real servers with their real clients: a root folder of Debian's own files, an image of
# it, an instance in sgx-sim with published ports. Source it from the repository's root.
. tests/e2e/lib.sh
LIMIT=${LIMIT:-60}
enclave_base apps
mkdir -p "$T/root"/{bin,etc,tmp,run,var/log,var/run,data,dev,proc}
R=$T/root
chmod 1777 "$R/tmp"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nwww-data:x:33:33::/:/bin/false\n' >"$R/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\nwww-data:x:33:\n' >"$R/etc/group"
echo 'hosts: files dns' >"$R/etc/nsswitch.conf"

for l in /lib/x86_64-linux-gnu/lib{gcc_s.so.1,dl.so.2,rt.so.1,pthread.so.0}; do # what pthread_exit and older objects load
    [ -e "$l" ] && mkdir -p "$R$(dirname "$l")" && cp -L "$l" "$R$l"
done

# need PROGRAM…: all of them, or the test is skipped.
need() {
    local p
    for p; do
        command -v "$p" >/dev/null && continue
        skip "apps: $p is not installed (tools/install-deps --apps)"
        exit 0
    done
}
# add FILE [AS]: into the root, with the libraries it needs.
add() {
    local to=$R${2:-$1} l
    mkdir -p "$(dirname "$to")"
    cp -L "$1" "$to"
    { ldd "$1" 2>/dev/null | grep -oE '/[^ ]+'; } | while read -r l; do
        [ -e "$R$l" ] || { mkdir -p "$R$(dirname "$l")" && cp -L "$l" "$R$l"; }
    done
}
# add_all FOLDER: as it stands, libraries of what is an object too.
add_all() {
    local f
    mkdir -p "$R$1"
    cp -rL "$1/." "$R$1/" 2>/dev/null
    find "$1" -name '*.so*' -type f | while read -r f; do add "$f"; done
}
add_dns() { # what glibc's getaddrinfo loads
    local f
    for f in /lib/x86_64-linux-gnu/libnss_{dns,files}.so.2 /lib/x86_64-linux-gnu/libresolv.so.2; do
        [ -e "$f" ] && add "$f"
    done
}
# add_java MODULES: a Java run time of these modules as /opt/java; false where none can be made.
add_java() {
    mkdir -p "$R/opt"
    jlink --add-modules "$1" --strip-debug --no-man-pages --no-header-files --output "$R/opt/java" >"$T/err" 2>&1 || return 1
    local f l
    find "$R/opt/java/lib" "$R/opt/java/bin" -type f \( -name java -o -name "*.so" \) >"$T/libraries"
    while read -r f; do
        ldd "$f" 2>/dev/null | grep -oE '=> /[^ ]+' | cut -c4- | while read -r l; do
            [ -e "$R$l" ] || [[ $l = "$R"* ]] || { mkdir -p "$R$(dirname "$l")" && cp -L "$l" "$R$l"; }
        done
    done <"$T/libraries"
    add_dns
}
# fetch_maven FOLDER GROUP:ARTIFACT:VERSION[:CLASSIFIER]…: the jars and what they depend on.
fetch_maven() {
    local to=$1 a g n v c
    shift
    mkdir -p "$T/maven"
    {
        echo '<project><modelVersion>4.0.0</modelVersion><groupId>t</groupId><artifactId>t</artifactId><version>1</version><dependencies>'
        for a; do
            IFS=: read -r g n v c <<<"$a"
            echo "<dependency><groupId>$g</groupId><artifactId>$n</artifactId><version>$v</version>${c:+<classifier>$c</classifier>}</dependency>"
        done
        echo '</dependencies></project>'
    } >"$T/maven/pom.xml"
    (cd "$T/maven" && timeout 120 mvn -q -B dependency:copy-dependencies -DoutputDirectory="$to") >"$T/err" 2>&1
}
# add_python: Debian's Python, its standard library and the name of the program in $python, of that library in $python_lib.
add_python() {
    local f
    python=$(readlink -f /usr/bin/python3)
    python_lib=/usr/lib/${python##*/}
    add "$python"
    mkdir -p "$R$python_lib" "$R/usr/lib/python3/dist-packages"
    (cd "$python_lib" && tar c --exclude=test --exclude=config-* --exclude=__pycache__ .) | tar x -C "$R$python_lib"
    for f in "$python_lib"/lib-dynload/*.so; do add "$f"; done
    add_dns
}
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
# image TAG: of the root folder.
image() {
    tar -C "$R" --owner=0 --group=0 -cf "$T/root.tar" .
    check "$1: build" "$SHELTER" build -q -t "$1" -r "$T/root.tar" ${BUILD_OPTIONS:-}
}
# start NAME INSIDE[/udp][,INSIDE…] COMMAND…: detached, ports published; the outside ones in $port, ${ports[@]}.
start() {
    local name=$1 inside=$2 publish=() p
    shift 2
    ports=()
    for p in ${inside//,/ }; do
        ports+=("$(free_port)")
        publish+=(-p "127.0.0.1:${ports[-1]}:$p")
    done
    port=${ports[0]}
    check "$name: start" timeout 60 "$SHELTER" run -d --tee sgx-sim --name "$name" -m "${MEMORY:-1G}" "${publish[@]}" \
        ${RUN_OPTIONS:-} "$name" "$@"
}
# loader_pid: of the one instance of this test.
loader_pid() {
    local d
    for d in /proc/[0-9]*; do
        if [ "$(readlink "$d/exe" 2>/dev/null)" = "$ROOT/build/sgx-loader" ] && grep -qa "$T/" "$d/cmdline" 2>/dev/null; then
            echo "${d#/proc/}"
            return
        fi
    done
}
cpu_ticks() { # of a process, user and system
    awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"
}
# idle NAME: less than 1 % of a processor while nobody asks for anything.
idle() {
    local pid before after
    pid=$(loader_pid)
    [ -n "$pid" ] || { not_ok "$1: is not running"; return; }
    sleep 1
    before=$(cpu_ticks "$pid")
    sleep 4
    after=$(cpu_ticks "$pid")
    if [ $((after - before)) -le 4 ]; then ok "$1: idle ($((after - before)) ticks in 4 s)"; else
        not_ok "$1: $((after - before)) ticks of 10 ms in 4 s of idleness"
    fi
}
# descriptors: how many the loader has.
descriptors() { find "/proc/$(loader_pid)/fd" -mindepth 1 2>/dev/null | wc -l; }
# finish_app NAME STATUS: SIGTERM ends it so.
finish_app() {
    check "$1: stop" timeout 60 "$SHELTER" stop "$1"
    status "$1: wait" 0 "$SHELTER" wait "$1"
    same "$1: its exit status" "$(cat "$T/out")" "$2"
    if [ "$(cat "$T/out")" != "$2" ]; then "$SHELTER" logs "$1" 2>&1 | tail -n 20 | sed 's/^/#   /'; fi
    "$SHELTER" rm -f "$1" >/dev/null 2>&1
}
# wrk_ok NAME URL SECONDS CONNECTIONS: requests, none failed.
wrk_ok() {
    wrk -t1 -c"$4" -d"$3s" ${5:+-s "$5"} "$2" >"$T/wrk" 2>&1
    local n
    n=$(awk '/requests in/ { print $1 }' "$T/wrk")
    if [ "${n:-0}" -gt 100 ] && ! grep -qE 'Socket errors: (connect [1-9]|.*(read|write) [1-9])|Non-2xx' "$T/wrk"; then
        ok "$1 ($(awk '/Requests\/sec/ { print $2 }' "$T/wrk") requests a second)"
    else
        not_ok "$1"
        sed 's/^/#   /' "$T/wrk"
    fi
}
