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

// stateKey is the queue's key of this node's ConfigurationState; the keys of Services have a slash, those of conflicts and sessions an at
// sign.
const stateKey = ""

// Status writes what the loop has led to: ServiceL2Status, ServiceBGPStatus, BGPSessionStatus, AddressConflict, ConfigurationState, events
// and metrics.
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
	sessions  steadied
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
		events: newEvents(o.Recorder, o.Client, o.Node, o.Namespace, o.Clock), clock: o.Clock,
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
	kinds := []client.Object{
		&v1beta1.ServiceL2Status{}, &v1beta1.ServiceBGPStatus{}, &v1beta1.BGPSessionStatus{}, &v1beta1.ConfigurationState{}, &v1beta1.AddressConflict{},
	}
	for _, kind := range kinds {
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
		s.writer.EnqueueAfter(serviceOf(status), wait.Jitter(repairAfter, 1))
	case *v1beta1.ServiceBGPStatus:
		s.writer.EnqueueAfter(serviceOf(status), repairAfter)
	case *v1beta1.BGPSessionStatus:
		s.writer.EnqueueAfter(sessionKey(status.Status.Peer), repairAfter)
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

// serviceOf is the key of the Service that a status object speaks of.
func serviceOf(o client.Object) string {
	return o.GetLabels()[v1beta1.LabelServiceNamespace] + "/" + o.GetLabels()[v1beta1.LabelServiceName]
}

// Report takes the newest outcome and enqueues what differs from the one before.
func (s *Status) Report(o Outcome) {
	old := s.newest.swap(o)
	s.reportConflicts(o)
	o.changedSessions(old, func(peer string) { s.writer.Enqueue(sessionKey(peer)) })
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
	if outcome.World.Policy == nil {
		s.writer.EnqueueAfter(key, repairAfter) // nothing was decided yet, so nothing is known to be wrong
		return nil
	}
	if peer, ok := strings.CutPrefix(key, sessionMark); ok {
		return s.writeSession(ctx, peer, outcome)
	}
	service := outcome.service(key)
	service.Strangers = s.ledger.strangers(s.clock.Now(), service.Verdict.Addresses)
	if again := s.events.tell(ctx, key, service); again > 0 {
		s.writer.EnqueueAfter(key, again)
	}
	return errors.Join(s.writeService(ctx, key, service), s.writeRouters(ctx, key, service))
}

// writeRouters leaves one ServiceBGPStatus of this node when it tells routers of the Service, and none when it does not. While a password is
// being read it leaves what an earlier pod of the node wrote.
func (s *Status) writeRouters(ctx context.Context, key string, o serviceOutcome) error {
	if o.Pending {
		s.writer.EnqueueAfter(key, repairAfter)
		return nil
	}
	name := s.objectName("bgp-", key, longHash)
	if len(o.Verdict.Peers) == 0 {
		return drop(ctx, s.client, &v1beta1.ServiceBGPStatus{}, s.namespace, name)
	}
	want := &v1beta1.ServiceBGPStatus{ObjectMeta: s.objectMeta(name, serviceLabels(key))}
	namespace, service, _ := strings.Cut(key, "/")
	want.Status = v1beta1.ServiceBGPStatusStatus{Node: s.node, ServiceNamespace: namespace, ServiceName: service, Peers: o.Verdict.Peers}
	return bgpStatuses.put(ctx, s.client, &v1beta1.ServiceBGPStatus{}, want)
}

// serviceLabels are those of the status objects on a Service.
func serviceLabels(key string) map[string]string {
	namespace, name, _ := strings.Cut(key, "/")
	return map[string]string{v1beta1.LabelServiceNamespace: namespace, v1beta1.LabelServiceName: name}
}

// writeService leaves exactly one ServiceL2Status when this node announces the Service, and none of its own when it does not.
func (s *Status) writeService(ctx context.Context, key string, o serviceOutcome) error {
	labels := serviceLabels(key)
	var existing v1beta1.ServiceL2StatusList
	if err := s.client.List(ctx, &existing, client.InNamespace(s.namespace), client.MatchingLabels(labels)); err != nil {
		return fmt.Errorf("listing the status of service %s: %w", key, err)
	}
	mine := o.Mine
	want := s.serviceStatus(key, labels, o.Verdict.Interfaces)
	var errs []error
	found := false
	for i := range existing.Items {
		e := &existing.Items[i]
		switch {
		case mine && e.Name == want.Name && (e.Status.Node == s.node || e.Status.Node == ""):
			found = true
			errs = append(errs, l2Statuses.update(ctx, s.client, e, want))
		case mine || e.Labels[v1beta1.LabelNode] == nodeLabel(s.node):
			errs = append(errs, client.IgnoreNotFound(s.client.Delete(ctx, e)))
		}
	}
	if mine && !found {
		errs = append(errs, l2Statuses.create(ctx, s.client, want))
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

func (s *Status) serviceStatus(key string, labels map[string]string, interfaces []string) *v1beta1.ServiceL2Status {
	status := &v1beta1.ServiceL2Status{ObjectMeta: s.objectMeta(s.objectName("l2-", key, shortHash), labels)}
	status.Status.Node, status.Status.ServiceNamespace, status.Status.ServiceName = s.node, labels[v1beta1.LabelServiceNamespace], labels[v1beta1.LabelServiceName]
	for _, i := range interfaces {
		status.Status.Interfaces = append(status.Status.Interfaces, v1beta1.InterfaceInfo{Name: i})
	}
	return status
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
