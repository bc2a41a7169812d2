// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
)

func TestMemoryLimitIsHalfOfTheContainersWithinBounds(t *testing.T) {
	for text, want := range map[string]uint64{
		"": mostMemory, "max\n": mostMemory, "nonsense": mostMemory, "1073741824\n": 512 << 20, "8589934592\n": mostMemory, "134217728\n": leastMemory,
	} {
		NewWithT(t).Expect(memoryLimit(text)).To(Equal(want), text)
	}
}

// A child that wants more memory than it may have ends alone, says so, and is the first that the kernel would choose.
func TestChildOverItsMemoryLimitEndsAloneWithAReason(t *testing.T) {
	t.Parallel()
	p, other := newPuppet(t, "127.0.0.1"), newPuppet(t, "127.0.0.1")
	e := startEngine(t, 8)
	s, bystander := e.open(t, p.settings()), e.open(t, other.settings())
	bystander.connect()
	other.establish(other.accept())
	bystander.phase(announcers.Established)
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

func TestProcessKilledFromOutsideIsTakenForOneOutOfMemory(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, "127.0.0.1")
	s := startEngine(t, 8).open(t, p.settings())
	s.Expect(s.Session.(*session).child.command.Process.Signal(syscall.SIGKILL)).To(Succeed())
	s.Expect(s.ended()).To(MatchError(bgp.ErrOutOfMemory))
}

// A router that sends a table of the Internet costs no memory and keeps its session.
func TestRouterThatSendsAFullTableKeepsItsSessionAndNothingIsKept(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, "127.0.0.1")
	s := startEngine(t, 8).open(t, p.settings())
	s.connect()
	p.establish(p.accept())
	s.phase(announcers.Established)
	pid := s.Session.(*session).child.command.Process.Pid
	before, _ := memory(t, pid)
	const n = 200_000
	var sent uint64
	for i := range n {
		body := longPath(i)
		sent += uint64(headerLength + len(body))
		p.send(messageUpdate, body)
	}
	s.Eventually(func() uint64 { return s.stats().DroppedMessages }, patience).Should(BeEquivalentTo(n))
	stats := s.stats()
	s.Expect(stats.DroppedBytes).To(Equal(sent))
	s.Expect(stats.Messages.UpdatesReceived).To(BeEquivalentTo(n))
	after, _ := memory(t, pid)
	t.Logf("%d routes with AS paths of 100: %d MiB before, %d MiB after", n, before/time.Millisecond, after/time.Millisecond)
	s.Expect(after-before).To(BeNumerically("<", 32*time.Millisecond), "MiB")
	ours := &remote{server: s.Session.(*session).server, t: t}
	s.Expect(ours.received(familyIPv4)).To(BeZero())
	s.announce(route("198.51.100.1/32"))
	p.read(messageUpdate)
	s.Consistently(s.Events()).ShouldNot(Receive())
}

// longPath is the body of an UPDATE with one route whose AS path has 100 numbers.
func longPath(i int) []byte {
	attributes := []byte{0x40, 1, 1, 0, 0x40, 3, 4, 192, 0, 2, 9, 0x40, 2, 202, 2, 100}
	for n := range 100 {
		attributes = append(attributes, 0xfd, byte(n^i))
	}
	return updateOf(nil, attributes, []byte{32, 10, byte(i >> 16), byte(i >> 8), byte(i)})
}
