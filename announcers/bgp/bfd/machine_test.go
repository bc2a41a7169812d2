// SPDX-License-Identifier: Apache-2.0

package bfd

import (
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	ms   = time.Millisecond
	ours = 0x1111
)

// told is a packet of the peer as one of a sensible session.
func told(phase Phase, set ...func(*Packet)) Packet {
	p := Packet{
		Phase: phase, Multiplier: 3, Sender: 0x2222, Receiver: ours, DesiredTransmit: slow, RequiredReceive: 50 * ms,
	}
	if phase == Up {
		p.DesiredTransmit = 50 * ms
	}
	for _, s := range set {
		s(&p)
	}
	return p
}

func poll(p *Packet)   { p.Poll = true }
func final(p *Packet)  { p.Final = true }
func demand(p *Packet) { p.Demand = true }
func desired(d time.Duration) func(*Packet) {
	return func(p *Packet) { p.DesiredTransmit = d }
}
func required(d time.Duration) func(*Packet) {
	return func(p *Packet) { p.RequiredReceive = d }
}

// at is a machine in a phase, at the epoch, and without a poll sequence.
func at(phase Phase, c Config) *machine {
	m := newMachine(epoch, c, ours, 1)
	switch phase {
	case AdminDown:
		m.stop(epoch)
	case Down:
	case Init:
		m.receive(epoch, epoch, told(Down))
	case Up:
		m.receive(epoch, epoch, told(Init))
		m.receive(epoch, epoch, told(Up, final))
	}
	return &m
}

// RFC 5880 6.2, the diagram, and 6.8.6.
func TestTransitions(t *testing.T) {
	tests := []struct {
		from, told, want Phase
		diagnostic       Diagnostic
	}{
		{AdminDown, AdminDown, AdminDown, AdministrativelyDown},
		{AdminDown, Down, AdminDown, AdministrativelyDown},
		{AdminDown, Init, AdminDown, AdministrativelyDown},
		{AdminDown, Up, AdminDown, AdministrativelyDown},
		{Down, AdminDown, Down, NoDiagnostic},
		{Down, Down, Init, NoDiagnostic},
		{Down, Init, Up, NoDiagnostic},
		{Down, Up, Down, NoDiagnostic},
		{Init, AdminDown, Down, NeighborSignaledDown},
		{Init, Down, Init, NoDiagnostic},
		{Init, Init, Up, NoDiagnostic},
		{Init, Up, Up, NoDiagnostic},
		{Up, AdminDown, Down, NeighborSignaledDown},
		{Up, Down, Down, NeighborSignaledDown},
		{Up, Init, Up, NoDiagnostic},
		{Up, Up, Up, NoDiagnostic},
	}
	for _, test := range tests {
		t.Run(test.from.String()+" hears "+test.told.String(), func(t *testing.T) {
			m := at(test.from, every(50*ms))
			out := m.receive(epoch, epoch, told(test.told))
			if m.phase != test.want || m.diagnostic != test.diagnostic {
				t.Fatalf("phase %v, diagnostic %v; want %v, %v", m.phase, m.diagnostic, test.want, test.diagnostic)
			}
			if changed := test.from != test.want; (out.count == 1) != changed {
				t.Errorf("sent %d packets at once, changed = %v", out.count, changed)
			}
			if out.count == 1 && out.packets[0].Phase != test.want {
				t.Errorf("told %v", out.packets[0])
			}
		})
	}
}

func TestSilence(t *testing.T) {
	tests := []struct {
		from, want Phase
		diagnostic Diagnostic
		after      time.Duration
		downs      uint64
	}{
		{Init, Down, DetectionTimeExpired, 3 * slow, 0},
		{Up, Down, DetectionTimeExpired, 150 * ms, 1},
	}
	for _, test := range tests {
		t.Run(test.from.String(), func(t *testing.T) {
			m := at(test.from, every(50*ms))
			if got := m.deadline().Sub(epoch); got != test.after {
				t.Fatalf("detection time %v, want %v", got, test.after)
			}
			m.advance(epoch.Add(test.after - 1))
			if m.phase != test.from {
				t.Fatal("given up too early")
			}
			out := m.advance(epoch.Add(test.after))
			if m.phase != test.want || m.diagnostic != test.diagnostic || m.downs != test.downs || m.remote != 0 {
				t.Errorf("phase %v, diagnostic %v, downs %d, remote %d", m.phase, m.diagnostic, m.downs, m.remote)
			}
			if out.count == 0 || out.packets[0].Phase != Down || out.packets[0].Receiver != 0 || out.packets[0].DesiredTransmit < slow {
				t.Errorf("told %+v", out.packets[:out.count])
			}
		})
	}
}

func TestPeerThatIsForgotten(t *testing.T) {
	m := at(Down, every(50*ms))
	m.receive(epoch, epoch, told(AdminDown, required(0), demand))
	if next := m.next(); next != epoch.Add(3*slow) {
		t.Fatalf("a peer that wants nothing gets the next packet at %v", next)
	}
	out := m.advance(epoch.Add(3 * slow))
	if m.remote != 0 || out.count != 1 || out.packets[0].Receiver != 0 {
		t.Errorf("remote %x, sent %+v", m.remote, out.packets[:out.count])
	}
	if m.remotePhase != AdminDown {
		t.Errorf("the last word of the peer was lost: %v", m.remotePhase)
	}
}

// RFC 5880 6.8.2, 6.8.4.
func TestNegotiation(t *testing.T) {
	tests := []struct {
		name                            string
		config                          Config
		peer                            []func(*Packet)
		interval, detection, lower, top time.Duration
	}{
		{"same", every(50 * ms), nil, 50 * ms, 150 * ms, 37500 * time.Microsecond, 50 * ms},
		{"peer receives slowly", every(50 * ms), []func(*Packet){required(300 * ms)}, 300 * ms, 150 * ms, 225 * ms, 300 * ms},
		{"peer receives fast", every(50 * ms), []func(*Packet){required(10 * ms)}, 50 * ms, 150 * ms, 37500 * time.Microsecond, 50 * ms},
		{"peer sends slowly", every(50 * ms), []func(*Packet){desired(400 * ms)}, 50 * ms, 1200 * ms, 37500 * time.Microsecond, 50 * ms},
		{"peer would send faster", every(50 * ms), []func(*Packet){desired(10 * ms)}, 50 * ms, 150 * ms, 37500 * time.Microsecond, 50 * ms},
		{"peer's multiplier counts", every(50 * ms), []func(*Packet){func(p *Packet) { p.Multiplier = 7 }}, 50 * ms, 350 * ms, 37500 * time.Microsecond, 50 * ms},
		{"multiplier 1", Config{Transmit: 100 * ms, Receive: 20 * ms, Multiplier: 1}, nil, 100 * ms, 150 * ms, 75 * ms, 90 * ms},
		{"peer wants nothing", every(50 * ms), []func(*Packet){required(0)}, 50 * ms, 150 * ms, 0, 0},
		{"peer demands silence", every(50 * ms), []func(*Packet){demand}, 50 * ms, 150 * ms, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := at(Up, test.config)
			m.receive(epoch, epoch, told(Up, test.peer...))
			if m.interval() != test.interval || m.detection() != test.detection {
				t.Errorf("interval %v, detection %v; want %v, %v", m.interval(), m.detection(), test.interval, test.detection)
			}
			if test.top == 0 {
				if !m.sendAt.IsZero() {
					t.Errorf("a packet is due at %v", m.sendAt)
				}
				return
			}
			jitterWithin(t, m, test.lower, test.top)
		})
	}
}

// jitterWithin sends a thousand packets and looks at the time between them.
func jitterWithin(t *testing.T, m *machine, lower, top time.Duration) {
	t.Helper()
	least, most := time.Hour, time.Duration(0)
	m.remoteMultiplier = 255
	m.advance(m.sendAt)
	for range 1000 {
		before := m.sentAt
		m.receive(before, before, told(Up, required(m.remoteReceive), desired(m.remoteTransmit)))
		m.advance(m.sendAt)
		gap := m.sentAt.Sub(before)
		least, most = min(least, gap), max(most, gap)
	}
	span := (top - lower) / 20
	if least < lower || most > top || least > lower+span || most < top-span {
		t.Errorf("gaps from %v to %v, want all of %v to %v", least, most, lower, top)
	}
}

// RFC 5880 6.8.3: at least a second while not up.
func TestSlowStart(t *testing.T) {
	m := at(Down, every(10*ms))
	for range 100 {
		before := m.sentAt
		out := m.advance(m.sendAt)
		if out.count != 1 || out.packets[0].DesiredTransmit != slow || out.packets[0].RequiredReceive != 10*ms || out.packets[0].Poll {
			t.Fatalf("sent %+v", out.packets[:out.count])
		}
		if gap := m.sentAt.Sub(before); !before.IsZero() && (gap < slow*3/4 || gap > slow) {
			t.Fatalf("sent after %v", gap)
		}
	}
	if m := at(Down, every(3*time.Second)); m.desiredTransmit != 3*time.Second {
		t.Errorf("a session that is slower anyway desires %v", m.desiredTransmit)
	}
}

// RFC 5880 6.5, 6.8.3.
func TestComingUpPolls(t *testing.T) {
	m := at(Init, every(50*ms))
	out := m.receive(epoch, epoch, told(Init))
	if out.count != 1 || !out.packets[0].Poll || out.packets[0].DesiredTransmit != 50*ms {
		t.Fatalf("sent %+v", out.packets[:out.count])
	}
	if out := m.advance(m.sendAt); !out.packets[0].Poll {
		t.Error("the poll sequence ended without an answer")
	}
	m.receive(epoch, epoch, told(Up, final))
	if out := m.advance(m.sendAt); out.packets[0].Poll {
		t.Error("the poll sequence goes on after its answer")
	}
}

func TestPollIsAnswered(t *testing.T) {
	for _, phase := range []Phase{Down, Init, Up} {
		m := at(phase, every(50*ms))
		due := m.sendAt
		out := m.receive(epoch, epoch, told(Up, poll))
		if out.count == 0 || !out.packets[0].Final || out.packets[0].Poll {
			t.Errorf("%v: sent %+v", phase, out.packets[:out.count])
		}
		if phase == m.phase && !m.sendAt.Equal(due) {
			t.Errorf("%v: the answer moved the next packet from %v to %v", phase, due, m.sendAt)
		}
	}
}

// RFC 5880 6.8.3: what would make the other side impatient waits for the end of the poll sequence.
func TestChangesWhileUp(t *testing.T) {
	tests := []struct {
		name                          string
		change                        func(*Config)
		poll                          bool
		interval, detection           time.Duration // during the poll sequence
		intervalAfter, detectionAfter time.Duration
	}{
		{"nothing", func(*Config) {}, false, 50 * ms, 150 * ms, 50 * ms, 150 * ms},
		{"send faster", func(c *Config) { c.Transmit = 20 * ms }, true, 50 * ms, 150 * ms, 50 * ms, 150 * ms}, // the peer takes no more than one per 50 ms
		{"send slower", func(c *Config) { c.Transmit = 200 * ms }, true, 50 * ms, 150 * ms, 200 * ms, 150 * ms},
		{"receive faster", func(c *Config) { c.Receive = 20 * ms }, true, 50 * ms, 150 * ms, 50 * ms, 150 * ms}, // the peer sends no more than one per 50 ms
		{"receive slower", func(c *Config) { c.Receive = 200 * ms }, true, 50 * ms, 600 * ms, 50 * ms, 600 * ms},
		{"multiplier", func(c *Config) { c.Multiplier = 5 }, true, 50 * ms, 150 * ms, 50 * ms, 150 * ms},
		{"passive", func(c *Config) { c.Passive = true }, false, 50 * ms, 150 * ms, 50 * ms, 150 * ms},
		{"least TTL", func(c *Config) { c.MinimumTTL = 5 }, false, 50 * ms, 150 * ms, 50 * ms, 150 * ms},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := every(50 * ms)
			m := at(Up, config)
			test.change(&config)
			out := m.configure(epoch, config)
			if (out.count == 1) != test.poll || test.poll && !out.packets[0].Poll {
				t.Fatalf("sent %+v", out.packets[:out.count])
			}
			if m.phase != Up || m.interval() != test.interval || m.detection() != test.detection {
				t.Errorf("%v, interval %v, detection %v", m.phase, m.interval(), m.detection())
			}
			m.receive(epoch, epoch, told(Up, final))
			if m.interval() != test.intervalAfter || m.detection() != test.detectionAfter || m.poll != noPoll {
				t.Errorf("afterwards: interval %v, detection %v, poll %v", m.interval(), m.detection(), m.poll)
			}
		})
	}
}

func TestReceivingFasterCountsAfterThePoll(t *testing.T) {
	m := at(Up, every(200*ms))
	m.receive(epoch, epoch, told(Up, desired(10*ms)))
	m.configure(epoch, every(50*ms))
	if m.detection() != 600*ms {
		t.Errorf("detection %v before the peer knows", m.detection())
	}
	m.receive(epoch, epoch, told(Up, desired(10*ms), final))
	if m.detection() != 150*ms {
		t.Errorf("detection %v afterwards", m.detection())
	}
}

func TestSecondChangePollsAgain(t *testing.T) {
	m := at(Up, every(50*ms))
	m.configure(epoch, every(100*ms))
	m.configure(epoch, every(200*ms))
	m.receive(epoch, epoch, told(Up, final))
	if m.interval() != 50*ms || m.poll == noPoll {
		t.Errorf("the answer to the first change counted for the second: %v", m.interval())
	}
	if out := m.advance(m.sendAt); !out.packets[0].Poll {
		t.Error("no second poll sequence")
	}
	m.receive(m.sentAt, m.sentAt, told(Up, final))
	if m.interval() != 200*ms || m.poll != noPoll {
		t.Errorf("interval %v afterwards", m.interval())
	}
}

func TestUnaskedFinalCountsNothing(t *testing.T) {
	m := at(Up, every(50*ms))
	before := *m
	m.receive(epoch, epoch, told(Up, final))
	if m.interval() != before.interval() || m.poll != noPoll || m.phase != Up {
		t.Errorf("%+v", m)
	}
}

// The answer to the peer's poll may be lost, and the peer go on slowly until the next.
func TestPollingPeerIsGivenItsOldTime(t *testing.T) {
	m := at(Init, every(50*ms))
	m.receive(epoch, epoch, told(Up, poll))
	if m.phase != Up || m.detection() != 3*slow {
		t.Fatalf("%v, detection %v", m.phase, m.detection())
	}
	m.receive(epoch, epoch, told(Up))
	if m.detection() != 150*ms {
		t.Errorf("detection %v after the poll", m.detection())
	}
	m.receive(epoch, epoch, told(Up, poll, desired(400*ms)))
	if m.detection() != 1200*ms {
		t.Errorf("detection %v when the peer becomes slower", m.detection())
	}
}

func TestPassive(t *testing.T) {
	config := every(50 * ms)
	config.Passive = true
	m := at(Down, config)
	if !m.next().IsZero() {
		t.Fatalf("a passive session has something to do at %v", m.next())
	}
	out := m.receive(epoch, epoch, told(Down))
	if out.count != 1 || out.packets[0].Phase != Init {
		t.Fatalf("sent %+v", out.packets[:out.count])
	}
	m.receive(epoch, epoch, told(Init))
	if m.phase != Up {
		t.Fatalf("phase %v", m.phase)
	}
	m.receive(epoch, epoch, told(Up))
	now := epoch.Add(150 * ms)
	if out := m.advance(now); m.phase != Down || out.count != 0 || !m.next().IsZero() {
		t.Errorf("%v, sent %d packets to a peer that is gone, next at %v", m.phase, out.count, m.next())
	}
}

func TestPassiveAnswersAPeerThatHasLostItsTrack(t *testing.T) {
	config := every(50 * ms)
	config.Passive = true
	m := at(Down, config)
	if out := m.knock(epoch); out.count != 1 || out.packets[0].Phase != Down || out.packets[0].Receiver != 0 {
		t.Fatalf("sent %+v", out.packets[:out.count])
	}
	if out := m.knock(epoch.Add(slow / 2)); out.count != 0 {
		t.Error("answers are not limited")
	}
	if !m.next().IsZero() {
		t.Error("the session sends by itself")
	}
	if active := at(Down, every(50*ms)); active.knock(epoch).count != 0 {
		t.Error("an active session answers")
	}
}

func TestDemandIsBrokenByAPoll(t *testing.T) {
	m := at(Up, every(50*ms))
	m.receive(epoch, epoch, told(Up, demand))
	if !m.sendAt.IsZero() {
		t.Fatal("periodic packets against the demand")
	}
	if out := m.configure(epoch, every(100*ms)); out.count != 1 || !out.packets[0].Poll || m.sendAt.IsZero() {
		t.Fatal("no poll sequence")
	}
	m.receive(epoch, epoch, told(Up, demand, final))
	if !m.sendAt.IsZero() {
		t.Error("periodic packets after the poll sequence")
	}
	if m.receive(epoch, epoch, told(Down, demand)); m.phase != Down || m.sendAt.IsZero() {
		t.Error("no periodic packets although the session is down")
	}
}

// RFC 5880 6.8.16.
func TestGoodbye(t *testing.T) {
	tests := []struct {
		name string
		from Phase
		long time.Duration
		sent int
	}{
		{"never heard of the peer", Down, 0, 0},
		{"beginning", Init, 0, 1},
		{"up", Up, 150 * ms, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := at(test.from, every(50*ms))
			out := m.stop(epoch)
			sent := out.count
			if m.stopped(epoch) != (test.long == 0) {
				t.Fatal("goodbye ends at once, or does not")
			}
			now := epoch
			for ; !m.stopped(now); now = m.next() {
				for _, p := range out.packets[:out.count] {
					if p.Phase != AdminDown || p.Diagnostic != AdministrativelyDown || p.DesiredTransmit < slow || p.Receiver != 0x2222 {
						t.Fatalf("sent %+v", p)
					}
				}
				out = m.advance(now)
				sent += out.count
			}
			if now.Sub(epoch) != test.long || sent < test.sent {
				t.Errorf("%d packets in %v, want %d in %v", sent, now.Sub(epoch), test.sent, test.long)
			}
			if m.phase != AdminDown || m.downs != 0 || m.stop(now).count != 0 {
				t.Errorf("afterwards %v, %d failures", m.phase, m.downs)
			}
		})
	}
}

func TestDownsAreToldApart(t *testing.T) {
	tests := []struct {
		name             string
		end              func(*machine)
		downs, adminDown uint64
	}{
		{"peer is down", func(m *machine) { m.receive(epoch, epoch, told(Down)) }, 1, 0},
		{"peer stopped on purpose", func(m *machine) { m.receive(epoch, epoch, told(AdminDown)) }, 0, 1},
		{"silence", func(m *machine) { m.advance(m.deadline()) }, 1, 0},
		{"no echo", func(m *machine) { m.echoFailed(epoch) }, 1, 0},
		{"stopped here", func(m *machine) { m.stop(epoch) }, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := at(Up, every(50*ms))
			test.end(m)
			if m.phase == Up || m.downs != test.downs || m.peerAdminDowns != test.adminDown || !m.everUp || m.ups != 1 {
				t.Errorf("%v, %d failures, %d on purpose, %d ups", m.phase, m.downs, m.peerAdminDowns, m.ups)
			}
		})
	}
}

// When this side stood still, the peer gets one more interval, once.
func TestLateTimer(t *testing.T) {
	m := at(Up, every(50*ms))
	late := m.deadline().Add(40 * ms)
	if m.advance(late); m.phase != Up {
		t.Fatal("the session ended although the timer was late")
	}
	if got := m.deadline(); got != late.Add(50*ms) {
		t.Fatalf("the next deadline is %v", got.Sub(late))
	}
	again := *m
	if again.advance(again.deadline().Add(time.Minute)); again.phase != Down {
		t.Error("a second late timer was forgiven")
	}
	if m.receive(late, late, told(Up)); m.deadline() != late.Add(150*ms) {
		t.Error("a packet did not bring the ordinary deadline back")
	}
	punctual := at(Up, every(50*ms))
	if punctual.advance(punctual.deadline().Add(20 * ms)); punctual.phase != Down {
		t.Error("a timer that was hardly late was forgiven")
	}
}

func TestSettingsThatMakeNoSense(t *testing.T) {
	got := Config{Transmit: -1, Echo: -5}.normal()
	if got != (Config{Transmit: defaultInterval, Receive: defaultInterval, Multiplier: defaultMultiplier}) {
		t.Errorf("%+v", got)
	}
	if got := (Config{Transmit: 1000 * time.Hour, Receive: 1}).normal(); got.Transmit != time.Hour || got.Receive != defaultInterval {
		t.Errorf("%+v", got)
	}
}
