package stages

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"pushglue/glue"
)

// Encrypt makes the body a JWE in compact serialization: AES-256-GCM with a key that readers
// have too. The message's id, type and channels stay readable.
type Encrypt struct {
	encrypter jose.Encrypter
}

var (
	_ glue.Stage  = (*Encrypt)(nil)
	_ ObjectTaker = (*Encrypt)(nil)
)

// defaultEncryptKey is the environment variable that holds the key if the options name no other.
const defaultEncryptKey = "PUSHGLUE_ENCRYPT_KEY"

// encryptKeySize is the size of a key for AES-256 in bytes.
const encryptKeySize = 32

type encryptOptions struct {
	Key keyOptions `yaml:"key"`
}

func newEncrypt(options Options) (glue.Stage, error) {
	var o encryptOptions
	if err := options(&o); err != nil {
		return nil, err
	}
	if o.Key.ID == "" {
		return nil, errors.New("key: give it an id, by which readers choose among theirs")
	}
	key, err := o.Key.readHex(defaultEncryptKey, encryptKeySize)
	if err != nil {
		return nil, err
	}
	// The key is used as it is, without one for each message that it would wrap: all who can
	// read one message can read all.
	recipient := jose.Recipient{Algorithm: jose.DIRECT, Key: key, KeyID: o.Key.ID}
	encrypter, err := jose.NewEncrypter(jose.A256GCM, recipient, nil)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return &Encrypt{encrypter}, nil
}

// TakesObject implements ObjectTaker.
func (e *Encrypt) TakesObject() {}

// Process implements glue.Stage.
func (e *Encrypt) Process(_ context.Context, m *glue.Message) error {
	jwe, err := e.encrypter.Encrypt(m.Body())
	if err != nil {
		return fmt.Errorf("encrypt: %w", err)
	}
	text, err := jwe.CompactSerialize()
	if err != nil {
		return fmt.Errorf("encrypt: %w", err)
	}
	m.SetBody([]byte(text))
	return nil
}
