// SPDX-License-Identifier: Apache-2.0
// Judges evidence with other people's code; one line on stdout says what it found.
//   judge dcap QUOTE COLLATERAL.json ROOT.der     dcap-qvl
//   judge snp EVIDENCE.json                       sev: the report and certificate table of CoCo's SNP evidence
use sev::certs::snp::{ca, Certificate, Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

type Outcome = Result<String, Box<dyn Error>>;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn dcap(quote: &str, collateral: &str, root: &str) -> Outcome {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let collateral: dcap_qvl::QuoteCollateralV3 = serde_json::from_slice(&std::fs::read(collateral)?)?;
    let root = if root == "intel" { None } else { Some(std::fs::read(root)?) };
    let verifier = match root {
        Some(der) => dcap_qvl::verify::QuoteVerifier::<dcap_qvl::configs::DefaultConfig>::new(der),
        None => dcap_qvl::verify::QuoteVerifier::<dcap_qvl::configs::DefaultConfig>::new_prod(),
    };
    let report = verifier
        .verify(&std::fs::read(quote)?, &collateral, now)
        .map_err(|e| format!("{e:?}"))?;
    Ok(report.status.to_string())
}

fn snp(evidence: &str) -> Outcome {
    let evidence: serde_json::Value = serde_json::from_slice(&std::fs::read(evidence)?)?;
    let report: AttestationReport = serde_json::from_value(evidence["attestation_report"].clone())?;
    let entries: Vec<sev::firmware::host::CertTableEntry> =
        serde_json::from_value(evidence["cert_chain"].clone())?;
    let find = |wanted: sev::firmware::host::CertType| -> Result<Certificate, Box<dyn Error>> {
        let e = entries.iter().find(|e| e.cert_type == wanted).ok_or("a certificate is missing")?;
        Ok(Certificate::from_der(e.data())?)
    };
    let chain = Chain {
        ca: ca::Chain {
            ark: find(sev::firmware::host::CertType::ARK)?,
            ask: find(sev::firmware::host::CertType::ASK)?,
        },
        vek: find(sev::firmware::host::CertType::VCEK)?,
    };
    (&chain, &report).verify()?;
    Ok(format!("{} {}", hex(report.measurement.as_ref()), hex(report.report_data.as_ref())))
}

fn main() {
    let a: Vec<String> = std::env::args().collect();
    let a: Vec<&str> = a.iter().map(|s| s.as_str()).collect();
    let outcome = match a[1..] {
        ["dcap", quote, collateral, root] => dcap(quote, collateral, root),
        ["snp", evidence] => snp(evidence),
        _ => Err("usage: judge dcap|snp ...".into()),
    };
    match outcome {
        Ok(line) => println!("{line}"),
        Err(e) => {
            println!("refused: {e}");
            std::process::exit(1);
        }
    }
}
