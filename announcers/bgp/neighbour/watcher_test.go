// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"metalsuite.io/api/reason"
)

// fakeHost is a network of which the test is the kernel. It lives in a bubble of synctest, where time passes when all wait.
type fakeHost struct {
	updates chan []Link
	fail    chan error

	mu        sync.Mutex
	known     []netip.Addr
	refuse    error
	conns     map[string]*fakeConn
	opened    int
	openConns int
}

func newFakeHost() *fakeHost {
	return &fakeHost{updates: make(chan []Link), fail: make(chan error), conns: map[string]*fakeConn{}}
}

func (h *fakeHost) Watch(ctx context.Context, updates chan<- []Link) error {
	for {
		select {
		case links := <-h.updates:
			select {
			case updates <- links:
			case <-ctx.Done():
				return nil
			}
		case err := <-h.fail:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

func (h *fakeHost) Routers(int) ([]netip.Addr, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.known), nil
}

func (h *fakeHost) Open(l Link) (Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != nil {
		return nil, h.refuse
	}
	c := &fakeConn{host: h, link: l, in: make(chan Message), failed: make(chan error), closed: make(chan struct{})}
	h.conns[l.Name] = c
	h.opened++
	h.openConns++
	return c, nil
}

func (h *fakeHost) set(known []netip.Addr, refuse error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known, h.refuse = known, refuse
}

// counts are how many sockets were opened so far, and how many are open.
func (h *fakeHost) counts() (opened, open int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.opened, h.openConns
}

type fakeConn struct {
	host   *fakeHost
	link   Link
	in     chan Message
	failed chan error
	closed chan struct{}

	mu   sync.Mutex
	sent []Kind
}

func (c *fakeConn) Receive() (Message, error) {
	select {
	case m := <-c.in:
		return m, nil
	case err := <-c.failed:
		return Message{}, err
	case <-c.closed:
		return Message{}, os.ErrClosed
	}
}

func (c *fakeConn) Send(k Kind) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, k)
	return errors.New("lost, as far as the sender knows")
}

func (c *fakeConn) Close() error {
	close(c.closed)
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	c.host.openConns--
	return nil
}

// take returns what was sent since the last call.
func (c *fakeConn) take() []Kind {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.sent
	c.sent = nil
	return sent
}

// bench is a Watcher at work on a fake host.
type bench struct {
	*testing.T
	host    *fakeHost
	watcher *Watcher
}

// inBubble runs a test with a Watcher that wants eth0 and has read no interfaces yet. That nothing is left of it when it ends is checked by
// synctest, which waits for every goroutine.
func inBubble(t *testing.T, test func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, host: newFakeHost()}
		b.watcher = New(Options{Host: b.host})
		b.watcher.Want([]string{"eth0", "eth0"})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.watcher.Run(ctx) }()
		synctest.Wait()
		test(b)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returns %v", err)
		}
		if _, open := b.host.counts(); open != 0 {
			t.Errorf("%d sockets are still open", open)
		}
		b.wants(reason.AnnouncerNotRunning, netip.Addr{})
	})
}

// eth0 is a link on which all is well.
func eth0() Link {
	return Link{Index: 2, Name: "eth0", Hardware: routerMAC, Carrier: true, LinkLocal: fe9, Addresses: []netip.Addr{fe9}}
}

func (b *bench) links(links ...Link) {
	b.host.updates <- append([]Link{}, links...)
	synctest.Wait()
}

func (b *bench) hear(k Kind, source netip.Addr, hardware string) {
	b.host.conns["eth0"].in <- Message{k, source, hardware}
	synctest.Wait()
}

func (b *bench) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// wants compares with what is found; no reason means that all is well.
func (b *bench) wants(r reason.Reason, remote netip.Addr) {
	b.Helper()
	n, problem := b.watcher.Found("eth0")
	var got reason.Reason
	if problem != nil {
		got = problem.Reason
	}
	if got != r || n.Remote.WithZone("") != remote {
		b.Fatalf("found %+v, %v; want %q, %v", n, problem, r, remote)
	}
	if remote.IsValid() && (n.Remote.Zone() != "eth0" || !n.Local.IsValid() || n.Local.Zone() != "") {
		b.Errorf("found %+v", n)
	}
}

// changed takes a notification and says whether there was one.
func (b *bench) changed() bool {
	select {
	case <-b.watcher.Changed():
		return true
	default:
		return false
	}
}

func (b *bench) sends(want ...Kind) {
	b.Helper()
	if got := b.host.conns["eth0"].take(); !slices.Equal(got, want) {
		b.Errorf("sent %v, want %v", got, want)
	}
}

func TestWatcherSaysWhatIsWrongWithAnInterface(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.wants(reason.AnnouncerNotRunning, netip.Addr{})
		for _, row := range []struct {
			name   string
			change func(*Link)
			want   reason.Reason
		}{
			{"other", func(l *Link) { l.Name = "eth1" }, reason.InterfaceMissing},
			{"no carrier", func(l *Link) { l.Carrier = false }, reason.NoCarrier},
			{"no address", func(l *Link) { l.LinkLocal = netip.Addr{} }, reason.NoLinkLocalAddress},
			{"usable", func(*Link) {}, reason.NoRouterAdvertisement},
		} {
			l := eth0()
			row.change(&l)
			b.links(l)
			b.wants(row.want, netip.Addr{})
			if !b.changed() {
				b.Errorf("%s: nothing is told", row.name)
			}
		}
		b.links(eth0())
		if b.changed() {
			b.Error("told although nothing has changed")
		}
		second := eth0()
		second.Addresses = append(second.Addresses, netip.MustParseAddr("2001:db8::1"))
		b.links(second)
		if opened, _ := b.host.counts(); !b.changed() || opened != 1 {
			b.Errorf("another address is not told, or opens a socket (%d)", opened)
		}
	})
}

func TestWatcherAdvertisesAndSolicits(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.links(eth0())
		b.sends(Advertisement, Solicitation)
		b.pass(2 * time.Second)
		b.sends(Advertisement, Solicitation, Advertisement, Solicitation)
		b.pass(4 * time.Second)
		b.sends(Advertisement, Solicitation)
		b.pass(minGap)
		b.host.conns["eth0"].take()

		b.hear(Advertisement, fe1, "a")
		b.wants("", fe1)
		b.pass(minGap)
		b.sends(Advertisement)
		b.hear(Advertisement, fe1, "a")
		b.pass(minGap)
		b.sends()
		b.pass(60 * time.Second)
		if sent := b.host.conns["eth0"].take(); len(sent) < 15 || len(sent) > 20 || slices.Contains(sent, Solicitation) {
			b.Errorf("sent %v in a minute", sent)
		}
	})
}

func TestWatcherAnswersSolicitationsWithinLimits(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.links(eth0())
		b.hear(Advertisement, fe1, "a")
		b.pass(10 * time.Second)
		b.host.conns["eth0"].take()
		b.pass(minGap)
		b.host.conns["eth0"].take()
		b.hear(Solicitation, fe1, "a")
		b.sends(Advertisement)
		for range 1000 {
			b.hear(Solicitation, fe1, "a")
			b.pass(time.Millisecond)
		}
		if sent := b.host.conns["eth0"].take(); len(sent) > 2 {
			b.Errorf("a flood of a second is answered with %v", sent)
		}
	})
}

func TestWatcherTakesWhatTheKernelKnows(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.host.set([]netip.Addr{fe1, fe9}, nil)
		b.links(eth0())
		b.wants("", fe1)
		b.hear(Advertisement, fe9, "own")
		b.wants("", fe1)
		b.hear(Advertisement, fe2, "b")
		b.wants("", fe2)
	})
}

func TestWatcherTellsOfSeveralRouters(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.links(eth0())
		b.hear(Advertisement, fe2, "b")
		b.hear(Advertisement, fe1, "a")
		b.wants(reason.NoRouterAdvertisement, fe2)
		b.host.conns["eth0"].take()
		b.pass(5 * time.Second)
		if !slices.Contains(b.host.conns["eth0"].take(), Solicitation) {
			b.Error("does not ask who is there")
		}
		b.hear(Advertisement, fe1, "a")
		b.changed()
		b.pass(14 * time.Second)
		b.wants("", fe1)
		if !b.changed() {
			b.Error("does not tell that one has gone")
		}
	})
}

func TestWatcherFollowsAnInterface(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.links(eth0())
		b.hear(Advertisement, fe1, "a")
		down, other, mac, again := eth0(), eth0(), eth0(), eth0()
		down.Carrier, other.LinkLocal, again.Index = false, fe3, 3
		mac.LinkLocal, mac.Hardware = fe3, []byte{2, 0, 0, 0, 0, 1}

		b.links(down)
		b.wants(reason.NoCarrier, netip.Addr{})
		b.links(eth0())
		b.wants(reason.NoRouterAdvertisement, netip.Addr{})
		b.hear(Advertisement, fe1, "a")
		b.links(other)
		b.wants("", fe1)
		if n, _ := b.watcher.Found("eth0"); n.Local != fe3 {
			b.Errorf("our address is %v", n.Local)
		}
		b.sends(Advertisement)
		b.links(mac)
		b.wants("", fe1)
		b.sends(Advertisement)
		b.links(again)
		b.wants(reason.NoRouterAdvertisement, netip.Addr{})
		if opened, open := b.host.counts(); opened != 5 || open != 1 {
			b.Errorf("%d sockets were opened, %d are open", opened, open)
		}
	})
}

func TestWatcherFollowsWhatIsWanted(t *testing.T) {
	inBubble(t, func(b *bench) {
		eth1 := eth0()
		eth1.Index, eth1.Name = 3, "eth1"
		b.links(eth0(), eth1)
		b.hear(Advertisement, fe1, "a")
		b.watcher.Want([]string{"eth1"})
		synctest.Wait()
		b.wants(reason.AnnouncerNotRunning, netip.Addr{})
		if _, problem := b.watcher.Found("eth1"); problem == nil || problem.Reason != reason.NoRouterAdvertisement {
			b.Errorf("found %v", problem)
		}
		b.watcher.Want(nil)
		synctest.Wait()
		if _, open := b.host.counts(); open != 0 {
			b.Errorf("%d sockets are open", open)
		}
		b.watcher.Want([]string{"eth0"})
		synctest.Wait()
		b.wants(reason.NoRouterAdvertisement, netip.Addr{})
	})
}

func TestWatcherTriesAgain(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.host.fail <- errors.New("netlink is broken")
		synctest.Wait()
		b.wants(reason.AnnouncerNotRunning, netip.Addr{})
		b.pass(retryInterval)
		b.host.set(nil, &os.SyscallError{Syscall: "socket", Err: os.ErrPermission})
		b.links(eth0())
		b.wants(reason.RawSocketDenied, netip.Addr{})
		b.host.set(nil, errors.New("no memory"))
		b.pass(retryInterval)
		b.wants(reason.NoRouterAdvertisement, netip.Addr{})
		b.host.set(nil, nil)
		b.pass(retryInterval)
		b.hear(Advertisement, fe1, "a")
		b.wants("", fe1)

		b.host.conns["eth0"].failed <- errors.New("broken")
		synctest.Wait()
		b.wants(reason.NoRouterAdvertisement, netip.Addr{})
		b.pass(retryInterval)
		b.wants("", fe1)

		b.host.fail <- errors.New("netlink is broken")
		synctest.Wait()
		b.wants("", fe1)
	})
}
