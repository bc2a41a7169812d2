// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"metalsuite.io/test/lab/internal/cluster"
)

// FRR is what runs on the router.
type FRR struct{ checkout string }

// FRR returns what runs on the router.
func (l *Lab) FRR() FRR { return FRR{filepath.Dir(filepath.Dir(l.Kubeconfig()))} }

// Configure types lines into FRR's configuration mode, in order, up to the first that it does not take.
func (FRR) Configure(ctx context.Context, lines ...string) error {
	args := []string{"-c", "configure terminal"}
	for _, line := range lines {
		args = append(args, "-c", line)
	}
	_, err := cluster.Vtysh(ctx, args...)
	return err
}

// Neighbour types lines into the section of the router's autonomous system.
func (f FRR) Neighbour(ctx context.Context, lines ...string) error {
	return f.Configure(ctx, append([]string{fmt.Sprintf("router bgp %d", RouterASN)}, lines...)...)
}

// Run carries out a command outside the configuration mode and returns what it prints.
func (FRR) Run(ctx context.Context, command string) (string, error) {
	return cluster.Vtysh(ctx, "-c", command)
}

// Restore gives FRR its first configuration back; all sessions begin anew.
func (FRR) Restore(ctx context.Context) error { return cluster.RestoreRouter(ctx) }

// Stop kills a daemon: zebra, bgpd or bfdd.
func (FRR) Stop(ctx context.Context, daemon string) error { return cluster.StopRouting(ctx, daemon) }

// Start starts a daemon that Stop has killed, with FRR's first configuration.
func (f FRR) Start(daemon string) error {
	return (&cluster.Lab{Checkout: f.checkout, Progress: func(string, ...any) {}}).StartRouting(daemon)
}

// show reads a command's JSON.
func show(ctx context.Context, command string, into any) error {
	text, err := cluster.Vtysh(ctx, "-c", command+" json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("reading %q of the router: %w", command, err)
	}
	return nil
}

// Path is one way to a prefix, as FRR has received it.
type Path struct {
	// Peer is who sent it: an address, or the name of a link.
	Peer string
	// NextHops are the addresses where packets are to go; over link-local sessions the global one, if any, too.
	NextHops []string
	// ASPath is as vtysh prints it, empty within one autonomous system.
	ASPath    string
	LocalPref uint32
	MED       uint32
	// Communities and LargeCommunities are as vtysh prints them, sorted.
	Communities, LargeCommunities []string
	// Internal is whether the peer is of the router's own autonomous system.
	Internal bool
	// Stale is whether the path is kept although its session is gone (RFC 4724).
	Stale bool
	// Used is whether packets go this way; of several equal ones all are.
	Used bool
}

type path struct {
	ASPath struct {
		String string `json:"string"`
	} `json:"aspath"`
	LocalPref uint32 `json:"locPrf"`
	MED       uint32 `json:"metric"`
	Stale     bool   `json:"stale"`
	Multipath bool   `json:"multipath"`
	Best      struct {
		Overall bool `json:"overall"`
	} `json:"bestpath"`
	Community, LargeCommunity struct {
		String string `json:"string"`
	}
	NextHops []struct {
		IP string `json:"ip"`
	} `json:"nexthops"`
	Peer struct {
		ID        string `json:"peerId"`
		Interface string `json:"interface"`
		Type      string `json:"type"`
	} `json:"peer"`
}

// Paths returns the ways to exactly this prefix, sorted by peer.
func (FRR) Paths(ctx context.Context, prefix netip.Prefix) ([]Path, error) {
	var answer struct {
		Prefix string `json:"prefix"`
		Paths  []path `json:"paths"`
	}
	family := "ipv4"
	if prefix.Addr().Is6() {
		family = "ipv6"
	}
	if err := show(ctx, fmt.Sprintf("show bgp %s unicast %s", family, prefix), &answer); err != nil {
		return nil, err
	}
	var paths []Path
	for _, p := range answer.Paths {
		paths = append(paths, p.plain())
	}
	slices.SortFunc(paths, func(a, b Path) int { return strings.Compare(a.Peer, b.Peer) })
	return paths, nil
}

func (p path) plain() Path {
	plain := Path{
		Peer: p.Peer.ID, ASPath: p.ASPath.String, LocalPref: p.LocalPref, MED: p.MED, Stale: p.Stale, Used: p.Best.Overall || p.Multipath,
		Communities: words(p.Community.String), LargeCommunities: words(p.LargeCommunity.String), Internal: p.Peer.Type == "internal",
	}
	if p.Peer.Interface != "" {
		plain.Peer = p.Peer.Interface
	}
	if plain.ASPath == "Local" {
		plain.ASPath = ""
	}
	for _, hop := range p.NextHops {
		plain.NextHops = append(plain.NextHops, hop.IP)
	}
	return plain
}

func words(s string) []string {
	all := strings.Fields(s)
	slices.Sort(all)
	return all
}

// Session is a BGP session as FRR sees it.
type Session struct {
	State string `json:"bgpState"`
	// Established counts how often the session was established, Dropped how often it ended.
	Established int    `json:"connectionsEstablished"`
	Dropped     int    `json:"connectionsDropped"`
	RemoteASN   uint32 `json:"remoteAs"`
	// Up is when the session was established, in seconds since 1970.
	Up int64 `json:"bgpTimerUpEstablishedEpoch"`
	// HoldTime was agreed on, in ms.
	HoldTime int `json:"bgpTimerHoldTimeMsecs"`
	// LastReset says why the session ended last.
	LastReset string `json:"lastResetDueTo"`
}

// Sessions returns the BGP sessions by neighbour.
func (FRR) Sessions(ctx context.Context) (map[string]Session, error) {
	var raw map[string]json.RawMessage
	if err := show(ctx, "show bgp neighbors", &raw); err != nil {
		return nil, err
	}
	sessions := map[string]Session{}
	for name, content := range raw {
		var s Session
		// Beside the neighbours stand words about the router itself.
		if json.Unmarshal(content, &s) == nil && s.State != "" {
			sessions[name] = s
		}
	}
	return sessions, nil
}

// BFD is a BFD session as FRR sees it. Intervals are in ms.
type BFD struct {
	Peer             string `json:"peer"`
	Local            string `json:"local"`
	Multihop         bool   `json:"multihop"`
	Status           string `json:"status"`
	Diagnostic       string `json:"diagnostic"`
	RemoteDiagnostic string `json:"remote-diagnostic"`
	RemoteReceive    int    `json:"remote-receive-interval"`
	RemoteTransmit   int    `json:"remote-transmit-interval"`
	RemoteMultiplier int    `json:"remote-detect-multiplier"`
	RemoteEcho       int    `json:"remote-echo-receive-interval"`
	EchoTransmit     int    `json:"echo-transmit-interval"`
	// Uptime is in seconds.
	Uptime int `json:"uptime"`
}

// BFD returns the BFD sessions by peer.
func (FRR) BFD(ctx context.Context) (map[string]BFD, error) {
	var all []BFD
	if err := show(ctx, "show bfd peers", &all); err != nil {
		return nil, err
	}
	sessions := map[string]BFD{}
	for _, s := range all {
		sessions[s.Peer] = s
	}
	return sessions, nil
}

type counters struct {
	Peer         string `json:"peer"`
	Ups          int    `json:"session-up"`
	EchoSent     int    `json:"echo-packet-output"`
	EchoReceived int    `json:"echo-packet-input"`
}

func (FRR) counters(ctx context.Context, peer string) (counters, error) {
	var all []counters
	if err := show(ctx, "show bfd peers counters", &all); err != nil {
		return counters{}, err
	}
	for _, c := range all {
		if c.Peer == peer {
			return c, nil
		}
	}
	return counters{}, fmt.Errorf("the router has no BFD session with %s", peer)
}

// Ups returns how often the BFD session with a peer came up.
func (f FRR) Ups(ctx context.Context, peer string) (int, error) {
	c, err := f.counters(ctx, peer)
	return c.Ups, err
}

// Echoes returns how many echo packets the router sent to a peer, and how many came from there, its own among them.
func (f FRR) Echoes(ctx context.Context, peer string) (sent, received int, err error) {
	c, err := f.counters(ctx, peer)
	return c.EchoSent, c.EchoReceived, err
}
