// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/bgp"
	"metalsuite.io/api/reason"
)

// A peer that reads nothing any more has our updates in its buffers, and the NOTIFICATION cannot be sent. The session ends all the same, and
// nothing else does.
func TestPeerThatTakesNothing(t *testing.T) {
	t.Parallel()
	p, other := newPuppet(t, "127.0.0.1"), newPuppet(t, "127.0.0.1")
	p.hold, other.hold = 0, 0 // a busy machine may take longer than any hold time
	e := startEngine(t, 1)
	s, bystander := e.open(t, p.settings()), e.open(t, other.settings())
	bystander.establishWith(other)
	s.establishWith(p)
	s.fill()
	s.disconnect(bgp.AdministrativeShutdown)
	s.phase(announcers.Idle)
	s.establishWith(p)
	bystander.Expect(bystander.stats().Messages.OpensSent).To(BeEquivalentTo(1))
	bystander.Expect(bystander.Events()).NotTo(Receive())
}

// A session that ends by itself has no connection any more, though nobody has asked to disconnect and the peer takes nothing.
func TestSessionThatEndsByItselfLeavesNoConnection(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, "127.0.0.1")
	s := startEngine(t, 8).open(t, p.settings())
	files := func() int { return holdingsOf(t, s.Session.(*session).child.command.Process.Pid).Files }
	before := files()
	p.hold = 0 // a busy machine may take longer than any hold time
	s.establishWith(p)
	s.fill()
	p.send(messageNotification, []byte{6, 2})
	s.Expect(s.problem().Problem).To(Equal(reason.New(reason.PeerClosedSession, "the peer sent Cease/Administrative Shutdown")))
	s.Eventually(files, patience).Should(BeNumerically("<=", before))
}

// fill announces routes until the peer, which reads nothing, takes no more.
func (s *testSession) fill() {
	s.t.Helper()
	const n = 100
	for total := uint64(n); ; total += n {
		s.announce(manyRoutes(n)...)
		if s.stats().Messages.UpdatesSent+2*n < total { // the buffers are full, for nobody reads
			return
		}
	}
}

// A child that may open no more files cannot let GoBGP in to the connection that it has made. Sooner or later, that is told.
func TestConnectionThatCannotBeUsedEndsTheAttemptWithAReason(t *testing.T) {
	t.Parallel()
	p := newPuppet(t, "127.0.0.1")
	s := startEngineWith(t, Options{MaxChildren: 8, openWait: time.Second}).open(t, p.settings())
	s.connect()
	p.acceptOnly()
	allow := s.forbidFiles()
	event := s.problem()
	s.Expect([]any{event.Phase, event.Problem.Reason}).To(Equal([]any{announcers.Idle, reason.SessionEnded}))
	allow()
	s.disconnect(bgp.AdministrativeReset)
	s.establishWith(p)
}

func TestConnectFailsWhereTheRelayHasNoSocket(t *testing.T) {
	t.Parallel()
	s := startEngine(t, 8).open(t, newPuppet(t, "127.0.0.1").settings())
	s.forbidFiles()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.Expect(s.Connect(ctx)).To(MatchError(ContainSubstring("too many open files")))
	s.Expect(s.ended()).To(MatchError(ContainSubstring("too many open files")))
}

// forbidFiles has the child open no more files until that is allowed again.
func (s *testSession) forbidFiles() (allow func()) {
	s.t.Helper()
	pid := s.Session.(*session).child.command.Process.Pid
	var before unix.Rlimit
	s.Expect(unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before)).To(Succeed())
	s.Expect(unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: before.Max}, nil)).To(Succeed())
	return func() { s.Expect(unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil)).To(Succeed()) }
}

// manyRoutes differ in everything, so that each needs a message, and a long one.
func manyRoutes(n int) []bgp.Announcement {
	wide := make([][3]uint32, 300)
	for i := range wide {
		wide[i] = [3]uint32{64512, 1, uint32(i)}
	}
	out := make([]bgp.Announcement, n)
	for i := range out {
		out[i] = route(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32).String())
		out[i].HasMED, out[i].MED, out[i].LargeCommunities = true, uint32(time.Now().UnixNano()), wide
	}
	return out
}
