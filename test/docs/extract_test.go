// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// command is one program with its arguments, as a page shows it.
type command struct {
	line  int
	words []string
}

func (c command) String() string { return strings.Join(c.words, " ") }

var (
	inline  = regexp.MustCompile("`((?:kubectl|make|metalsuite) [^`]+)`")
	heredoc = regexp.MustCompile(`<<-?\s*'?([A-Z]+)'?`)
)

// extract returns the commands of a page in Markdown.
func extract(page string) []command {
	var found []command
	fenced, language, end, pending := false, "", "", ""
	for i, line := range strings.Split(page, "\n") {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, "```"):
			fenced, language, end, pending = !fenced, strings.TrimPrefix(text, "```"), "", ""
		case !fenced:
			for _, match := range inline.FindAllStringSubmatch(line, -1) {
				found = append(found, split(i+1, match[1])...)
			}
		case end != "":
			if text == end {
				end = ""
			}
		default:
			shown, prompted := strings.CutPrefix(text, "$ ")
			if language != "sh" && !prompted && pending == "" && !strings.HasPrefix(text, "kubectl ") {
				continue
			}
			if part, more := strings.CutSuffix(shown, `\`); more {
				pending += part
				continue
			}
			shown, pending = pending+shown, ""
			if match := heredoc.FindStringSubmatch(shown); match != nil {
				end, shown = match[1], heredoc.ReplaceAllString(shown, "")
			}
			found = append(found, split(i+1, shown)...)
		}
	}
	return found
}

// split divides a line of a shell into commands. Quotes hold words together; comments, redirections and assignments are left out.
func split(line int, text string) []command {
	var found []command
	var words []string
	var word strings.Builder
	var quote rune
	inWord := false
	endWord := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	endCommand := func() {
		endWord()
		for len(words) > 0 && assignment.MatchString(words[0]) {
			words = words[1:]
		}
		if len(words) > 0 {
			found = append(found, command{line: line, words: words})
		}
		words = nil
	}
	// A command substitution outside quotes holds commands of its own.
	for _, r := range substitution.ReplaceAllString(text, "$1; $2 ;") {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t':
			endWord()
		case r == '|' || r == '&' || r == ';':
			endCommand()
		case r == '#' && !inWord:
			endCommand()
			return found
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	endCommand()
	return found
}

var (
	assignment   = regexp.MustCompile(`^[A-Z_0-9]+=`)
	substitution = regexp.MustCompile(`(^|\s|=)\$\(([^()]*)\)`)
)

func TestCommandsAreExtracted(t *testing.T) {
	page := strings.Join([]string{
		"Run `kubectl get pods -A` or `make demo`, not `spec.pools`.",
		"```sh",
		"cd config && kustomize build . | kubectl apply -f -   # comment",
		"A=1 make test",
		"B=$(kubectl get node | tr a b)",
		"kubectl get service web -o jsonpath='{.a | b}'",
		"kubectl apply -f - <<END",
		"kind: Pool",
		"END",
		`go test \`,
		"  ./api",
		"```",
		"```console",
		"$ kubectl get metallb",
		"NAME   AGE",
		"```",
	}, "\n")
	var got []string
	for _, c := range extract(page) {
		got = append(got, c.String())
	}
	want := []string{
		"kubectl get pods -A", "make demo", "cd config", "kustomize build .", "kubectl apply -f -", "make test",
		"kubectl get node", "tr a b",
		"kubectl get service web -o jsonpath={.a | b}", "kubectl apply -f -", "go test ./api", "kubectl get metallb",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
