// SPDX-License-Identifier: Apache-2.0

package permissions

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"metalsuite.io/test/lab"
)

func TestPermissions(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "permissions")
}

// unseen are permissions that are needed although the stories make no such request.
var unseen = map[Permission]string{
	{"metalsuite-operator", "metallb-system", "metallb.io", "metallbs/finalizers", "", "update"}: "checked by the admission plugin " +
		"OwnerReferencesPermissionEnforcement, which makes no request",
	{"metalsuite-operator", "metallb-system", "", "secrets", "memberlist", "patch"}: "hands the Secret of a former version, or of MetalLB, over to the " +
		"MetalLB resource; the stories install on an empty cluster",
}

// streamed reports whether the permission is a list beside a watch that is used: since Kubernetes 1.34 a client gets the first list by the
// watch itself, on older API servers by a list.
func streamed(p Permission, unused []Permission) bool {
	watch := p
	watch.Verb = "watch"
	return p.Verb == "list" && !slices.Contains(unused, watch)
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
		Expect(unused).To(BeEmpty(), "permissions that no request needed")
		Expect(report.Forbidden).To(BeEmpty(), "requests that were forbidden")
		for p := range unseen {
			Expect(report.Unused).To(ContainElement(p), "used after all: remove it from the list")
		}
	})
})
