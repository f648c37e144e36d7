package pipelines_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"

	"pushglue/glue"
	"pushglue/glue/gluetest/service"
)

// TestABrowserDecrypts runs the function that docs/stages.md has for readers in Chromium, over a
// body that the stage encrypt made.
func TestABrowserDecrypts(t *testing.T) {
	service.Need(t, "chromium")
	goldenKeys(t)
	var function string
	_, all := fences(t)
	for _, b := range all {
		if b.section == "encrypt" && b.info == "js" {
			function = b.text
		}
	}
	p := pipelineOf(t, "- json\n- encrypt: {key: {id: k1}}")
	messages, err := p.Transform(t.Context(), glue.Job{ID: "job1", Payload: []byte(`{"message":"Grüße"}`)})
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	page := fmt.Sprintf(`<!doctype html><meta charset="utf-8"><p></p><script type="module">
%s
const jwe = %q, results = [];
for (const keys of [{k0: "00", k1: %q}, {k2: %[3]q}, {k1: "00".repeat(32)}]) {
  results.push(await decrypt(jwe, keys).then((object) => object.message, (error) => error.message || error.name));
}
document.querySelector("p").textContent = results.join("|");
</script>`, function, messages[0].Body(), goldenEncryptKey)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, page)
	}))
	defer server.Close()
	browser := exec.CommandContext(t.Context(), "chromium", "--headless", "--no-sandbox", "--disable-gpu",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=10000", "--dump-dom", server.URL)
	out, err := browser.Output()
	if err != nil || !bytes.Contains(out, []byte("<p>Grüße|there is no key k1|OperationError</p>")) {
		t.Errorf("%v\n%s", err, out)
	}
}
