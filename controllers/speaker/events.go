// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
	reader   client.Reader
	node     string

	clock clock.PassiveClock

	mu     sync.Mutex
	told   map[string][]event
	silent map[string]silence
}

// silenceTold is how long nobody has announced a Service before users are told.
const silenceTold = 5 * time.Second

// silence is since when nobody announces a Service, and why.
type silence struct {
	reason reason.Reason
	since  time.Time
}

type event struct{ kind, reason, message string }

func newEvents(recorder record.EventRecorder, reader client.Reader, node string, c clock.PassiveClock) *events {
	return &events{recorder: recorder, reader: reader, node: node, clock: c, told: map[string][]event{}, silent: map[string]silence{}}
}

// tell records what is new about a Service since it was told last. It returns after how long it wants to be asked again, zero for never.
func (e *events) tell(ctx context.Context, key string, o serviceOutcome) time.Duration {
	now := e.about(o)
	nobody, again := e.nobody(key, o)
	if nobody != nil {
		now = append(now, *nobody)
	}
	for _, n := range e.swap(key, now) {
		if target, ok := e.target(ctx, key); ok {
			e.recorder.Event(target, n.kind, n.reason, n.message)
		}
	}
	return again
}

// nobody returns the event that no node announces a Service or one of its addresses, once that has lasted: a Service that is just being
// made has no endpoints for a moment, and nobody wants to read that. All speakers see the same, so the first of them speaks for all.
func (e *events) nobody(key string, o serviceOutcome) (*event, time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	problem, what := o.Verdict.unannounced()
	if problem == nil || !o.Speaks {
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
	return &event{corev1.EventTypeWarning, string(problem.Reason), "no node announces " + what + ": " + problem.Message()}, 0
}

// unannounced says why no node announces the Service or one of its addresses, and which of the two; nil when it is announced or nobody
// is to announce it.
func (v Verdict) unannounced() (*reason.Problem, string) {
	switch {
	case v.Withheld != nil && len(v.Addresses) > 0:
		return v.Withheld, "one address of the Service"
	case v.Withheld != nil:
		return v.Withheld, "the Service"
	case v.Shared || v.Problem != nil && v.Problem.Reason == reason.ComponentDisabled:
		return nil, ""
	}
	return v.Problem, "the Service"
}

// about returns what there is to say of a Service on this node.
func (e *events) about(o serviceOutcome) []event {
	var out []event
	for _, name := range slices.Sorted(maps.Keys(o.States)) {
		announced := false
		for _, state := range o.States[name] {
			announced = announced || state.Problem == nil
			if state.Problem != nil && !o.withdrawn(state.address) {
				out = append(out, event{corev1.EventTypeWarning, eventAnnounceFailed,
					fmt.Sprintf("address %s is not announced from node %q with protocol %q: %s: %s",
						state.address, e.node, protocol(name), state.Problem.Reason, state.Problem.Message())})
			}
		}
		if announced {
			out = append(out, event{corev1.EventTypeNormal, eventNodeAssigned,
				fmt.Sprintf("announced from node %q with protocol %q", e.node, protocol(name))})
		}
	}
	for _, s := range o.Strangers {
		problem := reason.New(s.why, "%s", s.sentence(s.address, e.node))
		out = append(out, event{corev1.EventTypeWarning, string(s.why), problem.Message()})
	}
	return out
}

// withdrawn says whether users are told that an address is left to a stranger, which is why it is not announced.
func (o serviceOutcome) withdrawn(a netip.Addr) bool {
	return slices.ContainsFunc(o.Strangers, func(s conflictTold) bool { return s.address == a && s.withdrawn })
}

// swap remembers what is said now and returns what is new in it.
func (e *events) swap(key string, now []event) []event {
	e.mu.Lock()
	defer e.mu.Unlock()
	var fresh []event
	for _, n := range now {
		if !slices.Contains(e.told[key], n) {
			fresh = append(fresh, n)
		}
	}
	if len(now) == 0 {
		delete(e.told, key)
	} else {
		e.told[key] = now
	}
	return fresh
}

func (e *events) target(ctx context.Context, key string) (*corev1.Service, bool) {
	namespace, name, _ := strings.Cut(key, "/")
	var service corev1.Service
	if err := e.reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &service); err != nil {
		return nil, false
	}
	return &service, true
}
