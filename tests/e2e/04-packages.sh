#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a machine with nothing but git and make installs, and who is asked: tools/install-deps and the Makefile,
# with package tools and users that are made up.
. tests/e2e/lib.sh
# A tree that nothing can be built in: only what decides about packages.
mkdir -p "$T/apt" "$T/bare" "$T/tree/tools" "$T/tree/kernel"
cp Makefile VERSION "$T/tree/" && cp tools/install-deps "$T/tree/tools/" && cp kernel/packages "$T/tree/kernel/"
# Debian without the packages: no compiler, no pkg-config.
for f in $(dpkg -L bash coreutils findutils grep sed mawk make git hostname util-linux | grep -E '^/(usr/)?s?bin/'); do
    [ ! -x "$f" ] || ln -sf "$f" "$T/bare/"
done
ln -sf "$(command -v awk)" "$T/bare/awk"
script() { # NAME LINE…
    printf '%s\n' '#!/bin/sh' "${@:2}" >"$T/apt/$1" && chmod +x "$T/apt/$1"
}
script dpkg-query
script apt-get "echo \"\$*\" >>'$T/called'"
root=(env -u MAKELEVEL -u MAKEFLAGS PATH="$T/apt:$T/bare")
[ "$(id -u)" -eq 0 ] || root+=(unshare -r)
installed() { grep -c 'install .*libarchive-dev' "$T/called" 2>/dev/null; }

if "${root[@]}" true 2>/dev/null; then
    status "root without a terminal" 0 "${root[@]}" tools/install-deps --build-only </dev/null
    same "root without a terminal: what is missing is installed" "$(installed)" 1
    same "... the list of packages is fetched first" "$(sed 's/.*\(update\|install\).*/\1/' "$T/called" | tr '\n' ' ')" "update install "
    for goal in '' all tools demo test; do
        rm -f "$T/called"
        timeout 60 "${root[@]}" make -C "$T/tree" $goal </dev/null >/dev/null 2>"$T/err"
        same "root without a terminal: 'make${goal:+ $goal}' does so by itself" "$(installed)" 1
        check "... before it looks for a compiler" sh -c 'head -n 1 "$1" | grep -q "^install-deps: installing .* gcc "' sh "$T/err"
    done
    rm -f "$T/called"
    timeout 60 "${root[@]}" make -C "$T/tree" -n all </dev/null >/dev/null 2>&1
    timeout 60 "${root[@]}" make -C "$T/tree" clean </dev/null >/dev/null 2>&1
    check "make -n and other goals install nothing" [ ! -e "$T/called" ]
    script apt-get "echo 'E: no network' >&2" 'exit 100'
    for goal in demo test; do
        status "apt-get fails: make $goal ends" 2 "${root[@]}" make -C "$T/tree" $goal </dev/null
        check "... and says why, nothing else" \
            [ "$(grep -vcE '^install-deps: |^E: no network$|packages are missing.  Stop' "$T/err"),$(grep -c 'E: no network' "$T/err")" = 0,1 ]
    done
else
    skip "root without a terminal: no user namespaces here"
fi

# A user is asked, and nothing is installed without a word.
script apt-get "echo \"\$*\" >>'$T/called'"
script id 'echo 1000'
user=(env CI=1 PATH="$T/apt:$T/bare") # CI asks for nothing either
rm -f "$T/called"
status "a user without sudo" 125 "${user[@]}" tools/install-deps --build-only </dev/null
one_line "a user without sudo: told" "needs root and there is no sudo; as root run: apt-get install .*gcc"
script sudo 'exec "$@"'
status "a user without a terminal" 125 "${user[@]}" tools/install-deps --build-only </dev/null
one_line "a user without a terminal: told" "install-deps -y' to install them with root"
for answer in n ''; do
    status "a user who answers '$answer'" 125 python3 tests/e2e/answer.py "$answer" "${user[@]}" tools/install-deps --build-only
    check "... is told that nothing was installed" grep -q 'nothing was installed' "$T/out"
done
check "nothing was" [ ! -e "$T/called" ]
status "a user who answers 'y'" 0 python3 tests/e2e/answer.py y "${user[@]}" tools/install-deps --build-only
same "... has what is missing" "$(installed)" 1
status "a user with -y" 0 "${user[@]}" tools/install-deps -y --build-only </dev/null
same "... is not asked" "$(installed)" 2

# Only what is missing.
script dpkg-query "'$ROOT/tools/install-deps' --print | sed 's/^/ii /' | grep -v '^ii zlib1g-dev$'"
rm -f "$T/called"
status "one is missing: --check" 1 "${user[@]}" tools/install-deps --build-only --check
check "... names it" grep -q 'missing:.* zlib1g-dev' "$T/err"
check "... and none that is there" sh -c '! grep -qw gcc "$1"' sh "$T/err"
status "an option that is none" 125 tools/install-deps --frob
rm "$T/apt/dpkg-query"
status "no Debian" 125 "${user[@]}" tools/install-deps </dev/null
one_line "no Debian: told" 'no Debian system'

# Each goal that has no file can be planned: all that it needs has a rule.
goals=$(sed -n 's/^\.PHONY: //p' Makefile $(git ls-files '*/module.mk') | tr ' ' '\n')
same "goals were found" "$(grep -cxE 'test|fuzz|bench-report|bench-proc' <<<"$goals")" 4
for goal in $goals; do
    timeout 60 make -n "$goal" </dev/null >/dev/null 2>"$T/err" || echo "$goal: $(head -n 1 "$T/err")"
done >"$T/unplanned"
same "each goal of make has rules for what it needs" "$(cat "$T/unplanned")" ""
