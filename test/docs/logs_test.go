// SPDX-License-Identifier: Apache-2.0

package docs

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
	"unicode"
)

// logging are the folders whose programs write the logs that users read.
var logging = []string{"announcers", "cmd", "controllers", "endpointcopier", "internal"}

// tabled are messages that a call takes from a table of constants in the same file: the name of the variable, by file.
var tabled = map[string]string{"internal/membership/log.go": "message"}

// logCall is one call of a logger: its message, or the name of the variable with it, and its keys.
type logCall struct {
	at       string
	message  string
	variable string
	keys     []string
}

// faults returns what is wrong with the form of a call's message.
func (c logCall) faults() []string {
	switch {
	case c.variable != "":
		return []string{"the message is not a constant"}
	case c.message == "":
		return []string{"the message is empty"}
	}
	var found []string
	if !unicode.IsUpper([]rune(c.message)[0]) {
		found = append(found, "the message does not start with a capital")
	}
	if strings.HasSuffix(c.message, ".") {
		found = append(found, "the message ends with a full stop")
	}
	return found
}

// logCalls returns the calls of loggers in a file.
func logCalls(set *token.FileSet, file *ast.File) []logCall {
	var found []logCall
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !isLogger(method.X) {
			return true
		}
		first := map[string]int{"Info": 0, "Error": 1, "WithValues": -1}
		at, logs := first[method.Sel.Name]
		if !logs || at >= len(call.Args) {
			return true
		}
		c := logCall{at: set.Position(call.Pos()).String()}
		if at >= 0 {
			if c.message, ok = constant(call.Args[at]); !ok {
				c.variable = "an expression"
				if name, named := call.Args[at].(*ast.Ident); named {
					c.variable = name.Name
				}
			}
		} else {
			c.message = "Values"
		}
		for i := at + 1; i < len(call.Args); i += 2 {
			key, ok := constant(call.Args[i])
			if !ok {
				key = "a key that is not a constant"
			}
			c.keys = append(c.keys, key)
		}
		found = append(found, c)
		return true
	})
	return found
}

// isLogger tells a logger by its name, or by the call that returns one.
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return strings.EqualFold(x.Name, "log") || strings.EqualFold(x.Name, "logger")
	case *ast.SelectorExpr:
		return isLogger(x.Sel)
	case *ast.CallExpr:
		switch f := x.Fun.(type) {
		case *ast.SelectorExpr:
			return slices.Contains([]string{"V", "WithName", "WithValues", "FromContext", "LoggerFrom", "FromContextOrDiscard"}, f.Sel.Name)
		case *ast.Ident:
			return isLogger(f)
		}
	}
	return false
}

func constant(x ast.Expr) (string, bool) {
	literal, ok := x.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}

// allLogCalls returns the calls in the code of the programs, by file.
func allLogCalls(t *testing.T) map[string][]logCall {
	t.Helper()
	found := map[string][]logCall{}
	root := os.DirFS(filepath.Join("..", ".."))
	for _, folder := range logging {
		err := fs.WalkDir(root, folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := fs.ReadFile(root, path)
			if err != nil {
				return err
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, content, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			if calls := logCalls(set, file); len(calls) > 0 {
				found[path] = calls
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(found) < 20 {
		t.Fatalf("calls of loggers were found in %d files only", len(found))
	}
	return found
}

func TestLogMessagesAreConstantSentencesWithoutFullStop(t *testing.T) {
	used := map[string]bool{}
	for file, calls := range allLogCalls(t) {
		for _, c := range calls {
			if c.variable != "" && c.variable == tabled[file] {
				used[file] = true
				continue
			}
			for _, fault := range c.faults() {
				t.Errorf("%s: %q: %s", c.at, c.message, fault)
			}
		}
	}
	for file := range tabled {
		if !used[file] {
			t.Errorf("%s takes no message from a table any more", file)
		}
	}
}

var (
	keyRow = regexp.MustCompile("(?m)^\\| (`[^|]+) \\| ")
	quoted = regexp.MustCompile("`([^`]+)`")
)

func TestArchitectureListsTheLogKeys(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## Logs\n")
	if !found {
		t.Fatal("docs/architecture.md has no section on logs")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	listed := map[string]bool{}
	for _, row := range keyRow.FindAllStringSubmatch(section, -1) {
		for _, key := range quoted.FindAllStringSubmatch(row[1], -1) {
			listed[key[1]] = false
		}
	}
	for _, calls := range allLogCalls(t) {
		for _, c := range calls {
			for _, key := range c.keys {
				if _, ok := listed[key]; !ok {
					t.Errorf("%s: the key %q is not in the list of docs/architecture.md", c.at, key)
				}
				listed[key] = true
			}
		}
	}
	for key, used := range listed {
		if !used {
			t.Errorf("no log line has the key %q of docs/architecture.md", key)
		}
	}
}

func TestFaultsOfLogCallsAreFound(t *testing.T) {
	for _, row := range []struct {
		name, code string
		keys       []string
		faults     int
	}{
		{"a constant message", `log.Info("Peer is down", "peer", name)`, []string{"peer"}, 0},
		{"a field and a level", `r.Log.V(1).Info("Peer is down", "peer", name, "error", e)`, []string{"peer", "error"}, 0},
		{"an error", `log.FromContext(ctx).Error(err, "Peer is down", "peer", name)`, []string{"peer"}, 0},
		{"values for all lines", `use(log.WithValues("peer", name))`, []string{"peer"}, 0},
		{"a key that is computed", `log.Info("Peer is down", key, name)`, []string{"a key that is not a constant"}, 0},
		{"a message that is put together", `log.Info("Peer is down: " + name)`, nil, 1},
		{"a variable", `log.Info(message)`, nil, 1},
		{"small letters and a full stop", `log.Info("peer is down.")`, nil, 2},
		{"no logger", `http.Error(w, "peer is down.", code)`, nil, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, "x.go", "package x\nfunc f() { "+row.code+" }", parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			var keys, faults []string
			for _, c := range logCalls(set, file) {
				keys, faults = append(keys, c.keys...), append(faults, c.faults()...)
			}
			if !slices.Equal(keys, row.keys) {
				t.Errorf("keys are %q, not %q", keys, row.keys)
			}
			if len(faults) != row.faults {
				t.Errorf("faults are %q, not %d", faults, row.faults)
			}
		})
	}
}
