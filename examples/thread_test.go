package examples

import (
	"os"
	"testing"

	"pushglue/glue/gluetest/service"
	"pushglue/glue/gluetest/site"
)

// TestAThread holds the Django application, the daemon and a push host of each module to what readers of a thread expect, in a browser.
func TestAThread(t *testing.T) {
	for _, module := range []string{service.Nchan, service.PushStream} {
		t.Run(module, func(t *testing.T) {
			store := service.StartRedis(t)
			host := service.StartNginx(t, module)
			app := newApplication(t, store)
			app.env = append(app.env, "PUSH_HOSTS="+host.PublicURL())
			app.serve()
			startDaemon(t, os.Getenv(binaryVariable), "pipelines.yml", store, host, "PUSHGLUE_PUSH_MODULE="+module)
			site.TestThread(t, site.Site{URL: app.url, Thread: "1", Plain: true, Hosts: []string{host.PublicURL()}, Stop: host.Stop, Start: host.Start})
		})
	}
}
