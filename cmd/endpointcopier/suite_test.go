// SPDX-License-Identifier: Apache-2.0

package endpointcopier

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"metalsuite.io/cmd/process"
	"metalsuite.io/test/shipped"
)

const (
	namespace = "metallb-system"
	account   = "system:serviceaccount:" + namespace + ":endpoint-copier"
	// childArgument makes the test binary be the program under test.
	childArgument = "endpoint-copier"
)

// shortLease is the lease of the specs, which wait until one is lost.
var shortLease = process.LeaseTimes{Duration: 3 * time.Second, Renew: 2 * time.Second, Retry: 500 * time.Millisecond}

var (
	api client.Client
	// kubeconfig and roleConfig have the rights of the role.
	kubeconfig []byte
	roleConfig *rest.Config
)

// The test binary is also the process that specs start: with the name of the role as its first argument it runs no tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArgument {
		os.Exit(runCommand(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// runCommand runs the role as main does, with a short lease.
func runCommand(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	o := newOptions()
	o.lease = shortLease
	command := o.command()
	command.SetArgs(args)
	if err := command.ExecuteContext(ctx); err != nil {
		return 1
	}
	return 0
}

func TestRole(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "endpoint-copier role")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	logf.SetLogger(GinkgoLogr)
	environment := &envtest.Environment{}
	// Owner references take rights, as on OpenShift.
	environment.ControlPlane.GetAPIServer().Configure().Append("enable-admission-plugins", "OwnerReferencesPermissionEnforcement")
	config, err := environment.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(environment.Stop)
	config.QPS = -1
	api, err = client.New(config, client.Options{})
	Expect(err).NotTo(HaveOccurred())
	Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	Expect(shipped.Create(ctx, api,
		"rbac/endpoint-copier/service_account.yaml", "rbac/endpoint-copier/role.yaml", "rbac/endpoint-copier/role_binding.yaml")).To(Succeed())
	user, err := environment.AddUser(envtest.User{Name: account, Groups: []string{"system:serviceaccounts", "system:authenticated"}}, nil)
	Expect(err).NotTo(HaveOccurred())
	kubeconfig, err = user.KubeConfig()
	Expect(err).NotTo(HaveOccurred())
	roleConfig = user.Config()
	roleConfig.Host = "https://" + environment.ControlPlane.APIServer.SecureServing.URL("https", "").Host
})

// kubeconfigFile writes a kubeconfig and returns its path.
func kubeconfigFile(content []byte) string {
	GinkgoHelper()
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(os.WriteFile(path, content, 0o600)).To(Succeed())
	return path
}

// holder returns who holds the Lease; empty when nobody does.
func holder(ctx context.Context) (string, error) {
	lease := &coordinationv1.Lease{}
	err := client.IgnoreNotFound(api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: leaderElectionID}, lease))
	return ptr.Deref(lease.Spec.HolderIdentity, ""), err
}
