#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# gpg as Debian ships it: the agent is started, makes a key, signs and decrypts.
. tests/apps/lib.sh
need gpg gpg-agent gpgconf busybox
for p in gpg gpg-agent gpgconf gpg-connect-agent; do add "$(command -v $p)" /usr/bin/$p; done
[ -e /usr/lib/gnupg/keyboxd ] && add /usr/lib/gnupg/keyboxd
add "$(command -v busybox)" /bin/busybox
for a in sh cat ls rm mkdir env grep; do ln -sf busybox "$R/bin/$a"; done
cat >"$R/bin/work" <<'END'
#!/bin/sh
set -e
export HOME=/tmp PATH=/usr/bin:/bin GNUPGHOME=/tmp/g
mkdir -m 700 /tmp/g
gpg -q --batch --passphrase '' --quick-generate-key 'A <a@b.c>' ed25519 default never
gpg -q --batch --passphrase '' --quick-add-key "$(gpg --list-keys --with-colons | sed -n 's/^fpr:*\([0-9A-F]*\):/\1/p' | head -n 1)" cv25519 encr never
echo text >/tmp/t
gpg -q --batch --sign -o /tmp/t.gpg /tmp/t
gpg -q --batch --decrypt /tmp/t.gpg
gpg -q --batch --trust-model always -r a@b.c -e -o /tmp/e.gpg /tmp/t
gpg -q --batch --decrypt /tmp/e.gpg
gpgconf --kill gpg-agent
END
for a in sed head; do ln -sf busybox "$R/bin/$a"; done
chmod 755 "$R/bin/work"
image gpg
status "gpg: keys by the agent, sign, encrypt, decrypt" 0 timeout -k 5 100 "$SHELTER" run --rm --tee sgx-sim -m 1G gpg /bin/work
same "gpg: the text" "$(cat "$T/out")" "text
text"
[ -s "$T/err" ] && sed 's/^/# /' "$T/err" | tail -n 12
