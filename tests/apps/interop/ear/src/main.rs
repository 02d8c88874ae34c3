// SPDX-License-Identifier: Apache-2.0
// judge-ear TOKEN JWKS: an attestation result before the crate `ear`; one line on stdout says what it found.
use std::error::Error;

fn judge(token: &str, jwks: &str) -> Result<String, Box<dyn Error>> {
    let token = std::fs::read_to_string(token)?;
    let jwks: serde_json::Value = serde_json::from_slice(&std::fs::read(jwks)?)?;
    let key = serde_json::to_vec(&jwks["keys"][0])?;
    let ear = ear::Ear::from_jwt_jwk(token.trim(), ear::Algorithm::ES256, &key).map_err(|e| format!("{e:?}"))?;
    ear.validate().map_err(|e| format!("{e:?}"))?;
    let module = ear.submods.values().next().ok_or("no submodule")?;
    Ok(format!("{:?} {}", module.status, ear.vid.developer))
}

fn main() {
    let a: Vec<String> = std::env::args().collect();
    match judge(&a[1], &a[2]) {
        Ok(line) => println!("{line}"),
        Err(e) => {
            println!("refused: {e}");
            std::process::exit(1);
        }
    }
}
