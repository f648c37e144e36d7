package stages_test

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"pushglue/glue"
)

// encryptKey and nextKey are keys of the tests, known to all.
var (
	encryptKey = strings.Repeat("0123456789abcdef", 4)
	nextKey    = strings.Repeat("fedcba9876543210", 4)
)

// reader is somebody who has keys, by their ids.
type reader map[string]string

// open decrypts a JWE as a reader does: with the key that it names.
func (r reader) open(tb testing.TB, text string) (string, bool) {
	tb.Helper()
	jwe, err := jose.ParseEncryptedCompact(text, []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		tb.Fatalf("%s is no JWE: %v", text, err)
	}
	key, err := hex.DecodeString(r[jwe.Header.KeyID])
	if err != nil || len(key) == 0 {
		return "", false
	}
	body, err := jwe.Decrypt(key)
	return string(body), err == nil
}

func TestEncryptWhileTheKeyChanges(t *testing.T) {
	t.Setenv("PUSHGLUE_ENCRYPT_KEY", encryptKey)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(nextKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const body = `{"id":"c1","message":"Grüße"}`
	route := mustBuild(t, "route", `channels: [all]`)
	for _, test := range []struct {
		options string
		readers map[string]bool // those that can read it
	}{
		{`key: {id: k1}`, map[string]bool{"both": true, "old": true, "new": false, "wrong": false}},
		{`key: {id: k2, file: ` + file + `}`, map[string]bool{"both": true, "old": false, "new": true, "wrong": false}},
	} {
		m, err := process(body, route, mustBuild(t, "encrypt", test.options))
		if err != nil || m.ID != "job1" || !slices.Equal(m.Channels, []string{"all"}) || strings.Contains(m.Body, "message") {
			t.Fatalf("%+v, %v", m, err)
		}
		for name, r := range map[string]reader{
			"both": {"k1": encryptKey, "k2": nextKey}, "old": {"k1": encryptKey}, "new": {"k2": nextKey}, "wrong": {"k1": nextKey, "k2": encryptKey},
		} {
			if got, ok := r.open(t, m.Body); ok != test.readers[name] || ok && got != body {
				t.Errorf("%s: reader with the %s key got %q, %v", test.options, name, got, ok)
			}
		}
	}
}

// TestTheFormatOfAJWE decrypts by hand: this is what readers without a library rely on.
func TestTheFormatOfAJWE(t *testing.T) {
	t.Setenv("PUSHGLUE_ENCRYPT_KEY", encryptKey)
	const body = `{"id":"job1","n":1}`
	m, err := process(body, mustBuild(t, "json", ""), mustBuild(t, "encrypt", `key: {id: k1}`))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(m.Body, ".")
	if len(parts) != 5 || parts[1] != "" {
		t.Fatalf("parts %q", parts)
	}
	decoded := make([][]byte, len(parts))
	for i, part := range parts {
		if decoded[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			t.Fatal(err)
		}
	}
	if want := `{"alg":"dir","enc":"A256GCM","kid":"k1"}`; string(decoded[0]) != want {
		t.Errorf("header %s", decoded[0])
	}
	if iv, tag := decoded[2], decoded[4]; len(iv) != 12 || len(tag) != 16 {
		t.Errorf("%d bytes of iv, %d of tag", len(iv), len(tag))
	}
	key, err := hex.DecodeString(encryptKey)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	got, err := gcm.Open(nil, decoded[2], append(decoded[3], decoded[4]...), []byte(parts[0]))
	if err != nil || string(got) != body {
		t.Errorf("%s, %v", got, err)
	}
}

func TestEncryptTakesTheObject(t *testing.T) {
	t.Setenv("PUSHGLUE_ENCRYPT_KEY", encryptKey)
	m := glue.NewMessage("1", []byte(`{}`))
	for _, stage := range []glue.Stage{mustBuild(t, "json", ""), mustBuild(t, "encrypt", `key: {id: k1}`)} {
		if err := stage.Process(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if m.Object() != nil {
		t.Error("it still has an object")
	}
}

func TestManyEncryptAtOnce(t *testing.T) {
	t.Setenv("PUSHGLUE_ENCRYPT_KEY", encryptKey)
	stage := mustBuild(t, "encrypt", `key: {id: k1}`)
	var nonces sync.Map
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				m, err := process("body", stage)
				if err != nil {
					t.Error(err)
					return
				}
				nonce := strings.Split(m.Body, ".")[2]
				if _, twice := nonces.LoadOrStore(nonce, true); twice {
					t.Errorf("nonce %s was used twice", nonce)
				}
				if got, ok := (reader{"k1": encryptKey}).open(t, m.Body); !ok || got != "body" {
					t.Errorf("got %q, %v", got, ok)
				}
			}
		})
	}
	wg.Wait()
}

func TestEncryptRefuses(t *testing.T) {
	t.Setenv("SHORT_KEY", "0123")
	t.Setenv("NO_HEX_KEY", strings.Repeat("secret--", 8))
	const noHex = " does not hold 64 hex digits; make a key with `openssl rand -hex 32`"
	refuse(t, "encrypt", map[string]string{
		``:                               "key: give it an id, by which readers choose among theirs",
		`key: {env: SHORT_KEY}`:          "key: give it an id, by which readers choose among theirs",
		`key: {id: k 1, env: SHORT_KEY}`: "key: id contains something other than visible ASCII",
		`key: {id: k1, env: SHORT_KEY}`:  "key: environment variable SHORT_KEY" + noHex,
		`key: {id: k1, env: NO_HEX_KEY}`: "key: environment variable NO_HEX_KEY" + noHex,
		`key: {id: k1, env: NO_KEY}`:     "key: environment variable NO_KEY is not set, nor is NO_KEY_FILE; make a key with `openssl rand -hex 32`",
		`key: {id: k1}`:                  "key: environment variable PUSHGLUE_ENCRYPT_KEY is not set, nor is PUSHGLUE_ENCRYPT_KEY_FILE; make a key with `openssl rand -hex 32`",
		`key: {id: k1, env: A, file: b}`: "key: give a file or an environment variable, not both",
		`key: {id: k1, file: /no/key}`:   "key: open /no/key: no such file or directory",
	})
}

func FuzzEncrypt(f *testing.F) {
	f.Setenv("PUSHGLUE_ENCRYPT_KEY", encryptKey)
	stage := mustBuild(f, "encrypt", `key: {id: k1}`)
	f.Add([]byte(`{"id":"c1"}`))
	f.Add([]byte("\xff\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		m := glue.NewMessage("1", body)
		if err := stage.Process(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if got, ok := (reader{"k1": encryptKey}).open(t, string(m.Body())); !ok || got != string(body) {
			t.Errorf("%q came out as %q, %v", body, got, ok)
		}
	})
}
