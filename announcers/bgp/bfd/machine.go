// SPDX-License-Identifier: Apache-2.0

package bfd

import "time"

const (
	// slow is the least interval of a session that is not up (RFC 5880 6.8.3).
	slow = time.Second
	// defaultInterval and defaultMultiplier stand for settings that make no sense.
	defaultInterval, defaultMultiplier = 300 * time.Millisecond, 3
	// unknownInterval is what is taken for the peer's Required Min RX before it told any (RFC 5880 6.8.1).
	unknownInterval = time.Microsecond
)

// machine is one session (RFC 5880 6.8). Its methods are functions of what it holds and what they are given: it reads no clock. Times given
// never run backwards. It is used by one goroutine at a time, and may be copied.
type machine struct {
	config Config
	dice   dice

	local, remote            uint32 // discriminators
	phase, remotePhase       Phase
	diagnostic, remoteReason Diagnostic
	lastDown                 Diagnostic // why the session left Up or Init last
	since                    time.Time

	// What is told to the peer, and what is used, which lags behind while a poll sequence goes on (RFC 5880 6.8.3).
	desiredTransmit, echoReceive time.Duration
	transmitInUse, receiveInUse  time.Duration

	// What the peer told. remoteTransmit lags behind while the peer's poll sequence goes on, see hear.
	remoteTransmit, remoteReceive, remoteEcho time.Duration
	remoteMultiplier                          uint8
	remoteDemand                              bool

	poll   pollSequence
	heard  time.Time // zero when nothing was heard, or nothing for a detection time
	grace  time.Time // when later than the detection time, the session lives until then; see expire
	sentAt time.Time // of the last packet that was no answer to a poll
	sendAt time.Time // of the next periodic packet; zero when none is to be sent
	endAt  time.Time // when goodbye has been said long enough; zero before stop

	everUp                     bool
	ups, downs, peerAdminDowns uint64
	controlReceived            uint64
}

// pollSequence is where a poll sequence (RFC 5880 6.5) is.
type pollSequence uint8

const (
	noPoll pollSequence = iota
	// pollDue has not sent its first packet.
	pollDue
	pollSent
	// pollAgain has been sent, and must be followed by another one since settings changed meanwhile.
	pollAgain
)

// outgoing are the packets to send, in order; the array holds all that one step can lead to: the answer to a poll, and news.
type outgoing struct {
	packets [2]Packet
	count   int
}

func (o *outgoing) add(p Packet) {
	o.packets[o.count] = p
	o.count++
}

// newMachine returns a session that is down and sends its first packet at once, unless it is passive.
func newMachine(now time.Time, config Config, discriminator uint32, seed uint64) machine {
	m := machine{
		config: config.normal(), dice: dice(seed), local: discriminator,
		phase: Down, remotePhase: Down, since: now, remoteReceive: unknownInterval, remoteMultiplier: 1,
	}
	m.desiredTransmit = m.wanted()
	m.transmitInUse, m.receiveInUse = m.desiredTransmit, m.config.Receive
	m.schedule(now)
	return m
}

// normal replaces what makes no sense.
func (c Config) normal() Config {
	c.Transmit, c.Receive = sensible(c.Transmit), sensible(c.Receive)
	if c.Multiplier == 0 {
		c.Multiplier = defaultMultiplier
	}
	if c.Echo = c.Echo.Truncate(time.Microsecond); c.Echo < 0 {
		c.Echo = 0
	}
	return c
}

func sensible(d time.Duration) time.Duration {
	if d = d.Round(time.Microsecond); d <= 0 {
		return defaultInterval
	}
	return min(d, time.Hour)
}

// wanted is the Desired Min TX Interval of the phase (RFC 5880 6.8.3).
func (m *machine) wanted() time.Duration {
	if m.phase != Up {
		return max(slow, m.config.Transmit)
	}
	return m.config.Transmit
}

// receive takes a packet that is for this session, has passed Parse and arrived a moment ago (RFC 5880 6.8.6).
func (m *machine) receive(now, arrived time.Time, p Packet) (out outgoing) {
	if m.phase == AdminDown {
		return out
	}
	m.hear(arrived, p)
	if p.Final {
		m.finishPoll()
	}
	before := m.phase
	m.follow(now, p.Phase)
	if p.Poll {
		out.add(m.packet(now, true))
	}
	if m.phase != before {
		m.news(now, &out)
	}
	m.schedule(now)
	return out
}

// knock tells that the peer is there, but speaks to a session of an earlier run. It has begun, so a passive session may answer, and has
// to: FRR, for one, does not forget the discriminator of a session that was stopped (RFC 5880 6.1, 6.8.1).
func (m *machine) knock(now time.Time) (out outgoing) {
	if m.phase == Down && m.remote == 0 && m.config.Passive && !now.Before(m.sentAt.Add(slow*3/4)) {
		out.add(m.packet(now, false))
	}
	return out
}

// hear takes note of what the peer tells about itself.
func (m *machine) hear(arrived time.Time, p Packet) {
	m.controlReceived++
	m.remote, m.remotePhase, m.remoteReason = p.Sender, p.Phase, p.Diagnostic
	m.remoteReceive, m.remoteEcho, m.remoteDemand = p.RequiredReceive, p.EchoReceive, p.Demand
	m.remoteMultiplier = p.Multiplier
	// A peer that polls may go on at its old pace until it has our answer, which can be lost (RFC 5880 6.8.3). So the shorter interval
	// counts from the first packet without the bit: FRR, for one, changes its pace only then.
	if !p.Poll || p.DesiredTransmit > m.remoteTransmit {
		m.remoteTransmit = p.DesiredTransmit
	}
	m.heard, m.grace = arrived, time.Time{}
}

// follow changes the phase as the peer's asks (RFC 5880 6.2, 6.8.6).
func (m *machine) follow(now time.Time, remote Phase) {
	switch {
	case remote == AdminDown:
		if m.phase == Up {
			m.peerAdminDowns++
		}
		if m.phase != Down {
			m.enter(now, Down, NeighborSignaledDown)
		}
	case m.phase == Down && remote == Down:
		m.enter(now, Init, m.diagnostic)
	case m.phase == Down && remote == Init, m.phase == Init && remote >= Init:
		m.enter(now, Up, NoDiagnostic)
	case m.phase == Up && remote == Down:
		m.downs++
		m.enter(now, Down, NeighborSignaledDown)
	}
}

// enter changes the phase and what depends on it.
func (m *machine) enter(now time.Time, phase Phase, why Diagnostic) {
	if m.phase >= Init && phase <= Down {
		m.lastDown = why
	}
	m.phase, m.since, m.diagnostic = phase, now, why
	if phase == Up {
		m.ups++
		m.everUp = true
	}
	m.retime()
}

// retime makes what is told and used follow the configuration and the phase, by a poll sequence while the session is up (RFC 5880 6.8.3).
// One that is not up tells all it has to in its next packet.
func (m *machine) retime() {
	desired, required := m.wanted(), m.config.Receive
	m.desiredTransmit = desired
	if m.phase != Up {
		m.poll, m.transmitInUse, m.receiveInUse = noPoll, desired, required
		return
	}
	m.transmitInUse, m.receiveInUse = min(m.transmitInUse, desired), max(m.receiveInUse, required)
	switch m.poll {
	case noPoll:
		m.poll = pollDue
	case pollSent:
		m.poll = pollAgain
	case pollDue, pollAgain:
	}
}

// finishPoll ends the poll sequence that was answered; from then on the new intervals are in use.
func (m *machine) finishPoll() {
	switch m.poll {
	case pollSent:
		m.poll, m.transmitInUse, m.receiveInUse = noPoll, m.desiredTransmit, m.config.Receive
	case pollAgain:
		m.poll = pollDue
	case noPoll, pollDue:
	}
}

// configure takes new settings. A session that is up tells them at once (RFC 5880 6.8.7).
func (m *machine) configure(now time.Time, config Config) (out outgoing) {
	before := m.config
	m.config = config.normal()
	if m.phase == AdminDown || m.config == before {
		return out
	}
	before.Passive, before.MinimumTTL = m.config.Passive, m.config.MinimumTTL
	if m.config != before {
		m.retime()
		m.news(now, &out)
	}
	m.schedule(now)
	return out
}

// advance does what is due: it gives up a peer that is silent, and sends the next periodic packet.
func (m *machine) advance(now time.Time) (out outgoing) {
	m.expire(now, &out)
	m.schedule(now)
	if !m.sendAt.IsZero() && !now.Before(m.sendAt) {
		m.sendAt = time.Time{}
		out.add(m.packet(now, false))
	}
	m.schedule(now)
	return out
}

// expire gives up a peer that was silent for a detection time (RFC 5880 6.8.4). When that is noticed late, this side stood still, and so
// perhaps did what brings packets up to it: then the peer gets one more interval, once.
func (m *machine) expire(now time.Time, out *outgoing) {
	deadline := m.deadline()
	if deadline.IsZero() || now.Before(deadline) {
		return
	}
	if m.phase == Up && m.grace.IsZero() && now.Sub(deadline) > m.agreed()/2 {
		m.grace = now.Add(m.agreed())
		return
	}
	m.forget()
	if m.phase == Up || m.phase == Init {
		if m.phase == Up {
			m.downs++
		}
		m.enter(now, Down, DetectionTimeExpired)
		m.news(now, out)
	}
}

// forget drops what the peer told of its session, which may be gone: a Required Min RX of 0 from then must not keep this side silent for
// ever (RFC 5880 6.8.1, bfd.RemoteDiscr).
func (m *machine) forget() {
	m.remote, m.heard, m.grace = 0, time.Time{}, time.Time{}
	m.remoteReceive, m.remoteEcho, m.remoteDemand = unknownInterval, 0, false
}

// echoFailed ends a session whose echo packets did not come back (RFC 5880 6.8.5).
func (m *machine) echoFailed(now time.Time) (out outgoing) {
	if m.phase != Up {
		return out
	}
	m.downs++
	m.enter(now, Down, EchoFailed)
	m.news(now, &out)
	m.schedule(now)
	return out
}

// stop begins to say goodbye (RFC 5880 6.8.16). A session that is up does so for as long as the peer may need to find out, and at the pace
// that was agreed: a goodbye of one packet may be lost, and the peer would take the silence for a failure. The others say it once.
func (m *machine) stop(now time.Time) (out outgoing) {
	if m.phase == AdminDown {
		return out
	}
	pace, wasUp := m.interval(), m.phase == Up
	m.enter(now, AdminDown, AdministrativelyDown)
	m.transmitInUse, m.endAt = pace, now
	if wasUp {
		m.endAt = now.Add(time.Duration(m.config.Multiplier) * pace)
	}
	if m.remote != 0 {
		m.news(now, &out)
	}
	m.schedule(now)
	return out
}

// stopped is whether goodbye has been said for long enough.
func (m *machine) stopped(now time.Time) bool { return !m.endAt.IsZero() && !now.Before(m.endAt) }

// news sends a packet now rather than when the next one is due, since it differs from the last (RFC 5880 6.8.7). A peer that wants no
// periodic packets gets it too.
func (m *machine) news(now time.Time, out *outgoing) {
	if m.remote == 0 && m.config.Passive {
		return
	}
	out.add(m.packet(now, false))
	m.sendAt = time.Time{}
}

// packet is the one to send now. One that answers a poll does not change when the next is due (RFC 5880 6.5).
func (m *machine) packet(now time.Time, final bool) Packet {
	p := Packet{
		Diagnostic: m.diagnostic, Phase: m.phase, Final: final, Poll: m.poll != noPoll && !final,
		Multiplier: m.config.Multiplier, Sender: m.local, Receiver: m.remote,
		DesiredTransmit: m.desiredTransmit, RequiredReceive: m.config.Receive, EchoReceive: m.echoReceive,
	}
	if p.Poll && m.poll == pollDue {
		m.poll = pollSent
	}
	if !final {
		m.sentAt = now
	}
	return p
}
