// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
)

// Reasons of the events on Services; users' tooling knows them by these words.
const (
	eventNodeAssigned   = "nodeAssigned"
	eventAnnounceFailed = "announceFailed"
)

// protocols are the words that events and metrics have always used for announcers of these names.
var protocols = map[string]string{"l2": "layer2"}

func protocol(announcer string) string {
	if p, ok := protocols[announcer]; ok {
		return p
	}
	return announcer
}

// events tells users what this node does for their Services, each thing once.
type events struct {
	recorder record.EventRecorder
	// reader knows the BGPPeers, uid the identities of the Services.
	reader    client.Reader
	uid       func(types.NamespacedName) types.UID
	node      string
	namespace string

	clock clock.PassiveClock
	texts repeated

	mu       sync.Mutex
	told     map[string]said
	silent   map[string]silence
	sessions map[string]sessionTold
}

// silenceTold is how long nobody has announced a Service before users are told.
const silenceTold = 5 * time.Second

// silence is since when nobody announces a Service, and why.
type silence struct {
	reason reason.Reason
	since  time.Time
}

type event struct{ kind, reason, message string }

// said is what was said of an object. Another object of its name was told nothing yet.
type said struct {
	uid    types.UID
	events []event
}

func newEvents(recorder record.EventRecorder, reader client.Reader, node, namespace string, c clock.PassiveClock) *events {
	return &events{
		recorder: recorder, reader: reader, node: node, namespace: namespace, clock: c, told: map[string]said{}, silent: map[string]silence{},
		sessions: map[string]sessionTold{},
	}
}

// tell records what is new about a Service since it was told last. It returns after how long it wants to be asked again, zero for never.
func (e *events) tell(key string, o serviceOutcome) time.Duration {
	now, before := e.about(o)
	nobody, again := e.nobody(key, o)
	untold, next := e.untold(key, o)
	now = slices.Concat(now, nobody, untold)
	target, there := e.target(key)
	for _, n := range e.swap(key, target.UID, now, before) {
		if there {
			e.recorder.Event(target, n.kind, n.reason, n.message)
		}
	}
	return soonest(again, next)
}

// nobody returns the event that no node announces a Service or one of its addresses. All speakers see the same, so the first of them speaks
// for all.
func (e *events) nobody(key string, o serviceOutcome) ([]event, time.Duration) {
	problem, what := o.Verdict.unannounced()
	if !o.Speaks {
		problem = nil
	}
	return e.lasting(key, problem, "no node announces "+what)
}

// untold returns the event that routers are not told of a Service, or not of all of it. What keeps everybody from announcing it is told once.
func (e *events) untold(key string, o serviceOutcome) ([]event, time.Duration) {
	problem, what := o.Verdict.SharedProblem, "no BGP router receives a route to the Service"
	if !o.Verdict.SharedSpeaks || problem == o.Verdict.Problem {
		problem = nil
	}
	if len(o.Verdict.Peers) > 0 {
		what = "BGP routers receive routes to some addresses of the Service only"
	}
	return e.lasting(key+"@routers", problem, what)
}

// lasting returns the event that there is a problem, once that has lasted: a Service that is just being made has no endpoints for a moment,
// and nobody wants to read that. It also returns after how long to ask again, zero for never.
func (e *events) lasting(key string, problem *reason.Problem, what string) ([]event, time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if problem == nil {
		delete(e.silent, key)
		return nil, 0
	}
	since, known := e.silent[key]
	if !known || since.reason != problem.Reason {
		since = silence{reason: problem.Reason, since: e.clock.Now()}
		e.silent[key] = since
	}
	if rest := silenceTold - e.clock.Since(since.since); rest > 0 {
		return nil, rest
	}
	return []event{{corev1.EventTypeWarning, string(problem.Reason), what + ": " + problem.Message()}}, 0
}

// unannounced says why no node announces the Service or one of its addresses, and which of the two; nil when it is announced or nobody
// is to announce it. That routers are not told of it is another matter, unless both have the same reason.
func (v Verdict) unannounced() (*reason.Problem, string) {
	switch {
	case v.Withheld != nil && len(v.Addresses) > 0:
		return v.Withheld, "one address of the Service"
	case v.Withheld != nil:
		return v.Withheld, "the Service"
	case v.Problem == nil || v.Problem.Reason == reason.ComponentDisabled:
		return nil, ""
	case !v.Shared || v.Problem == v.SharedProblem:
		return v.Problem, "the Service"
	case v.Exclusive:
		return v.Problem, "the Service at layer 2"
	}
	return nil, ""
}

// about returns what there is to say of a Service on this node, and what stays true if it was said before. That an announcer without owner
// waits, for a router or for its own start, concerns all Services at once and is told elsewhere: else each of them would have two events
// whenever a session is lost and comes back.
func (e *events) about(o serviceOutcome) (now, before []event) {
	for _, name := range slices.Sorted(maps.Keys(o.States)) {
		// It is remembered for each Service, so there is one copy of it.
		assigned := event{corev1.EventTypeNormal, eventNodeAssigned, e.texts.one(fmt.Sprintf("announced from node %q with protocol %q", e.node, protocol(name)))}
		announced, waits := false, false
		for _, state := range o.States[name] {
			switch {
			case state.Problem == nil:
				announced = true
			case state.shared && state.Phase == announcers.Waiting:
				waits = true
			case !o.withdrawn(state.address):
				now = append(now, event{corev1.EventTypeWarning, eventAnnounceFailed,
					fmt.Sprintf("address %s is not announced from node %q with protocol %q: %s: %s",
						state.address, e.node, protocol(name), state.Problem.Reason, state.Problem.Message())})
			}
		}
		if announced {
			now = append(now, assigned)
		} else if waits {
			before = append(before, assigned)
		}
	}
	for _, s := range o.Strangers {
		problem := reason.New(s.why, "%s", s.sentence(s.address, e.node))
		now = append(now, event{corev1.EventTypeWarning, string(s.why), problem.Message()})
	}
	return now, before
}

// withdrawn says whether users are told that an address is left to a stranger, which is why it is not announced.
func (o serviceOutcome) withdrawn(a netip.Addr) bool {
	return slices.ContainsFunc(o.Strangers, func(s conflictTold) bool { return s.address == a && s.withdrawn })
}

// swap remembers what is said now of an object and returns what is new in it. What was said before and stays true is remembered with it.
func (e *events) swap(key string, uid types.UID, now, before []event) []event {
	e.mu.Lock()
	defer e.mu.Unlock()
	former := e.told[key].events
	if e.told[key].uid != uid {
		former = nil
	}
	var fresh []event
	for _, n := range now {
		if !slices.Contains(former, n) {
			fresh = append(fresh, n)
		}
	}
	for _, b := range before {
		if slices.Contains(former, b) {
			now = append(now, b)
		}
	}
	if len(now) == 0 {
		delete(e.told, key)
	} else {
		e.told[key] = said{uid, now}
	}
	return fresh
}

// target is the Service that events are about, as far as an event needs it.
func (e *events) target(key string) (*corev1.Service, bool) {
	namespace, name, _ := strings.Cut(key, "/")
	uid := e.uid(types.NamespacedName{Namespace: namespace, Name: name})
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uid}}, uid != ""
}
