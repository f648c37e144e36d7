package push

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLSFiles are PEM files with which push hosts are reached over https.
type TLSFiles struct {
	Authorities string // who signs the hosts' certificates; empty for the system's
	Certificate string // shown to hosts that ask for one; empty for none
	Key         string // of Certificate
}

// Config returns what Config.TLS takes; nil if no file is named. It reads all files, so that a wrong one is known at
// once. The certificate and its key are read again for each connection: new ones need no restart.
func (f TLSFiles) Config() (*tls.Config, error) {
	if f == (TLSFiles{}) {
		return nil, nil
	}
	if (f.Certificate == "") != (f.Key == "") {
		return nil, errors.New("a client certificate needs a file with the certificate and one with its key")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.Authorities != "" {
		pem, err := os.ReadFile(f.Authorities)
		if err != nil {
			return nil, fmt.Errorf("authorities: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authorities: %s holds no certificate in PEM", f.Authorities)
		}
	}
	if f.Certificate == "" {
		return config, nil
	}
	if _, err := f.clientCertificate(nil); err != nil {
		return nil, err
	}
	config.GetClientCertificate = f.clientCertificate
	return config, nil
}

func (f TLSFiles) clientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	certificate, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("client certificate: %w", err)
	}
	return &certificate, nil
}
