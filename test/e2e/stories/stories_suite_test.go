// SPDX-License-Identifier: Apache-2.0

// Package stories tells on a real cluster, with real packets, what users do with the suite. It needs a running lab and fails without one.
package stories

import (
	"context"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/test/suite"
)

// patience bounds how long a story waits for what must happen.
const patience = 30 * time.Second

var cluster *suite.Suite

func TestStories(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(patience)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	EnforceDefaultTimeoutsWhenUsingContexts()
	RunSpecs(t, "stories on a real cluster")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	cluster, err = suite.Open()
	Expect(err).NotTo(HaveOccurred())
	calm(ctx)
	Expect(cluster.AwaitNodesReady(ctx, 2*time.Minute)).To(Succeed())
	Expect(cluster.Reset(ctx)).To(Succeed())
	Expect(cluster.Install(ctx)).To(Succeed())
	begin := time.Now()
	Expect(cluster.Apply(ctx, suite.MetalLB())).To(Succeed())
	Expect(cluster.AwaitAvailable(ctx, time.Minute)).To(Succeed())
	GinkgoWriter.Printf("Available after %s\n", time.Since(begin))
	Expect(cluster.Apply(ctx, suite.HelloNamespace(namespace))).To(Succeed())
	Expect(cluster.Apply(ctx, suite.HelloDeployment(namespace, app, int32(len(cluster.Lab.Nodes()))))).To(Succeed())
	Expect(cluster.AwaitDeployment(ctx, namespace, app, time.Minute)).To(Succeed())
})

// The machine is shared with whoever comes next: links are up and nothing of ours is left.
var _ = AfterSuite(func(ctx SpecContext) {
	if cluster == nil {
		return
	}
	calm(ctx)
	Expect(cluster.Reset(ctx)).To(Succeed())
})

// A story that failed may have left a node without its link, and the next ones are not to fail for it.
var _ = AfterEach(func(ctx SpecContext) {
	if cluster == nil || !CurrentSpecReport().Failed() {
		return
	}
	calm(ctx)
	Expect(cluster.AwaitNodesReady(ctx, 2*time.Minute)).To(Succeed())
})

// A failed story shows what an administrator would look at.
var _ = ReportAfterEach(func(report SpecReport) {
	if !report.Failed() || cluster == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, look := range [][]string{
		{"get", "nodes,metallb,pods,ipaddresspools,l2advertisements,servicel2statuses,configurationstates,bgppeers,bgpadvertisements,bgpsessionstatuses", "-A", "-o", "wide"},
		{"get", "services,events", "-A"},
		{"-n", suite.Namespace, "logs", "deploy/controller", "--tail=40"},
		{"-n", suite.Namespace, "logs", "ds/speaker", "--tail=40", "--all-pods"},
	} {
		out, err := cluster.Kubectl(ctx, "", look...)
		fmt.Fprintf(GinkgoWriter, "kubectl %v: %v\n%s\n", look, err, out)
	}
	for _, look := range []string{"show bgp summary", "show bfd peers brief", "show running-config bgpd"} {
		out, err := cluster.Lab.FRR().Run(ctx, look)
		fmt.Fprintf(GinkgoWriter, "%s: %v\n%s\n", look, err, out)
	}
})

// apply makes an object for the length of a story.
func apply(ctx context.Context, o client.Object) {
	GinkgoHelper()
	Expect(cluster.Apply(ctx, o)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(cluster.Gone(ctx, o, time.Minute)).To(Succeed()) })
}

// configure brings the MetalLB resource to a form and waits until the speakers have it.
func configure(ctx context.Context, change func(*v1beta1.MetalLBSpec)) {
	GinkgoHelper()
	m := suite.MetalLB()
	change(&m.Spec)
	Expect(cluster.Apply(ctx, m)).To(Succeed())
	Expect(cluster.AwaitAvailable(ctx, 2*time.Minute)).To(Succeed())
}
