// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

// configurationError starts every message about an object that was left out, so that tooling can tell it from other trouble.
const configurationError = "configuration error: "

// StateWriter writes the ConfigurationState of one process.
type StateWriter struct {
	Client    client.Client
	Namespace string
	Name      string
	Labels    map[string]string
	// Owner is the pod of the process, so that its state goes with it; it may be empty.
	Owner []metav1.OwnerReference
	// Condition is the type of the condition about the configuration.
	Condition string
}

// Write makes the object say which parts of the configuration are left out and, if none is, which of those in use do less than they say:
// one line for each. Through more the process adds other conditions; nil adds none. It creates the object if it is missing and writes nothing
// when nothing changed.
func (w StateWriter) Write(ctx context.Context, problems, warnings []string, more func(*[]metav1.Condition)) error {
	state := &v1beta1.ConfigurationState{}
	err := w.Client.Get(ctx, types.NamespacedName{Namespace: w.Namespace, Name: w.Name}, state)
	if apierrors.IsNotFound(err) {
		state = &v1beta1.ConfigurationState{ObjectMeta: metav1.ObjectMeta{
			Name: w.Name, Namespace: w.Namespace, Labels: w.Labels, OwnerReferences: w.Owner,
		}}
		err = w.Client.Create(ctx, state)
	}
	if err != nil {
		return fmt.Errorf("reading or creating configuration state %s: %w", w.Name, err)
	}
	next := state.DeepCopy()
	fillState(&next.Status, w.Condition, problems, warnings)
	if more != nil {
		more(&next.Status.Conditions)
	}
	if equality.Semantic.DeepEqual(state.Status, next.Status) {
		return nil
	}
	if err := w.Client.Status().Update(ctx, next); err != nil {
		return fmt.Errorf("writing configuration state %s: %w", w.Name, err)
	}
	return nil
}

// fillState sums up: the summary has a line for each problem, as far as a condition could hold them. A warning leaves the configuration valid, as the object that it is about is in
// use; the condition that says so carries it.
func fillState(status *v1beta1.ConfigurationStateStatus, condition string, problems, warnings []string) {
	status.Result, status.ErrorSummary = v1beta1.ConfigurationValid, ""
	switch {
	case len(problems)+len(warnings) == 0:
		SetCondition(&status.Conditions, condition, metav1.ConditionTrue, reason.Reconciled, "", 0)
		return
	case len(problems) == 0:
		SetCondition(&status.Conditions, condition, metav1.ConditionTrue, reason.ConfigurationWarning, strings.Join(warnings, "\n"), 0)
		return
	}
	status.Result = v1beta1.ConfigurationInvalid
	status.ErrorSummary = truncate(configurationError+strings.Join(problems, "\n"+configurationError), maxMessage)
	SetCondition(&status.Conditions, condition, metav1.ConditionFalse, reason.ConfigurationError, status.ErrorSummary, 0)
}
