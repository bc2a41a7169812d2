// SPDX-License-Identifier: Apache-2.0

package operator

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"metalsuite.io/api/reason"
)

// health is what a workload's status says.
type health struct {
	// available: every pod that should run does, of whatever revision.
	available bool
	// complete: available, and every pod is of the newest revision.
	complete bool
	// stuck: it will not get better by waiting.
	stuck bool
	// problem says why it is not complete; nil when it is.
	problem *reason.Problem
	// note is a remark on a workload that is complete; empty for none.
	note reason.Reason
}

// waitingFor is the health of a workload that cannot be created or judged yet.
func waitingFor(why reason.Reason, format string, args ...any) health {
	return health{problem: reason.New(why, format, args...)}
}

func deploymentHealth(d *appsv1.Deployment) health {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	h := progress(counts{d.Name, want, s.UpdatedReplicas, s.AvailableReplicas, s.Replicas - s.UpdatedReplicas, d.Generation, s.ObservedGeneration})
	if h.complete {
		return h
	}
	if c := deploymentCondition(d, appsv1.DeploymentReplicaFailure); c != nil && c.Status == corev1.ConditionTrue {
		h.stuck, h.problem = true, reason.New(reason.PodsRefused, "%s: %s", d.Name, c.Message)
	} else if c := deploymentCondition(d, appsv1.DeploymentProgressing); c != nil && c.Status == corev1.ConditionFalse {
		h.stuck, h.problem = true, reason.New(reason.OperandNotReady, "%s: %s", d.Name, c.Message)
	}
	return h
}

func deploymentCondition(d *appsv1.Deployment, kind appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range d.Status.Conditions {
		if d.Status.Conditions[i].Type == kind {
			return &d.Status.Conditions[i]
		}
	}
	return nil
}

func daemonSetHealth(ds *appsv1.DaemonSet) health {
	s := ds.Status
	if s.ObservedGeneration >= ds.Generation && s.DesiredNumberScheduled == 0 {
		return waitingFor(reason.NoNodesForSpeakers, "%s: no node is eligible for a speaker", ds.Name)
	}
	return progress(counts{ds.Name, s.DesiredNumberScheduled, s.UpdatedNumberScheduled, s.NumberAvailable, 0, ds.Generation, s.ObservedGeneration})
}

// lacksPods reports whether a DaemonSet has fewer pods than nodes to run them on, which lasts only when the pods are refused.
func lacksPods(ds *appsv1.DaemonSet) bool {
	return ds.Status.ObservedGeneration >= ds.Generation && ds.Status.CurrentNumberScheduled < ds.Status.DesiredNumberScheduled
}

// counts are the numbers of pods in the status of either kind of workload. old are pods of an older revision beside the updated ones: a
// DaemonSet has one pod on each node, so it has none.
type counts struct {
	name                          string
	want, updated, available, old int32
	generation, observed          int64
}

// progress judges the counts. Those of an older generation still show how many pods serve, those of no generation show nothing. Where no
// pod is wanted, none serves. Pods of an older revision count as available, so the updated ones are available for certain only when no old
// one exists (as in "kubectl rollout status").
func progress(c counts) health {
	switch {
	case c.observed < c.generation:
		h := waitingFor(reason.RollingOut, "%s: Kubernetes has not observed the newest generation yet", c.name)
		h.available = c.observed > 0 && c.want > 0 && c.available >= c.want
		return h
	case c.want == 0:
		return waitingFor(reason.OperandNotReady, "%s: 0 replicas are desired", c.name)
	case c.available < c.want:
		return waitingFor(reason.OperandNotReady, "%s: %d of %d pods are available", c.name, c.available, c.want)
	case c.updated < c.want:
		h := waitingFor(reason.RollingOut, "%s: %d of %d pods are updated", c.name, c.updated, c.want)
		h.available = true
		return h
	case c.old > 0:
		h := waitingFor(reason.RollingOut, "%s: pods of an older revision that still run: %d", c.name, c.old)
		h.available = true
		return h
	}
	return health{available: true, complete: true}
}
