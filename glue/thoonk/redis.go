package thoonk

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const urlForms = "redis://[user[:password]@]host[:port][/db], rediss:// for TLS, or unix://[user[:password]@]/path/to/redis.sock"

var (
	errURL      = errors.New("it is no URL; it has the form " + urlForms + "; write / ? # [ ] @ % in a password as %2F %3F %23 %5B %5D %40 %25")
	errScheme   = errors.New("its scheme is none of redis, rediss and unix; it has the form " + urlForms)
	errAddr     = errors.New("addr is for several nodes of a cluster (cluster=true) or several Sentinels (master_name=NAME)")
	errBoth     = errors.New("cluster and master_name exclude each other: a cluster has no Sentinels")
	errUnixMany = errors.New("cluster and master_name need host names, not a unix socket")
	errDB       = errors.New("a Redis Cluster has the database 0 only")
)

// Open returns a client of the Redis that a URL names. It does no I/O: errors of the network come
// from the first command, and Check is a good one. The caller closes the client.
//
// The forms are those of go-redis with one addition, cluster=true:
//
//	redis://[user[:password]@]host[:port][/db]        one server; the port is 6379 by default
//	redis://…host…?cluster=true                       a Redis Cluster, found through this node
//	redis://…host…[/db]?master_name=NAME              the master of this name, found through the
//	                                                  Sentinel at host; write its port, mostly 26379
//	unix://[user[:password]@]/path/redis.sock[?db=1]  a socket
//
// The scheme rediss is TLS to every server. Certificates are checked against the host names and the
// system's roots, to which the environment's SSL_CERT_FILE adds; skip_verify=true checks nothing.
//
// User and password are always those of the servers that hold the feeds. Sentinels that ask for
// some have sentinel_username and sentinel_password.
// The parameter addr=host:port, any number of times, names more nodes or Sentinels to try.
// Other parameters are the fields of redis.Options, redis.ClusterOptions or
// redis.FailoverOptions in snake case: pool_size=20, dial_timeout=3s, client_name=glue.
//
// No error contains the password.
func Open(rawURL string) (redis.UniversalClient, error) {
	rdb, err := open(rawURL)
	if err != nil {
		return nil, fmt.Errorf("read Redis URL: %w", err)
	}
	return rdb, nil
}

func open(rawURL string) (redis.UniversalClient, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	sentinel := query.Get("master_name") != ""
	cluster, err := boolean(query, "cluster")
	if err != nil {
		return nil, err
	}
	query.Del("cluster")
	u.RawQuery = query.Encode()
	switch {
	case cluster && sentinel:
		return nil, errBoth
	case (cluster || sentinel) && u.Scheme == "unix":
		return nil, errUnixMany
	case cluster:
		return openCluster(u)
	case sentinel:
		return openSentinel(u)
	}
	return openSingle(u)
}

// parseURL refuses what url.Parse refuses, whose errors quote the URL, and what it takes for a part
// of the URL that was meant for the password, because go-redis's errors quote these parts.
func parseURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Opaque != "" || u.Fragment != "" || strings.Contains(u.Path+u.RawQuery, "@") {
		return nil, errURL
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return nil, errURL
	}
	switch u.Scheme {
	case "redis", "rediss", "unix":
		return u, nil
	case "":
		return nil, errURL
	}
	return nil, errScheme
}

func boolean(query url.Values, name string) (bool, error) {
	switch query.Get(name) {
	case "true", "1":
		return true, nil
	case "false", "0", "":
		return false, nil
	}
	return false, fmt.Errorf("%s is true or false", name)
}

func openSingle(u *url.URL) (redis.UniversalClient, error) {
	if u.Query().Has("addr") {
		return nil, errAddr
	}
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, err
	}
	o.ContextTimeoutEnabled = true
	o.MaxRetries = noRetries
	o.MaintNotificationsConfig = noMaintenance()
	return redis.NewClient(o), nil
}

func openCluster(u *url.URL) (redis.UniversalClient, error) {
	if path := strings.Trim(u.Path, "/"); path != "" && path != "0" {
		return nil, errDB
	}
	query := u.Query()
	trust, err := boolean(query, "skip_verify")
	if err != nil {
		return nil, err
	}
	query.Del("skip_verify")
	u.RawQuery = query.Encode()
	o, err := redis.ParseClusterURL(u.String())
	if err != nil {
		return nil, err
	}
	if o.TLSConfig != nil {
		o.TLSConfig.MinVersion = tls.VersionTLS12
		o.TLSConfig.InsecureSkipVerify = trust
	}
	o.ContextTimeoutEnabled = true
	o.MaintNotificationsConfig = noMaintenance()
	return redis.NewClusterClient(o), nil
}

// openSentinel gives the words their meaning: for go-redis the user of the URL is the Sentinels'.
func openSentinel(u *url.URL) (redis.UniversalClient, error) {
	query := u.Query()
	for _, name := range []string{"username", "password"} {
		if query.Has(name) {
			return nil, fmt.Errorf("%s stands before the host, not among the parameters", name)
		}
	}
	o, err := redis.ParseFailoverURL(sentinelURL(u, query))
	if err != nil {
		return nil, err
	}
	if o.RouteByLatency || o.RouteRandomly || o.ReplicaOnly {
		return nil, errors.New("feeds live on the master: route_by_latency, route_randomly and replica_only are of no use")
	}
	o.Username = u.User.Username()
	o.Password, _ = u.User.Password()
	o.SentinelUsername, o.SentinelPassword = query.Get("sentinel_username"), query.Get("sentinel_password")
	o.ContextTimeoutEnabled = true
	o.MaxRetries = noRetries
	return redis.NewFailoverClient(o), nil
}

// sentinelURL returns u without users and passwords.
func sentinelURL(u *url.URL, query url.Values) string {
	bare := *u
	bare.User = nil
	rest := url.Values{}
	for name, values := range query {
		if name != "sentinel_username" && name != "sentinel_password" {
			rest[name] = values
		}
	}
	bare.RawQuery = rest.Encode()
	return bare.String()
}

// noRetries keeps go-redis from repeating a command whose answer was lost: a second claim would hide
// that there was a first one, whose jobs then stay claimed by nobody. Callers see the error. A cluster's client repeats
// by its redirections, which cannot be turned off without those that are needed; so there claims are onceCmds.
const noRetries = -1

// noMaintenance turns off a handshake on every connection that only Redis Enterprise knows.
func noMaintenance() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}
