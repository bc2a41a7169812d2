// SPDX-License-Identifier: Apache-2.0

package service

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/internal/allocation"
)

// rivalTimes say how patient we are with others who write what we write.
type rivalTimes struct {
	// calm is how long what we wrote has to stand until what happened before is forgotten.
	calm time.Duration
	// first is for how long a Service is left to its rival at first; each time after that is twice as long, up to longest.
	first, longest time.Duration
}

var usualTimes = rivalTimes{calm: time.Minute, first: time.Minute, longest: 5 * time.Minute}

// contest is what is known of who writes the ingress of one Service. It is pure: time comes in as an argument.
//
// Who overwrites us once is taken for a hand that slipped, and repaired at once. Who does it again before ours stood for a while is a
// rival: the Service is left to it for a while before we write again, and longer each time it overwrites that.
type contest struct {
	uid types.UID
	// stands is whether ours is in the status, as far as we know: addresses, since a time, written on top of the version base.
	stands    bool
	addresses []netip.Addr
	base      string
	since     time.Time

	overwritten int
	rival       string
	backOff     time.Duration
	until       time.Time
	told        bool
}

// sight is a Service as it is found before it is written.
type sight struct {
	uid     types.UID
	version string
	// have is the ingress as it stands, want are the addresses that should.
	have []corev1.LoadBalancerIngress
	want []netip.Addr
	// writer is the foreign manager that wrote the ingress; empty if it was us, or if nobody says.
	writer string
	// ours is whether we are the manager that wrote it.
	ours bool
	// marked is whether the Service bears the annotation that we write beside the ingress.
	marked bool
}

// by takes note of the manager that wrote the ingress.
func (s *sight) by(manager string) {
	if s.ours = slices.Contains(ownManagers, manager); !s.ours {
		s.writer = manager
	}
}

// stance is how we meet a Service.
type stance struct {
	// hold is for how long the ingress is to be left alone; zero to write it.
	hold time.Duration
	// rival is the manager to which it is left; empty when its name is not known.
	rival string
	// contested is set when what is written now was overwritten more than once.
	contested bool
}

// look takes note of a Service as it is found and says whether its ingress may be written.
func (c *contest) look(s sight, now time.Time, t rivalTimes) stance {
	switch {
	case sameIngress(s.have, ingress(s.want)):
		c.found(s.want, now)
		return stance{}
	case c.isOverwrite(s):
		c.count(s.writer, now, t)
	}
	if c.stands {
		return stance{}
	}
	return stance{hold: max(0, c.until.Sub(now)), rival: c.rival, contested: c.backOff > 0}
}

// isOverwrite reports whether somebody else replaced what we wrote. What is as old as what we last wrote on top of is only news that has
// not arrived. A process that never saw the Service before believes its marks: they say that ours has stood there.
func (c *contest) isOverwrite(s sight) bool {
	if s.ours {
		return false
	}
	if !c.stands {
		return c.since.IsZero() && c.overwritten == 0 && s.marked && s.writer != ""
	}
	return s.version != c.base && !sameIngress(s.have, ingress(c.addresses))
}

func (c *contest) count(writer string, now time.Time, t rivalTimes) {
	if c.stands && now.Sub(c.since) >= t.calm {
		*c = contest{uid: c.uid, since: c.since}
	}
	c.stands = false
	c.overwritten++
	if writer != "" {
		c.rival = writer
	}
	if c.overwritten > 1 {
		c.backOff = min(max(2*c.backOff, t.first), t.longest)
		c.until = now.Add(c.backOff)
	}
}

// found takes note that what should be in the status is there.
func (c *contest) found(want []netip.Addr, now time.Time) {
	if !c.stands {
		c.since = now
	}
	c.stands, c.addresses, c.base = true, want, ""
}

// wrote takes note that we wrote the ingress on top of a version.
func (c *contest) wrote(addresses []netip.Addr, base string, now time.Time) {
	c.stands, c.addresses, c.base, c.since = true, addresses, base, now
}

// rivals are the contests of all Services. It is safe for concurrent use; one Service is looked at by one goroutine at a time.
type rivals struct {
	times rivalTimes

	mu       sync.Mutex
	contests map[allocation.Key]*contest
}

func newRivals(t rivalTimes) *rivals {
	return &rivals{times: t, contests: map[allocation.Key]*contest{}}
}

// look is contest.look; a Service that was deleted and made anew starts from nothing.
func (r *rivals) look(key allocation.Key, s sight, now time.Time) stance {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.contests[key]
	if c == nil || c.uid != s.uid {
		c = &contest{uid: s.uid}
		r.contests[key] = c
	}
	return c.look(s, now, r.times)
}

func (r *rivals) wrote(key allocation.Key, addresses []netip.Addr, base string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.contests[key]; c != nil {
		c.wrote(addresses, base, now)
	}
}

// news reports, once for each rivalry, that it has not been told yet.
func (r *rivals) news(key allocation.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.contests[key]
	if c == nil || c.told {
		return false
	}
	c.told = true
	return true
}

func (r *rivals) forget(key allocation.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.contests, key)
}

// held counts the Services whose ingress is left to a rival.
func (r *rivals) held(now time.Time) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var n int64
	for _, c := range r.contests {
		if !c.stands && now.Before(c.until) {
			n++
		}
	}
	return n
}
