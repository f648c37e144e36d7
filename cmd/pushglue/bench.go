package main

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"pushglue/glue/thoonk"
)

func newBenchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the daemon and its push hosts",
		Long: `Measures with jobs of its own, on a feed of its own, which is deleted at the end. The Redis and the push hosts
are those of the settings; see "pushglue run --help".`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(newBenchPublishCommand(), newBenchSubscribeCommand(), newBenchDaemonCommand(), newBenchReadersCommand())
	return cmd
}

// scratch is the feed of a bench, and where it is.
type scratch struct {
	rdb  redis.UniversalClient
	feed *thoonk.Feed
}

// openScratch opens a feed for one bench. Only with remote it is on another machine, or are push hosts. The
// caller closes it.
func openScratch(c *cobra.Command, settings config, remote bool) (scratch, error) {
	if !remote {
		if err := refuseRemote(settings); err != nil {
			return scratch{}, err
		}
	}
	rdb, err := connect(c.Context(), settings, settings.logger(c.ErrOrStderr()))
	if err != nil {
		return scratch{}, err
	}
	feed, err := openFeed(rdb, settings, fmt.Sprintf("{bench-%d}", time.Now().UnixMicro()))
	return scratch{rdb, feed}, err
}

func (s scratch) close() {
	if s.rdb != nil {
		s.rdb.Close()
	}
}

// refuseRemote returns an error if a bench would load another machine.
func refuseRemote(c config) error {
	redisURL, err := url.Parse(c.RedisURL)
	if err != nil {
		return nil // connect says what is wrong with it, and does not quote it
	}
	query := redisURL.Query()
	if query.Get("master_name") != "" || query.Has("cluster") {
		return notThisMachine(envPrefix+"_REDIS_URL", "what Sentinel or a cluster leads to, perhaps,")
	}
	if redisURL.Scheme != "unix" {
		for _, address := range append(query["addr"], redisURL.Host) {
			if host := hostOf(address); !isLoopback(host) {
				return notThisMachine(envPrefix+"_REDIS_URL", host)
			}
		}
	}
	if c.PushHostsFile != "" {
		return notThisMachine(envPrefix+"_PUSH_HOSTS_FILE", "what the file names later, perhaps,")
	}
	for _, base := range c.PushHosts {
		u, err := url.Parse(strings.TrimSpace(base)) // as package push reads it
		if err != nil {
			return notThisMachine(envPrefix+"_PUSH_HOSTS", "what is no URL")
		}
		if !isLoopback(u.Hostname()) {
			return notThisMachine(envPrefix+"_PUSH_HOSTS", u.Hostname())
		}
	}
	return nil
}

// hostOf returns the host of an address with or without a port; that of none is this machine.
func hostOf(address string) string {
	if host := (&url.URL{Host: address}).Hostname(); host != "" {
		return host
	}
	return "localhost"
}

func notThisMachine(name, host string) error {
	return fmt.Errorf("%s: %s is not this machine; a bench loads it as much as it can: --allow-remote if you mean it", name, host)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
