// SPDX-License-Identifier: Apache-2.0

// Package announcers is the contract between the speaker, which decides what a node announces, and the modules that make a network
// believe it.
//
// A module knows neither Kubernetes nor elections: it gets plain addresses and answers whether each one is effective. It never asks
// whether this node SHOULD announce an address; it only says whether it CAN. The package imports nothing but the standard library and
// the vocabulary of reasons, so a third module can be written outside this repository.
package announcers

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"metalsuite.io/api/reason"
)

// Ownership says how many nodes may announce one address at the same time, and so which advertisements feed a module.
type Ownership int

const (
	// Exclusive modules announce an address from one node at a time: the elected owner. L2Advertisements feed them.
	Exclusive Ownership = iota
	// Shared modules announce an address from every node that the policy selects. BGPAdvertisements feed them.
	Shared
)

// Announcer makes the network send addresses to this node.
//
// A module is created without side effects on the network. All methods but Run may be called from any goroutine, before, during and
// after Run; what Apply was given before Run starts takes effect when it starts.
type Announcer interface {
	// Name is the stable name of the module in the API, in metrics and in logs: a DNS label. It never blocks.
	Name() string

	// Ownership never changes over the life of the module. It never blocks.
	Ownership() Ownership

	// Run works until the context ends, owns every goroutine and socket of the module, and has joined and closed them all when it
	// returns. It returns nil when the context ended and an error when the module cannot work at all (no permission to open a raw
	// socket, say); the caller may run it again later.
	Run(ctx context.Context) error

	// Apply makes desired the COMPLETE set that this node announces: what is new is announced, what is absent is withdrawn, what is
	// unchanged is left alone, with nothing on the wire. It is idempotent, never blocks on the network and always reports on every
	// desired address; a partial failure is a state in the report and is tried again by the next Apply.
	Apply(ctx context.Context, desired Desired) Report

	// Changed receives a value after the module's observed state changed by itself (a link went down, a peer came up), so that a new
	// Apply would report otherwise. The channel has a capacity of one, notifications coalesce, and it is never closed.
	Changed() <-chan struct{}
}

// FitnessReporter is an optional ability of an Announcer: it knows whether this node is physically able to announce at all.
type FitnessReporter interface {
	// Fit returns nil when the node is able to announce, else why it is not. It never blocks.
	Fit() *reason.Problem
}

// LinkReporter is an optional ability of an Announcer: it knows the interfaces that its claims come from and what they are used for.
type LinkReporter interface {
	// LinkAddresses returns the hardware address of every interface the module announces on, by interface name. It never blocks.
	LinkAddresses() map[string]string

	// HardwareAddresses returns the hardware address of every interface that the module may announce on as soon as it works, also of one
	// without carrier, in lower-case colon form, sorted and distinct: the other speakers have to know it before it claims anything. It
	// never blocks. A change is told through Changed.
	HardwareAddresses() []string

	// Subnets returns the prefixes that are on the link of the interfaces which the module announces on unless others are named,
	// sorted and distinct. It never blocks.
	Subnets() []netip.Prefix

	// Uses says for what this node itself uses an address, be it desired or not. It never blocks. A change is told through Changed, but for
	// Internal uses of addresses outside of the desired Prefixes: of these it is told when an interface gets the first Proxied address or loses
	// the last.
	Uses(netip.Addr) Use

	// Unsuitable returns the addresses that no Service is to be granted because of this node, be they desired or not, each with why: those
	// of which Uses tells a use that is not Internal, and the edges of the subnets that its interfaces have by their addresses (NetworkAddress,
	// BroadcastAddress, SubnetRouterAnycastAddress), where the module may announce on them. It never blocks. The caller does not change the result. A change is
	// told through Changed.
	Unsuitable() map[netip.Addr]*reason.Problem
}

// Use is what a node itself does with an address; the zero value is no use.
type Use struct {
	// Reason is LocalAddress when the address is configured on an interface, NextHopAddress when a route leads through it, empty when it
	// is used for neither.
	Reason reason.Reason
	// Interfaces have the address configured, sorted; empty for a next hop. The caller does not change it.
	Interfaces []string
	// Internal is whether each of Interfaces has it as a host address (/32, /128) and leads to no segment (a dummy, the loopback, an
	// interface without ARP, a bridge without ports). The node's own loopback address is held so, and the addresses that a service proxy keeps on every node: the
	// caller has to find out which of the two it is, and the module announces the address if it is desired.
	Internal bool
}

// Problem is the use of an address as the node itself tells of it; nil when there is none.
func (u Use) Problem(a netip.Addr) *reason.Problem {
	switch {
	case u.Reason == "":
		return nil
	case u.Reason == reason.NextHopAddress:
		return reason.New(u.Reason, "a route of this node leads through %s", a)
	case len(u.Interfaces) == 0:
		return reason.New(u.Reason, "%s is configured on this node", a)
	case u.Internal: // net.ipv4.conf.*.arp_ignore decides whether the kernel answers
		return reason.New(u.Reason, "%s is configured on interface %s of this node", a, strings.Join(u.Interfaces, ", "))
	}
	return reason.New(u.Reason, "%s is configured on interface %s of this node, and the kernel answers for it", a, strings.Join(u.Interfaces, ", "))
}

// ConflictReporter is an optional ability of an Announcer: it hears other stations use the addresses that it announces.
type ConflictReporter interface {
	// Conflicts returns what was seen on each desired address that another station uses or has used within the last ConflictTTL, once for
	// each interface, sorted by address and interface; the result is the caller's own. It never blocks. A new conflict, and one that withdraws an address or gives it back,
	// is told through Changed; that a known one was seen again is told once a minute at most, or once in ten seconds if it comes from
	// elsewhere than before.
	Conflicts() []Conflict
}

// ConflictTTL is how long a conflict is remembered after it was seen last.
const ConflictTTL = 10 * time.Minute

// Conflict is that a stranger, a station that is none of the speakers, uses an address.
type Conflict struct {
	Addr netip.Addr
	// Interface is where the stranger was heard, HardwareAddress from where it spoke.
	Interface, HardwareAddress string
	// Since is when the conflict began, Last when the stranger was heard last.
	Since, Last time.Time
	// Withdrawn is whether the module leaves the address to the stranger on Interface. Else it announces the address there in spite of it.
	Withdrawn bool
	// AnnouncedOn are the interfaces on which the module announces an address that it has withdrawn on Interface, sorted; empty when there
	// are none, or Withdrawn is false.
	AnnouncedOn []string
	// Elsewhere is whether the address belongs to a subnet of another interface of this node, and not of Interface: there a router answers
	// for addresses behind it (proxy ARP, RFC 1027). Such a claim never withdraws the address.
	Elsewhere bool
}

// Reannouncer is an optional ability of an Announcer: it repeats its claims at once, for neighbours that may have heard another one.
type Reannouncer interface {
	// Reannounce repeats every claim that is effective. It never blocks.
	Reannounce()
}

// Desired is everything a node is to announce through one module.
type Desired struct {
	// Addresses are distinct by Addr; their order has no meaning.
	Addresses []Address
	// Prefixes cover every address that this node may be asked to announce, now or later; they change rarely. A module may ignore what
	// the network asks about other addresses. Empty means that nothing is known, so that everything may matter.
	Prefixes []netip.Prefix
	// Proxied are addresses that only a service proxy configures on a node (in Kubernetes, the cluster IPs of Services), sorted and distinct:
	// they show whose an internal interface is. Modules that know no interfaces ignore them. Neither side changes them later.
	Proxied []netip.Addr
	// Allies are the hardware addresses of the other speakers, in lower-case colon form, sorted. What they claim is a handover, or two
	// halves of a network that have just met, and never a conflict with a stranger.
	Allies []string
	// Peers are the routers to announce to, sorted by Name, with what is announced to each; modules that speak with no router ignore them.
	// An address counts as effective when a peer has a route whose prefix contains it.
	Peers []Peer
	// Drain is whether traffic is to leave this node: routes are marked first (RFC 8326) and withdrawn a moment later. Modules that
	// announce an address from one node ignore it.
	Drain bool
}

// Address is one address to announce.
type Address struct {
	// Addr is a valid unicast address without zone; IPv4 is never in its IPv6-mapped form.
	Addr netip.Addr
	// Services are opaque keys of the Services behind the address, sorted: for logs and metrics only.
	Services []string
	// Interfaces are the names of the interfaces to announce on, sorted; empty means every interface the module may use.
	Interfaces []string
	// Fresh is whether no node has announced the address since it was granted, or the last one had left it to a stranger: then the module
	// makes sure that no stranger uses it. It counts when the address is new to the module; later Applies may leave it out.
	Fresh bool
}

// Phase is how far the announcement of an address has come.
type Phase int

const (
	// Waiting: the module has accepted the address and something outside has to happen first (an interface appears, a peer comes up).
	Waiting Phase = iota
	// Effective: the address is being announced.
	Effective
	// Refused: the module cannot announce this address as desired; the reason says why.
	Refused
)

// String returns the phase as one lower-case word.
func (p Phase) String() string {
	switch p {
	case Waiting:
		return "waiting"
	case Effective:
		return "effective"
	case Refused:
		return "refused"
	}
	return "unknown"
}

// State is what a module reports on one address.
type State struct {
	Phase Phase
	// Interfaces are the names of the interfaces on which the address is effective, sorted. A module without interfaces leaves it empty.
	Interfaces []string
	// Problem says why the phase is not Effective; nil when it is.
	Problem *reason.Problem
}

// Report is the answer to one Apply. Neither side changes it later.
type Report struct {
	// States has one entry for every desired address.
	States map[netip.Addr]State
	// Problem is what is wrong with the module as a whole: it cannot work (not running, no permission, not available in this build), or it
	// works without a setting that it cannot use.
	Problem *reason.Problem
}
