package stages_test

import (
	"testing"
)

func TestJSON(t *testing.T) {
	check(t, "json", map[string]example{
		"plain": {
			``, ` {"id": "c1", "event": "post_save", "n": 1.50} `,
			message{ID: "c1", Type: "post_save", Body: `{"id":"c1","event":"post_save","n":1.50}`},
			"",
		},
		"number as id":    {``, `{"id":900001}`, message{ID: "900001", Body: `{"id":900001}`}, ""},
		"no id":           {``, `{"a":1}`, message{ID: "job1", Body: `{"id":"job1","a":1}`}, ""},
		"null id":         {``, `{"a":1,"id":null,"event":null}`, message{ID: "job1", Body: `{"a":1,"id":"job1","event":null}`}, ""},
		"array":           {``, `[1]`, message{}, "payload is not a JSON object but of kind array"},
		"not JSON":        {``, `{"a"}`, message{}, "invalid JSON at byte 4"},
		"object as id":    {``, `{"id":{}}`, message{}, "id is of kind object"},
		"empty id":        {``, `{"id":""}`, message{}, "id is empty"},
		"id for a header": {``, `{"id":"a\r\nX: y"}`, message{}, "id contains something other than visible ASCII"},
		"number as event": {``, `{"event":1}`, message{}, "event is of kind number"},
	})
}

func FuzzJSON(f *testing.F) { fuzz(f, "json", "", func(*testing.T, message) {}) }
