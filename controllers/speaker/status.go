// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
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
)

// statusWorkers is how many status objects are written at a time.
const statusWorkers = 4

// repairAfter is how long a status object that somebody has changed stays as it is.
const repairAfter = time.Second

// stateKey is the key of this node's ConfigurationState in the queue of what concerns no Service; those of conflicts and sessions are not
// empty.
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
	// services writes what concerns a Service, writer everything else: what is told of a session must not wait for 10,000 Services.
	services *kube.Writer[string]
	writer   *kube.Writer[string]
	routers  routerStatuses
	events   *events
	metrics  *Metrics
	clock    clock.PassiveClock
	ledger   ledger
	sessions steadied
}

// StatusOptions are what a Status is made of.
type StatusOptions struct {
	Client   client.Client
	Recorder record.EventRecorder
	// UID returns the identity of a Service that events may be about, empty for one that is not there (Source.UID).
	UID       func(types.NamespacedName) types.UID
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
	s.events.uid = o.UID
	if o.PodName != "" && o.PodUID != "" {
		s.owner = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: o.PodName, UID: types.UID(o.PodUID)}}
	}
	s.services = kube.NewWriter("speaker-services", statusWorkers, o.Log, s.writeAbout)
	s.writer = kube.NewWriter("speaker-status", statusWorkers, o.Log, s.write)
	return s
}

// Run works until the context ends.
func (s *Status) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.services.Run(ctx) })
	group.Go(func() error { return s.writer.Run(ctx) })
	return group.Wait()
}

// Watch writes status objects again that somebody else has changed or deleted. It returns once those of Services and routers are known that
// were there before; until then nothing is written of them.
func (s *Status) Watch(ctx context.Context, c cache.Cache) error {
	repair := func(old, new any) {
		if new == nil {
			new = old
		}
		s.repair(object(new))
	}
	for _, kind := range []client.Object{&v1beta1.ServiceL2Status{}, &v1beta1.BGPSessionStatus{}, &v1beta1.ConfigurationState{}, &v1beta1.AddressConflict{}} {
		if _, err := follow(ctx, c, kind, repair); err != nil {
			return err
		}
	}
	return s.followRouterStatuses(ctx, c)
}

// follow calls changed for each change of a kind, old is nil on creation, new on deletion. What it returns says whether that was done for all
// objects that were there at first.
func follow(ctx context.Context, c cache.Cache, kind client.Object, changed func(old, new any)) (toolscache.InformerSynced, error) {
	informer, err := c.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watching %T: %w", kind, err)
	}
	handler, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { changed(nil, o) }, UpdateFunc: changed, DeleteFunc: func(o any) { changed(o, nil) },
	})
	if err != nil {
		return nil, fmt.Errorf("watching %T: %w", kind, err)
	}
	return handler.HasSynced, nil
}

// repair looks again at a status object that has changed. What another speaker wrote is looked at later: if the speakers do not see each
// other, each of them thinks that it owns the Service, and they must not undo each other's writes as fast as the API server allows.
func (s *Status) repair(o client.Object) {
	switch status := o.(type) {
	case *v1beta1.ServiceL2Status:
		s.services.EnqueueAfter(serviceOf(status), wait.Jitter(repairAfter, 1))
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
	s.metrics.update(o)
	for _, key := range changed {
		s.services.Enqueue(key)
	}
	if (old.World.Policy == nil) != (o.World.Policy == nil) || len(old.Reports) != len(o.Reports) || !slices.Equal(old.problems(), o.problems()) {
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
	return s.writeSession(ctx, strings.TrimPrefix(key, sessionMark), outcome)
}

// writeAbout writes what there is to say of a Service.
func (s *Status) writeAbout(ctx context.Context, key string) error {
	outcome := s.newest.get()
	if outcome.World.Policy == nil {
		s.services.EnqueueAfter(key, repairAfter) // nothing was decided yet, so nothing is known to be wrong
		return nil
	}
	service := outcome.service(key)
	service.Strangers = s.ledger.strangers(s.clock.Now(), service.Verdict.Addresses)
	if again := s.events.tell(key, service); again > 0 {
		s.services.EnqueueAfter(key, again)
	}
	return errors.Join(s.writeService(ctx, key, service), s.writeRouters(ctx, key, service))
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

// writeState writes this node's ConfigurationState: a condition for the configuration and one for each part of the speaker.
func (s *Status) writeState(ctx context.Context, o Outcome) error {
	if o.World.Policy == nil {
		return nil
	}
	state := kube.StateWriter{
		Client: s.client, Namespace: s.namespace, Name: s.stateName(), Owner: s.owner, Condition: v1beta1.ConditionConfigReconcilerValid,
		Labels: map[string]string{v1beta1.LabelComponentType: "speaker", v1beta1.LabelNodeName: nodeLabel(s.node)},
	}
	problems, parts := o.problems(), o.parts()
	err := state.Write(ctx, lines(problems, leftOut), lines(problems, warning), func(conditions *[]metav1.Condition) {
		for _, p := range parts {
			if p.problem != nil && p.severity == warning {
				kube.SetCondition(conditions, p.condition, metav1.ConditionTrue, p.problem.Reason, p.problem.Message(), 0)
				continue
			}
			kube.SetProblem(conditions, p.condition, p.problem, reason.AsExpected, 0)
		}
	})
	if err != nil {
		return err
	}
	if again := s.events.ofParts(ctx, s.stateName(), parts); again > 0 {
		s.writer.EnqueueAfter(stateKey, again)
	}
	return nil
}
