// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
)

// maxMessage is the limit of a condition's message (Kubernetes: metav1.Condition.message, 32768 characters).
const maxMessage = 32768

// SetCondition sets a condition with a reason of the vocabulary and reports whether anything changed. The transition time changes only
// when the status does (Kubernetes: metav1.Condition.lastTransitionTime).
func SetCondition(conditions *[]metav1.Condition, kind string, status metav1.ConditionStatus, why reason.Reason, message string, generation int64) bool {
	if message == "" {
		message = why.Text().Sentence
	}
	return meta.SetStatusCondition(conditions, metav1.Condition{
		Type:               kind,
		Status:             status,
		Reason:             string(why),
		Message:            truncate(message, maxMessage),
		ObservedGeneration: generation,
	})
}

// SetProblem sets a condition to False with the problem's reason and message, or to True with the reason ok when there is none.
func SetProblem(conditions *[]metav1.Condition, kind string, problem *reason.Problem, ok reason.Reason, generation int64) bool {
	if problem == nil {
		return SetCondition(conditions, kind, metav1.ConditionTrue, ok, "", generation)
	}
	return SetCondition(conditions, kind, metav1.ConditionFalse, problem.Reason, problem.Message(), generation)
}

// truncate cuts a text at a rune boundary so that it has at most limit bytes.
func truncate(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	cut := limit - len("…")
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut] + "…"
}
