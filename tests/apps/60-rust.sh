#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# May take 500 s: it builds axum and rustls first
# axum on tokio, and rustls: keep-alive and handshakes, where the crates can be fetched.
. tests/apps/lib.sh
need cargo wrk curl openssl
mkdir -p "$T/rust/src"
cat >"$T/rust/Cargo.toml" <<'END'
[package]
name = "server"
version = "0.1.0"
edition = "2021"
[dependencies]
axum = "0.7"
axum-server = { version = "0.7", features = ["tls-rustls-no-provider"] }
rustls = { version = "0.23", default-features = false, features = ["ring", "std", "tls12"] }
tokio = { version = "1", features = ["rt-multi-thread", "macros", "net", "signal"] }
[profile.release]
debug = false
END
cat >"$T/rust/src/main.rs" <<'END'
use axum::{extract::ConnectInfo, routing::get, Router};
use std::net::SocketAddr;
#[tokio::main]
async fn main() {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/who", get(|ConnectInfo(a): ConnectInfo<SocketAddr>| async move { a.ip().to_string() }));
    let tls = axum_server::tls_rustls::RustlsConfig::from_pem_file("/etc/cert.pem", "/etc/key.pem").await.unwrap();
    let secure = axum_server::bind_rustls("0.0.0.0:8443".parse().unwrap(), tls)
        .serve(app.clone().into_make_service_with_connect_info::<SocketAddr>());
    let plain = tokio::net::TcpListener::bind("0.0.0.0:8080").await.unwrap();
    tokio::spawn(secure);
    tokio::spawn(async { axum::serve(plain, app.into_make_service_with_connect_info::<SocketAddr>()).await });
    // The first process of its namespace is not ended by a signal that it does not handle.
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap().recv().await;
}
END
(cd "$T/rust" && CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$T/rust/target} timeout 300 cargo build -q --release && cp "${CARGO_TARGET_DIR:-$T/rust/target}/release/server" "$T/server") >"$T/err" 2>&1 ||
    { skip "apps: no program of axum and rustls within 300 s: $(tail -n 1 "$T/err" | cut -c1-100)"; exit 0; }
add "$T/server" /bin/server
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout "$R/etc/key.pem" -out "$R/etc/cert.pem" 2>/dev/null
image rust
start rust 8080,8443 /bin/server
url=http://127.0.0.1:$port
check "axum: answers" until_true 20 curl -sf "$url/"
same "axum: the client's address" "$(curl -s "$url/who")" 10.0.2.2
check "axum: two requests on a connection" bash -c "curl -sv '$url/' '$url/' 2>&1 | grep -q 'Re-using existing connection'"
wrk_ok "axum: 64 keep-alive connections" "$url/" 4 64
same "rustls: twenty handshakes" "$(for i in $(seq 20); do curl -sk "https://127.0.0.1:${ports[1]}/"; echo; done | grep -c hello)" 20
idle rust
finish_app rust 0
