# SPDX-License-Identifier: Apache-2.0
# clevis, with tang under socat.
mkdir /tmp/tang; /usr/libexec/tangd-keygen /tmp/tang sig exc; ls /tmp/tang
socat tcp-l:7500,fork,reuseaddr exec:"/usr/libexec/tangd /tmp/tang" 2>/dev/null & sleep 1
echo secret | clevis encrypt tang '{"url":"http://127.0.0.1:7500"}' -y >/tmp/e
clevis decrypt </tmp/e
kill %1
# prints:
# exc.jwk
# sig.jwk
# secret
