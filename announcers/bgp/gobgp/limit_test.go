// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"metalsuite.io/announcers/bgp"
)

func TestMemoryLimitIsHalfOfTheContainersWithinBounds(t *testing.T) {
	for text, want := range map[string]uint64{
		"": mostMemory, "max\n": mostMemory, "nonsense": mostMemory, "1073741824\n": 512 << 20, "8589934592\n": mostMemory, "134217728\n": leastMemory,
	} {
		NewWithT(t).Expect(memoryLimit(text)).To(Equal(want), text)
	}
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
	p, s := established(t)
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
