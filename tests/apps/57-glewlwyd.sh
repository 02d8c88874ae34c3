#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# glewlwyd, an OpenID server, on SQLite: sign in, the admin's API, an OpenID plugin with a token of a client.
. tests/apps/lib.sh
need glewlwyd sqlite3 curl python3
schema=/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3
[ -e $schema ] || { skip "apps: glewlwyd has no SQLite schema here"; exit 0; }
add "$(command -v glewlwyd)"
add_all /usr/lib/glewlwyd
mkdir -p "$R/usr/share/glewlwyd/webapp"
echo webapp >"$R/usr/share/glewlwyd/webapp/index.html"
sqlite3 "$R/data/glewlwyd.db" <$schema || { skip "apps: the schema of glewlwyd cannot be loaded"; exit 0; }
cat >"$R/etc/glewlwyd.conf" <<'END'
port=4593
external_url="http://127.0.0.1:4593/"
login_url="login.html"
api_prefix="api"
log_mode="console"
log_level="WARNING"
session_key="SESSION"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="/usr/lib/glewlwyd/user"
client_module_path="/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"
plugin_module_path="/usr/lib/glewlwyd/plugin"
hash_algorithm="SHA512"
static_files_path="/usr/share/glewlwyd/webapp"
database = { type = "sqlite3"; path = "/data/glewlwyd.db"; };
END
openssl genrsa -out "$T/key.pem" 2048 2>/dev/null
add_dns
image glewlwyd
start glewlwyd 4593 "$(command -v glewlwyd)" --config-file=/etc/glewlwyd.conf
url=http://127.0.0.1:$port/api
check "glewlwyd: answers" until_true 40 curl -sf "$url/../index.html"
ask() { curl -s -o "$T/body" -w '%{http_code}' -b "$T/jar" -c "$T/jar" -H 'Content-Type: application/json' "$@"; }
same "glewlwyd: nobody signed in" "$(ask "$url/user/")" 401
same "glewlwyd: a wrong password" "$(ask -d '{"username":"admin","password":"wrong"}' "$url/auth/")" 401
same "glewlwyd: the admin signs in" "$(ask -d '{"username":"admin","password":"password"}' "$url/auth/")" 200
same "glewlwyd: users" "$(ask "$url/user/") $(grep -c '"username":"admin"' "$T/body")" "200 1"
same "glewlwyd: a new user" "$(ask -d '{"username":"alice","name":"Alice","password":"secret12","scope":["g_profile"],"enabled":true}' "$url/user/")" 200
same "glewlwyd: a client" "$(ask -d '{"client_id":"c","name":"C","confidential":true,"password":"clientpw1","client_secret":"clientpw1","token_endpoint_auth_method":["client_secret_basic"],"authorization_type":["client_credentials"],"scope":["g_profile"],"enabled":true}' "$url/client/")" 200
python3 - "$T/key.pem" >"$T/plugin" <<'P'
import json, subprocess, sys
key = open(sys.argv[1]).read()
public = subprocess.run(["openssl", "rsa", "-in", sys.argv[1], "-pubout"], capture_output=True, text=True).stdout
print(json.dumps({"module": "oidc", "name": "oidc", "display_name": "OpenID", "parameters": {
    "iss": "http://127.0.0.1:4593", "jwt-type": "rsa", "jwt-key-size": "256", "key": key, "cert": public,
    "access-token-duration": 3600, "refresh-token-duration": 1209600, "code-duration": 600, "refresh-token-rolling": True,
    "allow-non-oidc": True, "auth-type-client-enabled": True, "auth-type-code-enabled": True, "auth-type-token-enabled": True,
    "auth-type-id-token-enabled": True, "auth-type-none-enabled": True, "auth-type-password-enabled": False,
    "auth-type-refresh-enabled": True, "subject-type": "public", "allowed-scope": ["openid", "g_profile"], "scope": []}}))
P
same "glewlwyd: an OpenID plugin" "$(ask -d "@$T/plugin" "$url/mod/plugin/")" 200
token=$(curl -s -u c:clientpw1 -d 'grant_type=client_credentials&scope=g_profile' "$url/oidc/token" | tee "$T/token" |
    python3 -c 'import base64, json, sys; t = json.load(sys.stdin)["access_token"].split("."); p = lambda x: json.loads(base64.urlsafe_b64decode(x + "==")); print(p(t[0])["alg"], p(t[1])["client_id"])' 2>&1)
same "glewlwyd: a signed token for the client" "$token" "RS256 c"
[ "$token" = "RS256 c" ] || sed 's/^/#   /' "$T/token"
for i in $(seq 20); do ask -d '{"username":"alice","password":"secret12"}' "$url/auth/" -b /dev/null -c /dev/null; echo; done >"$T/codes" &
for i in $(seq 20); do ask "$url/user/alice" >/dev/null; done
wait $!
same "glewlwyd: twenty sign-ins beside" "$(grep -c 200 "$T/codes")" 20
idle glewlwyd
finish_app glewlwyd 0
