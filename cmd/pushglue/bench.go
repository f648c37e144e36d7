package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"runtime/pprof"
	"time"

	"github.com/spf13/cobra"

	"pushglue/cmd/pushglue/bench"
)

func newBenchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the daemon and its push hosts",
	}
	cmd.AddCommand(newBenchPublishCommand(), newBenchDaemonCommand())
	return cmd
}

func newBenchPublishCommand() *cobra.Command {
	var p bench.PublishConfig
	var asJSON, remote bool
	var profile string
	cmd := &cobra.Command{
		Use:   "publish",
		Short: "Measure the whole path from the queue to the push hosts",
		Args:  arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			settings, err := readConfig()
			if err != nil {
				return err
			}
			if !remote {
				if err := refuseRemote(settings); err != nil {
					return err
				}
			}
			rdb, err := connect(c.Context(), settings, settings.logger(c.ErrOrStderr()))
			if err != nil {
				return err
			}
			defer rdb.Close()
			p.Feed, err = openFeed(rdb, settings, fmt.Sprintf("{bench-%d}", time.Now().UnixMicro()))
			if err != nil {
				return err
			}
			p.Progress = c.ErrOrStderr()
			p.Daemon = func(pipelines string) *exec.Cmd {
				daemon := exec.Command(os.Args[0], "bench", "daemon", "--cpu-profile="+profile)
				daemon.Env = append(os.Environ(), "PUSHGLUE_PIPELINES="+pipelines, "PUSHGLUE_HTTP_ADDR=", "PUSHGLUE_ANONYMIZE_KEY=0123456789abcdef0123456789abcdef")
				daemon.Stderr = c.ErrOrStderr()
				return daemon
			}
			report, err := bench.Publish(c.Context(), p)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(report)
			}
			text, _ := json.MarshalIndent(report, "", "  ")
			_, err = fmt.Fprintln(c.OutOrStdout(), string(text))
			return err
		},
	}
	f := cmd.Flags()
	f.IntVar(&p.Jobs, "jobs", 200_000, "how many jobs to put")
	f.Float64Var(&p.Rate, "rate", 0, "jobs a second while the daemon works (default: all before it starts)")
	f.DurationVar(&p.For, "for", 0, "how long the daemon works at most, such as 30s (default: until all is done)")
	f.IntVar(&p.Channels, "channels", 1000, "different channels")
	f.IntVar(&p.Fan, "fan", 1, "channels of each message")
	f.IntVar(&p.Size, "size", 300, "bytes of a job")
	f.DurationVar(&p.Coalesce, "coalesce", 0, "coalesce messages in a window such as 25ms")
	f.StringVar(&profile, "cpu-profile", "", "write a CPU profile of the daemon to this file, for go tool pprof")
	f.BoolVar(&asJSON, "json", false, "report as JSON")
	f.BoolVar(&remote, "allow-remote", false, "aim at other machines than this one too")
	return cmd
}

// newBenchDaemonCommand is the daemon of a bench: the same as run, with a report of itself at its end.
func newBenchDaemonCommand() *cobra.Command {
	var profile string
	cmd := &cobra.Command{
		Use:    "daemon",
		Hidden: true,
		Args:   arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			stop, err := startProfile(profile)
			if err != nil {
				return err
			}
			meter := bench.NewMeter()
			if err := errors.Join(daemon(c, meter), stop()); err != nil {
				return err
			}
			report, err := meter.Report()
			return errors.Join(err, json.NewEncoder(c.OutOrStdout()).Encode(report))
		},
	}
	cmd.Flags().StringVar(&profile, "cpu-profile", "", "write a CPU profile to this file")
	return cmd
}

// startProfile writes a CPU profile to the file at path until stop; no path is none.
func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, nil
}

// refuseRemote returns an error if a bench would load another machine.
func refuseRemote(c config) error {
	for name, list := range map[string][]string{"PUSHGLUE_REDIS_URL": {c.RedisURL}, "PUSHGLUE_PUSH_HOSTS": c.PushHosts} {
		for _, raw := range list {
			u, err := url.Parse(raw)
			if err != nil {
				return fmt.Errorf("%s: it is no URL", name)
			}
			if host := u.Hostname(); u.Scheme != "unix" && !isLoopback(host) {
				return fmt.Errorf("%s: %s is not this machine; a bench loads it as much as it can: --allow-remote if you mean it", name, host)
			}
		}
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
