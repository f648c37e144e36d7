package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"

	"pushglue/cmd/pushglue/alarm"
	"pushglue/glue"
	"pushglue/glue/metrics"
	"pushglue/glue/push"
	"pushglue/glue/spans"
	"pushglue/glue/thoonk"
)

// envPrefix begins the name of every environment variable of ours.
const envPrefix = "PUSHGLUE"

// config is the deployment's settings, from the environment. docs/configuration.md is made of it.
type config struct {
	RedisURL              string        `split_words:"true" default:"redis://127.0.0.1:6379/0" desc:"where the feeds are: one Redis, Sentinel or Cluster, with or without TLS"`
	RedisURLFile          string        `split_words:"true" desc:"a file with the Redis URL in it, in the place of PUSHGLUE_REDIS_URL"`
	Dialect               string        `split_words:"true" default:"thoonk.py" desc:"names of the feeds' keys: thoonk.py (feed.*) or thoonk.js (job.*)"`
	Pipelines             string        `split_words:"true" default:"pipelines.yml" desc:"the pipelines file"`
	PushHosts             []string      `split_words:"true" default:"http://127.0.0.1:9080" desc:"base URLs of the push hosts' publish side, separated by commas; dns+http://NAME:PORT is one host at each address of the name"`
	PushHostsFile         string        `split_words:"true" desc:"a file with them, one on a line, in the place of PUSHGLUE_PUSH_HOSTS; it is watched"`
	PushResolve           time.Duration `split_words:"true" default:"10s" desc:"how often names with dns+ are looked up"`
	PushModule            string        `split_words:"true" default:"nchan" desc:"what the push hosts run: nchan or push-stream"`
	PushConnections       int           `split_words:"true" default:"1" desc:"connections to each push host, 1 to 64; with more than one, order is kept only among messages with the same first channel"`
	PushCA                string        `split_words:"true" desc:"for https: a PEM file of the authorities that sign the push hosts' certificates; the system's by default"`
	PushCert              string        `split_words:"true" desc:"for https: a PEM file with the certificate that push hosts are shown; read for each connection"`
	PushCertKey           string        `split_words:"true" desc:"for https: a PEM file with the key of PUSHGLUE_PUSH_CERT"`
	PushAuthorization     string        `split_words:"true" desc:"the Authorization header of requests to push hosts, such as Basic … or Bearer …; a secret"`
	PushAuthorizationFile string        `split_words:"true" desc:"a file with that header in it, in the place of PUSHGLUE_PUSH_AUTHORIZATION"`
	PushTimeout           time.Duration `split_words:"true" default:"5s" desc:"for a connection to a push host, and for each of its answers"`
	PushPolicy            string        `split_words:"true" default:"all" desc:"which push hosts must have a message: all that are up, any one, or a number of them"`
	PushDeadline          time.Duration `split_words:"true" default:"1s" desc:"how long messages wait for push hosts that are slower than others"`
	ReplayMessages        int           `split_words:"true" default:"10000" desc:"most messages that are kept for push hosts that are behind or were restarted"`
	ReplayTime            time.Duration `split_words:"true" default:"30s" desc:"how long they are kept"`
	SkipEmpty             bool          `split_words:"true" default:"false" desc:"send a push host nothing that nobody listens to there; push-stream that stores nothing only"`
	MaxPayload            int           `split_words:"true" default:"1048576" desc:"most bytes of a job's payload, up to 16777216; a longer one stalls its job before any stage reads it"`
	Batch                 int           `split_words:"true" default:"256" desc:"most jobs of one claim, 1 to 1000"`
	InFlight              int           `split_words:"true" default:"1024" desc:"most jobs of one feed in this process; at least 4 batches"`
	Attempts              int           `split_words:"true" default:"5" desc:"times a job is tried before it is stalled"`
	RetryBudget           time.Duration `split_words:"true" default:"5s" desc:"how long a failed job is retried before it goes back to the feed"`
	Drain                 time.Duration `split_words:"true" default:"10s" desc:"how long to finish what is claimed when told to stop"`
	Lease                 time.Duration `split_words:"true" default:"30s" desc:"how old a claim may become, unless its daemon extends it, before the job goes back to the feed; at least 1s, the same for all daemons of a feed"`
	LeaseOthers           time.Duration `split_words:"true" default:"0s" desc:"the same for claims of other Thoonk workers, who extend none; 0 to leave theirs alone"`
	Standby               bool          `split_words:"true" default:"false" desc:"of the daemons with this, one works on each feed, and the others take over when it is gone"`
	HTTPAddr              string        `split_words:"true" default:"127.0.0.1:9070" desc:"where the daemon answers: a page for people, /status, /livez, /readyz, /metrics, /ledger, /hosts, /jobs and /trace; empty for nowhere"`
	HTTPToken             string        `split_words:"true" desc:"what changes over HTTP must show, such as a retry on the page; 16 characters or more; without it roles of push hosts can be changed from this machine, and no jobs; a secret"`
	HTTPTokenFile         string        `split_words:"true" desc:"a file with that token in it, in the place of PUSHGLUE_HTTP_TOKEN"`
	Traffic               []string      `split_words:"true" default:"forum:,thread:" desc:"what the names of channels begin with that the map of traffic counts, separated by commas; private ones it never does"`
	TrafficChannel        string        `split_words:"true" desc:"a channel to which the map of traffic is published every second; none by default"`
	TrafficURL            string        `split_words:"true" desc:"where browsers subscribe to push hosts, such as https://push.example.com/subscribe/: the page reads the map from that channel there; from the daemon by default"`
	MetricsInterval       time.Duration `split_words:"true" default:"10s" desc:"how often Redis and the push hosts are asked for what they count, which is compared with the ledger and shown"`
	StatsdAddr            string        `split_words:"true" desc:"HOST:PORT of a statsd daemon that gets the numbers of /metrics, over UDP; none by default"`
	StatsdPrefix          string        `split_words:"true" default:"pushglue." desc:"what the names of its numbers begin with"`
	StatsdTags            string        `split_words:"true" default:"plain" desc:"how it gets labels: plain (in the name, for Graphite), influx or datadog"`
	Watchdog              time.Duration `split_words:"true" default:"2m" desc:"how long a batch may take in the stages or at a publisher before the daemon shows what it does and ends, so that its supervisor starts another; 0s for ever"`
	AlertFailures         int           `split_words:"true" default:"100" desc:"how many jobs of a feed must fail within PUSHGLUE_ALERT_WINDOW to raise an alert; 0 for none"`
	AlertWindow           time.Duration `split_words:"true" default:"1m" desc:"see there"`
	AlertWebhook          string        `split_words:"true" desc:"a URL that alerts are POSTed to as JSON; a secret"`
	AlertWebhookFile      string        `split_words:"true" desc:"a file with that URL in it, in the place of PUSHGLUE_ALERT_WEBHOOK"`
	SentryDSN             string        `envconfig:"SENTRY_DSN" desc:"where in Sentry errors of the log are sent; a secret"`
	SentryDSNFile         string        `envconfig:"SENTRY_DSN_FILE" desc:"a file with that DSN in it, in the place of PUSHGLUE_SENTRY_DSN"`
	SentryEnvironment     string        `split_words:"true" default:"production" desc:"the environment that Sentry shows"`
	SentrySample          float64       `split_words:"true" default:"1" desc:"share of errors that are sent to Sentry, more than 0 and up to 1"`
	Trace                 glue.Keep     `split_words:"true" default:"some" desc:"of which jobs pushglue trace can tell: some (those that failed or were slow, and one of each claim), all of the last 10000, or none"`
	OTLPEndpoint          string        `split_words:"true" desc:"base URL of an OpenTelemetry collector's OTLP over HTTP, such as http://127.0.0.1:4318, that gets traces of jobs; none by default"`
	TraceSample           float64       `split_words:"true" default:"0.001" desc:"of how many jobs it does, from 0 to 1, where the envelope's traceparent does not say it"`
	LogLevel              string        `split_words:"true" default:"info" desc:"debug, info, warn or error"`
}

// readConfig reads the environment and checks each value by itself. It reports all errors.
func readConfig() (config, error) {
	var c config
	errs := append(c.read(), c.readSecrets()...)
	check := func(ok bool, name, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s_%s: %s", envPrefix, name, fmt.Sprintf(format, args...)))
		}
	}
	_, err := thoonk.ParseDialect(c.Dialect)
	check(err == nil, "DIALECT", "%v", err)
	_, err = push.ParseModule(c.PushModule)
	check(err == nil, "PUSH_MODULE", "%v", err)
	err = push.CheckSkipEmpty(push.Module(c.PushModule))
	check(!c.SkipEmpty || err == nil, "SKIP_EMPTY", "%v", err)
	_, err = c.policy()
	check(err == nil, "PUSH_POLICY", "%v", err)
	errs = append(errs, c.checkPushHosts())
	_, err = push.TLSFiles{Authorities: c.PushCA}.Config()
	check(err == nil, "PUSH_CA", "%v", err)
	_, err = push.TLSFiles{Certificate: c.PushCert, Key: c.PushCertKey}.Config()
	check(err == nil, "PUSH_CERT", "%v", err)
	err = push.CheckAuthorization(c.PushAuthorization)
	check(err == nil, "PUSH_AUTHORIZATION", "%v", err)
	check(c.Trace == glue.KeepNone || c.Trace == glue.KeepSome || c.Trace == glue.KeepAll, "TRACE", "%q is none of none, some, all", c.Trace)
	err = spans.CheckEndpoint(c.OTLPEndpoint)
	check(c.OTLPEndpoint == "" || err == nil, "OTLP_ENDPOINT", "%v", err)
	check(c.TraceSample >= 0 && c.TraceSample <= 1, "TRACE_SAMPLE", "%g is not from 0 to 1", c.TraceSample)
	_, err = c.level()
	check(err == nil, "LOG_LEVEL", "%q is none of debug, info, warn, error", c.LogLevel)
	check(c.HTTPAddr == "" || isAddress(c.HTTPAddr), "HTTP_ADDR", "%q is no address such as 127.0.0.1:9070", c.HTTPAddr)
	check(c.HTTPToken == "" || isToken(c.HTTPToken), "HTTP_TOKEN", "want 16 or more letters, digits and -._~+/=; make one with `openssl rand -hex 32`")
	errs = append(errs, c.checkTraffic()...)
	check(c.StatsdAddr == "" || isAddress(c.StatsdAddr), "STATSD_ADDR", "%q is no address such as 127.0.0.1:8125", c.StatsdAddr)
	check(c.Watchdog == 0 || c.Watchdog >= time.Second, "WATCHDOG", "%s is less than 1s; 0s is for ever", c.Watchdog)
	check(c.AlertFailures >= 0, "ALERT_FAILURES", "%d is less than 0", c.AlertFailures)
	check(c.AlertWindow >= time.Second, "ALERT_WINDOW", "%s is less than 1s", c.AlertWindow)
	err = alarm.CheckWebhook(c.AlertWebhook)
	check(c.AlertWebhook == "" || err == nil, "ALERT_WEBHOOK", "%v", err)
	check(c.SentrySample > 0 && c.SentrySample <= 1, "SENTRY_SAMPLE", "%g is not more than 0 and up to 1", c.SentrySample)
	err = alarm.CheckDSN(c.SentryDSN)
	check(c.SentryDSN == "" || err == nil, "SENTRY_DSN", "%v", err)
	_, err = metrics.ParseStatsdTags(c.StatsdTags)
	check(err == nil, "STATSD_TAGS", "%v", err)
	check(c.MaxPayload >= 1 && c.MaxPayload <= maxLine, "MAX_PAYLOAD", "%d is not from 1 to %d", c.MaxPayload, maxLine)
	check(c.Batch >= 1 && c.Batch <= 1000, "BATCH", "%d is not from 1 to 1000", c.Batch)
	check(c.InFlight >= 4*c.Batch, "IN_FLIGHT", "%d is less than 4 batches of %d", c.InFlight, c.Batch)
	check(c.PushConnections >= 1 && c.PushConnections <= 64, "PUSH_CONNECTIONS", "%d is not from 1 to 64", c.PushConnections)
	check(c.ReplayMessages >= 0, "REPLAY_MESSAGES", "%d is less than 0", c.ReplayMessages)
	check(c.Lease >= time.Second, "LEASE", "%s is less than 1s", c.Lease)
	check(c.LeaseOthers == 0 || c.LeaseOthers >= time.Second, "LEASE_OTHERS", "%s is less than 1s; 0s leaves the claims of others alone", c.LeaseOthers)
	check(c.Attempts >= 1, "ATTEMPTS", "%d is less than 1", c.Attempts)
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"PUSH_TIMEOUT", c.PushTimeout}, {"PUSH_DEADLINE", c.PushDeadline}, {"PUSH_RESOLVE", c.PushResolve}, {"REPLAY_TIME", c.ReplayTime}, {"RETRY_BUDGET", c.RetryBudget}, {"DRAIN", c.Drain}, {"METRICS_INTERVAL", c.MetricsInterval}} {
		check(d.d > 0, d.name, "%s is not more than 0s; want a duration such as 5s", d.d)
	}
	return c, errors.Join(errs...)
}

// isAddress reports whether text is HOST:PORT, with a port that there can be.
func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// read reads the environment. Values of a wrong form come back as errors, and count as not set.
func (c *config) read() []error {
	var errs []error
	for {
		err := envconfig.Process(envPrefix, c)
		var malformed *envconfig.ParseError
		if !errors.As(err, &malformed) {
			return append(errs, err)
		}
		errs = append(errs, fmt.Errorf("%s: %q is no %s", malformed.KeyName, malformed.Value, typeName(malformed.TypeName)))
		// It stops at each of them; without the variable it goes on to the next one.
		if err := os.Unsetenv(malformed.KeyName); err != nil {
			return append(errs, err)
		}
	}
}

// typeName names for people a type of Go or of a flag.
func typeName(name string) string {
	switch name {
	case "time.Duration", "duration":
		return "duration such as 500ms, 5s or 2m"
	case "int":
		return "whole number"
	case "float64":
		return "number"
	case "bool":
		return "truth value, true or false"
	case "size":
		return "size such as 512m or 16g"
	case "bit rate":
		return "bit rate such as 500m or 10g"
	}
	return name
}

// unknownVariables returns the variables that look like settings but are none. They are worth a
// warning, not an error: a typing error leaves a default that nobody wanted, but Kubernetes
// sets such variables too, for a service called pushglue. Pipelines name variables of their own
// for keys.
func unknownVariables() []string {
	known := map[string]bool{}
	for _, f := range settings() {
		known[f.name] = true
	}
	var unknown []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix+"_") && !known[name] && !strings.HasSuffix(strings.TrimSuffix(name, "_FILE"), "_KEY") {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// setting is one environment variable.
type setting struct{ name, value, text string }

// settings returns the environment variables with their defaults, as envconfig reads them.
func settings() []setting {
	const row = "{{range .}}{{usage_key .}}\t{{usage_default .}}\t{{usage_description .}}\n{{end}}"
	var b strings.Builder
	if err := envconfig.Usagef(envPrefix, new(config), &b, row); err != nil {
		panic(err) // the struct is wrong, not the environment
	}
	var list []setting
	for line := range strings.Lines(b.String()) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		list = append(list, setting{cells[0], cells[1], cells[2]})
	}
	return list
}

// settingsHelp returns the settings as a table for --help.
func settingsHelp() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range settings() {
		fmt.Fprintf(t, "  %s\t%s\n  \tdefault: %s\n", s.name, s.text, cmp.Or(s.value, "none"))
	}
	if err := t.Flush(); err != nil {
		panic(err) // a strings.Builder takes everything
	}
	return b.String()
}

func (c *config) level() (zerolog.Level, error) {
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
		return zerolog.ParseLevel(c.LogLevel)
	}
	return zerolog.NoLevel, errors.New("unknown level")
}

// logger returns a logger that writes for people on a terminal and JSON elsewhere. Others get every line as JSON.
func (c *config) logger(w io.Writer, others ...io.Writer) zerolog.Logger {
	level, err := c.level()
	if err != nil {
		level = zerolog.InfoLevel
	}
	if isTerminal(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	if len(others) > 0 {
		w = zerolog.MultiLevelWriter(append(others, w)...)
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// isTerminal reports whether w is a person's terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
