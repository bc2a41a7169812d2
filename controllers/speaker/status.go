// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/policy"
)

// statusWorkers is how many status objects are written at a time.
const statusWorkers = 4

// repairAfter is how long a status object that somebody has changed stays as it is.
const repairAfter = time.Second

// conditionNodeAble is True while this node is able to announce.
const conditionNodeAble = "nodeAble"

// stateKey is the queue's key of this node's ConfigurationState; the keys of Services have a slash, those of conflicts an at sign.
const stateKey = ""

// Status writes what the loop has led to: ServiceL2Status, ConfigurationState, events and metrics.
//
// Report is called by the loop and never blocks; all writes happen in workers, from the newest outcome, and are tried again until they
// succeed.
type Status struct {
	client    client.Client
	node      string
	namespace string
	owner     []metav1.OwnerReference
	newest    latest
	writer    *kube.Writer[string]
	events    *events
	metrics   *Metrics
	clock     clock.PassiveClock
	ledger    ledger
}

// StatusOptions are what a Status is made of.
type StatusOptions struct {
	Client    client.Client
	Recorder  record.EventRecorder
	Node      string
	Namespace string
	// PodName and PodUID make the speaker's pod the owner of its status objects, so that they go with it; both may be empty.
	PodName, PodUID string
	Metrics         *Metrics
	Clock           clock.PassiveClock
	Log             logr.Logger
}

// NewStatus returns a Status that writes nothing until Run.
func NewStatus(o StatusOptions) *Status {
	s := &Status{
		client: o.Metrics.counting(o.Client), node: o.Node, namespace: o.Namespace, metrics: o.Metrics,
		events: newEvents(o.Recorder, o.Client, o.Node, o.Clock), clock: o.Clock,
	}
	if o.PodName != "" && o.PodUID != "" {
		s.owner = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: o.PodName, UID: types.UID(o.PodUID)}}
	}
	s.writer = kube.NewWriter("speaker-status", statusWorkers, o.Log, s.write)
	return s
}

// Run works until the context ends.
func (s *Status) Run(ctx context.Context) error { return s.writer.Run(ctx) }

// Watch writes status objects again that somebody else has changed or deleted.
func (s *Status) Watch(ctx context.Context, c cache.Cache) error {
	for _, kind := range []client.Object{&v1beta1.ServiceL2Status{}, &v1beta1.ConfigurationState{}, &v1beta1.AddressConflict{}} {
		informer, err := c.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watching %T: %w", kind, err)
		}
		changed := func(o any) { s.repair(object(o)) }
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }, DeleteFunc: changed,
		})
		if err != nil {
			return fmt.Errorf("watching %T: %w", kind, err)
		}
	}
	return nil
}

// repair looks again at a status object that has changed. What another speaker wrote is looked at later: if the speakers do not see each
// other, each of them thinks that it owns the Service, and they must not undo each other's writes as fast as the API server allows.
func (s *Status) repair(o client.Object) {
	switch status := o.(type) {
	case *v1beta1.ServiceL2Status:
		key := status.Labels[v1beta1.LabelServiceNamespace] + "/" + status.Labels[v1beta1.LabelServiceName]
		s.writer.EnqueueAfter(key, wait.Jitter(repairAfter, 1))
	case *v1beta1.ConfigurationState:
		if status.Name == s.stateName() {
			s.writer.EnqueueAfter(stateKey, repairAfter)
		}
	case *v1beta1.AddressConflict:
		if a, err := netip.ParseAddr(status.Status.Address); err == nil && status.Name == s.conflictName(a) {
			s.writer.EnqueueAfter(conflictKey(a), repairAfter)
		}
	}
}

// Report takes the newest outcome and enqueues what differs from the one before.
func (s *Status) Report(o Outcome) {
	old := s.newest.swap(o)
	s.reportConflicts(o)
	changed := o.changed(old)
	s.metrics.update(o, changed)
	for _, key := range changed {
		s.writer.Enqueue(key)
	}
	if old.World.Policy != o.World.Policy || !maps.EqualFunc(old.problems(), o.problems(), alike) || !alike(old.Unable, o.Unable) {
		s.writer.Enqueue(stateKey)
	}
}

func (s *Status) write(ctx context.Context, key string) error {
	outcome := s.newest.get()
	if key == stateKey {
		return s.writeState(ctx, outcome)
	}
	if a, ok := conflictOf(key); ok {
		return s.writeConflict(ctx, a)
	}
	service := outcome.service(key)
	service.Strangers = s.ledger.strangers(s.clock.Now(), service.Verdict.Addresses)
	if again := s.events.tell(ctx, key, service); again > 0 {
		s.writer.EnqueueAfter(key, again)
	}
	return s.writeService(ctx, key, service)
}

// writeService leaves exactly one ServiceL2Status when this node announces the Service, and none of its own when it does not.
func (s *Status) writeService(ctx context.Context, key string, o serviceOutcome) error {
	namespace, name, _ := strings.Cut(key, "/")
	var existing v1beta1.ServiceL2StatusList
	err := s.client.List(ctx, &existing, client.InNamespace(s.namespace),
		client.MatchingLabels{v1beta1.LabelServiceNamespace: namespace, v1beta1.LabelServiceName: name})
	if err != nil {
		return fmt.Errorf("listing the status of service %s: %w", key, err)
	}
	mine := o.Mine
	want := s.serviceStatus(namespace, name, o.Verdict.Interfaces)
	var errs []error
	found := false
	for i := range existing.Items {
		e := &existing.Items[i]
		switch {
		case mine && e.Name == want.Name && (e.Status.Node == s.node || e.Status.Node == ""):
			found = true
			errs = append(errs, s.updateService(ctx, e, want))
		case mine || e.Labels[v1beta1.LabelNode] == nodeLabel(s.node):
			errs = append(errs, client.IgnoreNotFound(s.client.Delete(ctx, e)))
		}
	}
	if mine && !found {
		errs = append(errs, s.createService(ctx, want))
	}
	return errors.Join(errs...)
}

// nodeLabel is the value of the labels that name a node. A name may be longer than a label: then its end is replaced by a hash.
func nodeLabel(node string) string {
	if len(node) <= validation.LabelValueMaxLength {
		return node
	}
	sum := sha256.Sum256([]byte(node))
	hash := hex.EncodeToString(sum[:5])
	return node[:validation.LabelValueMaxLength-len(hash)-1] + "-" + hash
}

func (s *Status) serviceStatus(namespace, name string, interfaces []string) *v1beta1.ServiceL2Status {
	sum := sha256.Sum256([]byte(namespace + "/" + name + "@" + s.node))
	status := &v1beta1.ServiceL2Status{
		ObjectMeta: metav1.ObjectMeta{
			Name: "l2-" + hex.EncodeToString(sum[:5]), Namespace: s.namespace, OwnerReferences: s.owner,
			Labels: map[string]string{v1beta1.LabelNode: nodeLabel(s.node), v1beta1.LabelServiceNamespace: namespace, v1beta1.LabelServiceName: name},
		},
		Status: v1beta1.ServiceL2StatusStatus{Node: s.node, ServiceName: name, ServiceNamespace: namespace},
	}
	for _, i := range interfaces {
		status.Status.Interfaces = append(status.Status.Interfaces, v1beta1.InterfaceInfo{Name: i})
	}
	return status
}

// updateService makes an object what it is to be. One that an earlier pod of this node made becomes this pod's, before it goes with its
// owner.
func (s *Status) updateService(ctx context.Context, have, want *v1beta1.ServiceL2Status) error {
	next := have.DeepCopy()
	if next.Labels == nil {
		next.Labels = map[string]string{}
	}
	maps.Copy(next.Labels, want.Labels)
	if !equality.Semantic.DeepEqual(have.OwnerReferences, want.OwnerReferences) || !maps.Equal(have.Labels, next.Labels) {
		next.OwnerReferences = want.OwnerReferences
		if err := s.client.Update(ctx, next); err != nil {
			return fmt.Errorf("taking over %s: %w", want.Name, err)
		}
	}
	if equality.Semantic.DeepEqual(have.Status, want.Status) {
		return nil
	}
	next.Status = want.Status
	if err := s.client.Status().Update(ctx, next); err != nil {
		return fmt.Errorf("updating %s: %w", want.Name, err)
	}
	return nil
}

// createService makes the object and then its status: the API has no way to do both at once. What an interrupted attempt left behind
// has no status; it is filled in.
func (s *Status) createService(ctx context.Context, want *v1beta1.ServiceL2Status) error {
	created := want.DeepCopy()
	err := s.client.Create(ctx, created)
	if apierrors.IsAlreadyExists(err) {
		err = s.client.Get(ctx, client.ObjectKeyFromObject(want), created)
		created = created.DeepCopy()
	}
	if err != nil {
		return fmt.Errorf("creating %s: %w", want.Name, err)
	}
	created.Status = want.Status
	if err := s.client.Status().Update(ctx, created); err != nil {
		return fmt.Errorf("writing the status of %s: %w", want.Name, err)
	}
	return nil
}

func (s *Status) stateName() string { return "speaker-" + s.node }

// writeState writes this node's ConfigurationState: a condition for the configuration, one for each announcer and one for the node.
func (s *Status) writeState(ctx context.Context, o Outcome) error {
	if o.World.Policy == nil {
		return nil
	}
	state := kube.StateWriter{
		Client: s.client, Namespace: s.namespace, Name: s.stateName(), Owner: s.owner, Condition: v1beta1.ConditionConfigReconcilerValid,
		Labels: map[string]string{v1beta1.LabelComponentType: "speaker", v1beta1.LabelNodeName: nodeLabel(s.node)},
	}
	return state.Write(ctx, messages(o.World.Policy.Problems), func(conditions *[]metav1.Condition) {
		problems := o.problems()
		for _, name := range slices.Sorted(maps.Keys(o.Reports)) {
			kube.SetProblem(conditions, name+"Announcer", problems[name], reason.AsExpected, 0)
		}
		kube.SetProblem(conditions, conditionNodeAble, o.Unable, reason.AsExpected, 0)
	})
}

// messages returns a line for each object that the policy leaves out.
func messages(problems []policy.Problem) []string {
	out := make([]string, 0, len(problems))
	for _, p := range problems {
		out = append(out, p.Object.Kind+" "+p.Object.Name+": "+p.Message())
	}
	return out
}
