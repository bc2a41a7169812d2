// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bytes"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

func TestClientLibrariesLogErrorsOnly(t *testing.T) {
	var out bytes.Buffer
	LogTo(&out)
	log.Log.Info("Everything is well")
	klog.Background().Info("Everything is well")
	if out.Len() != 0 {
		t.Errorf("logged %q", out.String())
	}
	log.Log.Error(errors.New("broken"), "Cannot watch")
	klog.Background().Error(errors.New("broken"), "Cannot list")
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[0], "Cannot watch") || !strings.Contains(lines[1], "Cannot list") {
		t.Errorf("logged %q, want two lines", out.String())
	}
}

// Without a logger controller-runtime prints a stack trace 30 s after the start, so whatever program uses it sets one by Open.
func TestProgramsOfTheTestsThatUseControllerRuntimeUseTheSuite(t *testing.T) {
	command := exec.Command("go", "list", "-f", `{{if eq .Name "main"}}{{.ImportPath}} {{join .Deps " "}}{{end}}`, "./test/...")
	command.Dir = "../.."
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(out)) {
		program := strings.Fields(line)
		if len(program) == 0 || !slices.Contains(program, "sigs.k8s.io/controller-runtime/pkg/log") {
			continue
		}
		found++
		if !slices.Contains(program, "metalsuite.io/test/suite") {
			t.Errorf("%s uses controller-runtime and not test/suite: nothing sets its logger", program[0])
		}
	}
	if found < 3 {
		t.Errorf("%d programs use controller-runtime; the two demos and the benchmarks do", found)
	}
}
