// SPDX-License-Identifier: Apache-2.0

package service

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/allocation"
	"metalsuite.io/internal/kube"
)

// desired is what is to stand in the status of one Service. It is a value.
type desired struct {
	decision allocation.Decision
	conflict verdictOnConflict
	// uid is of the Service that was decided on: nothing of this is written to another one of its name.
	uid        types.UID
	generation int64
	// leaves is set for a Service that is not ours any more: what we wrote is taken back, of the ingress only the decision's addresses.
	leaves bool
	// by is the namespace of the installation that decided; an empty one is not recorded.
	by string
	// turn numbers what is posted on the board.
	turn uint64
	// since is when these addresses were posted first.
	since time.Time
}

// notice is what the user is told beside the status.
type notice struct{ kind, reason, message string }

// apply returns the Service as it should be. The given one is not changed.
func (d desired) apply(s *corev1.Service) *corev1.Service {
	next := s.DeepCopy()
	if d.leaves {
		d.takeBack(next)
		return next
	}
	if want := ingress(d.decision.Addresses); !sameIngress(next.Status.LoadBalancer.Ingress, want) {
		next.Status.LoadBalancer.Ingress = want
	}
	markPool(next, d.decision.Pool)
	status, why, message := d.verdict()
	kube.SetCondition(&next.Status.Conditions, v1beta1.ConditionAddressAllocated, status, why, message, d.generation)
	d.tellConflict(&next.Status.Conditions)
	d.record(s, next)
	return next
}

// record notes who serves the Service. It follows another write: two installations that agree on a Service would otherwise overwrite each
// other's name for ever.
func (d desired) record(before, next *corev1.Service) {
	_, known := before.Annotations[v1beta1.AnnotationControllerNamespace]
	if d.by != "" && (!known || !equality.Semantic.DeepEqual(before, next)) {
		metav1.SetMetaDataAnnotation(&next.ObjectMeta, v1beta1.AnnotationControllerNamespace, d.by)
	}
}

// tellConflict brings the condition about what else uses an address of the Service to what is known.
func (d desired) tellConflict(conditions *[]metav1.Condition) {
	if d.conflict == (verdictOnConflict{}) {
		meta.RemoveStatusCondition(conditions, v1beta1.ConditionAddressConflict)
		return
	}
	kube.SetCondition(conditions, v1beta1.ConditionAddressConflict, metav1.ConditionTrue, d.conflict.why, d.conflict.message, d.generation)
}

func (d desired) takeBack(s *corev1.Service) {
	s.Status.LoadBalancer.Ingress = slices.DeleteFunc(s.Status.LoadBalancer.Ingress, func(i corev1.LoadBalancerIngress) bool {
		a, err := netip.ParseAddr(i.IP)
		return err == nil && slices.Contains(d.decision.Addresses, a.Unmap())
	})
	markPool(s, "")
	delete(s.Annotations, v1beta1.AnnotationControllerNamespace)
	meta.RemoveStatusCondition(&s.Status.Conditions, v1beta1.ConditionAddressAllocated)
	meta.RemoveStatusCondition(&s.Status.Conditions, v1beta1.ConditionAddressConflict)
}

// markPool annotates a Service with the pool of its addresses; an empty name removes the annotation. The deprecated form, which MetalLB up to
// 0.14 wrote, is removed in any case: it would name a pool that is no longer kept up to date.
func markPool(s *corev1.Service, pool string) {
	delete(s.Annotations, kube.LegacyKey(v1beta1.AnnotationAllocatedFromPool))
	if pool == "" {
		delete(s.Annotations, v1beta1.AnnotationAllocatedFromPool)
		return
	}
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, v1beta1.AnnotationAllocatedFromPool, pool)
}

// keeps starts the message of a Service that has addresses although something is wrong, ofPool follows the addresses.
const keeps, ofPool = "keeps ", " of pool "

// verdict is the content of the condition: True while the Service has addresses, with what is wrong beside them if anything is.
func (d desired) verdict() (metav1.ConditionStatus, reason.Reason, string) {
	problem := d.decision.Problem
	if len(d.decision.Addresses) == 0 {
		if problem == nil {
			problem = &reason.Problem{Reason: reason.NoMatchingPool}
		}
		return metav1.ConditionFalse, problem.Reason, problem.Message()
	}
	has := join(d.decision.Addresses)
	if d.decision.Pool != "" {
		has += ofPool + d.decision.Pool
	}
	if problem == nil {
		return metav1.ConditionTrue, reason.Allocated, has
	}
	return metav1.ConditionTrue, problem.Reason, keeps + has + ": " + problem.Message()
}

// events are what a write that leads from before to after has to tell, with the problem that after tells of, if any. They follow from the
// two objects, so what was told once is not told again by the next pass or the next process. Of conflicts over an address the speakers tell.
func (d desired) events(before, after *corev1.Service, problem *reason.Problem) []notice {
	if d.leaves {
		return nil
	}
	var list []notice
	had, has := addressesOf(before), addressesOf(after)
	if lost := without(had, has); len(lost) > 0 {
		list = append(list, notice{corev1.EventTypeNormal, string(reason.ClearAssignment), "Lost " + join(lost) + because(d.decision)})
	}
	if got := without(has, had); len(got) > 0 {
		list = append(list, notice{corev1.EventTypeNormal, string(reason.IPAllocated), fmt.Sprintf("Assigned %s of pool %s", quoted(got), d.decision.Pool)})
	}
	if problem != nil && !sameVerdict(before, after, v1beta1.ConditionAddressAllocated) {
		list = append(list, notice{corev1.EventTypeWarning, string(problem.Reason), problem.Message()})
	}
	if len(list) > 0 && usesDeprecated(after) {
		list = append(list, notice{corev1.EventTypeWarning, deprecatedAnnotation, "Annotations with the prefix " + v1beta1.LegacyAnnotationPrefix +
			" are deprecated, use " + v1beta1.AnnotationPrefix})
	}
	return list
}

// deprecatedAnnotation is the reason of that event, as users' tooling knows it.
const deprecatedAnnotation = "deprecatedAnnotation"

func because(d allocation.Decision) string {
	if cause := d.Cause; cause != nil {
		return ": " + cause.Message()
	}
	if d.Problem != nil {
		return ": " + d.Problem.Message()
	}
	return ""
}

func sameVerdict(x, y *corev1.Service, condition string) bool {
	a := meta.FindStatusCondition(x.Status.Conditions, condition)
	b := meta.FindStatusCondition(y.Status.Conditions, condition)
	return a != nil && b != nil && a.Status == b.Status && a.Reason == b.Reason && a.Message == b.Message
}

// isMarked reports whether a Service bears marks of a controller of this suite or of MetalLB.
func isMarked(s *corev1.Service) bool {
	_, annotated := kube.AllocatedFrom(s)
	_, recorded := s.Annotations[v1beta1.AnnotationControllerNamespace]
	return annotated || recorded || meta.FindStatusCondition(s.Status.Conditions, v1beta1.ConditionAddressAllocated) != nil
}

func ingress(addresses []netip.Addr) []corev1.LoadBalancerIngress {
	var list []corev1.LoadBalancerIngress
	for _, a := range addresses {
		vip := corev1.LoadBalancerIPModeVIP
		list = append(list, corev1.LoadBalancerIngress{IP: a.String(), IPMode: &vip})
	}
	return list
}

func sameIngress(x, y []corev1.LoadBalancerIngress) bool {
	return len(x) == 0 && len(y) == 0 || equality.Semantic.DeepEqual(x, y)
}

func without(list, taken []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(list), func(a netip.Addr) bool { return slices.Contains(taken, a) })
}

func join(addresses []netip.Addr) string { return joinWith(addresses, " and ", "%s") }

func quoted(addresses []netip.Addr) string { return "[" + joinWith(addresses, " ", "%q") + "]" }

func joinWith(addresses []netip.Addr, separator, format string) string {
	texts := make([]string, len(addresses))
	for i, a := range addresses {
		texts[i] = fmt.Sprintf(format, a.String())
	}
	return strings.Join(texts, separator)
}
