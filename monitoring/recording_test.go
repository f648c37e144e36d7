package monitoring

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scrapeInterval is what prometheus.yml says, and what one scrape of a recording stands for.
const scrapeInterval = 15 * time.Second

// recording is what Prometheus would have of a daemon.
type recording struct {
	scrapes int
	series  map[string][]string // the values of each, as promtool reads them
}

const (
	missing = "_"     // the series is not there
	ended   = "stale" // it was, one scrape ago
)

// now returns the time of the last scrape.
func (r *recording) now() time.Duration { return time.Duration(r.scrapes-1) * scrapeInterval }

// scrape asks a daemon for its metrics, once. One that does not answer is a scrape, too.
func (r *recording) scrape(t *testing.T, address string) {
	t.Helper()
	now, err := fetch(address)
	up := "1"
	if err != nil {
		up = "0"
		now = map[string]string{}
	}
	now[label("up")] = up
	if r.series == nil {
		r.series = map[string][]string{}
	}
	for name, value := range now {
		r.add(name, value)
	}
	for name, values := range r.series {
		if len(values) > r.scrapes {
			continue
		}
		if last := values[len(values)-1]; last == missing || last == ended {
			r.add(name, missing)
		} else {
			r.add(name, ended)
		}
	}
	r.scrapes++
}

// add adds a value to a series, which may be a new one.
func (r *recording) add(name, value string) {
	for len(r.series[name]) < r.scrapes {
		r.series[name] = append(r.series[name], missing)
	}
	r.series[name] = append(r.series[name], value)
}

// fetch returns the values at an address by series, such as up{job="pushglue",instance="daemon"}.
func fetch(address string) (map[string]string, error) {
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return parse(resp.Body)
}

// parse reads Prometheus's text format, which writes a series as promtool reads it.
func parse(text io.Reader) (map[string]string, error) {
	values := map[string]string{}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		line := lines.Text()
		space := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || space < 0 {
			continue
		}
		value, err := strconv.ParseFloat(line[space+1:], 64)
		if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
			return nil, fmt.Errorf("no number: %s", line)
		}
		values[label(line[:space])] = strconv.FormatFloat(value, 'f', -1, 64)
	}
	return values, lines.Err()
}

// label gives a series the labels of the job.
func label(series string) string {
	const job = `job="pushglue",instance="daemon"`
	name, labels, has := strings.Cut(series, "{")
	if !has {
		return name + "{" + job + "}"
	}
	return name + "{" + job + "," + labels
}

// last returns what the last scrape has of the series that have this name and these labels, such as `state="down"`: their sum.
func (r *recording) last(name string, labels ...string) (sum float64) {
	for series, values := range r.series {
		if !strings.HasPrefix(series, name+"{") || slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(series, l) }) {
			continue
		}
		if value, err := strconv.ParseFloat(values[len(values)-1], 64); err == nil { // it is there
			sum += value
		}
	}
	return sum
}

// metrics returns the names of all series that there ever were.
func (r *recording) metrics() map[string]bool {
	names := map[string]bool{}
	for series := range r.series {
		name, _, _ := strings.Cut(series, "{")
		names[name] = true
	}
	return names
}

// input returns the recording as promtool reads it.
func (r *recording) input() (list []inputSeries) {
	for _, name := range slices.Sorted(maps.Keys(r.series)) {
		list = append(list, inputSeries{name, strings.Join(r.series[name], " ")})
	}
	return list
}
