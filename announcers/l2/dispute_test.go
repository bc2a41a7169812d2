// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"metalsuite.io/announcers"
	"metalsuite.io/announcers/l2/link"
)

// play is a dispute about one address that is looked at every 50 ms; what happens is written down as "time:what".
type play struct {
	disputes
	start time.Time
	// placed is whether there is an interface, leaves whether it takes a probe.
	placed, leaves func(at time.Duration) bool
	log            []string
}

func newPlay() *play {
	always := func(time.Duration) bool { return true }
	return &play{disputes: newDisputes(), start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), placed: always, leaves: always}
}

func (p *play) note(at time.Duration, what string) {
	p.log = append(p.log, fmt.Sprintf("%d:%s", at.Milliseconds(), what))
}

// until plays, hearing a stranger at the given times.
func (p *play) until(end time.Duration, hears ...time.Duration) string {
	for at := time.Duration(0); at <= end; at += 50 * time.Millisecond {
		now := p.start.Add(at)
		before := p.stance(first, lan)
		if probe, _ := p.advance(now, func(netip.Addr) []string { return []string{lan}[:map[bool]int{true: 1}[p.placed(at)]] }); len(probe) > 0 {
			left := p.leaves(at)
			if left {
				p.note(at, "probe")
			}
			p.probed(place{first, lan}, left, now)
		}
		if p.stance(first, lan) != before {
			p.note(at, "settled")
		}
		for _, h := range hears {
			if h == at {
				p.hear(at, strangerMAC)
			}
		}
	}
	return strings.Join(p.log, " ")
}

func (p *play) hear(at time.Duration, mac link.MAC) {
	r := p.disputes.hear(place{first, lan}, mac, true, p.start.Add(at))
	for _, said := range []struct {
		yes  bool
		what string
	}{{r.withdraw, "withdraw"}, {r.defend, "defend"}, {r.tell, "tell"}} {
		if said.yes {
			p.note(at, said.what)
		}
	}
}

func TestTrial(t *testing.T) {
	second := time.Second
	for _, row := range []struct {
		name  string
		fresh bool
		end   time.Duration
		hears []time.Duration
		want  string
	}{
		{"nobody answers", true, second, nil, "0:probe 100:probe 300:probe 400:settled"},
		{"a stranger answers the first probe", true, second, ms(50), "0:probe 50:withdraw 50:tell"},
		{"a stranger answers the last probe", true, second, ms(350), "0:probe 100:probe 300:probe 350:withdraw 350:tell"},
		{"a stranger answers once, then is gone", true, 12 * second, ms(50), "0:probe 50:withdraw 50:tell 10050:probe 10150:probe 10350:probe 10450:settled"},
		{"a stranger answers the next trial too", true, 21 * second, ms(50, 10100),
			"0:probe 50:withdraw 50:tell 10050:probe 20100:probe 20200:probe 20400:probe 20500:settled"},
		{"a stranger that speaks between trials delays the next", true, 14 * second, ms(50, 4000), "0:probe 50:withdraw 50:tell 14000:probe"},
		{"a stranger comes after the trial", true, second, ms(500), "0:probe 100:probe 300:probe 400:settled 500:defend 500:tell"},
		{"an address that is not fresh is not probed", false, second, nil, ""},
		{"a forged claim costs nothing but an answer", false, second, ms(100), "100:defend 100:tell"},
		{"many forged claims are answered every ten seconds and told every minute", false, 75 * second, every(second, 75*second),
			"1000:defend 1000:tell 11000:defend 21000:defend 31000:defend 41000:defend 51000:defend 61000:defend 61000:tell 71000:defend"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPlay()
			if row.fresh {
				p.begin(first)
			}
			if diff := cmp.Diff(row.want, p.until(row.end, row.hears...)); diff != "" {
				t.Errorf("what happened (-want +got):\n%s", diff)
			}
		})
	}
}

func every(step, end time.Duration) []time.Duration {
	var out []time.Duration
	for at := step; at <= end; at += step {
		out = append(out, at)
	}
	return out
}

func TestTrialWaitsForAnInterface(t *testing.T) {
	p := newPlay()
	p.placed = func(at time.Duration) bool { return at >= 2*time.Second }
	p.begin(first)
	if _, due := p.next(); due {
		t.Error("a trial without interface is due")
	}
	if got, want := p.until(3*time.Second), "2000:probe 2100:probe 2300:probe 2400:settled"; got != want {
		t.Errorf("what happened: %s, want %s", got, want)
	}
}

func TestTrialStartsOverWhenTheInterfaceWasGone(t *testing.T) {
	away := func(from, to time.Duration) func(time.Duration) bool {
		return func(at time.Duration) bool { return at < from || at >= to }
	}
	p := newPlay()
	p.placed = away(150*time.Millisecond, time.Second)
	p.begin(first)
	if got, want := p.until(2*time.Second), "0:probe 100:probe 1000:probe 1100:probe 1300:probe 1400:settled"; got != want {
		t.Errorf("a trial: %s, want %s", got, want)
	}
	p = newPlay()
	p.placed = away(5*time.Second, 20*time.Second)
	p.begin(first)
	want := "0:probe 50:withdraw 50:tell 20000:probe 20100:probe 20300:probe 20400:settled"
	if got := p.until(21*time.Second, 50*time.Millisecond); got != want {
		t.Errorf("an address that was left to a stranger: %s, want %s", got, want)
	}
}

func TestProbeThatDidNotLeaveDoesNotCount(t *testing.T) {
	p := newPlay()
	p.leaves = func(at time.Duration) bool { return at >= time.Second }
	p.begin(first)
	if got, want := p.until(2*time.Second), "1000:probe 1100:probe 1300:probe 1400:settled"; got != want {
		t.Errorf("what happened: %s, want %s", got, want)
	}
}

func TestTrialThatEndsLateListensOnceMore(t *testing.T) {
	d, now := newDisputes(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	yes := func(netip.Addr) []string { return []string{lan} }
	d.begin(first)
	for range probesAfter {
		if probe, _ := d.advance(now, yes); len(probe) != 1 {
			t.Fatalf("%d probes, want one", len(probe))
		}
		d.probed(place{first, lan}, true, now)
		now = now.Add(time.Minute)
	}
	if _, ended := d.advance(now, yes); ended {
		t.Error("a process that stood still takes the address without listening")
	}
	if _, ended := d.advance(now.Add(answerWithin), yes); !ended {
		t.Error("the trial does not end")
	}
}

func TestAddressOfAStrangerIsRemembered(t *testing.T) {
	d, now := newDisputes(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	none := func(netip.Addr) bool { return false }
	d.begin(first)
	d.hear(place{first, lan}, strangerMAC, true, now)
	d.keep(now.Add(announcers.ConflictTTL-time.Second), none)
	d.begin(first)
	if d.stance(first, lan) != withdrawn {
		t.Error("an address that was not desired for a while is not the stranger's any more")
	}
	d.keep(now.Add(announcers.ConflictTTL), none)
	if d.stance(first, lan) != settled || len(d.conflicts) != 0 {
		t.Error("a stranger is remembered for ever")
	}
}

func TestAStrangerOnAnInterfaceThatHasGoneIsForgotten(t *testing.T) {
	a, notified := watched(t)
	both, one := interfaces(t, "eth0"), interfaces(t, "eth0")
	both = append(both, inspect(ethernet("eth1", 9), nil))
	a.observe(observation{ports: both})
	wish := announcers.Desired{Addresses: []announcers.Address{{Addr: first, Fresh: true}}}
	a.Apply(t.Context(), wish)
	a.due()
	a.hear([]sighting{{addr: first, mac: strangerMAC, index: 9}})
	clock, heard := a.clock.(*fakeClock), a.clock.Now()
	// All that time a probe finds nobody on the other interface.
	pass := func() {
		_, probes := a.due()
		for _, p := range probes {
			a.probed(p, true, a.clock.Now())
		}
	}
	a.observe(observation{ports: one})
	for range 5 {
		pass()
		clock.step(answerWithin)
	}
	told := func() int { return len(a.Conflicts()) }
	if told() != 1 || a.disputes.stance(first, "eth0") != settled {
		t.Fatalf("%d conflicts are told, the address on the other interface is %v", told(), a.disputes.stance(first, "eth0"))
	}
	clock.step(heard.Add(announcers.ConflictTTL - time.Millisecond).Sub(clock.Now()))
	pass()
	if at, due := a.next(); told() != 1 || !due || !at.Equal(heard.Add(announcers.ConflictTTL)) {
		t.Fatalf("%d conflicts are told, something is due at %v (%t)", told(), at, due)
	}
	notified()
	clock.step(time.Millisecond)
	pass()
	if told() != 0 || !notified() || len(a.disputes.trials) != 0 {
		t.Errorf("%d conflicts are told and %d trials go on", told(), len(a.disputes.trials))
	}
	if _, due := a.disputes.next(); due {
		t.Error("something is due for ever")
	}
	if state := a.Apply(t.Context(), wish).States[first]; state.Phase != announcers.Effective || len(state.Interfaces) != 1 {
		t.Errorf("the address is %+v", state)
	}
}

func TestAnInterfaceThatIsBackInTimeIsStillTheStrangers(t *testing.T) {
	d, now := newDisputes(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d.begin(first)
	d.hear(place{first, lan}, strangerMAC, true, now)
	nowhere := func(netip.Addr) []string { return nil }
	d.advance(now, nowhere)
	if now = now.Add(announcers.ConflictTTL - time.Second); d.forget(now) || d.stance(first, lan) != withdrawn {
		t.Error("a stranger is forgotten before its time")
	}
	if probe, _ := d.advance(now, func(netip.Addr) []string { return []string{lan} }); len(probe) != 1 || d.stance(first, lan) != withdrawn {
		t.Errorf("%d probes on the interface that is back", len(probe))
	}
	if d.forget(now.Add(time.Hour)) {
		t.Error("a stranger is forgotten on an interface that is there")
	}
}

func TestConflictsAreRememberedForAWhile(t *testing.T) {
	p := newPlay()
	p.hear(0, strangerMAC)
	p.hear(2*time.Second, strangerMAC)
	known := func(at time.Duration) []announcers.Conflict { return p.known(p.start.Add(at), everything) }
	want := []announcers.Conflict{{
		Addr: first, Interface: lan, HardwareAddress: strangerMAC.String(), Since: p.start, Last: p.start.Add(2 * time.Second),
	}}
	addresses := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(want, known(announcers.ConflictTTL+time.Second), addresses); diff != "" {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
	if left := known(announcers.ConflictTTL + 2*time.Second); len(left) != 0 {
		t.Errorf("%d conflicts are never forgotten", len(left))
	}
}

func TestConflictOfAWithdrawnAddressStays(t *testing.T) {
	p := newPlay()
	p.begin(first)
	p.hear(0, strangerMAC)
	if left := p.known(p.start.Add(time.Hour), everything); len(left) != 1 || !left[0].Withdrawn {
		t.Errorf("conflicts = %+v, want the one that withdraws the address", left)
	}
	if left := p.known(p.start, func(netip.Addr) bool { return false }); len(left) != 0 {
		t.Error("a conflict of an address that is not desired is told")
	}
}

func everything(netip.Addr) bool { return true }

func TestStrangerThatIsAnAllyIsForgotten(t *testing.T) {
	p := newPlay()
	p.begin(first)
	p.hear(0, strangerMAC)
	p.absolve(p.start.Add(time.Second), func(mac string) bool { return mac == peerMAC.String() })
	if len(p.conflicts) != 1 {
		t.Error("another machine's conflict is forgotten")
	}
	p.absolve(p.start.Add(time.Second), func(mac string) bool { return mac == strangerMAC.String() })
	if at, due := p.next(); len(p.conflicts) != 0 || !due || !at.Equal(p.start.Add(time.Second)) {
		t.Errorf("%d conflicts are left, the next trial is at %s", len(p.conflicts), at)
	}
}

func TestAnotherStrangerIsNews(t *testing.T) {
	p := newPlay()
	p.hear(0, strangerMAC)
	p.hear(time.Second, peerMAC)
	p.hear(11*time.Second, strangerMAC)
	if got, want := strings.Join(p.log, " "), "0:defend 0:tell 11000:defend 11000:tell"; got != want {
		t.Errorf("what happened: %s, want %s", got, want)
	}
	if c := p.known(p.start.Add(12*time.Second), everything); c[0].HardwareAddress != strangerMAC.String() {
		t.Errorf("the stranger is %s", c[0].HardwareAddress)
	}
}
