// SPDX-License-Identifier: Apache-2.0

package service

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// scenario is a file of testdata/scenarios: what a user does, and what Services and pools say then. Two drivers run the same files: one
// against a world in memory, one against a real API server. testdata/scenarios/README.md tells how to read them.
type scenario struct {
	Title string `json:"title"`
	// Rule is what the scenario shows, in one sentence.
	Rule string `json:"rule"`
	// MemoryOnly says why an API server of the tests cannot play this; empty when it can.
	MemoryOnly string `json:"memoryOnly,omitempty"`
	// Class is the load balancer class that the controller serves.
	Class string `json:"class,omitempty"`
	Steps []step `json:"steps"`
}

// step is done in the order of its fields. Apply, Delete, Restart and Pass act; then everything comes to rest and Expect is compared.
type step struct {
	Step    string            `json:"step,omitempty"`
	Stop    bool              `json:"stop,omitempty"`
	Apply   []json.RawMessage `json:"apply,omitempty"`
	Delete  []string          `json:"delete,omitempty"`
	Restart bool              `json:"restart,omitempty"`
	// Class is the load balancer class that the controller serves from the restart on; absent leaves it as it is.
	Class *string `json:"class,omitempty"`
	// Pass is how much time goes by.
	Pass   metav1.Duration `json:"pass,omitempty"`
	Expect expectation     `json:"expect,omitempty"`
}

type expectation struct {
	Services map[string]expectedService `json:"services,omitempty"`
	Pools    map[string]expectedPool    `json:"pools,omitempty"`
}

// expectedService is compared with a Service's status. Reason is Allocated where there are addresses and nothing else is said; "none"
// is a Service without any mark of the controller.
type expectedService struct {
	Addresses []string `json:"addresses"`
	Pool      string   `json:"pool,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	// Conflict is the reason of the condition AddressConflict; empty when it must be absent.
	Conflict string `json:"conflict,omitempty"`
	// Says are parts of the messages of both conditions.
	Says []string `json:"says,omitempty"`
	// Events are the reasons told in this step; absent when it does not matter.
	Events []string `json:"events,omitempty"`
}

// expectedPool is compared with a pool's status as far as it is given. Reason is that of the condition Valid.
type expectedPool struct {
	AssignedIPv4  *int64 `json:"assignedIPv4,omitempty"`
	AvailableIPv4 *int64 `json:"availableIPv4,omitempty"`
	AssignedIPv6  *int64 `json:"assignedIPv6,omitempty"`
	AvailableIPv6 *int64 `json:"availableIPv6,omitempty"`
	Reason        string `json:"reason,omitempty"`
}

const unmarked = "none"

func scenarioFiles() []string {
	files, err := filepath.Glob(filepath.Join("testdata", "scenarios", "*.yaml"))
	if err != nil || len(files) == 0 {
		panic(fmt.Sprint("no scenarios: ", err))
	}
	return files
}

// readScenario reads a file with {ns} replaced by the namespace of the controller.
func readScenario(file, namespace string) (scenario, error) {
	var s scenario
	text, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(string(text), "{ns}", namespace)), &s); err != nil {
		return s, fmt.Errorf("reading %s: %w", file, err)
	}
	for i := range s.Steps {
		if s.Steps[i].Step == "" {
			s.Steps[i].Step = fmt.Sprint(i + 1)
		}
	}
	return s, nil
}

// kinds are those that a scenario may speak of; whether they are in a namespace stands beside them.
var kinds = map[string]struct {
	empty      func() client.Object
	namespaced bool
}{
	"IPAddressPool":   {func() client.Object { return &v1beta1.IPAddressPool{} }, true},
	"IPReservation":   {func() client.Object { return &v1beta1.IPReservation{} }, true},
	"AddressConflict": {func() client.Object { return &v1beta1.AddressConflict{} }, true},
	"Service":         {func() client.Object { return &corev1.Service{} }, true},
	"EndpointSlice":   {func() client.Object { return &discoveryv1.EndpointSlice{} }, true},
	"Namespace":       {func() client.Object { return &corev1.Namespace{} }, false},
	"Node":            {func() client.Object { return &corev1.Node{} }, false},
	"ServiceCIDR":     {func() client.Object { return &networkingv1.ServiceCIDR{} }, false},
}

var moment = regexp.MustCompile(`\{now([+-][0-9a-z]+)?\}`)

// timed replaces {now} and {now-1h} by times.
func timed(raw json.RawMessage, now time.Time) json.RawMessage {
	return moment.ReplaceAllFunc(raw, func(found []byte) []byte {
		at := now
		if offset := moment.FindSubmatch(found)[1]; len(offset) > 0 {
			d, err := time.ParseDuration(string(offset))
			if err != nil {
				panic(err)
			}
			at = at.Add(d)
		}
		return at.UTC().AppendFormat(nil, time.RFC3339)
	})
}

// object makes an object of a part of a file; what names no namespace is in the given one.
func object(raw json.RawMessage, namespace string) (client.Object, error) {
	var head metav1.TypeMeta
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, err
	}
	kind, ok := kinds[head.Kind]
	if !ok {
		return nil, fmt.Errorf("unknown kind %q", head.Kind)
	}
	o := kind.empty()
	if err := yaml.UnmarshalStrict(raw, o); err != nil {
		return nil, fmt.Errorf("reading %s: %w", raw, err)
	}
	if kind.namespaced && o.GetNamespace() == "" {
		o.SetNamespace(namespace)
	}
	return o, nil
}

// named makes an empty object of "Kind/name" or "Kind/namespace/name".
func named(reference, namespace string) (client.Object, error) {
	parts := strings.Split(reference, "/")
	kind, ok := kinds[parts[0]]
	if !ok || len(parts) < 2 || len(parts) > 3 {
		return nil, fmt.Errorf("%q is no Kind/name", reference)
	}
	o := kind.empty()
	if kind.namespaced {
		o.SetNamespace(namespace)
	}
	if len(parts) == 3 {
		o.SetNamespace(parts[1])
	}
	o.SetName(parts[len(parts)-1])
	return o, nil
}

// differences says how a Service differs from what is expected; empty when it does not.
func (e expectedService) differences(s *corev1.Service) string {
	want := expectedService{Addresses: e.Addresses, Pool: e.Pool, Reason: e.Reason, Conflict: e.Conflict}
	got := expectedService{Addresses: ips(s), Pool: s.Annotations[v1beta1.AnnotationAllocatedFromPool], Reason: unmarked}
	if len(want.Addresses) > 0 && want.Reason == "" {
		want.Reason = string(reason.Allocated)
	}
	if len(want.Addresses) > 0 && want.Pool == "" {
		want.Pool = got.Pool
	}
	state := metav1.ConditionFalse
	if len(got.Addresses) > 0 {
		state = metav1.ConditionTrue
	}
	said := ""
	if c := meta.FindStatusCondition(s.Status.Conditions, v1beta1.ConditionAddressAllocated); c != nil {
		got.Reason, said = c.Reason, c.Message
		if c.Status != state {
			return fmt.Sprintf("condition is %s with addresses %v: %s", c.Status, got.Addresses, said)
		}
	}
	if c := meta.FindStatusCondition(s.Status.Conditions, v1beta1.ConditionAddressConflict); c != nil {
		got.Conflict, said = c.Reason, said+"\n"+c.Message
		if c.Status != metav1.ConditionTrue || c.ObservedGeneration != s.Generation {
			return fmt.Sprintf("condition is %s at generation %d of %d: %s", c.Status, c.ObservedGeneration, s.Generation, c.Message)
		}
	}
	silent := slices.ContainsFunc(e.Says, func(part string) bool { return !strings.Contains(said, part) })
	if slices.Equal(want.Addresses, got.Addresses) && want.Pool == got.Pool && want.Reason == got.Reason && want.Conflict == got.Conflict && !silent {
		return ""
	}
	return fmt.Sprintf("has %v of pool %q, %s %s (%s); want %v of pool %q, %s %s (%s)",
		got.Addresses, got.Pool, got.Reason, got.Conflict, said, want.Addresses, want.Pool, want.Reason, want.Conflict, e.Says)
}

func (e expectedPool) differences(p *v1beta1.IPAddressPool) string {
	var faults []string
	compare := func(name string, want *int64, got int64) {
		if want != nil && *want != got {
			faults = append(faults, fmt.Sprintf("%s is %d, want %d", name, got, *want))
		}
	}
	compare("assignedIPv4", e.AssignedIPv4, p.Status.AssignedIPv4)
	compare("availableIPv4", e.AvailableIPv4, p.Status.AvailableIPv4)
	compare("assignedIPv6", e.AssignedIPv6, p.Status.AssignedIPv6)
	compare("availableIPv6", e.AvailableIPv6, p.Status.AvailableIPv6)
	c := meta.FindStatusCondition(p.Status.Conditions, v1beta1.ConditionValid)
	if e.Reason != "" && (c == nil || c.Reason != e.Reason) {
		faults = append(faults, fmt.Sprintf("condition %v, want %s", c, e.Reason))
	}
	return strings.Join(faults, ", ")
}

// player plays scenarios in memory.
type player struct {
	world   *world
	options Options
	process *process
	told    toldEvents
}

// TestScenarios plays every scenario in memory. After each step it also starts the controller anew, which must change nothing.
func TestScenarios(t *testing.T) {
	for _, file := range scenarioFiles() {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			s, err := readScenario(file, "metallb-system")
			if err != nil {
				t.Fatal(err)
			}
			if s.Title == "" || s.Rule == "" || len(s.Steps) == 0 {
				t.Fatal("a scenario has a title, a rule and steps")
			}
			p := &player{world: newWorld(nil), options: Options{Namespace: "metallb-system", Class: s.Class}, told: toldEvents{}}
			p.world.apply(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.options.Namespace}})
			p.world.apply(&networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16", "fd00:10:96::/112"}}})
			p.start()
			defer func() { p.stop() }()
			for _, step := range s.Steps {
				p.play(t, step)
			}
		})
	}
}

func (p *player) start() { p.process = newProcess(p.world, p.options, p.told) }

func (p *player) stop() {
	if p.process != nil {
		p.process.end()
		p.process = nil
	}
}

func (p *player) play(t *testing.T, s step) {
	t.Helper()
	had := maps.Clone(p.told)
	for name, counts := range had {
		had[name] = maps.Clone(counts)
	}
	if s.Stop {
		p.stop()
	}
	for _, raw := range s.Apply {
		o, err := object(timed(raw, p.world.now), p.options.Namespace)
		if err != nil {
			t.Fatalf("step %s: %v", s.Step, err)
		}
		p.world.apply(o)
	}
	for _, reference := range s.Delete {
		o, err := named(reference, p.options.Namespace)
		if err != nil {
			t.Fatalf("step %s: %v", s.Step, err)
		}
		p.world.remove(o)
	}
	if s.Class != nil {
		p.options.Class = *s.Class
	}
	if s.Restart {
		p.stop()
		p.start()
	}
	p.world.now = p.world.now.Add(s.Pass.Duration)
	if p.process == nil {
		return
	}
	if err := p.process.settle(); err != nil {
		t.Fatalf("step %s: %v", s.Step, err)
	}
	p.compare(t, s, had)
	p.startAside(t, s)
}

func (p *player) compare(t *testing.T, s step, had toldEvents) {
	t.Helper()
	for name, want := range s.Expect.Services {
		o, _ := named("Service/"+name, p.options.Namespace)
		found, ok := p.world.served.find(o).(*corev1.Service)
		if !ok {
			t.Fatalf("step %s: there is no Service %s", s.Step, name)
		}
		if d := want.differences(found); d != "" {
			t.Errorf("step %s: Service %s %s", s.Step, name, d)
		}
		key := "Service/" + found.Namespace + "/" + found.Name
		if got := more(had[key], p.told[key]); want.Events != nil && !slices.Equal(slices.Sorted(slices.Values(want.Events)), got) {
			t.Errorf("step %s: Service %s was told %v, want %v", s.Step, name, got, want.Events)
		}
	}
	for name, want := range s.Expect.Pools {
		o, _ := named("IPAddressPool/"+name, p.options.Namespace)
		found, ok := p.world.served.find(o).(*v1beta1.IPAddressPool)
		if !ok {
			t.Fatalf("step %s: there is no pool %s", s.Step, name)
		}
		if d := want.differences(found); d != "" {
			t.Errorf("step %s: pool %s: %s", s.Step, name, d)
		}
	}
}

// more returns the reasons told more often than before, sorted.
func more(before, after map[string]int) []string {
	var list []string
	for r, n := range after {
		if n > before[r] {
			list = append(list, r)
		}
	}
	slices.Sort(list)
	return list
}

// startAside starts another controller on the same objects while nothing else happens: that writes nothing.
func (p *player) startAside(t *testing.T, s step) {
	t.Helper()
	aside := newProcess(p.world, p.options, p.told)
	defer aside.end()
	version := p.world.version
	if err := aside.settle(); err != nil {
		t.Fatalf("step %s: starting anew: %v", s.Step, err)
	}
	if p.world.version != version {
		t.Errorf("step %s: a controller that starts anew wrote something: %s", s.Step, strings.Join(p.statuses(), "; "))
		p.process.requests = addOnce(p.process.requests, everything)
	}
}

func (p *player) statuses() (list []string) {
	for _, o := range p.world.served.of("Service") {
		s := o.(*corev1.Service)
		list = append(list, fmt.Sprint(s.Name, " ", ips(s), " ", verdict(s)))
	}
	return list
}
