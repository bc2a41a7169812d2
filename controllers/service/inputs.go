// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
	"metalsuite.io/internal/policy"
)

// inputs is one consistent reading of the cluster.
type inputs struct {
	services     []corev1.Service
	pools        []v1beta1.IPAddressPool
	namespaces   []corev1.Namespace
	nodes        []corev1.Node
	apiServers   []discoveryv1.EndpointSlice
	serviceCIDRs cidrs
	reserved     []v1beta1.IPReservation
	conflicts    []v1beta1.AddressConflict
}

func (r *Reconciler) read(ctx context.Context) (inputs, error) {
	var (
		services   corev1.ServiceList
		pools      v1beta1.IPAddressPoolList
		namespaces corev1.NamespaceList
		nodes      corev1.NodeList
		apiServers discoveryv1.EndpointSliceList
		reserved   v1beta1.IPReservationList
	)
	for _, list := range []client.ObjectList{&services, &namespaces, &nodes} {
		if err := r.reader.List(ctx, list); err != nil {
			return inputs{}, fmt.Errorf("listing %T: %w", list, err)
		}
	}
	if err := r.reader.List(ctx, &pools, client.InNamespace(r.namespace)); err != nil {
		return inputs{}, fmt.Errorf("listing pools: %w", err)
	}
	if err := r.reader.List(ctx, &reserved, client.InNamespace(r.namespace)); err != nil {
		return inputs{}, fmt.Errorf("listing reservations: %w", err)
	}
	if err := r.reader.List(ctx, &apiServers, client.InNamespace(apiServerNamespace), apiServerLabels); err != nil {
		return inputs{}, fmt.Errorf("listing endpoints of the API server: %w", err)
	}
	found, err := r.serviceCIDRs(ctx)
	if err != nil {
		return inputs{}, err
	}
	conflicts, err := r.listConflicts(ctx)
	if err != nil {
		return inputs{}, err
	}
	return inputs{services.Items, pools.Items, namespaces.Items, nodes.Items, apiServers.Items, found, reserved.Items, conflicts}, nil
}

// adoptPolicy compiles the policy and hands it to the Allocator.
func (r *Reconciler) adoptPolicy(in inputs) {
	r.keeping.reset(in.reserved)
	if r.loaded.Load() {
		r.track(r.keeping.services()...) // before this pass takes it away
	}
	r.lookForCIDRs = in.serviceCIDRs.again
	objects := policy.Objects{Pools: in.pools, Reservations: r.keeping.objects, Now: r.now(), Namespaces: map[string]map[string]string{}}
	for i := range in.namespaces {
		objects.Namespaces[in.namespaces[i].Name] = in.namespaces[i].Labels
	}
	compiled := policy.Compile(objects)
	r.allocator.SetWithheld(in.withheld())
	r.allocator.SetPools(compiled.Pools)
	r.heed(in.conflicts)
	r.reserve(compiled)
	r.report(in, compiled)
}

// report posts what is wrong with each pool, and what a valid one has less than it says.
func (r *Reconciler) report(in inputs, compiled *policy.Policy) {
	reports := make(map[string]poolReport, len(in.pools))
	for i := range in.pools {
		counts, _ := r.allocator.Counts(in.pools[i].Name)
		reports[in.pools[i].Name] = poolReport{counts: counts, uid: in.pools[i].UID, generation: in.pools[i].Generation}
	}
	ranges := in.ranges()
	for _, pool := range compiled.Pools {
		report := reports[pool.Name]
		report.note = policy.Overlap(pool, ranges)
		reports[pool.Name] = report
	}
	texts := make([]string, 0, len(compiled.Problems))
	for _, p := range compiled.Problems {
		texts = append(texts, fmt.Sprintf("%s %s: %s: %s", p.Object.Kind, p.Object.Name, p.Reason, p.Message()))
		if report, ok := reports[p.Object.Name]; ok && p.Object.Kind == policy.KindIPAddressPool {
			report.problem = &reason.Problem{Reason: p.Reason, Detail: p.Detail}
			reports[p.Object.Name] = report
		}
	}
	r.out.policy(reports, summary{problems: texts, warnings: in.warnings()})
}

// warnings has a line for each part of the cluster that could not be read.
func (in inputs) warnings() []string {
	if problem := in.serviceCIDRs.problem; problem != nil {
		return []string{problem.Error()}
	}
	return nil
}
