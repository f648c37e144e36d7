package main

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"pushglue/glue"
)

// tokenForm is what RFC 6750 lets a Bearer token be, from 16 characters on.
var tokenForm = regexp.MustCompile(`^[-._~+/0-9A-Za-z]{16,}=*$`)

func isToken(text string) bool { return tokenForm.MatchString(text) }

// trafficStream returns where browsers get the map of traffic; empty for nowhere but here.
func (c *config) trafficStream() string {
	if c.TrafficURL == "" {
		return ""
	}
	return strings.TrimSuffix(c.TrafficURL, "/") + "/" + url.PathEscape(c.TrafficChannel)
}

// checkTraffic returns what is wrong with the settings of the map.
func (c *config) checkTraffic() (errs []error) {
	add := func(name string, err error) { errs = append(errs, fmt.Errorf("%s_%s: %w", envPrefix, name, err)) }
	for _, prefix := range c.Traffic {
		if prefix == "" {
			add("TRAFFIC", errors.New("a beginning is empty: that would be of all channels"))
		}
	}
	if c.TrafficChannel != "" {
		if err := glue.CheckChannel(c.TrafficChannel); err != nil {
			add("TRAFFIC_CHANNEL", err)
		}
	}
	if c.TrafficURL == "" {
		return errs
	}
	if u, err := url.Parse(c.TrafficURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		add("TRAFFIC_URL", errors.New("want a URL such as https://push.example.com/subscribe/"))
	}
	if c.TrafficChannel == "" {
		add("TRAFFIC_URL", errors.New("there is nothing to read there without PUSHGLUE_TRAFFIC_CHANNEL"))
	}
	return errs
}
