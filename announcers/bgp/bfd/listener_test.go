// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

// nowhere is a Host whose packets go nowhere.
type nowhere struct{}

func (nowhere) Listen(Port) (Listener, error) { return nil, errRefused }
func (nowhere) Dial(Path) (Sender, error)     { return nowhere{}, nil }
func (nowhere) Domain(string) string          { return "" }
func (nowhere) Send([]byte) error             { return nil }
func (nowhere) Scope() int                    { return 0 }
func (nowhere) Close() error                  { return nil }

// room is a listener with watchers that nobody runs: a test does their steps.
type room struct {
	listener *listener
	watchers []*watcher
}

func newRoom(port Port, sessions ...Session) *room {
	e := New(Options{Host: nowhere{}})
	r := &room{listener: &listener{engine: e, port: port}}
	for i, s := range sessions {
		w := newWatcher(e, context.Background(), s, uint32(0x1000+i))
		w.timer = time.NewTimer(time.Hour)
		w.port.Store(r.listener)
		r.watchers = append(r.watchers, w)
	}
	r.listener.index.Store(newIndex(r.watchers))
	return r
}

// up makes a watcher one whose session is up.
func (r *room) up(w *watcher) {
	p := Packet{Phase: Down, Multiplier: 3, Sender: 77, DesiredTransmit: slow, RequiredReceive: 50 * ms}
	d := Datagram{From: w.path.Remote.WithZone(""), To: right, TTL: ttl}
	d.Payload = p.Append(nil)
	r.listener.deliver(d)
	w.step()
	p.Phase, p.Receiver = Up, w.discriminator
	d.Payload = p.Append(nil)
	r.listener.deliver(d)
	w.step()
}

func TestWhomAPacketIsFor(t *testing.T) {
	var (
		plain    = Path{Remote: left}
		sourced  = Path{Remote: left, Local: right}
		bound    = Path{Remote: left, Interface: "eth1"}
		scoped   = Path{Remote: netip.MustParseAddr("fe80::1%eth1")}
		elsewhen = netip.MustParseAddr("192.0.2.9")
	)
	tests := []struct {
		name     string
		port     Port
		paths    []Path
		datagram Datagram
		receiver uint32
		want     int // -1 for none
	}{
		{"by address", Port{}, []Path{plain}, Datagram{From: left, To: right, TTL: 255}, 0, 0},
		{"by discriminator, whatever the address", Port{}, []Path{plain}, Datagram{From: elsewhen, To: right, TTL: 255}, 0x1000, 0},
		{"by discriminator alone", Port{}, []Path{plain, {Remote: elsewhen}}, Datagram{From: elsewhen, To: right, TTL: 255}, 0x1000, 0},
		{"unknown address", Port{}, []Path{plain}, Datagram{From: elsewhen, To: right, TTL: 255}, 0, -1},
		{"unknown discriminator", Port{}, []Path{plain}, Datagram{From: left, To: right, TTL: 255}, 0x9999, -1},
		{"TTL 254", Port{}, []Path{plain}, Datagram{From: left, To: right, TTL: 254}, 0, -1},
		{"TTL 0", Port{}, []Path{plain}, Datagram{From: left, To: right}, 0x1000, -1},
		{"several hops", Port{MultiHop: true}, []Path{{Remote: left, MultiHop: true}}, Datagram{From: left, To: right, TTL: 10}, 0, 0},
		{"several hops, too many", Port{MultiHop: true}, []Path{{Remote: left, MultiHop: true}}, Datagram{From: left, To: right, TTL: 9}, 0, -1},
		{"to the local address", Port{}, []Path{sourced}, Datagram{From: left, To: right, TTL: 255}, 0, 0},
		{"to another local address", Port{}, []Path{sourced}, Datagram{From: left, To: elsewhen, TTL: 255}, 0, -1},
		{"the one that says more", Port{}, []Path{plain, sourced}, Datagram{From: left, To: right, TTL: 255}, 0, 1},
		{"the one that says less", Port{}, []Path{plain, sourced}, Datagram{From: left, To: elsewhen, TTL: 255}, 0, 0},
		{"its interface", Port{}, []Path{bound}, Datagram{From: left, To: right, TTL: 255, Interface: 5}, 0, 0},
		{"another interface", Port{}, []Path{bound}, Datagram{From: left, To: right, TTL: 255, Interface: 6}, 0, -1},
		{"link-local", Port{IPv6: true}, []Path{scoped}, Datagram{From: scoped.Remote.WithZone(""), To: netip.IPv6Unspecified(), TTL: 255, Interface: 5}, 0, 0},
		{"link-local of another link", Port{IPv6: true}, []Path{scoped}, Datagram{From: scoped.Remote.WithZone(""), To: netip.IPv6Unspecified(), TTL: 255, Interface: 6}, 0, -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var sessions []Session
			for _, p := range test.paths {
				sessions = append(sessions, Session{Path: p, Config: Config{MinimumTTL: 10}})
			}
			r := newRoom(test.port, sessions...)
			sorted := append([]*watcher{}, r.watchers...)
			if len(sorted) == 2 && sorted[0].path.compare(sorted[1].path) > 0 {
				sorted[0], sorted[1] = sorted[1], sorted[0]
			}
			r.listener.index.Store(newIndex(sorted))
			for _, w := range r.watchers {
				if w.path == bound || w.path == scoped {
					w.scope.Store(5)
				}
			}
			test.datagram.Payload = Packet{Phase: Down, Multiplier: 3, Sender: 1, Receiver: test.receiver}.Append(nil)
			r.listener.deliver(test.datagram)
			for i, w := range r.watchers {
				if _, got := w.inbox.take(); got != (i == test.want) {
					t.Errorf("session %d got it: %v", i, got)
				}
			}
		})
	}
}

// A session that says goodbye takes no packet away from one that stays.
func TestSessionThatIsLeavingIsNotMeant(t *testing.T) {
	r := newRoom(Port{}, Session{Path: Path{Remote: left, Local: right}}, Session{Path: Path{Remote: left}})
	r.watchers[0].leave()
	r.listener.index.Store(newIndex(r.watchers))
	r.listener.deliver(Datagram{From: left, To: right, TTL: 255, Payload: Packet{Phase: Down, Multiplier: 3, Sender: 1}.Append(nil)})
	if _, ok := r.watchers[1].inbox.take(); !ok {
		t.Error("the session that stays did not get the packet")
	}
}

func TestDiscardedPacketsAreCounted(t *testing.T) {
	r := newRoom(Port{}, Session{Path: Path{Remote: left}})
	good := Packet{Phase: Down, Multiplier: 3, Sender: 1}.Append(nil)
	r.listener.deliver(Datagram{From: left, To: right, TTL: 254, Payload: good})
	r.listener.deliver(Datagram{From: left, To: right, TTL: 255, Payload: good[:5]})
	r.listener.deliver(Datagram{From: right, To: right, TTL: 255, Payload: good})
	if own, other := r.watchers[0].snapshot().ControlDiscarded, r.listener.discarded.Load(); own != 2 || other != 1 {
		t.Errorf("%d of the session, %d of nobody", own, other)
	}
}

// What floods a session costs that session its packets, and memory nobody.
func TestInboxHoldsTheLast(t *testing.T) {
	i := newInbox()
	for n := range 1000 {
		i.put(arrival{packet: Packet{Sender: uint32(n)}})
	}
	for n := 1000 - inboxSize; n < 1000; n++ {
		if a, ok := i.take(); !ok || a.packet.Sender != uint32(n) {
			t.Fatalf("got %d, %v, want %d", a.packet.Sender, ok, n)
		}
	}
	if _, ok := i.take(); ok {
		t.Error("more than was kept")
	}
}

func TestReceivingDoesNotAllocate(t *testing.T) {
	r := newRoom(Port{}, Session{Path: Path{Remote: left}, Config: every(50 * ms)})
	w := r.watchers[0]
	r.up(w)
	known := Packet{Phase: Up, Multiplier: 3, Sender: 77, Receiver: w.discriminator, Poll: true, DesiredTransmit: 50 * ms, RequiredReceive: 50 * ms}.Append(nil)
	unknown := Packet{Phase: Up, Multiplier: 3, Sender: 77, Receiver: 5}.Append(nil)
	if n := testing.AllocsPerRun(1000, func() {
		r.listener.deliver(Datagram{From: left, To: right, TTL: 255, Payload: known})
		w.step()
		r.listener.deliver(Datagram{From: left, To: right, TTL: 255, Payload: unknown})
		r.listener.deliver(Datagram{From: right, To: right, TTL: 255, Payload: unknown[:7]})
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if w.machine.phase != Up {
		t.Errorf("the session is %v", w.machine.phase)
	}
}

// FuzzReceive sends whatever there is to the address of one session, and looks at another one, which is up: nothing but a packet with its
// discriminator, or from its peer's address, may change it.
func FuzzReceive(f *testing.F) {
	f.Add(captured, byte(255))
	f.Add(captured, byte(254))
	f.Add(captured[:7], byte(255))
	down := Packet{Phase: Down, Poll: true, Multiplier: 3, Sender: 9}.Append(nil)
	f.Add(append(down, Packet{Phase: Up, Multiplier: 1, Sender: 9, Receiver: 0x1001}.Append(nil)...), byte(255))
	f.Add(append(down, Packet{Phase: Init, Final: true, Demand: true, Multiplier: 255, Sender: 9, Receiver: 0x1001}.Append(nil)...), byte(255))
	f.Add(append(down, Packet{Phase: AdminDown, Multiplier: 255, Sender: 9, Receiver: 0x1001}.Append(nil)...), byte(255))
	f.Fuzz(func(t *testing.T, stream []byte, hops byte) {
		r := newRoom(Port{}, Session{Path: Path{Remote: left}, Config: every(time.Minute)}, Session{Path: Path{Remote: right}, Config: every(10 * ms)})
		bystander, target := r.watchers[0], r.watchers[1]
		r.up(bystander)
		for len(stream) > 0 {
			packet := stream[:min(len(stream), packetLength)]
			stream = stream[len(packet):]
			if len(packet) >= 12 && binary.BigEndian.Uint32(packet[8:]) == bystander.discriminator {
				return
			}
			r.listener.deliver(Datagram{From: right, To: left, TTL: hops, Payload: packet})
			target.step()
			healthy(t, &target.machine)
		}
		bystander.step()
		if bystander.machine.phase != Up || bystander.machine.controlReceived != 2 || bystander.snapshot().ControlDiscarded != 0 {
			t.Errorf("a bystander became %v", bystander.machine.phase)
		}
		if hops != ttl && target.machine.controlReceived > 0 {
			t.Error("a packet that came over a router was taken")
		}
	})
}

// healthy checks what holds for every session at any time.
func healthy(t *testing.T, m *machine) {
	t.Helper()
	switch {
	case m.interval() < m.config.Transmit, m.phase != Up && m.interval() < slow:
		t.Errorf("%v every %v", m.phase, m.interval())
	case m.phase >= Init && m.heard.IsZero():
		t.Errorf("%v although nothing was heard", m.phase)
	case !m.sendAt.IsZero() && m.sendAt.Sub(m.sentAt) > m.interval():
		t.Errorf("the next packet is due in %v, the interval is %v", m.sendAt.Sub(m.sentAt), m.interval())
	case m.phase != Up && m.poll != noPoll:
		t.Errorf("%v and polling", m.phase)
	}
}
