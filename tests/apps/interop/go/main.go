// SPDX-License-Identifier: Apache-2.0
// Judges evidence with other people's code; one line on stdout says what it found.
//
//	judge tdx QUOTE COLLATERAL-FOLDER ROOT.pem             go-tdx-guest: chain, CRLs, TCB and QE identity
//	judge snp REPORT VCEK.der ASK.pem ARK.pem PRODUCT      go-sev-guest
package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	sevabi "github.com/google/go-sev-guest/abi"
	spb "github.com/google/go-sev-guest/proto/sevsnp"
	sev "github.com/google/go-sev-guest/verify"
	sevtrust "github.com/google/go-sev-guest/verify/trust"
	tdx "github.com/google/go-tdx-guest/verify"
)

func read(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return data
}

// folder answers as Intel's service would, from files.
type folder string

func (f folder) file(name string) []byte { return read(filepath.Join(string(f), name)) }

func chain(name string, text []byte) map[string][]string {
	return map[string][]string{name: {url.QueryEscape(string(text))}}
}

func (f folder) Get(at string) (map[string][]string, []byte, error) {
	switch {
	case strings.Contains(at, "/pckcrl"):
		return chain("Sgx-Pck-Crl-Issuer-Chain", f.file("pck_crl_issuer_chain.pem")), f.file("pck_crl.der"), nil
	case strings.Contains(at, "/tcb"):
		return chain("Tcb-Info-Issuer-Chain", f.file("tcb_signing_chain.pem")), f.file("tcb_info.json"), nil
	case strings.Contains(at, "/qe/identity"):
		return chain("Sgx-Enclave-Identity-Issuer-Chain", f.file("tcb_signing_chain.pem")), f.file("qe_identity.json"), nil
	}
	return nil, f.file("root_ca_crl.der"), nil // the root's own distribution point
}

func judgeTdx(quote, collateral, root string) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(read(root)) {
		return errors.New("no root certificate")
	}
	return tdx.RawTdxQuote(read(quote), &tdx.Options{CheckRevocations: true, GetCollateral: true,
		Getter: folder(collateral), Now: time.Now(), TrustedRoots: roots})
}

func der(path string) []byte {
	data := read(path)
	if block, _ := pem.Decode(data); block != nil {
		return block.Bytes
	}
	return data
}

func judgeSnp(report, vcek, ask, ark, product string) error {
	parsed, err := sevabi.ReportToProto(read(report))
	if err != nil {
		return err
	}
	roots := sevtrust.AMDRootCertsProduct(product)
	if err := roots.Decode(der(ask), der(ark)); err != nil {
		return err
	}
	evidence := &spb.Attestation{Report: parsed, CertificateChain: &spb.CertificateChain{
		VcekCert: der(vcek), AskCert: der(ask), ArkCert: der(ark)}}
	if err := sev.SnpAttestation(evidence, &sev.Options{DisableCertFetching: true, Now: time.Now(),
		TrustedRoots: map[string][]*sevtrust.AMDRootCerts{product: {roots}}}); err != nil {
		return err
	}
	fmt.Printf("%x %x\n", parsed.Measurement, parsed.ReportData)
	return nil
}

func main() {
	var err error
	switch {
	case len(os.Args) == 5 && os.Args[1] == "tdx":
		if err = judgeTdx(os.Args[2], os.Args[3], os.Args[4]); err == nil {
			fmt.Println("accepted")
		}
	case len(os.Args) == 7 && os.Args[1] == "snp":
		err = judgeSnp(os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6])
	default:
		err = errors.New("usage: judge tdx|snp ...")
	}
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
}
