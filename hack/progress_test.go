// SPDX-License-Identifier: Apache-2.0

// Package hack tests the scripts of this folder.
package hack

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCtrlCEndsTheProgressReport(t *testing.T) {
	// A process that was started with SIGINT ignored, as background jobs of scripts are, would pass that on.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)

	// The cache of test results follows files that the test itself looks at.
	if _, err := os.Stat("progress.sh"); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "progress.sh", "building", "sh", "-c", "echo started; exec sleep 600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func(s syscall.Signal) { _ = syscall.Kill(-cmd.Process.Pid, s) }
	defer kill(syscall.SIGKILL)
	lines := bufio.NewReader(output)
	for line := ""; strings.TrimSpace(line) != "started"; {
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	kill(syscall.SIGINT)
	late := time.AfterFunc(20*time.Second, func() { kill(syscall.SIGKILL) })
	if _, err := io.ReadAll(lines); err != nil { // ends when nothing is left that would write
		t.Fatal(err)
	}
	if !late.Stop() {
		t.Error("the report goes on without the command")
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("ended with %v, want the status 130 of an interrupt", err)
	}
}
