package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pushglue/glue"
	"pushglue/glue/eventstream"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/push"
	"pushglue/glue/thoonk"
)

// secureHost is a push host that wants TLS, a client certificate and a password.
type secureHost struct {
	*service.Nginx
	authority  *service.Authority
	cert, key  string // a client's
	authorized string // the file with its Authorization header
}

const (
	planted = "UExBTlRFRC1wYXNzd29yZA" // what must not be shown
	wanted  = "Bearer " + planted
)

func startSecureHost(t *testing.T, module string) *secureHost {
	t.Helper()
	h := &secureHost{authority: service.NewAuthority(t)}
	soon := time.Now().Add(time.Hour)
	cert, key := h.authority.Certificate("host", soon)
	h.cert, h.key = h.authority.Certificate("glue", soon)
	h.authorized = writeSecret(t, wanted+"\n")
	h.Nginx = service.StartNginx(t, module, service.NginxTLS(cert, key, h.authority.File), service.NginxFile("common/allow-internal.conf",
		fmt.Sprintf("set $stranger $https;\nif ($http_authorization = %q) { set $stranger \"\"; }\nif ($stranger) { return 401; }\n", wanted)))
	return h
}

// writeSecret writes a file for a test.
func writeSecret(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// settings returns those with which h is reached.
func (h *secureHost) settings(module string) []string {
	return []string{
		"PUSH_MODULE=" + module, "PUSH_HOSTS=" + h.SecureURL(), "PUSH_CA=" + h.authority.File, "PUSH_CERT=" + h.cert, "PUSH_CERT_KEY=" + h.key,
		"PUSH_AUTHORIZATION_FILE=" + h.authorized,
	}
}

// TestPushHostsOverTLS has the daemon publish to a push host that wants all that can be wanted.
func TestPushHostsOverTLS(t *testing.T) {
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			workdir(t, goodPipelines)
			host, store := startSecureHost(t, module), service.StartRedis(t)
			reader, err := eventstream.Subscribe(t.Context(), host.PublicURL()+"/subscribe/a", "")
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			settings := append(host.settings(module), "REDIS_URL="+store.URL(), "LOG_LEVEL=debug")
			if code, stdout, stderr := invoke(t, "", environment(settings...), "check", "--connect"); code != 0 || !strings.Contains(stdout, " answers\n") {
				t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
			}
			daemon := startDaemon(t, settings...)
			feed, err := thoonk.NewFeed(store.Client(t), "f", thoonk.ThoonkPy)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := feed.Put(t.Context(), [][]byte{[]byte(`{"id":"1"}`)}, thoonk.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			if event, err := reader.Next(); err != nil || event.Data != `{"id":"1"}` {
				t.Errorf("got %q, %v", event.Data, err)
			}
			daemon.Stop()
			if strings.Contains(daemon.Log(), planted) {
				t.Error("the log shows the Authorization header")
			}
		})
	}
}

// TestPushHostsOverTLSRefuse leaves out or spoils one thing at a time: check says which, and shows no secret.
func TestPushHostsOverTLSRefuse(t *testing.T) {
	workdir(t, goodPipelines)
	host, store := startSecureHost(t, service.Nchan), service.StartRedis(t)
	other := service.NewAuthority(t)
	otherCert, otherKey := other.Certificate("glue", time.Now().Add(time.Hour))
	oldCert, oldKey := host.authority.Certificate("old", time.Now().Add(-time.Hour))
	const answers401 = `push host 127.0.0.1:\d+: answers 401 Unauthorized: does it want an Authorization header, or a client certificate\?`
	for name, test := range map[string]struct {
		change []string
		want   string
	}{
		"wrong authority":         {[]string{"PUSH_CA=" + other.File}, `push host .*: tls: failed to verify certificate: x509: certificate signed by unknown authority.*`},
		"the system's":            {[]string{"PUSH_CA="}, `push host .*: tls: failed to verify certificate: x509: .*`},
		"wrong name":              {[]string{"PUSH_HOSTS=" + strings.Replace(host.SecureURL(), "127.0.0.1", "localhost", 1)}, `push host localhost:\d+: tls: failed to verify certificate: x509: .*localhost.*`},
		"no certificate":          {[]string{"PUSH_CERT=", "PUSH_CERT_KEY="}, answers401},
		"a stranger's":            {[]string{"PUSH_CERT=" + otherCert, "PUSH_CERT_KEY=" + otherKey}, answers401},
		"an expired one":          {[]string{"PUSH_CERT=" + oldCert, "PUSH_CERT_KEY=" + oldKey}, answers401},
		"no TLS":                  {[]string{"PUSH_HOSTS=" + strings.Replace(host.SecureURL(), "https", "http", 1)}, answers401},
		"no header":               {[]string{"PUSH_AUTHORIZATION_FILE="}, answers401},
		"wrong header":            {[]string{"PUSH_AUTHORIZATION_FILE=" + writeSecret(t, "Bearer wrong"+planted)}, answers401},
		"wrong header, variable":  {[]string{"PUSH_AUTHORIZATION_FILE=", "PUSH_AUTHORIZATION=Bearer wrong" + planted}, answers401},
		"header of two lines":     {[]string{"PUSH_AUTHORIZATION_FILE=" + writeSecret(t, "Bearer "+planted+"\r\nX: y")}, `PUSHGLUE_PUSH_AUTHORIZATION: an Authorization header is one line of visible ASCII, .*`},
		"header with an umlaut":   {[]string{"PUSH_AUTHORIZATION_FILE=" + writeSecret(t, "Bearer ä"+planted)}, `PUSHGLUE_PUSH_AUTHORIZATION: an Authorization header is one line .*`},
		"long header":             {[]string{"PUSH_AUTHORIZATION_FILE=" + writeSecret(t, strings.Repeat(planted, 1000))}, `PUSHGLUE_PUSH_AUTHORIZATION: an Authorization header of 22000 bytes is longer than 4096`},
		"both headers":            {[]string{"PUSH_AUTHORIZATION=" + wanted}, `PUSHGLUE_PUSH_AUTHORIZATION and PUSHGLUE_PUSH_AUTHORIZATION_FILE are both set; choose one`},
		"no such header":          {[]string{"PUSH_AUTHORIZATION_FILE=no/such"}, `PUSHGLUE_PUSH_AUTHORIZATION_FILE: open no/such: no such file or directory`},
		"no such authority":       {[]string{"PUSH_CA=no/such"}, `PUSHGLUE_PUSH_CA: authorities: open no/such: no such file or directory`},
		"an authority's key":      {[]string{"PUSH_CA=" + host.key}, `PUSHGLUE_PUSH_CA: authorities: .* holds no certificate in PEM`},
		"certificate without key": {[]string{"PUSH_CERT_KEY="}, `PUSHGLUE_PUSH_CERT: a client certificate needs a file with the certificate and one with its key`},
		"another's key":           {[]string{"PUSH_CERT_KEY=" + otherKey}, `PUSHGLUE_PUSH_CERT: client certificate: tls: private key does not match public key`},
	} {
		t.Run(name, func(t *testing.T) {
			settings := append(host.settings(service.Nchan), "REDIS_URL="+store.URL())
			code, stdout, stderr := invoke(t, "", environment(append(settings, test.change...)...), "check", "--connect")
			if code != 1 || !regexp.MustCompile(`^pushglue: `+test.want+`\n$`).MatchString(stderr) {
				t.Errorf("exit code %d\n%s%s\nwant %s", code, stdout, stderr, test.want)
			}
			if strings.Contains(stdout+stderr, planted) {
				t.Error("the header is shown")
			}
		})
	}
}

// TestANewClientCertificateNeedsNoRestart replaces an expired certificate's files under a publisher.
func TestANewClientCertificateNeedsNoRestart(t *testing.T) {
	host := startSecureHost(t, service.Nchan)
	files := push.TLSFiles{Authorities: host.authority.File}
	files.Certificate, files.Key = host.authority.Certificate("changing", time.Now().Add(-time.Hour))
	secure, err := files.Config()
	if err != nil {
		t.Fatal(err)
	}
	p, err := push.New(push.Config{Hosts: []string{host.SecureURL()}, Module: push.Nchan, TLS: secure, Authorization: wanted})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	publish := func() error {
		m := glue.NewMessage("1", []byte("x"))
		m.Channels = []string{"a"}
		outcomes := make([]error, 1)
		p.Publish(t.Context(), []*glue.Message{m}, outcomes)
		return outcomes[0]
	}
	if err := publish(); err == nil || glue.IsPermanent(err) {
		t.Fatalf("with an expired certificate: %v", err)
	}
	host.authority.Certificate("changing", time.Now().Add(time.Hour))
	if err := publish(); err != nil {
		t.Errorf("with a new certificate: %v", err)
	}
}
