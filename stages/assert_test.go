package stages_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pushglue/glue"
)

const commentSchema = `{type: object, required: [id, n], properties: {n: {type: integer, maximum: 10}, list: {uniqueItems: true}}}`

func TestAssert(t *testing.T) {
	good := `{"id":"1","n":5}`
	passed := message{ID: "1", Body: good}
	check(t, "assert", map[string]example{
		"good":       {`schema: ` + commentSchema, good, passed, ""},
		"fail":       {`schema: ` + commentSchema, `{"id":"1","n":"secret"}`, message{}, "violates #/properties/n/type"},
		"fail, said": {`{schema: ` + commentSchema + `, violation: fail}`, `{"id":"1"}`, message{}, "violates #/required"},
		"drop":       {`{schema: ` + commentSchema + `, violation: drop}`, `{"id":"1"}`, message{}, "dropped: violates #/required"},
		"pass": {
			`{schema: ` + commentSchema + `, violation: pass}`, `{"id":"1","n":11}`,
			message{ID: "1", Body: `{"id":"1","n":11}`},
			"flagged: violates #/properties/n/maximum",
		},
		"pass, good":        {`{schema: ` + commentSchema + `, violation: pass}`, good, passed, ""},
		"everything":        {`schema: {}`, good, passed, ""},
		"nothing":           {`schema: false`, good, message{}, "violates #"},
		"not":               {`schema: {properties: {n: {not: {type: integer}}}}`, good, message{}, "violates #/properties/n/not"},
		"names of the data": {`schema: {additionalProperties: false, properties: {id: true}}`, `{"id":"1","secret":1}`, message{}, "violates #/additionalProperties"},
		"data as names":     {`schema: {propertyNames: {pattern: "^id$"}}`, `{"id":"1","secret":1}`, message{}, "violates #/propertyNames/pattern"},
		"slash and tilde":   {`schema: {properties: {a/~b: {type: object}}}`, `{"id":"1","a/~b":1}`, message{}, "violates #/properties/a~1~0b/type"},
		"reference":         {`schema: {properties: {n: {$ref: "#/$defs/text"}}, $defs: {text: {type: string}}}`, good, message{}, "violates #/$defs/text/type"},
		"many": {
			`schema: {properties: {a: {const: 0}, b: {const: 0}, c: {const: 0}, d: {const: 0}, e: {const: 0}}}`, `{"id":"1","e":1,"d":1,"c":1,"b":1,"a":1}`,
			message{},
			"violates #/properties/a/const, #/properties/b/const, #/properties/c/const and 2 more",
		},
		"one, many times": {`schema: {properties: {a: {items: {type: string}}}}`, `{"id":"1","a":[1,2,3,4,5]}`, message{}, "violates #/properties/a/items/type"},
		"format is a remark": {
			`schema: {properties: {a: {format: email}}}`, `{"id":"1","a":"nobody"}`, message{ID: "1", Body: `{"id":"1","a":"nobody"}`}, "",
		},
		"exact numbers":  {`schema: {properties: {n: {multipleOf: 0.01}}}`, `{"id":"1","n":4.02}`, message{ID: "1", Body: `{"id":"1","n":4.02}`}, ""},
		"great numbers":  {`schema: {properties: {n: {minimum: 9223372036854775808}}}`, `{"id":"1","n":9223372036854775807}`, message{}, "violates #/properties/n/minimum"},
		"great exponent": {`schema: ` + commentSchema, `{"id":"1","n":1e999999999}`, message{}, "a number has more than 1000 digits"},
		"pass digits":    {`{schema: {}, violation: pass}`, `{"id":"1","n":1e1001}`, message{ID: "1", Body: `{"id":"1","n":1e1001}`}, "flagged: a number has more than 1000 digits"},
		"drop digits":    {`{schema: {}, violation: drop}`, `{"id":"1","n":1e1001}`, message{}, "dropped: a number has more than 1000 digits"},
		"small exponent": {`schema: ` + commentSchema, `{"id":"1","n":1e-999999999}`, message{}, "a number has more than 1000 digits"},
		"no exponent":    {`schema: ` + commentSchema, `{"id":"1","n":[{"a":-1E-99999999999999999999}]}`, message{}, "a number has more than 1000 digits"},
		"many digits":    {`schema: ` + commentSchema, `{"id":"1","n":` + strings.Repeat("1", 1001) + `}`, message{}, "a number has more than 1000 digits"},
	})
}

func TestAssertWithASchemaFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "schema.json")
	const schema = `{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"n":{"type":"number"}},"properties":{"n":{"$ref":"#/definitions/n"},"a":{"format":"email"}}}`
	if err := os.WriteFile(file, []byte(schema), 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, "assert", map[string]example{
		"good":               {`file: ` + file, `{"id":"1","n":1}`, message{ID: "1", Body: `{"id":"1","n":1}`}, ""},
		"bad":                {`file: ` + file, `{"n":"x"}`, message{}, "violates #/definitions/n/type"},
		"format asserts yet": {`file: ` + file, `{"a":"nobody"}`, message{}, "violates #/properties/a/format"},
	})
}

func TestAssertRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(file, []byte(`{"type":`), 0o600); err != nil {
		t.Fatal(err)
	}
	const which = "give the schema, under schema or in a file"
	const otherDocument = " is another document, and none is read: put what you refer to under $defs"
	refuse(t, "assert", map[string]string{
		``:                                       which,
		`{schema: {}, file: x.json}`:             which,
		`{schema: {}, violation: x}`:             `violation: "x" is none of fail, drop, pass`,
		`file: /no/such.json`:                    "file: open /no/such.json: no such file or directory",
		`file: ` + file:                          "file: unexpected EOF",
		`schema: text`:                           "schema: at '': got string, want boolean or object",
		`schema: {maximum: .inf}`:                "schema: json: unsupported value: +Inf",
		`schema: {properties: {a: {type: txt}}}`: "schema: at '/properties/a/type': value must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'",
		`schema: {properties: {a: {pattern: "("}}}`:      "schema: at '/properties/a/pattern': '(' is not valid regex: error parsing regexp: missing closing ): `(`",
		`schema: {$ref: "#/$defs/gone"}`:                 `schema: json-pointer in "#/$defs/gone" not found`,
		`schema: {$ref: other.json}`:                     `schema: "other.json"` + otherDocument,
		`schema: {$ref: "https://example.org/x#/a"}`:     `schema: "https://example.org/x"` + otherDocument,
		`schema: {$ref: "file:///etc/passwd"}`:           `schema: "file:///etc/passwd"` + otherDocument,
		`schema: {$schema: "https://example.org/draft"}`: `schema: "https://example.org/draft"` + otherDocument,
	})
}

func FuzzAssert(f *testing.F) {
	for _, schema := range []string{`{"type":"object","required":["n"],"properties":{"n":{"multipleOf":0.1},"a":{"uniqueItems":true,"contains":{"minLength":2}}},"additionalProperties":false}`, `{"$ref":"#"}`, `{"anyOf":[{"$ref":"x.json"}]}`, `true`} {
		f.Add(schema, `{"id":"secret1","n":1e3,"a":[1,1.0,"secret2",{"b":null}]}`)
	}
	f.Fuzz(func(t *testing.T, schema, payload string) {
		if !json.Valid([]byte(schema)) {
			return
		}
		stage, err := build("assert", `schema: `+schema)
		if err != nil {
			if strings.HasPrefix(err.Error(), "schema: ") && strings.Contains(err.Error(), "\n") {
				t.Errorf("schema %s: an error of several lines: %v", schema, err)
			}
			return
		}
		_, err = process(payload, mustBuild(t, "json", ""), stage)
		if err != nil && !glue.IsPermanent(err) {
			t.Errorf("payload %q fails for now: %v", payload, err)
		}
		if err != nil && !strings.Contains(schema, "secret") && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error quotes %s: %v", payload, err)
		}
	})
}
