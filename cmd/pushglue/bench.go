package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"pushglue/cmd/pushglue/bench"
)

func newBenchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the daemon and its push hosts",
	}
	cmd.AddCommand(newBenchPublishCommand(), newBenchSubscribeCommand(), newBenchDaemonCommand(), newBenchReadersCommand())
	return cmd
}

func newBenchPublishCommand() *cobra.Command {
	var p bench.PublishConfig
	var asJSON, remote bool
	cmd := &cobra.Command{
		Use:   "publish",
		Short: "Measure the whole path from the queue to the push hosts",
		Args:  arguments(cobra.NoArgs),
		RunE: interruptible(func(c *cobra.Command, _ []string) error {
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
			p.Daemon = func(pipelines string) *exec.Cmd { return benchDaemon(c, pipelines) }
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
		}),
	}
	f := cmd.Flags()
	f.IntVar(&p.Jobs, "jobs", 200_000, "how many jobs to put")
	f.Float64Var(&p.Rate, "rate", 0, "jobs a second while the daemon works (default: all before it starts)")
	f.DurationVar(&p.For, "for", 0, "how long the daemon works at most, such as 30s (default: until all is done)")
	f.IntVar(&p.Channels, "channels", 1000, "different channels")
	f.IntVar(&p.Fan, "fan", 1, "channels of each message")
	f.IntVar(&p.Size, "size", 300, "bytes of a job")
	f.DurationVar(&p.Coalesce, "coalesce", 0, "coalesce messages in a window such as 25ms")
	f.BoolVar(&asJSON, "json", false, "report as JSON")
	f.BoolVar(&remote, "allow-remote", false, "aim at other machines than this one too")
	return cmd
}

func benchDaemon(c *cobra.Command, pipelines string) *exec.Cmd {
	daemon := benchProcess(c, "daemon")
	daemon.Env = append(os.Environ(), "PUSHGLUE_PIPELINES="+pipelines, "PUSHGLUE_HTTP_ADDR=", "PUSHGLUE_ANONYMIZE_KEY=0123456789abcdef0123456789abcdef")
	return daemon
}

// newBenchDaemonCommand is the daemon of a bench: the same as run, with a report of itself at its end.
func newBenchDaemonCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "daemon",
		Hidden: true,
		Args:   arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			defer endWithInput(c)()
			meter := bench.NewMeter()
			if err := daemon(c, meter); err != nil {
				return err
			}
			report, err := meter.Report()
			return errors.Join(err, json.NewEncoder(c.OutOrStdout()).Encode(report))
		},
	}
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
				return notThisMachine(name, host)
			}
		}
	}
	return nil
}

func notThisMachine(name, host string) error {
	return fmt.Errorf("%s: %s is not this machine; a bench loads it as much as it can: --allow-remote if you mean it", name, host)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
