// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"metalsuite.io/api/reason"
)

// State is what a speaker says about itself.
type State struct {
	// Fit says that the node is able to announce addresses.
	Fit bool `json:"fit"`
	// Links are the MAC addresses from which the speaker's claims come, by interface name.
	Links map[string]string `json:"links,omitempty"`
	// MACs are further hardware addresses from which claims may come once an interface works, in lower case, sorted and distinct.
	MACs []string `json:"macs,omitempty"`
	// Subnets are the prefixes that are on the link of the node's interfaces, sorted. SubnetsTold is whether the speaker tells of its interfaces
	// at all, of subnets and of uses, so that a node which is on none is not taken for one whose speaker knows nothing of them.
	Subnets     []netip.Prefix `json:"subnets,omitempty"`
	SubnetsTold bool           `json:"subnetsTold,omitempty"`
	// Uses says of addresses of Services for what the node itself uses them: a reason by address. It holds at most MaxUses.
	// UsesCut is whether there are more of them.
	Uses    map[string]string `json:"uses,omitempty"`
	UsesCut bool              `json:"usesCut,omitempty"`
	// Strangers are the addresses that the speaker owns and leaves to a stranger on the network, sorted; at most MaxUses.
	Strangers []netip.Addr `json:"strangers,omitempty"`
	// Unsuitable are addresses of pools that no Service is to be granted because of this node and that are not in Uses, the most important
	// first; at most MaxUses.
	Unsuitable []netip.Addr `json:"unsuitable,omitempty"`
	// Version is the version of the speaker's program.
	Version string `json:"version,omitempty"`
}

// MaxUses is how many uses, strangers, unsuitable addresses and further hardware addresses a State tells of at most, so that it stays small whatever a node is
// set up for.
const MaxUses = 16

func (s State) equal(o State) bool {
	return s.Fit == o.Fit && s.Version == o.Version && maps.Equal(s.Links, o.Links) && slices.Equal(s.MACs, o.MACs) &&
		slices.Equal(s.Subnets, o.Subnets) && s.SubnetsTold == o.SubnetsTold && maps.Equal(s.Uses, o.Uses) && s.UsesCut == o.UsesCut && slices.Equal(s.Strangers, o.Strangers) &&
		slices.Equal(s.Unsuitable, o.Unsuitable)
}

func (s State) clone() State {
	s.Links = maps.Clone(s.Links)
	s.MACs = slices.Clone(s.MACs)
	s.Subnets = slices.Clone(s.Subnets)
	s.Uses = maps.Clone(s.Uses)
	s.Strangers = slices.Clone(s.Strangers)
	s.Unsuitable = slices.Clone(s.Unsuitable)
	return s
}

// Member is a speaker that is alive.
type Member struct {
	// Name is the name of the speaker's node.
	Name string
	// State is what the speaker said last; its zero value, so not fit, as long as Known is false.
	State State
	// Known is false from the moment a member appears until its state has arrived, usually a few milliseconds. A member that speaks
	// a format which this program does not know counts as known and fit, without links.
	Known bool
	// Life tells one run of the speaker from the next, also where a new node has the name of a former one. Of another speaker it is zero as
	// long as its state has not arrived.
	Life uint64
}

// Options are what a Membership needs to start.
type Options struct {
	// Name is the name of the node, unique among the members.
	Name string
	// Bind is the address and the port, for both UDP and TCP, of this member; the others are expected on the same port.
	Bind netip.AddrPort
	// Key encrypts all traffic; only members with a common key see each other. Former is the key before it and may be empty: then some
	// members may not know Key yet, and Former encrypts until all had the time to read Key.
	Key, Former Key
	// ReadKeys reads the keys again, at each time of KeyTicks. Both nil means that the keys never change.
	ReadKeys func() (Keys, error)
	KeyTicks <-chan time.Time
	// Profile is how fast a lost member is noticed; Fast unless given.
	Profile Profile
	// Log gets members that come and go at V(0) and the rest at V(1) and above.
	Log logr.Logger
	// Metrics is where the metrics are registered; nil means nowhere.
	Metrics prometheus.Registerer
}

// Membership is this node's view of the speakers that are alive. It is usable before, during and after Run; without Run, only the node
// itself is a member.
type Membership struct {
	options Options
	metrics metrics
	queue   *memberlist.TransmitLimitedQueue
	lines   *logWriter
	size    atomic.Int64
	keyring *memberlist.Keyring
	// rotation belongs to New, then to rekey.
	rotation rotation

	// known is how many problems there were when Run looked last.
	known int

	mu    sync.Mutex
	table table
	holds holds
	peers []netip.Addr
	// keyProblem says why the keys were not read again.
	keyProblem *reason.Problem

	changed   chan struct{} // for the user: Members or Problems would answer otherwise
	published chan struct{} // for Run: our own state changed
	wake      chan struct{} // for Run: the peers or the members changed
}

// New checks the options and returns a Membership that touches no network before Run.
func New(o Options) (*Membership, error) {
	o.Profile = cmp.Or(o.Profile, Fast)
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("preparing the membership: %w", err)
	}
	m := &Membership{
		options:   o,
		rotation:  newRotation(time.Now(), Keys{Current: o.Key, Former: o.Former}),
		metrics:   newMetrics(),
		table:     newTable(o.Name, uint64(time.Now().UnixNano())),
		holds:     newHolds(timings[o.Profile].timeout / 2),
		changed:   make(chan struct{}, 1),
		published: make(chan struct{}, 1),
		wake:      make(chan struct{}, 1),
	}
	ring, err := newKeyring(m.rotation)
	if err != nil {
		return nil, err
	}
	m.keyring = ring
	m.queue = &memberlist.TransmitLimitedQueue{
		RetransmitMult: retransmitMult,
		// The queue asks while it is locked, so the answer must not need our own lock.
		NumNodes: func() int { return int(m.size.Load()) },
	}
	m.lines = newLogWriter(o.Log, func() {
		signal(m.changed)
		signal(m.wake)
	}, m.expects)
	if err := m.metrics.register(o.Metrics); err != nil {
		return nil, fmt.Errorf("registering the metrics of the membership: %w", err)
	}
	return m, nil
}

func (o Options) validate() error {
	if o.Name == "" {
		return errors.New("the node name is empty")
	}
	if !o.Bind.Addr().IsValid() || o.Bind.Addr().IsUnspecified() || o.Bind.Port() == 0 {
		return fmt.Errorf("%q is not an address and port that other nodes can reach", o.Bind)
	}
	if _, known := timings[o.Profile]; !known {
		return fmt.Errorf("unknown profile %q", o.Profile)
	}
	if len(o.Former) > 0 {
		if err := o.Former.validate(); err != nil {
			return err
		}
	}
	return o.Key.validate()
}

// Members returns the members that are alive, this node included, sorted by name. The result is the caller's own.
func (m *Membership) Members() []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.table.members()
}

// Problems returns the problems of the members with each other that this one has seen in the last two minutes, the worst first, and its own
// with the key.
func (m *Membership) Problems() []*reason.Problem {
	all, _ := m.lines.problems(time.Now())
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keyProblem != nil {
		all = append(all, m.keyProblem)
	}
	return all
}

// Changed receives a value after Members or Problems has changed. The channel has a capacity of one, notifications coalesce, and it is never closed.
func (m *Membership) Changed() <-chan struct{} { return m.changed }

// Publish makes s the state of this node, for itself at once and for the others within milliseconds. It does not block; a state equal
// to the last one is not sent again.
func (m *Membership) Publish(s State) {
	m.mu.Lock()
	news := m.table.publish(s.clone())
	m.mu.Unlock()
	if news {
		signal(m.published)
		signal(m.changed)
	}
}

// SetPeers replaces the addresses at which other speakers are expected. As long as there is no live member at one of them, Run tries to
// join it. This node's own address may be among them. It does not block.
func (m *Membership) SetPeers(addresses []netip.Addr) {
	peers := make([]netip.Addr, 0, len(addresses))
	for _, a := range addresses {
		if a.IsValid() {
			peers = append(peers, a.Unmap())
		}
	}
	slices.SortFunc(peers, netip.Addr.Compare)
	m.mu.Lock()
	m.peers = slices.Compact(peers)
	m.mu.Unlock()
	signal(m.wake)
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
