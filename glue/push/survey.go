package push

import (
	"context"
	"fmt"
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
	Totals

	// Requests of this daemon that the host took, since the daemon has it: Accepted at least, before it was asked, and Sent at most,
	// after it had answered. Published tells of others as well, and of the time before.
	Accepted int64 `json:"accepted"`
	Sent     int64 `json:"sent"`
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

// Ready returns an error if by a survey too few hosts take messages for the policy, so that messages wait.
func (p *Publisher) Ready(reports []HostReport) error {
	ready := 0
	for _, r := range reports {
		if r.Ready && r.State != silent.String() && r.Role != Out {
			ready++
		}
	}
	if least := p.policy.least(); ready < least {
		return fmt.Errorf("%d of %d push hosts take messages, and %d must", ready, len(reports), least)
	}
	return nil
}

func (h *host) survey(ctx context.Context, into *HostReport) error {
	if _, err := h.get(ctx, h.askers, "healthz"); err != nil {
		return fmt.Errorf("its /healthz: %w", err)
	}
	into.Accepted = h.accepted.Load()
	text, err := h.get(ctx, h.askers, "channels-stats")
	into.Sent = h.sent()
	if err == nil {
		into.Totals, err = h.module.readTotals(text)
	}
	if err != nil {
		return fmt.Errorf("its /channels-stats: %w", err)
	}
	return nil
}
