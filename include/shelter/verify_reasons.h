// SPDX-License-Identifier: Apache-2.0
// Every reason for which a verdict is not "accept": id, stable code, kind, sentence.
//
// Kinds: NONE; FORM (malformed), SIG (a signature or chain does not hold), TIME, TCB, POLICY,
// LACK (cannot be judged: something needed is missing). Included with SHELTER_REASON defined.
SHELTER_REASON(OK, "ok", NONE, "the evidence is accepted")

// The evidence's form
SHELTER_REASON(TOO_LARGE, "too-large", FORM, "the evidence is larger than any real one")
SHELTER_REASON(TRUNCATED, "truncated", FORM, "the evidence ends before what it announces")
SHELTER_REASON(UNKNOWN_EVIDENCE, "unknown-evidence", FORM,
               "the bytes are no evidence of a known kind")
SHELTER_REASON(TYPE_MISMATCH, "type-mismatch", FORM, "the evidence is of another TEE than asked")
SHELTER_REASON(VERSION, "unsupported-version", FORM, "this version of the format is not supported")
SHELTER_REASON(KEY_TYPE, "unsupported-key-type", FORM,
               "the attestation key is not ECDSA over P-256")
SHELTER_REASON(QE_VENDOR, "qe-vendor", FORM, "the quoting enclave is not Intel's")
SHELTER_REASON(BODY_TYPE, "unsupported-body", FORM, "the quote's body type and size do not match")
SHELTER_REASON(SIG_LENGTH, "signature-length", FORM,
               "the length of the signature data does not fit the quote")
SHELTER_REASON(CERT_DATA, "certification-data", FORM,
               "the quote's certification data is malformed or of an unsupported type")
SHELTER_REASON(EVIDENCE_JSON, "evidence-json", FORM, "the evidence JSON is malformed")
SHELTER_REASON(RESERVED, "reserved-bits", FORM, "reserved bits of the report are set")

// X.509
SHELTER_REASON(CERT_PARSE, "certificate-parse", SIG, "a certificate cannot be parsed")
SHELTER_REASON(PCK_CHAIN, "pck-chain", SIG, "the PCK certificate's chain does not hold")
SHELTER_REASON(PCK_CERT, "pck-certificate", SIG, "the leaf is not a PCK certificate")
SHELTER_REASON(PCK_EXTENSION, "pck-extension", SIG,
               "the SGX extension of the PCK certificate is malformed")
SHELTER_REASON(ROOT, "untrusted-root", SIG, "the chain ends in a root that is not trusted")
SHELTER_REASON(CERT_EARLY, "certificate-not-yet-valid", TIME,
               "a certificate is not yet valid at the stated time")
SHELTER_REASON(CERT_EXPIRED, "certificate-expired", TIME,
               "a certificate has expired at the stated time")

// CRLs
SHELTER_REASON(CRL_PARSE, "crl-parse", SIG, "a CRL cannot be parsed")
SHELTER_REASON(PCK_CRL_SIGNATURE, "pck-crl-signature", SIG,
               "the PCK CRL is not signed by its issuer")
SHELTER_REASON(ROOT_CRL_SIGNATURE, "root-crl-signature", SIG,
               "the root CA's CRL is not signed by the root")
SHELTER_REASON(CRL_CHAIN, "crl-issuer-chain", SIG, "the PCK CRL's issuer chain does not hold")
SHELTER_REASON(CRL_ISSUER, "crl-issuer", SIG, "the PCK CRL is of another issuer than the PCK's")
SHELTER_REASON(CRL_EARLY, "crl-not-yet-valid", TIME, "a CRL is not yet valid at the stated time")
SHELTER_REASON(CRL_EXPIRED, "crl-expired", TIME, "a CRL has expired at the stated time")
SHELTER_REASON(PCK_REVOKED, "pck-revoked", SIG, "the PCK certificate is revoked")
SHELTER_REASON(CA_REVOKED, "ca-revoked", SIG, "an intermediate certificate is revoked by the root")

// Signed JSON
SHELTER_REASON(TCB_INFO_PARSE, "tcb-info-parse", SIG, "the TCB info is malformed")
SHELTER_REASON(TCB_INFO_SIGNATURE, "tcb-info-signature", SIG,
               "the TCB info is not signed by the TCB signing key")
SHELTER_REASON(TCB_CHAIN, "tcb-signing-chain", SIG, "the TCB signing chain does not hold")
SHELTER_REASON(TCB_INFO_EARLY, "tcb-info-not-yet-valid", TIME,
               "the TCB info was issued after the stated time")
SHELTER_REASON(TCB_INFO_EXPIRED, "tcb-info-expired", TIME,
               "the TCB info has expired at the stated time")
SHELTER_REASON(TCB_INFO_MISMATCH, "tcb-info-mismatch", SIG,
               "the TCB info is for another TEE or another platform")
SHELTER_REASON(QE_ID_PARSE, "qe-identity-parse", SIG, "the QE identity is malformed")
SHELTER_REASON(QE_ID_SIGNATURE, "qe-identity-signature", SIG,
               "the QE identity is not signed by the TCB signing key")
SHELTER_REASON(QE_ID_EARLY, "qe-identity-not-yet-valid", TIME,
               "the QE identity was issued after the stated time")
SHELTER_REASON(QE_ID_EXPIRED, "qe-identity-expired", TIME,
               "the QE identity has expired at the stated time")
SHELTER_REASON(QE_ID_MISMATCH, "qe-identity-mismatch", SIG,
               "the quoting enclave is not the one of the QE identity")
SHELTER_REASON(TDX_MODULE, "tdx-module-mismatch", SIG,
               "the TDX module is not one of the TCB info's")

// Quote signatures
SHELTER_REASON(QE_REPORT_SIGNATURE, "qe-report-signature", SIG,
               "the QE report is not signed by the PCK")
SHELTER_REASON(QE_REPORT_DATA, "qe-report-data", SIG,
               "the QE report does not bind the attestation key and authentication data")
SHELTER_REASON(QUOTE_SIGNATURE, "quote-signature", SIG,
               "the quote is not signed by the attestation key")

// TCB
SHELTER_REASON(TCB_STATUS, "tcb-status", TCB, "the policy does not accept this TCB status")
SHELTER_REASON(TCB_REVOKED, "tcb-revoked", TCB, "the platform's TCB is revoked")
SHELTER_REASON(TCB_NOT_SUPPORTED, "tcb-not-supported", TCB,
               "no TCB level of the TCB info matches the platform")
SHELTER_REASON(TCB_EVAL_NUMBER, "tcb-evaluation-number", TCB,
               "the TCB info is older than the policy's minimum evaluation number")

// SNP
SHELTER_REASON(SNP_SIG_ALGO, "snp-signature-algorithm", FORM,
               "the report's signature algorithm is not ECDSA P-384 with SHA-384")
SHELTER_REASON(SNP_UNSIGNED, "snp-unsigned", SIG, "the report says that no key signed it")
SHELTER_REASON(SNP_SIGNER_KIND, "snp-signer-kind", SIG,
               "the signer is not of the kind (VCEK, VLEK) that the report names")
SHELTER_REASON(SNP_CHAIN, "snp-chain", SIG, "the signer's chain does not hold")
SHELTER_REASON(SNP_EXTENSION, "snp-extension", SIG,
               "an AMD extension of the signer's certificate is missing or malformed")
SHELTER_REASON(SNP_PRODUCT, "snp-product", SIG,
               "the report's CPU is not of the product that the certificate names")
SHELTER_REASON(SNP_TCB_CERT, "snp-tcb-certificate", TCB,
               "the report's TCB is not the one its signer was derived for")
SHELTER_REASON(SNP_CHIP_ID, "snp-chip-id", SIG, "the report's chip is not the certificate's")
SHELTER_REASON(SNP_SIGNATURE, "snp-signature", SIG, "the report is not signed by its signer")
SHELTER_REASON(SNP_TCB_ORDER, "snp-tcb-order", TCB,
               "the committed TCB is above the current one or the reported one above the committed")
SHELTER_REASON(SNP_TCB_FLOOR, "snp-tcb-floor", TCB, "the TCB is below the policy's floor")
SHELTER_REASON(SNP_VMPL, "snp-vmpl", POLICY, "the report was asked for from a VMPL not accepted")
SHELTER_REASON(SNP_MIGRATION, "snp-migration", POLICY,
               "the guest may be moved by a migration agent")
SHELTER_REASON(SNP_SMT, "snp-smt", POLICY, "the platform runs with SMT, which the policy forbids")
SHELTER_REASON(SNP_ABI, "snp-abi", POLICY,
               "the guest policy's or firmware's ABI is below the floor")

// CSV
SHELTER_REASON(CSV_CHAIN, "csv-chain", SIG, "the PEK's chain to Hygon's root does not hold")
SHELTER_REASON(CSV_MAC, "csv-mac", SIG, "the report's PEK and serial number were changed")
SHELTER_REASON(CSV_SIGNATURE, "csv-signature", SIG, "the report is not signed by its PEK")
SHELTER_REASON(CSV_POLICY, "csv-policy", POLICY,
               "the guest's CSV policy lacks what the policy demands")

// Policy
SHELTER_REASON(DEBUG, "debug", POLICY, "the TEE runs in debug mode")
SHELTER_REASON(SEPT_VE, "sept-ve-disable", POLICY,
               "the TD does not disable #VE on pending pages (SEPT_VE_DISABLE)")
SHELTER_REASON(TD_ATTRIBUTES, "td-attributes", POLICY,
               "the TD's attributes have bits set that the policy does not accept")
SHELTER_REASON(SERVTD, "service-td", POLICY, "a service TD is bound, which may migrate the TD")
SHELTER_REASON(SIMULATED, "simulated", POLICY,
               "the evidence is simulated; it protects nothing (--allow-simulated accepts it)")
SHELTER_REASON(REPORT_DATA, "report-data", POLICY,
               "the evidence does not carry the expected nonce or report data")
SHELTER_REASON(EVENT_LOG_PARSE, "event-log-parse", FORM, "the event log is malformed")
SHELTER_REASON(EVENT_LOG_DIGEST, "event-log-digest", POLICY,
               "a digest of the event log is not of its event")
SHELTER_REASON(EVENT_LOG_MISMATCH, "event-log-mismatch", POLICY,
               "the event log does not replay to the registers of the quote")
SHELTER_REASON(REFERENCE, "reference-mismatch", POLICY,
               "the measurement is none of the reference values")
SHELTER_REASON(CLAIM, "claim-mismatch", POLICY, "a claim is not what the policy demands")

// Cannot be judged
SHELTER_REASON(NO_COLLATERAL, "no-collateral", LACK, "no collateral was given")
SHELTER_REASON(NO_PCK_CHAIN, "no-pck-chain", LACK,
               "the quote names its PCK certificate only by identifier: give the chain")
SHELTER_REASON(NO_SIGNER, "no-signer", LACK,
               "the signer's certificate (VCEK, VLEK, HSK and CEK) was not given")
SHELTER_REASON(NO_INTERMEDIATE, "no-intermediate", LACK,
               "an intermediate certificate (ASK, ASVK) was not given")
SHELTER_REASON(POLICY_FILE, "policy-file", LACK, "the policy cannot be read")
SHELTER_REASON(REFERENCE_FILE, "reference-file", LACK, "the reference values cannot be read")
SHELTER_REASON(INTERNAL, "internal", LACK, "out of memory or a failure of the crypto library")

// RA-TLS
SHELTER_REASON(RA_TLS_CERT, "ra-tls-certificate", FORM,
               "the certificate carries no evidence in the form of RA-TLS")
SHELTER_REASON(RA_TLS_CLAIMS, "ra-tls-claims", FORM, "the claims beside the evidence are malformed")
SHELTER_REASON(RA_TLS_SELF, "ra-tls-signature", SIG, "the certificate is not signed by its own key")
SHELTER_REASON(RA_TLS_KEY, "ra-tls-key", SIG, "the evidence was made for another key")
SHELTER_REASON(RA_TLS_NONCE, "ra-tls-nonce", POLICY,
               "the evidence does not carry the expected nonce")

// Added later
SHELTER_REASON(SGX_ATTRIBUTES, "sgx-attributes", POLICY,
               "the enclave's ATTRIBUTES, XFRM or MISCSELECT have bits that no enclave may have")
SHELTER_REASON(TD_XFAM, "td-xfam", POLICY,
               "the TD's XFAM has bits that no TD may have, or lacks x87 and SSE")
SHELTER_REASON(SNP_ENTRYSIGN, "snp-entrysign", TCB,
               "the microcode takes patches that AMD did not sign (CVE-2024-56161)")
SHELTER_REASON(PLATFORM, "platform", POLICY, "the policy does not trust this platform")
SHELTER_REASON(REFUSED_CPU, "refused-cpu", POLICY, "the policy refuses this kind of CPU or TCB")
SHELTER_REASON(SNP_BADRAM, "snp-badram", TCB,
               "the firmware does not look for memory that shows at two addresses (CVE-2024-21944)")
SHELTER_REASON(EVENT, "runtime-event", POLICY,
               "what was measured at run time is not what the policy demands")
SHELTER_REASON(MEASURED_LOG, "measured-log", FORM, "the log of run-time events is malformed")
SHELTER_REASON(NITRO_DOCUMENT, "nitro-document", FORM, "the NitroTPM document is malformed")
SHELTER_REASON(NITRO_CHAIN, "nitro-chain", SIG, "the chain of the NitroTPM document does not hold")
SHELTER_REASON(NITRO_SIGNATURE, "nitro-signature", SIG,
               "the NitroTPM document is not signed by its certificate")
SHELTER_REASON(NITRO_POLICY, "nitro-policy", POLICY,
               "the policy does not accept this NitroTPM document")
SHELTER_REASON(SVSM_MANIFEST, "svsm-manifest", FORM, "the SVSM's manifest is malformed")
SHELTER_REASON(GPU_EVIDENCE, "gpu-evidence", FORM, "a GPU's evidence is malformed")
SHELTER_REASON(GPU_CHAIN, "gpu-chain", SIG, "the chain of a GPU's certificate does not hold")
SHELTER_REASON(GPU_SIGNATURE, "gpu-signature", SIG,
               "a GPU's report is not signed by its certificate")
SHELTER_REASON(GPU_NONCE, "gpu-nonce", POLICY, "a GPU's report does not carry the expected nonce")
SHELTER_REASON(GPU_MEASUREMENT, "gpu-measurement", POLICY,
               "a GPU's measurements are not those of NVIDIA's RIM")
SHELTER_REASON(GPU_POLICY, "gpu-policy", POLICY,
               "fewer GPUs than the policy demands have evidence that holds")
SHELTER_REASON(NO_RIM, "no-rim", LACK, "NVIDIA's RIM for a GPU's driver or firmware is missing")
