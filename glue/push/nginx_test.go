package push_test

import (
	"testing"

	"pushglue/glue"
	"pushglue/glue/gluetest"
	"pushglue/glue/gluetest/service"
	"pushglue/glue/push"
)

// TestARefusedBodyIsNotTakenForARequest has a push host refuse a message whose body looks like a
// request's beginning, for which the next request would be the rest. No check of ours would let
// such a channel pass, but the host refuses others too, for lack of memory. A body is one line, so
// it is no whole request by itself.
func TestARefusedBodyIsNotTakenForARequest(t *testing.T) {
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			host := service.StartNginx(t, module)
			reader, err := gluetest.Subscribe(t.Context(), host.PublicURL()+"/subscribe/good", "")
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			p, err := push.New(push.Config{Hosts: []string{host.InternalURL()}, Module: push.Module(module)})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			bad := glue.NewMessage("bad", []byte("GET /healthz?"))
			bad.Channels = []string{"ALL"}
			good := glue.NewMessage("good", []byte(`{"id":"good"}`))
			good.Channels = []string{"good"}
			for range 20 {
				outcomes := make([]error, 2)
				p.Publish(t.Context(), []*glue.Message{bad, good}, outcomes)
				if !glue.IsPermanent(outcomes[0]) || outcomes[1] != nil {
					t.Fatalf("outcomes are %v", outcomes)
				}
				event, err := reader.Next()
				if err != nil || event.Data != `{"id":"good"}` {
					t.Fatalf("the reader received %q, %v", event.Data, err)
				}
			}
		})
	}
}
