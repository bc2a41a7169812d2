// SPDX-License-Identifier: Apache-2.0

package permissions

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"metalsuite.io/test/lab"
)

func TestPermissions(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "permissions")
}

// Whether a story makes these requests depends on which of two events a process sees first.
const (
	lateCache = "writes over an object that the cache has not shown yet"
	formerPod = "takes over the object of the node's former pod, if that is still there"
)

// unseen are permissions that are needed although the stories make no such request, or not always, each with the reason.
var unseen = map[Permission]string{
	metallb("metalsuite-operator", "metallbs/finalizers", "update"): "checked by the admission plugin OwnerReferencesPermissionEnforcement, which " +
		"makes no request",
	secret("memberlist", "patch"): "hands the Secret of a former version, or of MetalLB, over; the stories install on an empty cluster",
	secret("memberlist", "delete"): "checked by the admission plugin OwnerReferencesPermissionEnforcement when the Secret of a former version " +
		"gets another owner; the plugin makes no request",
	secret("metallb-webhook-cert", "update"): "the certificate is renewed after months",
	workload("daemonsets", "create"):         "server-side apply of a new object is a patch that needs create as well",
	workload("deployments", "create"):        "server-side apply of a new object is a patch that needs create as well",
	workload("daemonsets", "delete"):         "deletes a DaemonSet of an earlier version under another name",
	events("metalsuite-operator"):            "an event that repeats within six minutes becomes a series by a patch",
	events("controller"):                     "an event that repeats within six minutes becomes a series by a patch",
	events("endpoint-copier"):                "an event that repeats within six minutes becomes a series by a patch",
	{"endpoint-copier", "default", "discovery.k8s.io", "endpointslices", "", "update"}: "an API server that joins or leaves changes a slice; the lab's has one",
	metallb("speaker", "addressconflicts", "patch"):                                    lateCache,
	metallb("speaker", "bgpsessionstatuses", "patch"):                                  lateCache,
	metallb("speaker", "servicebgpstatuses", "patch"):                                  lateCache,
	metallb("speaker", "servicel2statuses", "patch"):                                   lateCache,
	metallb("speaker", "servicebgpstatuses/status", "patch"):                           lateCache,
	metallb("speaker", "servicel2statuses/status", "patch"):                            lateCache,
	metallb("speaker", "addressconflicts", "update"):                                   formerPod,
	metallb("speaker", "bgpsessionstatuses", "update"):                                 formerPod,
	metallb("speaker", "servicebgpstatuses", "update"):                                 formerPod,
	metallb("speaker", "servicel2statuses", "update"):                                  formerPod,
}

func metallb(account, resource, verb string) Permission {
	return Permission{account, "metallb-system", "metallb.io", resource, "", verb}
}

func secret(name, verb string) Permission {
	return Permission{"metalsuite-operator", "metallb-system", "", "secrets", name, verb}
}

func workload(resource, verb string) Permission {
	return Permission{"metalsuite-operator", "metallb-system", "apps", resource, "", verb}
}

func events(account string) Permission {
	return Permission{account, "", "events.k8s.io", "events", "", "patch"}
}

// streamed reports whether the permission is a list beside a watch that is used: since Kubernetes 1.34 a client gets the first list by the
// watch itself, on older API servers by a list.
func streamed(p Permission, unused []Permission) bool {
	watch := p
	watch.Verb = "watch"
	return p.Verb == "list" && !slices.Contains(unused, watch)
}

func lines[T fmt.Stringer](values []T) string {
	var b strings.Builder
	for _, v := range values {
		fmt.Fprintln(&b, v)
	}
	return b.String()
}

var _ = Describe("The roles of config/rbac", func() {
	It("grant what the stories used and nothing else", func() {
		running, err := lab.Open()
		Expect(err).NotTo(HaveOccurred())
		grants, err := Read(os.DirFS(filepath.Join("..", "..", "..", "config", "rbac")))
		Expect(err).NotTo(HaveOccurred())
		log, err := os.Open(running.Variable("LAB_AUDIT_LOG"))
		Expect(err).NotTo(HaveOccurred())
		defer log.Close()
		report, err := Compare(log, grants)
		Expect(err).NotTo(HaveOccurred())
		GinkgoWriter.Printf("%d requests, %d permissions\n", report.Requests, len(grants.Permissions))
		Expect(report.Requests).To(BeNumerically(">", 1000), "the stories have not run on this lab")
		unused := slices.DeleteFunc(slices.Clone(report.Unused), func(p Permission) bool { return unseen[p] != "" || streamed(p, report.Unused) })
		Expect(lines(unused)).To(BeEmpty(), "permissions that no request needed")
		Expect(lines(report.Forbidden)).To(BeEmpty(), "requests that were forbidden")
		for p := range unseen {
			Expect(grants.Permissions).To(ContainElement(p), "not granted any more: remove it from the list")
		}
	})
})
