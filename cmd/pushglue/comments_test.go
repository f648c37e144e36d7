package main

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"pushglue/glue"
	"pushglue/glue/eventstream"
)

// goldenEncryptKey is the key of encrypted messages. Golden files have what is in them.
const goldenEncryptKey = "0707070707070707070707070707070707070707070707070707070707070707"

// goldenKeys are the keys with which the golden files were made.
var goldenKeys = []string{"ANONYMIZE_KEY=golden key, known to all", "ENCRYPT_KEY=" + goldenEncryptKey}

// comment is a job and what its readers must receive.
type comment struct {
	payload    string
	deliveries []delivery // of each pipeline that pushes
}

// delivery is an event in some channels.
type delivery struct {
	channels []string
	event    eventstream.Event
}

// loadComments returns n comments: those of testdata with their golden outputs, again and again,
// but with an id of its own for each.
func loadComments(t *testing.T, n int) []comment {
	t.Helper()
	payloads := lines(t, "comments.jsonl")
	list := make([]comment, n)
	for i := range list {
		list[i].payload = payloads[i%len(payloads)]
	}
	for _, name := range []string{"comments.golden.jsonl", "comments.secure.golden.jsonl"} {
		goldens := lines(t, name)
		for i := range list {
			var golden struct {
				ID       string
				Type     string
				Channels []string
				Body     string
			}
			if err := json.Unmarshal([]byte(goldens[i%len(goldens)]), &golden); err != nil {
				t.Fatal(err)
			}
			event := eventstream.Event{ID: golden.ID, Type: golden.Type, Data: golden.Body}
			if round := i / len(payloads); round > 0 {
				suffix := "-" + strconv.Itoa(round)
				event.ID = golden.ID[:min(len(golden.ID), glue.MaxTokenLen-len(suffix))] + suffix
				event.Data = strings.Replace(event.Data, idIn(t, event.Data, golden.ID), strconv.Quote(event.ID), 1)
				list[i].payload = strings.Replace(payloads[i%len(payloads)], idIn(t, payloads[i%len(payloads)], golden.ID), strconv.Quote(event.ID), 1)
			}
			list[i].deliveries = append(list[i].deliveries, delivery{golden.Channels, event})
		}
	}
	return list
}

// idIn returns the id as text has it: quoted, or as a number.
func idIn(t *testing.T, text, id string) string {
	t.Helper()
	for _, form := range []string{strconv.Quote(id), id} {
		if strings.Contains(text, form) {
			return form
		}
	}
	t.Fatalf("no id %s in %.100s", id, text)
	return ""
}

func lines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile("../../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// decrypted returns what a reader with the key reads, or else why not.
func decrypted(text string) string {
	object, err := jose.ParseEncryptedCompact(text, []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return err.Error()
	}
	key, err := hex.DecodeString(goldenEncryptKey)
	if err != nil {
		return err.Error()
	}
	body, err := object.Decrypt(key)
	if err != nil {
		return err.Error()
	}
	return string(body)
}
