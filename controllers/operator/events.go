// SPDX-License-Identifier: Apache-2.0

package operator

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/kube"
)

// event is one event that is worth a user's attention.
type event struct{ kind, reason, note string }

// changesBetween returns the events that a change of conditions gives rise to: degraded now or for another reason, available again,
// fields of others in the workloads.
func changesBetween(before, after []metav1.Condition) []event {
	var events []event
	if c := changed(before, after, v1beta1.ConditionDegraded); c != nil && c.Status == metav1.ConditionTrue {
		events = append(events, event{corev1.EventTypeWarning, c.Reason, kube.Note(c.Message)})
	}
	if c := changed(before, after, v1beta1.ConditionAvailable); c != nil && c.Status == metav1.ConditionTrue {
		events = append(events, event{corev1.EventTypeNormal, "Available", kube.Note(c.Message)})
	}
	if c := changed(before, after, v1beta1.ConditionForeignFields); c != nil {
		events = append(events, event{corev1.EventTypeWarning, c.Reason, kube.Note(c.Message)})
	}
	return events
}

// changed returns the condition as it is now when its status or reason is not what it was, else nil.
func changed(before, after []metav1.Condition, kind string) *metav1.Condition {
	was, is := meta.FindStatusCondition(before, kind), meta.FindStatusCondition(after, kind)
	if is == nil || was != nil && was.Status == is.Status && was.Reason == is.Reason {
		return nil
	}
	return is
}
