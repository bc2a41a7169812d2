// SPDX-License-Identifier: Apache-2.0

package bfd

import "time"

// mute is whether no periodic packet may be sent (RFC 5880 6.8.7).
func (m *machine) mute() bool {
	return m.remote == 0 && m.config.Passive || m.remoteReceive == 0 || m.demanded()
}

// demanded is whether the peer has asked for silence, and both sides agree that all is well (RFC 5880 6.6). A poll sequence breaks it.
func (m *machine) demanded() bool {
	return m.remoteDemand && m.phase == Up && m.remotePhase == Up && m.poll == noPoll
}

// interval is the time from one packet to the next, before jitter (RFC 5880 6.8.2).
func (m *machine) interval() time.Duration { return max(m.transmitInUse, m.remoteReceive) }

// agreed is the longest time from one packet of the peer to its next (RFC 5880 6.8.4).
func (m *machine) agreed() time.Duration { return max(m.receiveInUse, m.remoteTransmit) }

// detection is the time without a packet after which the peer is given up (RFC 5880 6.8.4).
func (m *machine) detection() time.Duration { return time.Duration(m.remoteMultiplier) * m.agreed() }

// deadline is when the peer is given up; zero when nothing is expected from it.
func (m *machine) deadline() time.Time {
	if m.heard.IsZero() || m.phase == AdminDown {
		return time.Time{}
	}
	if deadline := m.heard.Add(m.detection()); deadline.After(m.grace) {
		return deadline
	}
	return m.grace
}

// schedule says when the next periodic packet is due. One that is scheduled stays so, unless the interval has become so short that it would
// be late (RFC 5880 6.8.3).
func (m *machine) schedule(now time.Time) {
	switch {
	case m.mute():
		m.sendAt = time.Time{}
	case m.sentAt.IsZero():
		m.sendAt = now
	case m.sendAt.IsZero():
		m.sendAt = m.sentAt.Add(m.jitter())
	default:
		if latest := m.sentAt.Add(m.interval()); m.sendAt.After(latest) {
			m.sendAt = m.sentAt.Add(m.jitter())
		}
	}
	if !m.sendAt.IsZero() && m.sendAt.Before(now) {
		m.sendAt = now
	}
}

// jitter is the interval less up to a quarter at random; with a multiplier of 1 at least a tenth less (RFC 5880 6.8.7).
func (m *machine) jitter() time.Duration { return m.jittered(m.interval()) }

func (m *machine) jittered(interval time.Duration) time.Duration {
	most := 100
	if m.config.Multiplier == 1 {
		most = 90
	}
	lowest, highest := interval*75/100, interval*time.Duration(most)/100
	return lowest + time.Duration(m.dice.roll()*float64(highest-lowest))
}

// next is when advance is to be called; zero when it need not be.
func (m *machine) next() time.Time { return earliest(earliest(m.deadline(), m.sendAt), m.endAt) }

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// dice are a small random generator (splitmix64) that is a value; jitter needs no better one.
type dice uint64

// roll returns a number from 0 to below 1.
func (d *dice) roll() float64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return float64(z>>11) / (1 << 53)
}
