# SPDX-License-Identifier: Apache-2.0
export GNUPGHOME=/tmp/g; mkdir -m 700 /tmp/g
gpg -q --batch --passphrase '' --quick-generate-key 'A <a@b.c>' rsa3072 default never 2>/dev/null
gpg -K --with-colons 2>/dev/null | grep -c ^sec
echo signed | gpg -s 2>/dev/null | gpg -d 2>/dev/null
gpgconf --kill all
# prints:
# 1
# signed
