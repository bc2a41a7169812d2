// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"time"

	"github.com/hashicorp/memberlist"
)

// Profile is how fast a lost member is noticed, against how long a healthy one may stall without being taken for lost.
type Profile string

const (
	// Fast notices a loss within about 0.3 s; it is the default.
	Fast Profile = "fast"
	// Balanced notices a loss within about 1.5 s, for hosts that stall now and then.
	Balanced Profile = "balanced"
	// Slow notices a loss within about 7 s, for hosts that stall for seconds.
	Slow Profile = "slow"
)

type timing struct {
	probe, timeout, gossip, exchange, stream time.Duration
	suspicion                                int
}

var timings = map[Profile]timing{
	Fast:     {probe: 50 * time.Millisecond, timeout: 25 * time.Millisecond, suspicion: 3, gossip: 50 * time.Millisecond, exchange: 5 * time.Second, stream: 500 * time.Millisecond},
	Balanced: {probe: 250 * time.Millisecond, timeout: 125 * time.Millisecond, suspicion: 4, gossip: 100 * time.Millisecond, exchange: 10 * time.Second, stream: time.Second},
	Slow:     {probe: time.Second, timeout: 500 * time.Millisecond, suspicion: 4, gossip: 200 * time.Millisecond, exchange: 30 * time.Second, stream: 2 * time.Second},
}

// retransmitMult times the decimal logarithm of the number of members is how often each broadcast is sent.
const retransmitMult = 4

func (t timing) config() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.ProbeInterval, c.ProbeTimeout = t.probe, t.timeout
	c.GossipInterval, c.PushPullInterval, c.TCPTimeout = t.gossip, t.exchange, t.stream
	c.SuspicionMult, c.RetransmitMult = t.suspicion, retransmitMult
	// Without a second opinion, as when two of three members are lost at once, a suspicion lasts thrice as long as with one.
	c.SuspicionMaxTimeoutMult = 3
	// A member that finds itself slow probes at most four times less often.
	c.AwarenessMaxMultiplier = 4
	c.GossipNodes = 3
	// A node that returns under another address is not kept out for longer than this.
	c.DeadNodeReclaimTime = time.Second
	c.GossipToTheDeadTime = 10 * time.Second
	// Messages are a few hundred bytes; compressing each costs more than sending it.
	c.EnableCompression = false
	return c
}
