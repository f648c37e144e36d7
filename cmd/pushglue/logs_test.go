package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logged returns the names of fields, and the texts of messages, that the source of this module logs.
func logged(t *testing.T) (fields, messages []string) {
	t.Helper()
	adders := []string{"Str", "Strs", "Stringer", "Int", "Int64", "AnErr", "Bytes", "Interface", "Bool", "Dur", "Float64", "Time"}
	note := func(list *[]string, e ast.Expr) {
		literal, is := e.(*ast.BasicLit)
		if !is || literal.Kind != token.STRING {
			return
		}
		text, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		if isAttribute := strings.HasPrefix(text, "pushglue.") || strings.HasPrefix(text, "messaging."); !isAttribute && !slices.Contains(*list, text) { // those are of spans
			*list = append(*list, text)
		}
	}
	visit := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			selector, is := n.Fun.(*ast.SelectorExpr)
			switch {
			case !is:
			case selector.Sel.Name == "Err" && len(n.Args) == 1:
				note(&fields, &ast.BasicLit{Kind: token.STRING, Value: `"error"`})
			case selector.Sel.Name == "Msg" && len(n.Args) == 1:
				note(&messages, n.Args[0])
			case slices.Contains(adders, selector.Sel.Name) && len(n.Args) == 2:
				note(&fields, n.Args[0])
			}
		case *ast.KeyValueExpr:
			if name, is := n.Key.(*ast.Ident); is && name.Name == "message" {
				note(&messages, n.Value)
			}
		}
		return true
	}
	for _, root := range []string{"../../glue", "../../cmd", "../../stages"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, visit)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return fields, messages
}

// TestTheLogsDocument holds docs/logs.md against the source: it names each field and quotes each message, and no others.
func TestTheLogsDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	fields, messages := logged(t)
	if len(fields) < 15 || len(messages) < 40 {
		t.Fatalf("only %d fields and %d messages are found in the source", len(fields), len(messages))
	}
	parts := strings.SplitN(string(text), "\n## Messages\n", 2)
	if len(parts) != 2 {
		t.Fatal("docs/logs.md has no part Messages")
	}
	compare := func(what, part string, want []string) {
		var got []string
		for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+`) \\|").FindAllStringSubmatch(part, -1) {
			for name := range strings.SplitSeq(row[1], "`, `") {
				got = append(got, strings.Trim(name, "`"))
			}
		}
		for _, name := range want {
			if !slices.Contains(got, name) {
				t.Errorf("docs/logs.md does not have the %s %q", what, name)
			}
		}
		for _, name := range got {
			if !slices.Contains(want, name) {
				t.Errorf("docs/logs.md has a %s that is not logged: %q", what, name)
			}
		}
	}
	compare("field", parts[0], append(fields, "level", "time", "message"))
	compare("message", parts[1], messages)
}
