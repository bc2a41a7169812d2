// SPDX-License-Identifier: Apache-2.0

// Command vulncheck compares the findings of govulncheck, as JSON on standard input, with the accepted ones. It fails for a finding that
// is not accepted and for an accepted one that did not occur.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	path := flag.String("accepted", "", "file with the accepted findings: an ID and its argument on each line")
	flag.Parse()
	if err := run(*path, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck:", err)
		os.Exit(1)
	}
}

func run(path string, in io.Reader, out io.Writer) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	accepted, err := parseAccepted(string(content))
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	findings, err := parseFindings(in)
	if err != nil {
		return fmt.Errorf("reading the findings: %w", err)
	}
	for _, id := range slices.Sorted(maps.Keys(findings)) {
		if argument, ok := accepted[id]; ok {
			fmt.Fprintf(out, "accepted: %s in %s: %s\n", id, findings[id], argument)
		}
	}
	if err := compare(accepted, findings); err != nil {
		return err
	}
	fmt.Fprintf(out, "no vulnerability but the %d accepted ones\n", len(accepted))
	return nil
}

// parseAccepted returns the argument of each accepted ID.
func parseAccepted(content string) (map[string]string, error) {
	accepted := map[string]string{}
	for line := range strings.Lines(content) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, argument, _ := strings.Cut(line, " ")
		if strings.TrimSpace(argument) == "" {
			return nil, fmt.Errorf("%s has no argument", id)
		}
		if _, twice := accepted[id]; twice {
			return nil, fmt.Errorf("%s is listed twice", id)
		}
		accepted[id] = argument
	}
	return accepted, nil
}

// message is the part of govulncheck's messages that counts here.
type message struct {
	Config *struct {
		ScanLevel string `json:"scan_level"`
	} `json:"config"`
	Finding *struct {
		OSV   string `json:"osv"`
		Trace []struct {
			Module   string `json:"module"`
			Version  string `json:"version"`
			Function string `json:"function"`
		} `json:"trace"`
	} `json:"finding"`
}

// parseFindings returns, for each ID of which the program has a vulnerable function, the module with its version. Output without
// configuration is an error: the scan did not happen.
func parseFindings(in io.Reader) (map[string]string, error) {
	findings, scanned := map[string]string{}, false
	for decoder := json.NewDecoder(in); ; {
		var m message
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		scanned = scanned || m.Config != nil && m.Config.ScanLevel == "symbol"
		if m.Finding != nil && len(m.Finding.Trace) > 0 && m.Finding.Trace[0].Function != "" {
			findings[m.Finding.OSV] = m.Finding.Trace[0].Module + "@" + m.Finding.Trace[0].Version
		}
	}
	if !scanned {
		return nil, errors.New("govulncheck did not scan the symbols of a program")
	}
	return findings, nil
}

func compare(accepted, findings map[string]string) error {
	var problems []error
	for _, id := range slices.Sorted(maps.Keys(findings)) {
		if _, ok := accepted[id]; !ok {
			problems = append(problems, fmt.Errorf("%s in %s: raise the module's version, or accept it with an argument (https://pkg.go.dev/vuln/%s)", id, findings[id], id))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(accepted)) {
		if _, ok := findings[id]; !ok {
			problems = append(problems, fmt.Errorf("%s is accepted and no longer occurs: remove it from the list", id))
		}
	}
	return errors.Join(problems...)
}
