// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	clocktesting "k8s.io/utils/clock/testing"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

func TestThatNobodyAnnouncesIsToldOnceItHasLasted(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	e := newEvents(nil, nil, "n1", namespace, now)
	silent := serviceOutcome{Speaks: true, Verdict: Verdict{Problem: reason.New(reason.NoEndpoints, "")}}

	if told, again := e.nobody("default/web", silent); told != nil || again != silenceTold {
		t.Fatalf("at once: got %v and %v, want nothing and another look after %v", told, again, silenceTold)
	}
	now.SetTime(now.Now().Add(silenceTold))
	told, again := e.nobody("default/web", silent)
	if len(told) != 1 || told[0].reason != string(reason.NoEndpoints) || told[0].kind != corev1.EventTypeWarning || again != 0 {
		t.Fatalf("later: got %v and %v, want a warning and no other look", told, again)
	}
	if fresh := e.swap("default/web", "first", told, nil); len(fresh) != 1 {
		t.Fatalf("the first time it is new, got %v", fresh)
	}
	if fresh := e.swap("default/web", "first", told, nil); len(fresh) != 0 {
		t.Fatalf("the second time it is not, got %v", fresh)
	}
	other := silent
	other.Verdict.Problem = reason.New(reason.NodeExcluded, "")
	if told, again := e.nobody("default/web", other); told != nil || again != silenceTold {
		t.Fatalf("another reason starts anew, got %v and %v", told, again)
	}
	taken := serviceOutcome{Speaks: true, Verdict: Verdict{Shared: true, Withheld: reason.New(reason.AddressDuplicate, "")}}
	if told, again := e.nobody("default/api", taken); told != nil || again != silenceTold {
		t.Fatalf("a duplicate, at once: got %v and %v", told, again)
	}
	now.SetTime(now.Now().Add(silenceTold))
	if told, _ := e.nobody("default/api", taken); len(told) != 1 || told[0].reason != string(reason.AddressDuplicate) {
		t.Fatalf("a duplicate that lasts: got %v", told)
	}
}

func TestWhoStaysSilentAboutNobody(t *testing.T) {
	problem := reason.New(reason.NoMatchingAdvertisement, "")
	for name, o := range map[string]serviceOutcome{
		"another speaker speaks for all":    {Verdict: Verdict{Problem: problem}},
		"somebody owns the address":         {Speaks: true},
		"the administrator wants it so":     {Speaks: true, Verdict: Verdict{Problem: reason.New(reason.ComponentDisabled, "")}},
		"announcers without owner serve it": {Speaks: true, Verdict: Verdict{Problem: problem, Shared: true}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEvents(nil, nil, "n1", namespace, clocktesting.NewFakePassiveClock(time.Unix(1000, 0)))
			if told, again := e.nobody("default/web", o); told != nil || again != 0 {
				t.Fatalf("got %v and %v", told, again)
			}
		})
	}
}

func TestWhatIsToldOfAnAnnouncement(t *testing.T) {
	e := newEvents(nil, nil, "n1", namespace, clocktesting.NewFakePassiveClock(time.Unix(1000, 0)))
	o := serviceOutcome{
		Verdict: Verdict{Owner: "n1"},
		States: map[string][]addressState{"l2": {
			{netip.MustParseAddr("2001:db8::1"), announcers.State{Phase: announcers.Refused, Problem: reason.New(reason.FamilyNotServed, "")}, false},
			{netip.MustParseAddr("192.0.2.1"), announcers.State{Phase: announcers.Effective}, false},
		}},
	}
	got, _ := e.about(o)
	if len(got) != 2 || got[0].reason != eventAnnounceFailed || got[1].reason != eventNodeAssigned {
		t.Fatalf("got %v, want one address refused and one assigned", got)
	}
}

func TestAStrangerIsToldOfAndTheSameIsNotToldTwice(t *testing.T) {
	address := netip.MustParseAddr("192.0.2.1")
	refused := map[string][]addressState{"l2": {{address, announcers.State{Phase: announcers.Refused, Problem: reason.New(reason.AddressConflict, "")}, false}}}
	stranger := conflictTold{address, sighting{why: reason.AddressConflict, nic: "eth0", hardware: theirs}}
	withdrawn := stranger
	withdrawn.withdrawn = true
	for _, row := range []struct {
		name string
		serviceOutcome
		want []string
	}{
		{"an address that is left to the stranger", serviceOutcome{States: refused, Strangers: []conflictTold{withdrawn}}, []string{"AddressConflict"}},
		{"one that is announced in spite of it", serviceOutcome{
			States:    map[string][]addressState{"l2": {{address, announcers.State{Phase: announcers.Effective}, false}}},
			Strangers: []conflictTold{stranger},
		}, []string{eventNodeAssigned, "AddressConflict"}},
		{"one that is refused before more is known", serviceOutcome{States: refused}, []string{eventAnnounceFailed}},
		{"a stranger on another address", serviceOutcome{
			States: refused, Strangers: []conflictTold{{netip.MustParseAddr("192.0.2.2"), withdrawn.sighting}},
		}, []string{eventAnnounceFailed, "AddressConflict"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got []string
			e := newEvents(nil, nil, "n1", namespace, clocktesting.NewFakePassiveClock(time.Unix(1000, 0)))
			now, _ := e.about(row.serviceOutcome)
			for _, event := range now {
				got = append(got, event.reason)
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

func TestALostSessionIsNotToldOfToEveryService(t *testing.T) {
	e := newEvents(nil, nil, "n1", namespace, clocktesting.NewFakePassiveClock(time.Unix(1000, 0)))
	address := netip.MustParseAddr("192.0.2.1")
	outcome := func(s announcers.State) serviceOutcome {
		return serviceOutcome{Verdict: Verdict{SharedHere: true}, States: map[string][]addressState{"bgp": {{address, s, true}}}}
	}
	told := func(s announcers.State) int {
		now, before := e.about(outcome(s))
		return len(e.swap("default/web", "first", now, before))
	}
	waiting := announcers.State{Phase: announcers.Waiting, Problem: reason.New(reason.PeerUnreachable, "")}
	if n := told(waiting); n != 0 {
		t.Errorf("%d events before the session is there, want none", n)
	}
	if n := told(announcers.State{Phase: announcers.Effective}); n != 1 {
		t.Errorf("%d events once it is, want that it is announced", n)
	}
	if n := told(waiting) + told(announcers.State{Phase: announcers.Effective}); n != 0 {
		t.Errorf("%d events when it is lost and comes back, want none", n)
	}
	if n := told(announcers.State{Phase: announcers.Refused, Problem: reason.New(reason.FamilyNotServed, "")}); n != 1 {
		t.Errorf("%d events when the address is refused, want that", n)
	}
}

func TestAServiceThatWasRecreatedUnderItsNameIsToldAnew(t *testing.T) {
	recorder, uid := record.NewFakeRecorder(10), types.UID("first")
	e := newEvents(recorder, nil, "n1", namespace, clocktesting.NewFakePassiveClock(time.Unix(1000, 0)))
	e.uid = func(types.NamespacedName) types.UID { return uid }
	announced := serviceOutcome{
		Verdict: Verdict{Owner: "n1"},
		States:  map[string][]addressState{"l2": {{netip.MustParseAddr("192.0.2.1"), announcers.State{Phase: announcers.Effective}, false}}},
	}
	for _, step := range []struct {
		uid    types.UID
		events int
	}{{"first", 1}, {"first", 0}, {"second", 1}, {"second", 0}} {
		uid = step.uid
		e.tell("default/web", announced)
		if n := len(recorder.Events); n != step.events {
			t.Errorf("%d events about the %s Service, want %d", n, step.uid, step.events)
		}
		for len(recorder.Events) > 0 {
			<-recorder.Events
		}
	}
}

func TestWhatRoutersAreNotToldIsSaidByOneSpeaker(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	e := newEvents(nil, nil, "n1", namespace, now)
	conflict := Verdict{Shared: true, SharedProblem: reason.New(reason.LocalPrefConflict, "")}
	if told, again := e.untold("default/web", serviceOutcome{Verdict: conflict}); told != nil || again != 0 {
		t.Fatalf("another speaker says so: got %v and %v", told, again)
	}
	conflict.SharedSpeaks = true
	if told, again := e.untold("default/web", serviceOutcome{Verdict: conflict}); told != nil || again != silenceTold {
		t.Fatalf("at once: got %v and %v", told, again)
	}
	now.SetTime(now.Now().Add(silenceTold))
	if told, _ := e.untold("default/web", serviceOutcome{Verdict: conflict}); len(told) != 1 || told[0].reason != string(reason.LocalPrefConflict) {
		t.Fatalf("later: got %v", told)
	}
}
