package stages_test

import (
	"reflect"
	"testing"

	"pushglue/glue"
)

func TestDarkesttime(t *testing.T) {
	m := glue.NewMessage("1", []byte("no JSON"))
	m.Channels = []string{"forum:news", "all"}
	if err := mustBuild(t, "darkesttime", `channel: test`).Process(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if want := []string{"test"}; !reflect.DeepEqual(m.Channels, want) {
		t.Errorf("channels %s", m.Channels)
	}
}

func TestDarkesttimeRefuses(t *testing.T) {
	refuse(t, "darkesttime", map[string]string{
		``:                         "channel: name one",
		`channel: a/b`:             `channel: "a/b": channel name contains '/'`,
		`channel: "dark:{thread}"`: `channel: "dark:{thread}": this is one channel for all messages, and no template`,
	})
}
