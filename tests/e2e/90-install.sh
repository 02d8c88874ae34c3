#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs alone: it makes, and makes again.
# The build itself: a second make does nothing, an install has all its parts and works on its own.
. tests/e2e/lib.sh
unset MAKEFLAGS MAKELEVEL MFLAGS
again=$(make 2>&1 | grep -vE "Nothing to be done|is up to date|^make")
same "a second make does nothing" "$again" ""
again=$(make tools 2>&1 | grep -vE "Nothing to be done|is up to date|^make")
same "nor a second make tools" "$again" ""
check "make install" make install "DESTDIR=$T/root" PREFIX=/usr/local
for f in bin/shelter bin/attestation-agent lib/shelter/base/vmlinux lib/shelter/base/bzImage \
    lib/shelter/base/initramfs share/man/man1/shelter.1 share/man/man1/shelter-build.1 \
    share/man/man1/shelter-run.1 share/bash-completion/completions/shelter; do
    check "installed: $f" test -s "$T/root/usr/local/$f"
done
# What is missing is installed: asked at a terminal, told to others, done for root where nobody can be asked.
mkdir -p "$T/fake"
printf '#!/bin/sh\nexit 0\n' >"$T/fake/dpkg-query"
printf '#!/bin/sh\necho "$*" >>"%s/apt"\n' "$T" >"$T/fake/apt-get"
chmod +x "$T/fake"/*
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else unshare -r "$@"; fi; }
fake_deps() { PATH=$T/fake:$PATH LC_ALL=C as_root env -u CI "$@" </dev/null >"$T/out" 2>&1; }
if as_root true 2>/dev/null; then
    check "root without a terminal: install-deps installs" fake_deps tools/install-deps
    check "... all of it" grep -q 'install -y .*gcc.*qemu-system-x86' "$T/apt"
    rm -f "$T/apt"
    fake_deps make -q all
    check "root without a terminal: so does plain make" grep -q 'install -y .*gcc' "$T/apt"
    check "... only what building needs" sh -c "! grep -q redis-server '$T/apt'"
    rm -f "$T/apt"
    fake_deps make -n all
    fake_deps make -q shelter
    check "... and a dry run or another goal nothing" [ ! -e "$T/apt" ]
else
    skip "root without a terminal: no user namespace here"
fi
# Away from the checkout it finds its base files beside itself.
cp tests/md5 "$T/md5"
check "the installed shelter builds" sh -c "cd / && '$T/root/usr/local/bin/shelter' build -q -t md5 -f '$T/md5'"
status "and runs" 0 sh -c "cd / && exec '$T/root/usr/local/bin/shelter' run --rm -m 256M md5 /bin/md5 /bin/md5 </dev/null"
same "rightly" "$(cut -c1-32 "$T/out")" "$(md5sum <tests/md5 | cut -c1-32)"
check "make uninstall" make uninstall "DESTDIR=$T/root" PREFIX=/usr/local
same "leaves nothing" "$(find "$T/root" -type f | wc -l)" 0
# What Tab offers after `shelter`.
completed=$(PATH=$ROOT:$PATH bash -c '. build/completions/shelter.bash
    COMP_WORDS=(shelter "") COMP_CWORD=1
    _shelter && echo "${COMPREPLY[@]}"')
# Every verb has help, a manual's mention and a completion.
for verb in $("$SHELTER" help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
    if "$SHELTER" "$verb" --help | grep -q '^Usage: shelter' || [ "$verb" = help ]; then
        ok "help of $verb"
    else
        not_ok "help of $verb"
    fi
    check "the manual knows $verb" grep -rqw -- "$verb" man
    case " $completed " in
    *" $verb "*) ok "completion knows $verb" ;;
    *) not_ok "completion knows $verb" ;;
    esac
done
status "a wrong verb" 125 "$SHELTER" frobnicate
one_line "in one line" "no verb 'frobnicate'.*help"
status "no verb at all" 125 "$SHELTER"
