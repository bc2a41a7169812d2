// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// sighting is what this node knows of an address that something else uses. It can be compared.
type sighting struct {
	why reason.Reason
	// nic is where the stranger was heard, hardware from where it spoke; both are empty for a use by this node.
	nic, hardware string
	// detail says how this node uses the address; empty for a stranger.
	detail string
	// withdrawn is whether this node announces the address nowhere because of it.
	withdrawn bool
	// rest are the interfaces on which this node announces the address although it has withdrawn it on nic; empty unless that is so.
	rest string
	// elsewhere is whether the address belongs to another interface than nic.
	elsewhere bool
}

// stranger says whether another machine uses the address, not this node.
func (s sighting) stranger() bool { return s.why == reason.AddressConflict }

// sentence is what users read of an address that this node has seen in use.
func (s sighting) sentence(a netip.Addr, node string) string {
	if !s.stranger() {
		return cmp.Or(s.detail, s.why.Text().Sentence)
	}
	outcome := "the address stays announced"
	switch {
	case s.withdrawn:
		outcome = "the address is withdrawn"
	case s.partly():
		outcome = fmt.Sprintf("the address is withdrawn on %s and announced on %s", s.nic, s.rest)
	case s.elsewhere:
		outcome = "the address stays announced, because its subnet is on another interface: turn off proxy ARP for it on the router there"
	}
	return fmt.Sprintf("address %s is used by another host (hardware address %s heard on interface %s of node %s), and %s",
		a, cmp.Or(s.hardware, "unknown"), cmp.Or(s.nic, "unknown"), node, outcome)
}

// partly says whether this node has withdrawn the address on one interface and announces it on another one.
func (s sighting) partly() bool { return s.rest != "" }

// severity orders what is known of an address: withdrawn, then withdrawn on one interface, then announced.
func (s sighting) severity() int {
	switch {
	case s.withdrawn:
		return 2
	case s.partly():
		return 1
	default:
		return 0
	}
}

// report is one sighting with the time of it.
type report struct {
	sighting
	since, last time.Time
	// followed is whether the node knows when it ends although no Service bears the address, muted whether another node tells users of it.
	followed, muted bool
}

// sightings puts together what the announcers have heard of strangers and what this node says of itself, which counts for more unless the
// address is announced in spite of it.
func (o Outcome) sightings(now time.Time) map[netip.Addr]report {
	out := make(map[netip.Addr]report, len(o.Conflicts)+len(o.Uses))
	for _, c := range o.Conflicts {
		s := strangerOf(c)
		if known, twice := out[c.Addr]; !twice || s.severity() > known.severity() {
			out[c.Addr] = report{sighting: s, since: c.Since, last: c.Last}
		}
	}
	for a, problem := range o.Uses {
		out[a] = report{sighting: sighting{why: problem.Reason, detail: problem.Detail, withdrawn: true}, since: now, last: now}
	}
	for a, r := range o.unborne() {
		if _, known := out[a]; known && (r.muted || !r.withdrawn) {
			continue
		}
		r.since, r.last = now, now
		out[a] = r
	}
	return out
}

func strangerOf(c announcers.Conflict) sighting {
	return sighting{
		why: reason.AddressConflict, nic: c.Interface, hardware: c.HardwareAddress, elsewhere: c.Elsewhere,
		withdrawn: c.Withdrawn && len(c.AnnouncedOn) == 0, rest: strings.Join(c.AnnouncedOn, ", "),
	}
}

// bearers are the keys of the Services that bear one of the addresses.
func (o Outcome) bearers(addresses []netip.Addr) []string {
	var keys []string
	for key, v := range o.Plan.Verdicts {
		if slices.ContainsFunc(addresses, func(a netip.Addr) bool { return slices.Contains(v.Addresses, a) }) {
			keys = append(keys, key)
		}
	}
	return keys
}

// conflicts returns what the announcers have heard of strangers.
func (s *Speaker) conflicts() []announcers.Conflict {
	var all []announcers.Conflict
	for _, m := range s.modules {
		if r, ok := m.Announcer.(announcers.ConflictReporter); ok {
			all = append(all, r.Conflicts()...)
		}
	}
	return all
}
