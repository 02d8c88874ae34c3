#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The tree is cut by trust: who may include whom; what an attacker must break can be counted.
. tests/e2e/lib.sh
check "arrows run one way" tools/check-includes

# The check itself must see each kind of break.
mkdir -p "$T/tree"/{lib,include/shelter,trusted/guest,trusted/agent,trusted/libos/{agent,net},verifier/quote,host/launch}
touch "$T/tree/lib/a.h" "$T/tree/host/launch/launch.h" "$T/tree/verifier/quote/q.h" "$T/tree/trusted/guest/g.h" \
    "$T/tree/trusted/agent/a.h" "$T/tree/trusted/libos/agent/l.h"
try() { # NAME FILE INCLUDE WANT
    printf '#include "%s"\n' "$3" >"$T/tree/$2"
    tools/check-includes "$T/tree" >"$T/out" 2>&1
    same "$1" $? "$4"
    rm "$T/tree/$2"
}
try "trusted/ may include lib/" trusted/guest/x.c lib/a.h 0
try "trusted/ may include its own folder" trusted/guest/x.c trusted/guest/g.h 0
try "verifier/ may include itself" verifier/quote/x.c verifier/quote/q.h 0
try "host/ may include all" host/launch/x.c trusted/guest/g.h 0
try "trusted/ must not include host/" trusted/guest/x.c host/launch/launch.h 1
try "trusted/ must not include verifier/" trusted/agent/x.c verifier/quote/q.h 1
try "one trusted part must not include another" trusted/agent/x.c trusted/guest/g.h 1
try "the enclave's OS runs the agent" trusted/libos/agent/x.c trusted/agent/a.h 0
try "... and only there" trusted/libos/net/x.c trusted/agent/a.h 1
try "the agent knows no enclave's OS" trusted/agent/x.c trusted/libos/agent/l.h 1
try "verifier/ must not include trusted/" verifier/quote/x.c trusted/guest/g.h 1
try "verifier/ must not include host/" verifier/quote/x.c host/launch/launch.h 1
try "lib/ must not include host/" lib/x.c host/launch/launch.h 1
try "lib/ must not include trusted/" lib/x.c trusted/guest/g.h 1
try "include/ must not include lib/" include/shelter/x.h lib/a.h 1
echo 'int f(void) { return sh_launch_get(0, 0, 0, 0, 0, 0); }' >"$T/tree/trusted/guest/x.c"
tools/check-includes "$T/tree" >"$T/out" 2>&1
same "nobody judges a raw field of the launch config" $? 1
for raw in 'm->policy & 1' 'g->config.manifest.stop_signal' 'SH_POLICY_NO_INPUT' 'next(m, SH_TAG_ENV)'; do
    echo "int f(void) { return $raw; }" >"$T/tree/trusted/guest/x.c"
    tools/check-includes "$T/tree" >"$T/out" 2>&1
    same "... nor of the manifest: $raw" $? 1
done
printf '  #  include   <host/launch/launch.h> // x\n' >"$T/tree/trusted/guest/x.c"
tools/check-includes "$T/tree" >"$T/out" 2>&1
same "blanks and angle brackets hide nothing" $? 1
rm "$T/tree/trusted/guest/x.c"

# Floors: from the ground up.
mkdir -p "$T/tree/verifier"/{base,measure,judge} "$T/tree/host"/{base,store,run,cli,sgx/{loader,outside}}
touch "$T/tree/verifier"/{base/b.h,measure/m.h,judge/j.h} "$T/tree/host"/{base/b.h,run/r.h,cli/c.h}
try "verifier: a floor uses those below" verifier/judge/x.c verifier/measure/m.h 0
try "verifier: and none above" verifier/base/x.c verifier/quote/q.h 1
try "verifier: measure knows no judge" verifier/measure/x.c verifier/judge/j.h 1
try "host: cli uses run" host/cli/x.c host/run/r.h 0
try "host: run knows no cli" host/run/x.c host/cli/c.h 1
try "host: launch knows no run" host/launch/x.c host/run/r.h 1
try "host: base stands on nothing" host/base/x.c host/launch/launch.h 1
try "host: the store knows no launch" host/store/x.c host/launch/launch.h 1
try "host: the loader speaks the supervisor's streams" host/sgx/loader/x.c host/run/r.h 0
touch "$T/tree/host/sgx"/{loader/l.h,outside/o.h}
try "host: the loader asks the processes outside its walls" host/sgx/loader/x.c host/sgx/outside/o.h 0
try "host: ... which do not know it" host/sgx/outside/x.c host/sgx/loader/l.h 1

# Circles: of calls, from objects; of includes between headers; of what is listed, with a reason.
circles() { # NAME WANT [PATTERN]
    tools/check-circles "$T/ring" >"$T/out" 2>&1
    same "$1" $? "$2"
    [ -z "${3:-}" ] || check "$1: told" grep -qE "$3" "$T/out"
}
mkdir -p "$T/ring/host/x" "$T/ring/build/o/host/x" "$T/ring/tools"
ring() { # NAME CODE
    printf '%s\n' "$2" >"$T/ring/host/x/$1.c"
    gcc -c -w -o "$T/ring/build/o/host/x/$1.o" "$T/ring/host/x/$1.c"
}
ring one 'void two(void); void one(void) { two(); }'
ring two 'void two(void) {}'
circles "circles: a call down is none" 0
ring three 'extern int four; int three(void) { return four; }'
ring four 'int three(void); void two(void); int four; int five(void) { two(); return three(); }'
circles "circles: a call and a variable make one" 1 '^host/x: a circle of 2: four three$'
echo 'host/x: three four # for the test' >"$T/ring/tools/circles"
circles "circles: a listed one" 0
echo 'host/x: three four' >"$T/ring/tools/circles"
circles "circles: not without a reason" 1 'REASON'
echo 'host/x: one two three # for the test' >"$T/ring/tools/circles"
circles "circles: another listed" 1 'a circle of 2'
echo 'host/x: * # for the test' >"$T/ring/tools/circles"
circles "circles: all of a folder listed" 0
echo 'host/x: three four # for the test' >"$T/ring/tools/circles"
ring three 'int three(void) { return 3; }'
circles "circles: a listed one that is gone" 1 'remove it'
rm "$T/ring/tools/circles" "$T/ring/host/x/four.c"
ring three 'extern int four; int three(void) { return four; }'
circles "circles: an object without a source counts no more" 0
printf '#include "host/x/b.h"\n' >"$T/ring/host/x/a.h"
circles "circles: headers in a row" 0
printf '  # include "host/x/a.h"\n' >"$T/ring/host/x/b.h"
circles "circles: headers" 1 '^host/x: a circle of 2: a.h b.h$'
looked=$(tools/check-circles --count | tail -n 1)
if [ -f build/base/initramfs ] && [ -f build/base/enclave ]; then
    check "circles: all of the tree was looked at ($looked)" test "${looked%% *}" -ge 350
else
    skip "circles: nothing built"
fi

# The walks of docs/architecture.md: each function is where they say.
sed -n '/^## Three walks/,/^## An instance/p' docs/architecture.md |
    grep -oE '[a-z_]+(/[a-z_]+)+\.[chS] +[a-z_0-9]+' >"$T/steps"
wrong=$(while read -r file name; do
    grep -qE "(^|[ *])$name(\(|:)" "$file" 2>/dev/null || echo "$file $name"
done <"$T/steps")
same "the walks name what is there" "$wrong" ""
same "the walks have their steps" "$(($(wc -l <"$T/steps") >= 40))" 1

# README and its translation: the same commands in the same order (comments may differ), each linked from the other.
# Every page is reached from both.
commands() { # FILE
    awk '/^```/ { inside = !inside; next } inside' "$1" | sed -E 's/(^|[[:space:]]+)#.*$//; s/[[:space:]]+$//' | grep -v '^$'
}
commands README.md >"$T/commands"
commands README.zh-CN.md >"$T/commands.zh"
check "README.zh-CN.md has README's commands" diff "$T/commands" "$T/commands.zh"
same "README's commands were found" "$(($(wc -l <"$T/commands") >= 35))" 1
check "README.md: a link to the Chinese one" sh -c 'head -n 5 README.md | grep -qF "(README.zh-CN.md)"'
check "README.zh-CN.md: a link to the English one" sh -c 'head -n 5 README.zh-CN.md | grep -qF "(README.md)"'
same "README.md, README.zh-CN.md: a link to each page" "$(for page in docs/*.md; do
    for readme in README.md README.zh-CN.md; do grep -qF "($page)" "$readme" || echo "$readme: $page"; done
done)" ""
same "pages: links lead to files" "$(for page in README.md README.zh-CN.md docs/*.md; do
    grep -oE '\]\([^)#:]+' "$page" | cut -c3- | while read -r to; do
        [ -e "$(dirname "$page")/$to" ] || echo "$page: $to"
    done
done)" ""

# A backtrace can be read: static functions have names of verb and object. Excepted is what each kernel calls by one
# word: the thread, the process and the address space that run.
one_word() { # FOLDER...
    find "$@" -name '*.[ch]' -print0 | xargs -0 perl -0777 -ne \
        'print "$ARGV: $1\n" while /^static\b(?:__attribute__\(\(.*?\)\)|[^;{}=()#])*?\b(?!__)([a-z][a-z0-9]*)\(/mg' |
        grep -vxE 'trusted/libos/libos\.h: (self|current)|trusted/libos/mm/mm\.h: space'
}
same "static functions are named by verb and object" "$(one_word trusted lib host/sgx host/run)" ""
printf 'static int\nput(struct a *a)\n{\n}\nstatic __attribute__((noinline)) void take(void);\nstatic int put_a(void);\n' \
    >"$T/tree/trusted/guest/x.c"
same "... and one of one word is seen" "$(one_word "$T/tree/trusted" | sed 's/.* //' | tr '\n' ' ')" "put take "
rm "$T/tree/trusted/guest/x.c"

# Contract headers: of each function a word, its locks, its errors, who owns what, and units.
contracts=(trusted/libos/{port,libos,base/lock,fs/file,net/sock,fs/volume,agent/volume}.h trusted/volume/volume.h
    include/shelter/enclave.h include/shelter/calls_out.def host/run/stream.h trusted/guest/stream.h host/sgx/loader/loader.h)
same "contracts: each function says what it does on what terms" "$(tools/check-contracts "${contracts[@]}" 2>&1)" ""
cat >"$T/c.h" <<'END'
// A header. Units: sizes are bytes.
/* Either side of the lock. 0 or -EINVAL. */
int whole(int a);
int silent(int a,
        int b);

/* Any thread. 0 or not. */
int vague(void);
/* Any thread. */
struct x *whose(void);
/* Any thread. Cannot fail. */
int filled(struct x **out);
/* Does it. 0 or -EIO; the caller frees it. */
int unlocked(struct x **out);
struct x {
    int (*member)(void);
};
/* --- a section ---
 * Locks: none.
 * Owner: the caller's.
 * Errors: -ENOMEM. */

/* Made. */
int covered(struct x **out, unsigned size);
END
printf '// A header. Errors: -errno.\n/* Any thread. */\nint lazy(unsigned size);\nCALL_OUT(1, DONE, done) // a word\nCALL_OUT(2, BARE,\n    bare, int x)\n' >"$T/d.h"
same "... and those that lack something are seen" "$(tools/check-contracts "$T/c.h" "$T/d.h" | sed 's/.*:[0-9]*: //' | tr '\n' ';')" \
    "silent: a word;silent: Locks;silent: Errors;vague: Errors;whose: Owner;filled: Owner;unlocked: Locks;lazy: Errors;lazy: Units;BARE: a word;"

# The terms are those of docs/glossary.md: words of our own for them do not come back into pages (code spans aside).
same "pages: the field's words" "$(for page in README.md kernel/README.md docs/*.md man/*.adoc; do
    sed 's/`[^`]*`//g' "$page" | grep -nwiE 'doors?|told|late' | sed "s|^|$page:|"
done)" ""

house='(^|[^A-Za-z0-9])([A-Za-z0-9_]+_)?(door|told|late)(_[A-Za-z0-9_]+)?([^A-Za-z0-9_]|$)'
same "names: the field's words" "$({
    grep -rnE "$house" trusted lib include host verifier --include='*.[chS]' --include='*.def' --include='*.lds' |
        grep -E '[A-Za-z0-9]_(door|told|late)|(door|told|late)_'
    find trusted lib include host verifier tests tools -name '*door*' -o -name 'late.*' -o -name '*told*'
})" ""

# What a human wrote or a stranger sends goes through the strict reader (verifier/base/json_read.h); these files read
# what we wrote ourselves, into our own folders.
own='host/cli/(broker|broker_identity|broker_volume|tcb)|host/oci/container|host/run/instance_json|verifier/base/json_read|verifier/broker/volume'
same "JSON of others is read by the strict reader" \
    "$(grep -rlE 'cJSON_Parse' host verifier lib trusted include --include='*.[ch]' | grep -vE "^($own)\.c$")" ""

# The tests that the threat model names are there.
grep '^|' docs/threat-model.md | grep -oE '`([0-9]{2}-[^` ]+|(test|fuzz)_[^` ]+)`' | tr -d '`' | sort -u >"$T/named"
same "threat model: its tests are there" "$(while read -r name; do
    compgen -G "tests/e2e/$name.sh" >"$T/found" || compgen -G "tests/unit/$name.c" >"$T/found" ||
        compgen -G "fuzz/$name.c" >"$T/found" || echo "$name"
done <"$T/named")" ""
same "threat model: it names tests" "$(($(wc -l <"$T/named") >= 15))" 1

# The count.
tools/tcb --json >"$T/tcb.json"
ask() { python3 -c "
import json
p = json.load(open('$T/tcb.json'))['parts']
print($1)"; }
same "tcb: trusted/guest counted for each VM" \
    "$(ask '[x["tees"] for x in p if x["part"] == "trusted/guest"]')" "[['tdx', 'snp', 'csv', 'tdx-sim']]"
same "tcb: every line of trusted/guest" "$(ask '[x["lines"] for x in p if x["part"] == "trusted/guest"]')" \
    "[$(cat trusted/guest/*.[ch] | wc -l)]"
same "tcb: and of the server of volumes" "$(ask '[x["lines"] for x in p if x["part"] == "trusted/guest/volume"]')" \
    "[$(cat trusted/guest/volume/*.[ch] | wc -l)]"
if [ -f build/base/initramfs ]; then
    status "shelter tcb" 0 "$SHELTER" tcb
    check "shelter tcb: a table a TEE" grep -qx tdx-sim "$T/out"
    status "shelter tcb --json" 0 "$SHELTER" tcb --json
    check "shelter tcb --json: is JSON" python3 -m json.tool "$T/out"
else
    skip "shelter tcb: no base files"
fi

same "what attacks lives in tests/adversary" "$(grep -rliE 'hostile|attack' host/sgx/loader)" ""

# Each source file opens with its licence and says what it is for.
missing=$(git ls-files '*.c' '*.h' '*.S' '*.sh' '*.mk' 2>/dev/null | while read -r f; do
    [ -f "$f" ] || continue
    head -n 2 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$f"
done)
same "licence on each file" "$missing" ""

# Sources are laid out by .clang-format (14, as Debian 12 has it: others differ in places), a line is at most 100 columns.
version=$(clang-format --version 2>/dev/null | grep -oE 'version [0-9]+')
if [ "$version" = "version 14" ]; then
    same "each source is as clang-format lays it out" \
        "$(git ls-files '*.c' '*.h' 2>/dev/null | xargs -r clang-format --dry-run 2>&1 | grep -oE '^[^:]+:[0-9]+' | head -n 5)" ""
else
    skip "layout: clang-format 14 is not installed (${version:-there is none})"
fi
same "no line of a source is longer than 100 columns" "$(git ls-files '*.c' '*.h' 2>/dev/null | grep -v '^tests/diff/' |
    LC_ALL=C.UTF-8 xargs -r grep -nHE '^.{101}' | cut -d: -f1,2 | head -n 5)" ""
