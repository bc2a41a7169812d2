// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

const (
	theirs  = "00:00:5e:00:53:2a"
	another = "00:00:5e:00:53:2b"
)

var disputed = netip.MustParseAddr("192.0.2.10")

// book is a ledger, the object that it keeps, and a clock.
type book struct {
	t *testing.T
	ledger
	now  time.Time
	have *v1beta1.AddressConflictStatus
	// writes counts what was written; told is what changed for users since it was asked last.
	writes int
	told   bool
	borne  bool
}

func newBook(t *testing.T) *book {
	return &book{t: t, now: time.Unix(100_000, 0), borne: true}
}

// act brings the object to what it is to be, and returns after how long to ask again.
func (b *book) act() time.Duration {
	todo := b.ledger.act(b.now, disputed, "n1", b.have)
	b.told = b.told || todo.changed
	switch {
	case todo.remove:
		b.have = nil
		b.wrote(time.Time{}, disputed)
		if b.ledger.act(b.now, disputed, "n1", nil).remove {
			b.t.Fatal("what is not there is to be removed")
		}
	case todo.want != nil:
		b.have, b.writes = todo.want, b.writes+1
		b.wrote(b.now, disputed)
	}
	return todo.again
}

// see reports what the node sees, after a while, and brings the object to what it is to be.
func (b *book) see(after time.Duration, o Outcome) time.Duration {
	b.now = b.now.Add(after)
	_, changed := b.take(b.now, o.sightings(b.now), func(netip.Addr) bool { return b.borne })
	b.told = b.told || len(changed) > 0
	return b.act()
}

// pass lets time pass with nothing new.
func (b *book) pass(after time.Duration) time.Duration {
	b.now = b.now.Add(after)
	return b.act()
}

// heard is that a stranger was heard just now.
func (b *book) heard(hardware string, withdrawn bool, since time.Duration) Outcome {
	return Outcome{Conflicts: []announcers.Conflict{{
		Addr: disputed, Interface: "eth0", HardwareAddress: hardware, Withdrawn: withdrawn, Since: b.now.Add(-since), Last: b.now,
	}}}
}

// later is an outcome as it will be when time has passed.
func (b *book) later(d time.Duration, f func() Outcome) Outcome {
	b.now = b.now.Add(d)
	return f()
}

func used(why reason.Reason) Outcome {
	return Outcome{Uses: map[netip.Addr]*reason.Problem{disputed: reason.New(why, "it is on eth1")}}
}

// shows checks what the object says; the empty string is no object.
func (b *book) shows(writes int, told bool, want string) {
	b.t.Helper()
	got := ""
	if b.have != nil {
		got = strings.Join(strings.Fields(fmt.Sprint(b.have.Reason, " ", b.have.HardwareAddress, " ", b.have.Interface, " ", b.have.Withdrawn)), " ")
	}
	if got != want || b.writes != writes || b.told != told {
		b.t.Fatalf("the object says %q after %d writes, told %v; want %q after %d, told %v", got, b.writes, b.told, want, writes, told)
	}
	b.told = false
}

func TestAClaimElsewhereIsToldAsProxyARP(t *testing.T) {
	address := netip.MustParseAddr("192.0.2.10")
	o := Outcome{Conflicts: []announcers.Conflict{{Addr: address, Interface: "eth0", HardwareAddress: "02:00:00:00:00:66", Elsewhere: true}}}
	s := o.sightings(time.Unix(0, 0))[address]
	const want = "address 192.0.2.10 is used by another host (hardware address 02:00:00:00:00:66 heard on interface eth0 of node n1), and the address stays announced, because its subnet is on another interface: turn off proxy ARP for it on the router there"
	if got := s.sentence(address, "n1"); got != want {
		t.Errorf("told is %q, want %q", got, want)
	}
}

func TestAnAddressThatIsWithdrawnOnOneOfTwoInterfacesIsToldAsSuch(t *testing.T) {
	b := newBook(t)
	partly := func() Outcome {
		o := b.heard(theirs, true, 0)
		o.Conflicts[0].AnnouncedOn = []string{"eth1", "eth2"}
		// Where the address is announced, a forger claims it.
		return Outcome{Conflicts: append(o.Conflicts, announcers.Conflict{Addr: disputed, Interface: "eth1", HardwareAddress: another, Since: b.now, Last: b.now})}
	}
	b.see(0, partly())
	b.shows(1, true, "AddressConflict "+theirs+" eth0 false")
	const want = "address 192.0.2.10 is used by another host (hardware address " + theirs + " heard on interface eth0 of node n1), and the address is withdrawn on eth0 and announced on eth1, eth2"
	if b.have.Message != want || !b.have.PartlyWithdrawn {
		t.Errorf("partly withdrawn is %t, the message is %q", b.have.PartlyWithdrawn, b.have.Message)
	}
	if got := withdrawn([]v1beta1.AddressConflict{{Status: *b.have}}); len(got) != 1 || got[0] != disputed {
		t.Errorf("the next speaker of the node reads %v", got)
	}
	b.see(0, b.later(settleConflict, func() Outcome { return b.heard(theirs, true, 0) }))
	b.shows(2, true, "AddressConflict "+theirs+" eth0 true")
	if b.have.PartlyWithdrawn {
		t.Error("an address that is announced nowhere is told as announced")
	}
	b.see(0, b.later(settleConflict, func() Outcome { return b.heard(theirs, false, 0) }))
	b.shows(3, true, "AddressConflict "+theirs+" eth0 false")
	if b.have.PartlyWithdrawn || len(withdrawn([]v1beta1.AddressConflict{{Status: *b.have}})) > 0 {
		t.Errorf("an address that is announced on every interface is told as %q", b.have.Message)
	}
}

func TestTheWorstOfSeveralInterfacesIsTold(t *testing.T) {
	announced := announcers.Conflict{Addr: disputed, Interface: "eth0"}
	partly := announcers.Conflict{Addr: disputed, Interface: "eth1", Withdrawn: true, AnnouncedOn: []string{"eth0"}}
	withdrawn := announcers.Conflict{Addr: disputed, Interface: "eth2", Withdrawn: true}
	for _, row := range []struct {
		name      string
		conflicts []announcers.Conflict
		want      string
	}{
		{"withdrawn on one of two", []announcers.Conflict{announced, partly}, "eth1"},
		{"in another order", []announcers.Conflict{partly, announced}, "eth1"},
		{"withdrawn everywhere it belongs", []announcers.Conflict{announced, withdrawn}, "eth2"},
		{"told by two announcers", []announcers.Conflict{announced, partly, withdrawn}, "eth2"},
		{"of two alike the first", []announcers.Conflict{announced, {Addr: disputed, Interface: "eth3"}}, "eth0"},
	} {
		if got := (Outcome{Conflicts: row.conflicts}).sightings(time.Unix(0, 0))[disputed].nic; got != row.want {
			t.Errorf("%s: told is %s, want %s", row.name, got, row.want)
		}
	}
}

func TestAStrangerIsToldOfOnceAndUntilItIsForgotten(t *testing.T) {
	b := newBook(t)
	again := b.see(0, b.heard(theirs, true, 0))
	b.shows(1, true, "AddressConflict "+theirs+" eth0 true")
	if again != announcers.ConflictTTL {
		t.Errorf("again after %v", again)
	}
	if want := "address 192.0.2.10 is used by another host (hardware address " + theirs + " heard on interface eth0 of node n1), and the address is withdrawn"; b.have.Message != want {
		t.Errorf("the message is %q", b.have.Message)
	}
	first := b.have.FirstSeen

	b.see(0, b.later(30*time.Second, func() Outcome { return b.heard(theirs, true, 30*time.Second) }))
	b.shows(1, false, "AddressConflict "+theirs+" eth0 true")
	b.see(0, b.later(30*time.Second, func() Outcome { return b.heard(theirs, true, time.Minute) }))
	b.shows(2, false, "AddressConflict "+theirs+" eth0 true")
	if !b.have.FirstSeen.Equal(&first) || b.have.LastSeen.Unix() != b.now.Unix() {
		t.Errorf("first %v, last %v", b.have.FirstSeen, b.have.LastSeen)
	}

	b.pass(announcers.ConflictTTL - time.Second)
	b.shows(2, false, "AddressConflict "+theirs+" eth0 true")
	b.pass(time.Second)
	b.shows(2, true, "")
	b.pass(time.Hour)
	b.shows(2, false, "")
}

func TestAForgerDoesNotMakeANodeWrite(t *testing.T) {
	b := newBook(t)
	b.pass(b.see(0, b.heard(theirs, false, 0)))
	b.shows(1, true, "AddressConflict "+theirs+" eth0 false")
	for i := range 98 {
		hardware := []string{another, theirs}[i%2]
		again := b.see(0, b.later(100*time.Millisecond, func() Outcome { return b.heard(hardware, false, 0) }))
		if hardware == another && again > settleConflict {
			t.Fatalf("the change is looked at after %v", again)
		}
	}
	b.shows(1, false, "AddressConflict "+theirs+" eth0 false")
	b.see(0, b.later(200*time.Millisecond, func() Outcome { return b.heard(another, false, 0) }))
	b.shows(2, true, "AddressConflict "+another+" eth0 false")
}

func TestAChangeThatLastsIsToldWithoutAnotherSighting(t *testing.T) {
	b := newBook(t)
	b.see(0, b.heard(theirs, true, 0))
	b.shows(1, true, "AddressConflict "+theirs+" eth0 true")
	again := b.see(0, b.later(time.Second, func() Outcome { return b.heard(theirs, false, time.Second) }))
	b.shows(1, false, "AddressConflict "+theirs+" eth0 true")
	b.pass(again)
	b.shows(2, true, "AddressConflict "+theirs+" eth0 false")
	if again != settleConflict-time.Second {
		t.Errorf("looked at again after %v", again)
	}
}

func TestAUseGoesWhenItEnds(t *testing.T) {
	b := newBook(t)
	again := b.see(0, used(reason.LocalAddress))
	b.shows(1, true, "LocalAddress true")
	if again != refreshConflict || b.have.Message != "it is on eth1" {
		t.Errorf("again after %v, message %q", again, b.have.Message)
	}
	first := b.have.FirstSeen
	b.see(time.Second, used(reason.LocalAddress))
	b.shows(1, false, "LocalAddress true")
	b.pass(refreshConflict)
	b.shows(2, false, "LocalAddress true")
	if !b.have.FirstSeen.Equal(&first) {
		t.Errorf("first seen is %v, was %v", b.have.FirstSeen, first)
	}
	b.see(time.Second, Outcome{})
	b.shows(2, true, "")
	b.see(time.Second, used(reason.LocalAddress))
	b.pass(settleConflict)
	b.shows(3, true, "LocalAddress true")
}

func TestAUseCountsForMoreThanAStranger(t *testing.T) {
	b := newBook(t)
	b.see(0, b.heard(theirs, true, 0))
	b.shows(1, true, "AddressConflict "+theirs+" eth0 true")
	both := b.later(time.Second, func() Outcome { return b.heard(theirs, true, time.Second) })
	both.Uses = used(reason.NextHopAddress).Uses
	b.see(0, both)
	b.shows(2, true, "NextHopAddress true")
	b.see(0, b.later(time.Second, func() Outcome { return b.heard(theirs, true, 2*time.Second) }))
	b.shows(3, true, "AddressConflict "+theirs+" eth0 true")
}

func TestAUseThatEndsBeforeItsObjectIsSeenLeavesNone(t *testing.T) {
	b := newBook(t)
	b.see(0, used(reason.LocalAddress))
	b.take(b.now, nil, func(netip.Addr) bool { return true })
	if todo := b.ledger.act(b.now, disputed, "n1", nil); !todo.remove {
		t.Errorf("the object that the watch does not show yet stays: %+v", todo)
	}
	b.act()
	b.shows(1, true, "")
}

func TestWhatNobodyIsAskedForAnyMoreExpires(t *testing.T) {
	for name, o := range map[string]func(*book) Outcome{
		"a stranger": func(b *book) Outcome { return b.heard(theirs, true, 0) },
		"a use":      func(*book) Outcome { return used(reason.LocalAddress) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.see(0, o(b))
			b.borne = false
			if again := b.see(time.Minute, Outcome{}); again != announcers.ConflictTTL-time.Minute || b.have == nil {
				t.Fatalf("again after %v, the object is %v", again, b.have)
			}
			if b.pass(announcers.ConflictTTL - time.Minute); b.have != nil {
				t.Fatalf("the object is %v", b.have)
			}
		})
	}
}

func TestWhatAnEarlierProcessToldOf(t *testing.T) {
	b := newBook(t)
	b.see(0, b.heard(theirs, true, 0))
	old, first := b.have, b.have.FirstSeen

	restarted := newBook(t)
	restarted.have, restarted.now = old, b.now.Add(time.Minute)
	if again := restarted.act(); again != announcers.ConflictTTL-time.Minute || restarted.have == nil {
		t.Errorf("nothing heard yet: again after %v, the object is %v", again, restarted.have)
	}
	restarted.see(0, restarted.heard(theirs, true, time.Second))
	restarted.shows(1, true, "AddressConflict "+theirs+" eth0 true")
	if !restarted.have.FirstSeen.Equal(&first) {
		t.Errorf("the conflict began %v, now it says %v", first, restarted.have.FirstSeen)
	}

	late := newBook(t)
	late.have, late.now = old, b.now.Add(announcers.ConflictTTL)
	late.see(0, late.heard(theirs, true, 0))
	if late.have.FirstSeen.Equal(&first) {
		t.Error("a conflict after the old one had expired goes on as the old one")
	}
}

func TestThereIsABoundOnObjects(t *testing.T) {
	var l ledger
	now := time.Unix(100_000, 0)
	seen, existing := map[netip.Addr]report{}, []netip.Addr{disputed}
	for i := range mostConflicts + 20 {
		a := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
		seen[a] = report{sighting: sighting{why: reason.AddressConflict}, since: now, last: now}
	}
	l.take(now, seen, func(netip.Addr) bool { return true })
	admitted := 0
	for a := range seen {
		if l.admit(now, a, existing) {
			admitted++
		}
	}
	if admitted != mostConflicts-1 {
		t.Errorf("%d are made beside the one that is there", admitted)
	}
	if !l.admit(now.Add(settleConflict), netip.AddrFrom4([4]byte{198, 51, 100, 0}), existing) {
		t.Error("none is made although the others are gone")
	}
}

func TestWhatIsSaidOfAConflictThatHasGone(t *testing.T) {
	b := newBook(t)
	b.see(0, b.heard(theirs, true, 0))
	if told := b.strangers(b.now, []netip.Addr{netip.MustParseAddr("192.0.2.11"), disputed}); len(told) != 1 || told[0].hardware != theirs {
		t.Errorf("told is %v", told)
	}
	if told := b.strangers(b.now.Add(announcers.ConflictTTL), []netip.Addr{disputed}); len(told) != 0 {
		t.Errorf("told is %v of the past", told)
	}
}
