// SPDX-License-Identifier: Apache-2.0

// Command reasons writes docs/reasons.md: every reason of the vocabulary with its sentence and its fix.
//
// Texts come from the package itself. Groups and order come from the const blocks of its source, whose comments become headings. Run it
// in the root of the repository.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"

	"metalsuite.io/api/reason"
)

const (
	source = "api/reason/vocabulary.go"
	target = "docs/reasons.md"
)

const head = `<!-- Generated from api/reason by hack/reasons; do not edit. -->

# Reasons

Whatever the suite refuses or waits for has a reason: one word, the same in conditions, events, metrics, logs and on the command line.
Look the word up here. The message beside it names the objects and values at hand.
`

// group is one const block of the vocabulary.
type group struct {
	title   string
	reasons []reason.Reason
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "reasons:", err)
		os.Exit(1)
	}
}

func run() error {
	groups, err := read(source)
	if err != nil {
		return err
	}
	if n := count(groups); n != len(reason.All()) {
		return fmt.Errorf("reading %s: found %d constants for %d reasons", source, n, len(reason.All()))
	}
	if err := os.WriteFile(target, []byte(render(groups)), 0o644); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

func count(groups []group) int {
	n := 0
	for _, g := range groups {
		n += len(g.reasons)
	}
	return n
}

// read returns the const blocks of the vocabulary in their order.
func read(path string) ([]group, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("reading the vocabulary: %w", err)
	}
	var groups []group
	for _, d := range file.Decls {
		block, ok := d.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST {
			continue
		}
		title := strings.TrimSuffix(strings.Join(strings.Fields(block.Doc.Text()), " "), ".")
		groups = append(groups, group{title: title, reasons: values(block)})
	}
	return groups, nil
}

func values(block *ast.GenDecl) []reason.Reason {
	var list []reason.Reason
	for _, spec := range block.Specs {
		for _, v := range spec.(*ast.ValueSpec).Values {
			literal, ok := v.(*ast.BasicLit)
			if !ok {
				continue
			}
			if text, err := strconv.Unquote(literal.Value); err == nil {
				list = append(list, reason.Reason(text))
			}
		}
	}
	return list
}

func render(groups []group) string {
	var b strings.Builder
	b.WriteString(head)
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n| reason | what is the case | what to do |\n|---|---|---|\n", g.title)
		for _, r := range g.reasons {
			text := r.Text()
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r, cell(text.Sentence), cell(text.Fix))
		}
	}
	return b.String()
}

// cell keeps a text from ending a column.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
