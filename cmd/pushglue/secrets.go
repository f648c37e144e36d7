package main

import (
	"crypto/tls"
	"errors"

	"pushglue/glue/push"
	"pushglue/glue/secret"
)

// readSecrets puts the settings that are secrets in their places, whether the environment has them or names a file.
func (c *config) readSecrets() []error {
	var errs []error
	for _, s := range []struct {
		name string
		into *string
	}{{"REDIS_URL", &c.RedisURL}, {"PUSH_AUTHORIZATION", &c.PushAuthorization}, {"ALERT_WEBHOOK", &c.AlertWebhook}, {"SENTRY_DSN", &c.SentryDSN}, {"HTTP_TOKEN", &c.HTTPToken}} {
		text, _, err := secret.Lookup(envPrefix + "_" + s.name)
		switch {
		case err == nil:
			*s.into = text
		case !errors.Is(err, secret.ErrNotSet):
			errs = append(errs, err)
		}
	}
	return errs
}

// pushTLS returns how push hosts are reached over TLS; nil for the system's way.
func (c *config) pushTLS() (*tls.Config, error) {
	files := push.TLSFiles{Authorities: c.PushCA, Certificate: c.PushCert, Key: c.PushCertKey}
	return files.Config()
}
