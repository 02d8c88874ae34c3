#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs alone: it makes the manual.
# One table of verbs and options: help, manual and completion name the same, and every option is parsed.
. tests/e2e/lib.sh
check "the tables and the manual are built" make -s man
. build/completions/shelter.bash
pages() { # VERB: the manual's pages that tell its options
    local page=shelter-${1%% *}
    [ "$1" = start ] && page=shelter-run
    [ -f "build/man/$page.1" ] || page=shelter
    MANWIDTH=200 man -P cat -l "build/man/$page.1" 2>/dev/null | sed 's/.\x08//g'
}
words() { grep -oE -- '(^|[ ,])--?[a-zA-Z][a-zA-Z-]*' | tr -d ' ,' | sort -u; }
same "verbs: help and completion" "$("$SHELTER" help | sed -n 's/^  \([a-z-]*\) .*/\1/p')" "$(grep -v ' ' <<<"$_shelter_verbs")"
same "verbs: the broker's" "$("$SHELTER" broker --help | sed -nE 's/^  ([a-z-]+)  .*/broker \1/p')" "$(grep '^broker ' <<<"$_shelter_verbs")"
same "verbs: of volumes" "$("$SHELTER" volume --help | sed -nE 's/^  ([a-z-]+)  .*/volume \1/p')" "$(grep '^volume ' <<<"$_shelter_verbs")"
same "verbs: of sgx-sim" "$("$SHELTER" sgx-sim --help | sed -nE 's/^  ([a-z]+)  .*/sgx-sim \1/p')" "$(grep '^sgx-sim ' <<<"$_shelter_verbs")"
lost='' unread='' loose='' unknown=''
while read -r verb; do
    read -ra v <<<"$verb"
    options=$(_shelter_options "$verb" | tr ' ' '\n' | grep -vx -- --help | sort -u)
    # Only lines of the option list: two blanks, then the option.
    shown=$("$SHELTER" "${v[@]}" --help | sed -nE 's/^ {2,6}(-[^ ,]*(, --[^ =[]*)?).*/\1/p' | words)
    [ "$verb" = start ] || [ "$verb" = pool ] && shown=$(printf '%s\n' "$shown" "$("$SHELTER" run --help | sed -nE 's/^ {2,6}(-[^ ,]*(, --[^ =[]*)?).*/\1/p' | words)" | sort -u)
    [ "$options" = "$shown" ] || lost+=" help of $verb: $(diff <(echo "$options") <(echo "$shown") | tr '\n' ' ')"
    page=$(pages "$verb" | words)
    for o in $options; do
        grep -qx -- "$o" <<<"$page" || lost+=" manual of $verb: $o"
        args=("$o")
        value=$(_shelter_values "$verb $o")
        # An option with a value that may be left out takes it after = only.
        [ -z "$value" ] || [ "$o" = --trace ] || args+=(1)
        # What comes next is refused for sure, so that nothing is done; the option itself was read. But its file may be opened.
        (cd "$T" && exec "$SHELTER" "${v[@]}" "${args[@]}" --no-such-option </dev/null >out 2>err)
        [ $? -eq 125 ] && [ "$(wc -l <"$T/err")" -eq 1 ] || unread+=" [$verb $o: $(cat "$T/err")]"
        grep -qE -- "no option $o\b|$o needs a value|takes no value" "$T/err" && unread+=" [$verb $o: $(cat "$T/err")]"
    done
    "$SHELTER" "${v[@]}" --no-such-option </dev/null >"$T/out" 2>"$T/err"
    [ $? -eq 125 ] && [ "$(wc -l <"$T/err")" -eq 1 ] && grep -q -- "no option --no-such-option; see 'shelter $verb --help'" "$T/err" ||
        unknown+=" [$verb: $(cat "$T/err")]"
    case $verb in
    version | images | ps | clean | doctor | tcb | 'broker list' | 'broker key' | 'broker log' | 'broker serve' | 'broker init') set -- surplus ;;
    load | build | save | verify | measure | attest | attach | logs | trace | 'broker remove-reference' | 'broker remove-resource' | 'broker add-reference' | 'volume inspect' | 'volume check' | 'volume rekey') set -- one surplus ;;
    tag | cp | 'broker add-resource' | 'broker policy' | 'volume create' | 'volume grow' | 'volume backup') set -- one two surplus ;;
    *) continue ;;
    esac
    "$SHELTER" "${v[@]}" "$@" </dev/null >"$T/out" 2>"$T/err"
    [ $? -eq 125 ] && [ "$(wc -l <"$T/err")" -eq 1 ] && grep -q 'unexpected argument' "$T/err" || loose+=" [$verb $*: $(cat "$T/err")]"
done <<<"$_shelter_verbs"
same "options: help, manual and completion name the same" "$lost" ""
same "options: each one is parsed" "$unread" ""
same "an unknown option is refused in one line by every verb" "$unknown" ""
same "a surplus argument too" "$loose" ""
tab() { # WORD…: what Tab offers for the last
    PATH=$ROOT:$PATH bash -c '. build/completions/shelter.bash
        COMP_WORDS=(shelter "$@") COMP_CWORD=$#
        _shelter; echo "${COMPREPLY[@]}"' tab "$@"
}
same "Tab: a verb" "$(tab doc)" "doctor"
same "Tab: an option" "$(tab run --env)" "--env --env-file"
same "Tab: its words" "$(tab run --boot '')" "pvh bzimage"
same "Tab: start has run's" "$(tab start --boot '')" "pvh bzimage"
same "Tab: the broker's verbs" "$(tab broker remove-ref)" "remove-reference"
same "Tab: their options" "$(tab broker key --j)" "--jwks"
for verb in restart port pull create pause prune; do
    "$SHELTER" $verb </dev/null >"$T/out" 2>"$T/err"
    same "$verb: a hint in one line" "$? $(wc -l <"$T/err") $(grep -c "no verb '$verb': ..*; see 'shelter help'" "$T/err")" "125 1 1"
done

# Libraries that few commands need are loaded when they are called.
same "a command loads no library for archives, HTTP or TLS" \
    "$(ldd "$SHELTER" | grep -cE 'lib(archive|curl|microhttpd|gnutls|xml2)\.')" 0
mkdir "$T/broken"
echo no library >"$T/broken/$(sed -n 's/.*"\(libarchive[^"]*\)".*/\1/p' build/lazy.def | head -n 1)"
tar -cf "$T/one.tar" -C "$T" broken
status "one that cannot be loaded" 125 env LD_LIBRARY_PATH="$T/broken" "$SHELTER" build -q -t one -r "$T/one.tar"
one_line "told" "cannot load a library: .*libarchive"
status "who does not need it does not ask" 0 env LD_LIBRARY_PATH="$T/broken" "$SHELTER" images
