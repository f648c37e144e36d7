package push

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// surveyTime bounds what a host is asked in a survey.
const surveyTime = 2 * time.Second

// HostReport is how a host stands, and what it says of itself. It is ready if its health and its statistics answer.
type HostReport struct {
	HostStatus
	Ready    bool   `json:"ready"`
	NotReady string `json:"notReady,omitempty"` // why
	Readers  int64  `json:"readers"`
	Channels int64  `json:"channels"`
	Stored   int64  `json:"stored"` // messages in its memory
}

// Survey asks all hosts at once how they are.
func (p *Publisher) Survey(ctx context.Context) []HostReport {
	p.mu.Lock()
	hosts := p.hosts
	reports := make([]HostReport, len(hosts))
	for i, h := range hosts {
		reports[i].HostStatus = h.status()
	}
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	var asked sync.WaitGroup
	for i, h := range hosts {
		asked.Go(func() {
			err := h.survey(ctx, &reports[i])
			if reports[i].Ready = err == nil; err != nil {
				reports[i].NotReady = err.Error()
			}
		})
	}
	asked.Wait()
	return reports
}

func (h *host) survey(ctx context.Context, into *HostReport) error {
	if _, err := h.get(ctx, h.askers, "healthz"); err != nil {
		return fmt.Errorf("its /healthz: %w", err)
	}
	text, err := h.get(ctx, h.askers, "channels-stats")
	if err == nil {
		err = h.module.readTotals(text, into)
	}
	if err != nil {
		return fmt.Errorf("its /channels-stats: %w", err)
	}
	return nil
}

var errTotals = errors.New("answers something else than the module's totals: does it run another module?")

// readTotals reads the totals in a host's statistics, which are JSON of push-stream and lines such as "channels: 2" of Nchan.
func (m Module) readTotals(text []byte, into *HostReport) error {
	totals := map[string]json.Number{}
	readers, channels, stored := "subscribers", "channels", "stored messages"
	if m == PushStream {
		stored = "stored_messages"
		var all map[string]json.RawMessage
		if err := json.Unmarshal(text, &all); err != nil {
			return errTotals
		}
		for _, name := range []string{readers, channels, stored} {
			totals[name] = json.Number(bytes.Trim(all[name], `"`)) // some versions quote numbers
		}
	} else {
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
				totals[strings.TrimSpace(name)] = json.Number(strings.TrimSpace(value))
			}
		}
	}
	for name, number := range map[string]*int64{readers: &into.Readers, channels: &into.Channels, stored: &into.Stored} {
		n, err := strconv.ParseInt(totals[name].String(), 10, 64)
		if err != nil {
			return errTotals
		}
		*number = n
	}
	return nil
}
