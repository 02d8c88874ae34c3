# SPDX-License-Identifier: Apache-2.0
"""Makes OCI layouts and docker archives for the tests: oci.py KIND OUT [FLAW]

KIND: oci (folder), oci-archive, docker-archive, multi (folder: an index of two machines), tags (folder
of two tagged images). FLAW spoils one thing: layer-digest, layer-cut, config-digest, diff-id, size,
missing, machine, encrypted, escape.
The image: a lower layer, an upper one with whiteouts, an opaque folder, hard links and replaced files,
and an empty one.
"""
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile

kind, out = sys.argv[1], sys.argv[2]
flaw = sys.argv[3] if len(sys.argv) > 3 else ""


def layer(members):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content, fields in members:
            m = tarfile.TarInfo(name)
            m.mtime, m.mode = 1_000_000_000, 0o644
            body = content if isinstance(content, bytes) else b""
            m.size = len(body)
            if content is None:
                m.type, m.mode = tarfile.DIRTYPE, 0o755
            for key, value in fields.items():
                setattr(m, key, value)
            tar.addfile(m, io.BytesIO(body))
    return data.getvalue()


SYM, LNK = {"type": tarfile.SYMTYPE}, {"type": tarfile.LNKTYPE}
lower = layer([
    ("etc/", None, {}), ("etc/os", b"lower\n", {}), ("etc/gone", b"x", {}), ("etc/kept", b"kept\n", {}),
    ("usr/", None, {}), ("usr/bin/", None, {}), ("bin", b"", {**SYM, "linkname": "usr/bin"}),
    ("run/", None, {}), ("var/", None, {}), ("var/run", b"", {**SYM, "linkname": "/run"}),
    ("opaque/", None, {}), ("opaque/old", b"x", {}), ("opaque/sub/", None, {}), ("opaque/sub/old", b"x", {}),
    ("tree/", None, {}), ("tree/a/", None, {}), ("tree/a/b", b"x", {}),
    ("file-then-folder", b"x", {}), ("folder-then-file/", None, {}), ("folder-then-file/x", b"x", {}),
    ("hard/", None, {}), ("hard/one", b"shared\n", {}), ("hard/two", b"", {**LNK, "linkname": "hard/one"}),
    ("hard/three", b"", {**LNK, "linkname": "./hard/one"}),
])
upper = layer([
    ("etc/os", b"upper\n", {"uid": 1000, "gid": 1001}),
    ("etc/.wh.gone", b"", {}),
    ("./opaque/new", b"new\n", {}), ("./opaque/", None, {"mode": 0o700}), ("./opaque/.wh..wh..opq", b"", {}),
    ("opaque/sub/", None, {}), ("opaque/sub/new", b"new\n", {}),
    (".wh.tree", b"", {}),
    ("file-then-folder/", None, {}), ("file-then-folder/x", b"x", {}),
    ("folder-then-file", b"x", {}),
    ("bin/tool", b"tool\n", {"mode": 0o755}),
    ("var/run/pid", b"1\n", {}),
    ("hard/one", b"replaced\n", {}),
    ("hard/four", b"", {**LNK, "linkname": "hard/two"}),
    (".wh..wh.plnk", b"", {}), (".wh.never", b"", {}),
])
if flaw == "escape":
    upper = layer([("etc/../../outside", b"x", {})])
plain = [lower, upper, layer([])]
packed = [gzip.compress(lower, mtime=0), upper, gzip.compress(plain[2], mtime=0)]


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


diff_ids = [digest(p) for p in plain]
if flaw == "diff-id":
    diff_ids[1] = digest(b"other")
config = json.dumps({
    "architecture": "arm64" if flaw == "machine" else "amd64", "os": "linux",
    "config": {"Entrypoint": ["/bin/tool", "--flag"], "Cmd": ["a b", "c"], "Env": ["PATH=/bin", "X=1=2", "EMPTY="],
               "WorkingDir": "/etc", "User": "1000:1001", "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
               "StopSignal": "SIGQUIT", "Volumes": {"/data": {}}, "Labels": {"a": "b"}},
    "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
files = {}


def blob(data, kind):
    files["blobs/sha256/" + digest(data)[7:]] = data
    return {"mediaType": kind, "digest": digest(data), "size": len(data)}


def manifest(configuration):
    layers = [blob(p, "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if p[:2] == b"\x1f\x8b" else "")) for p in packed]
    if flaw == "layer-digest":
        name = "blobs/sha256/" + layers[1]["digest"][7:]
        files[name] = files[name].replace(b"upper", b"UPPER")
    if flaw == "layer-cut":
        name = "blobs/sha256/" + layers[0]["digest"][7:]
        files[name] = files[name][:200]
        layers[0]["size"] = 200
    if flaw == "size":
        layers[1]["size"] += 1
    if flaw == "missing":
        del files["blobs/sha256/" + layers[1]["digest"][7:]]
    if flaw == "encrypted":
        layers[0]["mediaType"] += "+encrypted"
    c = blob(configuration, "application/vnd.oci.image.config.v1+json")
    if flaw == "config-digest":
        files["blobs/sha256/" + c["digest"][7:]] += b" "
    return blob(json.dumps({"schemaVersion": 2, "config": c, "layers": layers}).encode(),
                "application/vnd.oci.image.manifest.v1+json")


if kind == "docker-archive":
    names = [f"{i}/layer.tar" for i in range(3)]
    for name, data in zip(names, plain):
        files[name] = data.replace(b"upper", b"UPPER") if flaw == "layer-digest" else data
    name = hashlib.sha256(config).hexdigest() + ".json"
    files[name] = config + (b" " if flaw == "config-digest" else b"")
    files["manifest.json"] = json.dumps(
        [{"Config": name, "RepoTags": ["reg.example/tool:1.0"], "Layers": names}]).encode()
else:
    files["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    m = manifest(config)
    if kind == "multi":
        other = dict(manifest(config.replace(b"amd64", b"arm64")), platform={"os": "linux", "architecture": "arm64"})
        m["platform"] = {"os": "linux", "architecture": "amd64"}
        unknown = dict(other, platform={"os": "unknown", "architecture": "unknown"})
        m = blob(json.dumps({"schemaVersion": 2, "manifests": [other, m, unknown]}).encode(),
                 "application/vnd.oci.image.index.v1+json")
    top = [m]
    if kind == "tags":
        second = manifest(config.replace(b'"c"', b'"second"'))
        top = [dict(m, annotations={"org.opencontainers.image.ref.name": "one"}),
               dict(second, annotations={"org.opencontainers.image.ref.name": "two"})]
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": top}).encode()

if kind.endswith("archive"):
    with tarfile.open(out, "w") as tar:
        for name, data in files.items():
            t = tarfile.TarInfo(name)
            t.size = len(data)
            tar.addfile(t, io.BytesIO(data))
else:
    for name, data in files.items():
        os.makedirs(os.path.dirname(f"{out}/{name}"), exist_ok=True)
        with open(f"{out}/{name}", "wb") as f:
            f.write(data)
