// SPDX-License-Identifier: Apache-2.0

//go:build !race

package gobgp

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
)

// The race detector has memory of its own and ends the process in its own ways, so this file is left out where it is on: "make test" runs it
// in a build without.

// A child that wants more memory than it may have ends alone, says so, and is the first that the kernel would choose.
func TestChildOverItsMemoryLimitEndsAloneWithAReason(t *testing.T) {
	t.Parallel()
	p, other := newPuppet(t, "127.0.0.1"), newPuppet(t, "127.0.0.1")
	e := startEngine(t, 8)
	s, bystander := e.open(t, p.settings()), e.open(t, other.settings())
	bystander.establishWith(other)
	pid := s.Session.(*session).child.command.Process.Pid
	first, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(strings.TrimSpace(string(first))).To(Equal(firstKilled))

	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(string(limits)).To(MatchRegexp(`Max data size +%d +%d `, memoryLimit(containerLimit()), memoryLimit(containerLimit())))

	near := unix.Rlimit{Cur: mapped(t, pid) + 16<<20, Max: memoryLimit(containerLimit())} // it is reached sooner so
	s.Expect(unix.Prlimit(pid, unix.RLIMIT_DATA, &near, nil)).To(Succeed())
	var end error
	for i := 0; end == nil && i < 250; i++ { // 80 MB of communities are reached long before
		end = s.Update(t.Context(), nil, wideRoutes(i, 100))
	}
	s.Expect(end).To(HaveOccurred())
	s.Expect(s.ended()).To(MatchError(bgp.ErrOutOfMemory))
	bystander.Expect(bystander.stats().Messages.OpensSent).To(BeEquivalentTo(1))
	bystander.Consistently(bystander.Events()).ShouldNot(Receive())
}

// A child whose hard limit is below the bound cannot set it: that is said, and the kernel still ends the child before the speaker.
func TestChildThatCannotLimitItsMemorySaysSo(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 100)
	e := startEngineWith(t, Options{
		MaxChildren: 1, Executable: "/bin/sh", Args: []string{"-c", fmt.Sprintf("ulimit -d %d; exec %s %s", 200<<10, program, childArgument)},
		Log: funcr.New(func(_, text string) { told <- text }, funcr.Options{}),
	})
	s := e.open(t, newPuppet(t, "127.0.0.1").settings())
	s.Eventually(told, patience).Should(Receive(And(ContainSubstring(textUnlimited), ContainSubstring("operation not permitted"))))
	score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", s.Session.(*session).child.command.Process.Pid))
	s.Expect(err).NotTo(HaveOccurred())
	s.Expect(strings.TrimSpace(string(score))).To(Equal(firstKilled))
}

// mapped returns how much memory of a process RLIMIT_DATA counts, in bytes.
func mapped(t *testing.T, pid int) uint64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmData:")
	var kib uint64
	if _, err := fmt.Sscan(after, &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// wideRoutes have large attributes of their own.
func wideRoutes(batch, n int) []bgp.Announcement {
	out := make([]bgp.Announcement, n)
	for i := range out {
		out[i] = bgp.Announcement{Route: announcers.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(batch), 0, byte(i)}), 32)}}
		for c := range uint32(300) {
			out[i].LargeCommunities = append(out[i].LargeCommunities, [3]uint32{uint32(batch), uint32(i), c})
		}
		out[i].NextHop = netip.MustParseAddr("192.0.2.7")
	}
	return out
}
