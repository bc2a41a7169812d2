// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

func TestDeploymentHealth(t *testing.T) {
	failure := appsv1.DeploymentCondition{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "quota used up"}
	late := appsv1.DeploymentCondition{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Message: "deadline exceeded"}
	for name, c := range map[string]struct {
		generation int64
		status     appsv1.DeploymentStatus
		available  bool
		complete   bool
		stuck      bool
		why        reason.Reason
	}{
		"never looked at":       {1, appsv1.DeploymentStatus{}, false, false, false, reason.RollingOut},
		"change not looked at":  {2, appsv1.DeploymentStatus{ObservedGeneration: 1, UpdatedReplicas: 2, AvailableReplicas: 2}, true, false, false, reason.RollingOut},
		"change, one is down":   {2, appsv1.DeploymentStatus{ObservedGeneration: 1, UpdatedReplicas: 2, AvailableReplicas: 1}, false, false, false, reason.RollingOut},
		"none available":        {1, appsv1.DeploymentStatus{ObservedGeneration: 1, UpdatedReplicas: 2}, false, false, false, reason.OperandNotReady},
		"old revision serves":   {1, appsv1.DeploymentStatus{ObservedGeneration: 1, UpdatedReplicas: 1, AvailableReplicas: 2}, true, false, false, reason.RollingOut},
		"old one beside new":    {1, appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 3, UpdatedReplicas: 2, AvailableReplicas: 2}, true, false, false, reason.RollingOut},
		"all as wanted":         {1, appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}, true, true, false, ""},
		"pods refused":          {1, appsv1.DeploymentStatus{ObservedGeneration: 1, Conditions: []appsv1.DeploymentCondition{failure}}, false, false, true, reason.PodsRefused},
		"deadline exceeded":     {1, appsv1.DeploymentStatus{ObservedGeneration: 1, Conditions: []appsv1.DeploymentCondition{late}}, false, false, true, reason.OperandNotReady},
		"complete, old failure": {1, appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2, Conditions: []appsv1.DeploymentCondition{late}}, true, true, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: ptr[int32](2)}, Status: c.status}
			d.Generation = c.generation
			checkHealth(t, deploymentHealth(d), c.available, c.complete, c.stuck, c.why)
		})
	}
}

func TestDaemonSetHealth(t *testing.T) {
	for name, c := range map[string]struct {
		status    appsv1.DaemonSetStatus
		available bool
		complete  bool
		why       reason.Reason
	}{
		"never looked at":     {appsv1.DaemonSetStatus{}, false, false, reason.RollingOut},
		"change, all serve":   {appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberAvailable: 3}, true, false, reason.RollingOut},
		"change, one is down": {appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberAvailable: 2}, false, false, reason.RollingOut},
		"no node wants one":   {appsv1.DaemonSetStatus{ObservedGeneration: 2}, false, false, reason.NoNodesForSpeakers},
		"change, no node":     {appsv1.DaemonSetStatus{ObservedGeneration: 1}, false, false, reason.RollingOut},
		"two of three":        {appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberAvailable: 2}, false, false, reason.OperandNotReady},
		"old revision serves": {appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 2, NumberAvailable: 3}, true, false, reason.RollingOut},
		"all as wanted":       {appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberAvailable: 3}, true, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ds := &appsv1.DaemonSet{Status: c.status}
			ds.Generation = 2
			checkHealth(t, daemonSetHealth(ds), c.available, c.complete, false, c.why)
		})
	}
}

func checkHealth(t *testing.T, h health, available, complete, stuck bool, why reason.Reason) {
	t.Helper()
	if h.available != available || h.complete != complete || h.stuck != stuck {
		t.Errorf("available %t, complete %t, stuck %t", h.available, h.complete, h.stuck)
	}
	if (h.problem == nil) != complete {
		t.Fatalf("problem %v, complete %t", h.problem, complete)
	}
	if h.problem != nil && h.problem.Reason != why {
		t.Errorf("reason %s, want %s", h.problem.Reason, why)
	}
}

// wanted writes conditions as "Type=Status/Reason".
func wanted(conditions []metav1.Condition) string {
	var out []string
	for _, kind := range []string{v1beta1.ConditionAvailable, v1beta1.ConditionProgressing, v1beta1.ConditionDegraded, v1beta1.ConditionUpgradeable} {
		c := meta.FindStatusCondition(conditions, kind)
		out = append(out, string(c.Status)+"/"+c.Reason)
	}
	return strings.Join(out, " ")
}

func TestSummarise(t *testing.T) {
	good := health{available: true, complete: true}
	starting := waitingFor(reason.OperandNotReady, "speaker: 0 of 3 pods are available")
	rolling := waitingFor(reason.RollingOut, "speaker: 1 of 3 pods are updated")
	rolling.available = true
	stuck := waitingFor(reason.PodsRefused, "speaker: forbidden")
	stuck.stuck = true
	unknown := []reason.Problem{*reason.New(reason.UnknownAnnouncer, "pigeon")}
	for name, c := range map[string]struct {
		speaker  health
		problems []reason.Problem
		since    time.Duration
		want     string
		after    time.Duration
	}{
		"all well":          {good, nil, 0, "True/AsExpected False/AsExpected False/AsExpected True/AsExpected", 0},
		"starting":          {starting, nil, 0, "False/OperandNotReady True/OperandNotReady False/AsExpected False/OperandNotReady", patience},
		"starting for long": {starting, nil, patience, "False/OperandNotReady False/AsExpected True/OperandNotReady True/AsExpected", 0},
		"rolling out":       {rolling, nil, 0, "True/AsExpected True/RollingOut False/AsExpected False/RollingOut", 0},
		"refused":           {stuck, nil, 0, "False/PodsRefused False/AsExpected True/PodsRefused True/AsExpected", 0},
		"unknown announcer": {good, unknown, 0, "True/AsExpected False/AsExpected True/UnknownAnnouncer True/AsExpected", 0},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now().Truncate(time.Second)
			status := metav1.ConditionFalse
			if c.speaker.available {
				status = metav1.ConditionTrue
			}
			conditions := []metav1.Condition{{Type: v1beta1.ConditionSpeakerAvailable, Status: status, LastTransitionTime: metav1.NewTime(now.Add(-c.since))}}
			o := observation{problems: c.problems, components: []component{
				{controllerName, v1beta1.ConditionControllerAvailable, true, good},
				{speakerName, v1beta1.ConditionSpeakerAvailable, true, c.speaker},
				{copierName, v1beta1.ConditionEndpointCopierAvailable, false, health{}},
			}}
			after := summarise(&conditions, o, 7, now)
			if got := wanted(conditions); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if after != c.after {
				t.Errorf("looks again after %s, want %s", after, c.after)
			}
			for _, condition := range conditions {
				if condition.ObservedGeneration != 7 || condition.Message == "" {
					t.Errorf("%s: generation %d, message %q", condition.Type, condition.ObservedGeneration, condition.Message)
				}
			}
		})
	}
}

func TestSummariseNativeBackend(t *testing.T) {
	for asked, present := range map[string]bool{"": false, "native": false, "frr": true, "frr-k8s": true} {
		conditions := []metav1.Condition{{Type: v1beta1.ConditionNativeBackend, Status: metav1.ConditionTrue}}
		summarise(&conditions, observation{native: asked}, 1, time.Now())
		if got := meta.FindStatusCondition(conditions, v1beta1.ConditionNativeBackend) != nil; got != present {
			t.Errorf("backend %q: condition present %t", asked, got)
		}
	}
}

func TestSummariseStrays(t *testing.T) {
	some := reason.New(reason.StrayObject, "IPAddressPool shop/blue")
	for name, c := range map[string]struct {
		strays       *reason.Problem
		unknown, had bool
		present      bool
	}{
		"none":                        {},
		"none any more":               {had: true},
		"some":                        {strays: some, present: true},
		"not known yet":               {unknown: true},
		"not known yet after a start": {unknown: true, had: true, present: true},
		"some, and more may turn up":  {strays: some, unknown: true, present: true},
	} {
		var conditions []metav1.Condition
		if c.had {
			conditions = []metav1.Condition{{Type: v1beta1.ConditionStrayObjects, Status: metav1.ConditionTrue}}
		}
		summarise(&conditions, observation{strays: c.strays, straysUnknown: c.unknown}, 1, time.Now())
		if got := meta.FindStatusCondition(conditions, v1beta1.ConditionStrayObjects) != nil; got != c.present {
			t.Errorf("%s: condition present %t", name, got)
		}
	}
}
