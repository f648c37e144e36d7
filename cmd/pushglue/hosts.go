package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pushglue/glue/push"
	"pushglue/glue/secret"
)

// askTime bounds a question to the daemon, who asks its push hosts in turn.
const askTime = 10 * time.Second

// asking is one run of hosts.
type asking struct {
	addr   string
	asJSON bool
}

func newHostsCommand() *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use:   "hosts",
		Short: "Show how the daemon's push hosts stand; take one out of service, or back in",
		Long: `Asks a daemon on this machine about its push hosts:

  state   up; behind, when messages do not wait for it; or down
  role    in service; drain, when it is sent everything, but only waited for if no other is up; or out, when it is sent nothing
  lag     age of the oldest message that it lacks
  missed  messages that it will not get any more

Each daemon has roles of its own, and forgets them when it ends.`,
		Example: `  pushglue hosts
  pushglue hosts drain 10.0.0.1:9080
  pushglue hosts out 10.0.0.1:9080
  pushglue hosts in 10.0.0.1:9080`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return a.run(c, http.MethodGet, nil) },
	}
	cmd.SuggestionsMinimumDistance = 2
	addrFlag(cmd.PersistentFlags(), &a.addr)
	cmd.PersistentFlags().BoolVar(&a.asJSON, "json", false, "print one JSON object")
	cmd.AddCommand(
		a.newRoleCommand(push.In, "Have a host in service"),
		a.newRoleCommand(push.Drain, "Send a host everything, but do not wait for it if another one is up"),
		a.newRoleCommand(push.Out, "Send a host nothing"),
	)
	return cmd
}

func addrFlag(flags *pflag.FlagSet, addr *string) {
	flags.StringVar(addr, "addr", "", "where the daemon answers (default: PUSHGLUE_HTTP_ADDR, which is 127.0.0.1:9070 by default)")
}

func (a *asking) newRoleCommand(role push.Role, short string) *cobra.Command {
	return &cobra.Command{
		Use:               string(role) + " HOST",
		Short:             short,
		Long:              short + ". HOST is its name, as \"pushglue hosts\" shows it, or its URL.",
		Args:              arguments(cobra.ExactArgs(1)),
		ValidArgsFunction: completeFirst(a.hostNames, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			order, err := json.Marshal(roleOrder{args[0], role})
			if err != nil {
				return err
			}
			return a.run(c, http.MethodPost, order)
		},
	}
}

// address returns where the daemon answers: a daemon with these settings, unless a flag says it.
func (a *asking) address() string {
	if a.addr != "" {
		return a.addr
	}
	var c config
	_ = c.read() // the daemon says what is wrong with them
	return c.HTTPAddr
}

func (a *asking) run(c *cobra.Command, method string, body []byte) error {
	address, err := reachable(a.address())
	if err != nil {
		return err
	}
	report, err := askDaemon(c.Context(), method, address, body)
	switch {
	case err != nil:
		return err
	case a.asJSON:
		return writeJSON(c.OutOrStdout(), report)
	}
	return report.write(c.OutOrStdout())
}

// reachable returns the address at which what listens at addr can be reached from this machine.
func reachable(addr string) (string, error) {
	if addr == "" {
		return "", errors.New("PUSHGLUE_HTTP_ADDR is empty, so a daemon with these settings answers nowhere: --addr names another one")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", usageError{fmt.Errorf("--addr: %q is no address such as 127.0.0.1:9070", addr)}
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}

// askDaemon asks the daemon at address for its hosts, or has it change one.
func askDaemon(ctx context.Context, method, address string, body []byte) (hostsReport, error) {
	var report hostsReport
	err := askAt(ctx, method, address, "/hosts", body, &report, func() bool { return report.Hosts != nil })
	return report, err
}

// askAt reads what the daemon at address answers into answer, which isOurs then recognizes.
func askAt(ctx context.Context, method, address, path string, body []byte, answer any, isOurs func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	resp, err := openAt(ctx, method, address, path, body)
	if err != nil {
		return err
	}
	return readAnswer(resp, address, answer, isOurs)
}

// openAt returns the begin of what the daemon at address answers. A change shows it PUSHGLUE_HTTP_TOKEN, if there is one. The caller reads
// the rest with readAnswer.
func openAt(ctx context.Context, method, address, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, bytes.NewReader(body))
	if err != nil {
		return nil, usageError{fmt.Errorf("--addr: %q is no address such as 127.0.0.1:9070", address)}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		token, _, err := secret.Lookup(envPrefix + "_HTTP_TOKEN")
		switch {
		case err == nil:
			req.Header.Set("Authorization", "Bearer "+token)
		case !errors.Is(err, secret.ErrNotSet):
			return nil, err
		}
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is this machine
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no daemon answers at %s: %w; does it run, and is that its PUSHGLUE_HTTP_ADDR? --addr names another one", address, err)
	}
	return resp, nil
}

// maxAnswer bounds what is read of a daemon, in bytes.
const maxAnswer = 64 << 20

func readAnswer(resp *http.Response, address string, answer any, isOurs func() bool) error {
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("the daemon at %s: %w", address, err)
	case resp.StatusCode != http.StatusOK:
		return refused(resp.Status, address, text)
	case json.Unmarshal(text, answer) != nil || !isOurs():
		return fmt.Errorf("what answers at %s is no daemon of pushglue, or an older one", address)
	}
	return nil
}

func refused(status, address string, text []byte) error {
	var answer httpError
	if json.Unmarshal(text, &answer) == nil && answer.Error != "" {
		return errors.New(answer.Error)
	}
	return fmt.Errorf("what answers at %s says %s: it is no daemon of pushglue, or an older one", address, status)
}

func (r hostsReport) write(w io.Writer) error {
	if len(r.Hosts) == 0 {
		fmt.Fprintln(w, "there are no push hosts")
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "HOST\tSTATE\tROLE\tFOR\tREADERS\tLAG\tMISSED\tREADY\tREASON")
	inService := 0
	for _, h := range r.Hosts {
		readers, ready := "-", "no"
		if h.Ready {
			readers, ready = thousands(int(h.Readers)), "yes"
		}
		lag := float64(h.LagMS) / 1000
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", h.Name, h.State, h.Role, time.Since(h.Since).Round(time.Second),
			readers, ageText(&lag), thousands(int(h.Missed)), ready, reasonOf(h))
		if h.Role == push.In && h.State != "down" {
			inService++
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if inService == 0 {
		fmt.Fprintln(w, "warning: no push host is in service and up")
	}
	return nil
}

// reasonOf returns what is wrong with a host, and what it says itself.
func reasonOf(h push.HostReport) string {
	switch {
	case h.Reason != "":
		return printable([]byte(h.Reason))
	case h.NotReady != "":
		return printable([]byte(h.NotReady))
	}
	return "-"
}
