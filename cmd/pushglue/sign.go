package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pushglue/glue/secret"
	"pushglue/glue/sign"
)

// privateKey is the environment variable with the key that signs URLs.
const privateKey = envPrefix + "_PRIVATE_KEY"

func newSignCommand() *cobra.Command {
	var s signing
	cmd := &cobra.Command{
		Use:   "sign CHANNEL…",
		Short: "Sign a URL that reads private channels",
		Long: `Prints the URL by which whoever has it reads these channels until it expires: those whose names begin
with "private:" take such a URL, and others may be among them.

The key is in ` + privateKey + `, or in the file that ` + privateKey + `_FILE names. All push hosts have
the same (nginx/README.md).`,
		Example: `  pushglue sign private:ann forum:news
  curl -N -H 'Accept: text/event-stream' "$(pushglue sign --expires 10m --base https://push.example.com private:ann)"`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			signed, err := s.url(args)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), signed)
			return err
		},
	}
	cmd.Flags().DurationVar(&s.expires, "expires", time.Hour, "how long the URL is good")
	cmd.Flags().StringVar(&s.base, "base", "", "what stands before the path, such as https://push.example.com")
	cmd.Flags().StringVar(&s.endpoint, "endpoint", string(sign.Subscribe), "how the channels are read: subscribe, poll or ws")
	completeFlag(cmd, "endpoint", cobra.FixedCompletions([]string{"subscribe", "poll", "ws"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// signing is one run of sign.
type signing struct {
	expires        time.Duration
	base, endpoint string
}

func (s signing) url(channels []string) (string, error) {
	if s.expires < time.Second {
		return "", usageError{fmt.Errorf("--expires: %s is less than a second", s.expires)}
	}
	if u, err := url.Parse(s.base); err != nil || s.base != "" && (u.Scheme == "" || u.Host == "" || u.RawQuery != "" || u.Fragment != "") {
		return "", usageError{fmt.Errorf("--base: %q is no base URL such as https://push.example.com", s.base)}
	}
	key, from, err := secret.Lookup(privateKey)
	if err != nil {
		return "", err
	}
	signer, err := sign.New(key)
	if err != nil {
		return "", fmt.Errorf("%s: %w", from, err)
	}
	path, err := signer.Path(sign.Endpoint(s.endpoint), time.Now().Add(s.expires), channels...)
	if err != nil {
		return "", usageError{err}
	}
	return strings.TrimSuffix(s.base, "/") + path, nil
}
