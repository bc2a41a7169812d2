// SPDX-License-Identifier: Apache-2.0

// Package suite does on a running lab what an administrator does on a cluster: it installs the operator from this checkout, edits one
// MetalLB resource, makes pools and Services, and waits for what must follow.
//
// The demo and the end to end specs share it. It asserts nothing: every step returns an error that says what was not seen.
package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/test/lab"
)

const (
	// Namespace is where the suite is installed.
	Namespace = "metallb-system"
	// Owner is the field owner of what the tests apply.
	Owner = "metalsuite-test"

	pollEvery = 50 * time.Millisecond
	// clearing is how long a namespace of the tests may take to go: thousands of Services may be left in it.
	clearing = 10 * time.Minute
)

// Suite is the lab with the means to act on it.
type Suite struct {
	Lab    *lab.Lab
	Client client.WithWatch
	root   string
}

// Open returns the suite on the lab of the checkout that holds the working folder. It sets the logger of the client libraries.
func Open() (*Suite, error) {
	LogTo(os.Stderr)
	l, err := lab.Open()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1beta1.AddToScheme, v1beta2.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("registering kinds: %w", err)
		}
	}
	config, err := l.RESTConfig()
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("reaching the lab's API server: %w", err)
	}
	// The environment file stands in .lab/ of the checkout, beside the kubeconfig.
	return &Suite{Lab: l, Client: c, root: filepath.Dir(filepath.Dir(l.Kubeconfig()))}, nil
}

// Kubectl runs kubectl as a user would and returns what it prints.
func (s *Suite) Kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	words := strings.Fields(s.Lab.Variable("LAB_KUBECTL"))
	cmd := exec.CommandContext(ctx, words[0], append(words[1:], args...)...)
	cmd.Dir, cmd.Stdin, cmd.Env = s.root, strings.NewReader(stdin), os.Environ()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// Install applies config/default of this checkout and waits for the operator. An operator that runs already is started anew: its image has
// the same name whatever was built.
func (s *Suite) Install(ctx context.Context) error {
	if _, err := s.Kubectl(ctx, "", "apply", "--server-side", "--force-conflicts", "-k", "config/default"); err != nil {
		return err
	}
	if _, err := s.Kubectl(ctx, "", "-n", Namespace, "rollout", "restart", "deployment/metalsuite-operator"); err != nil {
		return err
	}
	return s.AwaitDeployment(ctx, Namespace, "metalsuite-operator", time.Minute)
}

// Uninstall removes everything that the tests and Install made; what is not there is no error.
func (s *Suite) Uninstall(ctx context.Context) error {
	metallb := &v1beta1.MetalLB{ObjectMeta: metav1.ObjectMeta{Name: v1beta1.MetalLBName, Namespace: Namespace}}
	if err := s.Client.Delete(ctx, metallb); err != nil && !meta.IsNoMatchError(err) && client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting the MetalLB resource: %w", err)
	}
	_, err := s.Kubectl(ctx, "", "delete", "--ignore-not-found", "--timeout=90s", "-k", "config/default")
	return err
}

// Apply creates an object or brings it to the given form.
func (s *Suite) Apply(ctx context.Context, o client.Object) error {
	gvk, err := s.Client.GroupVersionKindFor(o)
	if err != nil {
		return fmt.Errorf("applying: %w", err)
	}
	o.GetObjectKind().SetGroupVersionKind(gvk)
	o.SetManagedFields(nil)
	o.SetResourceVersion("")
	//nolint:staticcheck // The typed objects of the tests have no apply configurations.
	if err := s.Client.Patch(ctx, o, client.Apply, client.FieldOwner(Owner), client.ForceOwnership); err != nil {
		return fmt.Errorf("applying %s %s: %w", gvk.Kind, o.GetName(), err)
	}
	return nil
}

// MetalLB returns the one resource that a user edits.
func MetalLB() *v1beta1.MetalLB {
	return &v1beta1.MetalLB{ObjectMeta: metav1.ObjectMeta{Name: v1beta1.MetalLBName, Namespace: Namespace}}
}

// AwaitAvailable waits until the MetalLB resource says that it is available in its present form, with nothing left to roll out.
func (s *Suite) AwaitAvailable(ctx context.Context, limit time.Duration) error {
	var m v1beta1.MetalLB
	err := Await(ctx, limit, func(ctx context.Context) error {
		if err := s.Client.Get(ctx, client.ObjectKeyFromObject(MetalLB()), &m); err != nil {
			return err
		}
		for kind, want := range map[string]metav1.ConditionStatus{
			v1beta1.ConditionAvailable: metav1.ConditionTrue, v1beta1.ConditionProgressing: metav1.ConditionFalse,
		} {
			c := meta.FindStatusCondition(m.Status.Conditions, kind)
			if c == nil || c.Status != want || c.ObservedGeneration != m.Generation {
				return fmt.Errorf("conditions are %s", conditions(m.Status.Conditions))
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the MetalLB resource to be Available: %w", err)
	}
	return nil
}

func conditions(all []metav1.Condition) string {
	words := make([]string, 0, len(all))
	for _, c := range all {
		words = append(words, fmt.Sprintf("%s=%s(%s: %s)", c.Type, c.Status, c.Reason, c.Message))
	}
	return strings.Join(words, " ")
}

// AwaitDeployment waits until a Deployment has all its replicas available in its present form.
func (s *Suite) AwaitDeployment(ctx context.Context, namespace, name string, limit time.Duration) error {
	err := Await(ctx, limit, func(ctx context.Context) error {
		var d appsv1.Deployment
		if err := s.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &d); err != nil {
			return err
		}
		want := int32(1)
		if d.Spec.Replicas != nil {
			want = *d.Spec.Replicas
		}
		if s := d.Status; s.ObservedGeneration < d.Generation || s.UpdatedReplicas < want || s.AvailableReplicas < want || s.Replicas > s.UpdatedReplicas {
			return fmt.Errorf("of %d replicas, %d are updated and %d available; %d run", want, s.UpdatedReplicas, s.AvailableReplicas, s.Replicas)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting for deployment %s/%s: %w", namespace, name, err)
	}
	return nil
}

// AwaitAddresses waits until a Service has addresses and returns them.
func (s *Suite) AwaitAddresses(ctx context.Context, namespace, name string, limit time.Duration) ([]netip.Addr, error) {
	var addresses []netip.Addr
	err := Await(ctx, limit, func(ctx context.Context) error {
		var service corev1.Service
		if err := s.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &service); err != nil {
			return err
		}
		addresses = addresses[:0]
		for _, i := range service.Status.LoadBalancer.Ingress {
			a, err := netip.ParseAddr(i.IP)
			if err != nil {
				return err
			}
			addresses = append(addresses, a)
		}
		if len(addresses) == 0 {
			return fmt.Errorf("it has none; conditions are %s", conditions(service.Status.Conditions))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("waiting for the addresses of service %s/%s: %w", namespace, name, err)
	}
	return addresses, nil
}

// Await polls until try succeeds; after the limit it returns the last error of try.
func Await(ctx context.Context, limit time.Duration, try func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollEvery, limit, true, func(ctx context.Context) (bool, error) {
		last = try(ctx)
		return last == nil, nil
	})
	if err != nil && last != nil {
		return fmt.Errorf("not within %s: %w", limit, last)
	}
	return err
}

// AwaitNodesReady waits until every node of the cluster is Ready.
func (s *Suite) AwaitNodesReady(ctx context.Context, limit time.Duration) error {
	err := Await(ctx, limit, func(ctx context.Context) error {
		var nodes corev1.NodeList
		if err := s.Client.List(ctx, &nodes); err != nil {
			return err
		}
		for _, n := range nodes.Items {
			if !ready(n) {
				return fmt.Errorf("node %s is not Ready", n.Name)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the nodes: %w", err)
	}
	return nil
}

func ready(n corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// Reset removes what an earlier demo or test left behind: its namespaces, the suite's pools, reservations, advertisements, peers and
// conflicts, the MetalLB resource, and what was configured on the router. A lab on which nothing was installed yet is left as it is.
func (s *Suite) Reset(ctx context.Context) error {
	var namespaces corev1.NamespaceList
	if err := s.Client.List(ctx, &namespaces, ours); err != nil {
		return fmt.Errorf("listing the tests' namespaces: %w", err)
	}
	for i := range namespaces.Items {
		if err := s.Gone(ctx, &namespaces.Items[i], clearing); err != nil {
			return err
		}
	}
	for _, kind := range []client.Object{
		&v1beta1.MetalLB{}, &v1beta1.IPAddressPool{}, &v1beta1.IPReservation{}, &v1beta1.L2Advertisement{}, &v1beta1.AddressConflict{},
		&v1beta1.BGPAdvertisement{}, &v1beta2.BGPPeer{}, &v1beta1.BFDProfile{}, &v1beta1.Community{},
	} {
		err := s.Client.DeleteAllOf(ctx, kind, client.InNamespace(Namespace))
		if err != nil && !meta.IsNoMatchError(err) && client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting %T: %w", kind, err)
		}
	}
	return s.Lab.FRR().Restore(ctx)
}

// Gone deletes an object and waits until it is gone.
func (s *Suite) Gone(ctx context.Context, o client.Object, limit time.Duration) error {
	if err := client.IgnoreNotFound(s.Client.Delete(ctx, o)); err != nil {
		return fmt.Errorf("deleting %s: %w", o.GetName(), err)
	}
	return Await(ctx, limit, func(ctx context.Context) error {
		err := s.Client.Get(ctx, client.ObjectKeyFromObject(o), o)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(fmt.Errorf("%s is still there", o.GetName()), err)
	})
}
