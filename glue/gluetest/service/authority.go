package service

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates for tests.
type Authority struct {
	File string // its certificate, in PEM

	tb   testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	made int64
}

// NewAuthority returns an authority whose files are in the test's temporary directory.
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	a := &Authority{tb: tb, File: filepath.Join(tb.TempDir(), "authority.pem")}
	template := a.template("authority")
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	template.NotAfter = time.Now().Add(time.Hour)
	a.key = newKey(tb)
	a.cert = a.sign(template, template, a.key, a.File)
	return a
}

// Certificate writes a certificate, for the host 127.0.0.1 and for clients, and its key to files of the same directory,
// and returns their paths. It ends at notAfter.
func (a *Authority) Certificate(name string, notAfter time.Time) (certificate, key string) {
	a.tb.Helper()
	template := a.template(name)
	template.NotAfter = notAfter
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	dir := filepath.Dir(a.File)
	certificate, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	private := newKey(a.tb)
	a.sign(template, a.cert, private, certificate)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.tb.Fatal(err)
	}
	a.write(key, "PRIVATE KEY", der)
	return certificate, key
}

func (a *Authority) template(name string) *x509.Certificate {
	a.made++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.made), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), BasicConstraintsValid: true,
	}
}

func (a *Authority) sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey, path string) *x509.Certificate {
	a.tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		a.tb.Fatal(err)
	}
	a.write(path, "CERTIFICATE", der)
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		a.tb.Fatal(err)
	}
	return certificate
}

func (a *Authority) write(path, kind string, der []byte) {
	a.tb.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.tb.Fatal(err)
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}
