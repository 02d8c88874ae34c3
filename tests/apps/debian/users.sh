# SPDX-License-Identifier: Apache-2.0
# Set-user-ID programs, and what runs as others.
su nobody -s /bin/sh -c 'id -un; sudo -n true; passwd -S | cut -d" " -f1,2' 2>&1
sudo -u nobody id -u
setpriv --reuid=1000 --regid=1000 --clear-groups id -u
# prints:
# nobody
# sudo: a password is required
# nobody L
# 65534
# 1000
