package push

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"pushglue/glue"
)

// channelStatistics is what push-stream tells about a channel.
type channelStatistics struct {
	Channel     string `json:"channel"`
	Stored      *int64 `json:"stored_messages"`
	Subscribers *int64 `json:"subscribers"`
}

// errStatistics is for an answer that is not about the channels that were asked about.
var errStatistics = errors.New("its /channels-stats answers something else than was asked")

// readStatistics marks in heard the channels that have readers in an answer. The answer is
// one channel, or a list; a channel that it leaves out does not exist. It must know of no channel
// that is not in heard, and end with probeChannel.
func readStatistics(body []byte, heard map[string]bool) error {
	var answer struct {
		channelStatistics
		Infos []channelStatistics `json:"infos"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("its /channels-stats: %w", err)
	}
	if answer.Infos == nil {
		answer.Infos = []channelStatistics{answer.channelStatistics}
	}
	for _, c := range answer.Infos {
		known, asked := heard[c.Channel]
		if !asked || c.Stored == nil || c.Subscribers == nil {
			return errStatistics
		}
		if *c.Stored != 0 {
			return errStores
		}
		heard[c.Channel] = known || *c.Subscribers != 0
	}
	if n := len(answer.Infos); n == 0 || answer.Infos[n-1].Channel != probeChannel {
		return errStatistics
	}
	return nil
}

// isAskable reports whether a host's answer can name a channel. push-stream does not escape names in
// its JSON, so that one with a quote could say anything of other channels.
func isAskable(name string) bool {
	return glue.CheckChannel(name) == nil && !strings.ContainsAny(name, `"\`)
}
