# SPDX-License-Identifier: Apache-2.0
# PyKMIP: a key server over TLS with certificates on both sides; keys are made, used, destroyed by its own client.
mkdir -p /tmp/k/policy; cd /tmp/k
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=ca -days 30 2>/dev/null
for who in server:serverAuth client:clientAuth; do
    n=${who%:*}
    openssl req -newkey rsa:2048 -nodes -keyout $n.key -out $n.csr -subj /CN=$n 2>/dev/null
    printf 'extendedKeyUsage=%s\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n' ${who#*:} >$n.ext
    openssl x509 -req -in $n.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile $n.ext -out $n.crt 2>/dev/null
done
cat >server.conf <<END
[server]
hostname=127.0.0.1
port=5696
certificate_path=/tmp/k/server.crt
key_path=/tmp/k/server.key
ca_path=/tmp/k/ca.crt
auth_suite=TLS1.2
policy_path=/tmp/k/policy
enable_tls_client_auth=True
logging_level=ERROR
database_path=/tmp/k/database
END
python3 -W ignore /usr/bin/pykmip-server -f server.conf -l /tmp/k/log >/tmp/k/out 2>&1 & s=$!
for i in $(seq 300); do (: </dev/tcp/127.0.0.1/5696) 2>/dev/null && break; sleep 0.2; done
cat >client.py <<'END'
from kmip.core import enums
from kmip.pie.client import ProxyKmipClient
from kmip.pie import objects
c = ProxyKmipClient(hostname="127.0.0.1", port=5696, cert="/tmp/k/client.crt", key="/tmp/k/client.key", ca="/tmp/k/ca.crt", ssl_version="PROTOCOL_TLSv1_2")
with c:
    u = c.create(enums.CryptographicAlgorithm.AES, 256, name="one",
                 cryptographic_usage_mask=[enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT])
    print("created", len(c.get(u).value))
    c.activate(u)
    p = {"cryptographic_algorithm": enums.CryptographicAlgorithm.AES, "block_cipher_mode": enums.BlockCipherMode.CBC, "padding_method": enums.PaddingMethod.PKCS5}
    secret, iv = c.encrypt(b"a message", uid=u, cryptographic_parameters=p, iv_counter_nonce=b"\1" * 16)
    print("decrypted", c.decrypt(secret, uid=u, cryptographic_parameters=p, iv_counter_nonce=b"\1" * 16))
    v = c.register(objects.SymmetricKey(enums.CryptographicAlgorithm.AES, 128, b"\2" * 16, name="two"))
    print("registered", c.get(v).value == b"\2" * 16, len(c.locate()))
    c.destroy(v)
    print("left", len(c.locate()))
END
python3 -W ignore client.py 2>&1 | grep -v ^Config
kill -INT $s; wait $s; cat /tmp/k/out | head -n 5
# prints:
# created 32
# decrypted b'a message'
# registered True 2
# left 1
