// SPDX-License-Identifier: Apache-2.0

// Package controller wires the controller role: options, clients, run group.
package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"metalsuite.io/api/v1beta1"
	"metalsuite.io/api/v1beta2"
	"metalsuite.io/cmd/process"
	"metalsuite.io/controllers/peering"
	"metalsuite.io/controllers/service"
)

// leaderElectionID names the Lease by which one of several replicas decides. The role's rights name it as well.
const leaderElectionID = "controller.metallb.io"

// heapGrowth is by how many per cent the heap may grow between two collections. The role holds all Services in memory.
const heapGrowth = 50

// lease is how leadership is timed: how long it lasts, how long the leader tries to renew it, how often everybody tries. A controller
// that was killed keeps its successor waiting for as long as it lasts, one that ended gives it back.
type lease struct{ duration, renew, retry time.Duration }

// options are the flags of the role.
type options struct {
	process.Options
	class      string
	deployment string
	podName    string

	leaderElect bool
	lease       lease
}

// New returns the controller command.
func New() *cobra.Command { return newOptions().command() }

func newOptions() *options {
	return &options{lease: lease{duration: 5 * time.Second, renew: 3 * time.Second, retry: 500 * time.Millisecond}}
}

func (o *options) command() *cobra.Command {
	command := &cobra.Command{
		Use:   "controller",
		Short: "Run the controller: every LoadBalancer Service gets its addresses",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	o.bind(command.Flags())
	return command
}

func (o *options) bind(flags *pflag.FlagSet) {
	o.Bind(flags)
	flags.StringVar(&o.class, "lb-class", "", "spec.loadBalancerClass of the Services to serve; empty serves those without one")
	flags.StringVar(&o.deployment, "deployment", environment("METALLB_DEPLOYMENT", ""),
		"Deployment of this role, owner of what the role creates; empty owns nothing (env METALLB_DEPLOYMENT)")
	flags.StringVar(&o.podName, "pod-name", environment("METALLB_POD_NAME", ""), "name of this pod, for the log (env METALLB_POD_NAME)")
	flags.BoolVar(&o.leaderElect, "leader-elect", true, "decide only while holding the Lease "+leaderElectionID+", so that no two controllers decide at once")
}

func environment(name, fallback string) string {
	if v, ok := os.LookupEnv(name); ok {
		return v
	}
	return fallback
}

func (o *options) run(ctx context.Context) error {
	log, err := o.Logger()
	if err != nil {
		return err
	}
	defer process.Frugal(heapGrowth)()
	return o.serve(ctx, log)
}

// serve runs the role until the context ends; a lost Lease is an error.
func (o *options) serve(ctx context.Context, log logr.Logger) error {
	config, err := o.RestConfig()
	if err != nil {
		return err
	}
	if err := o.reach(ctx, config, log); err != nil || ctx.Err() != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1beta1.AddToScheme(scheme), v1beta2.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("building the scheme: %w", err)
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	role := service.Options{Namespace: o.Namespace, Class: o.class, Deployment: o.deployment}
	options := o.managerOptions(scheme, log)
	if o.leaderElect {
		tenure, err := newTenure(config, o.Namespace, o.lease.renew, func() { end(errLost) })
		if err != nil {
			return err
		}
		if err := tenure.Look(ctx); err != nil {
			log.V(1).Info("Lease was not read", "error", err.Error())
		}
		options.LeaderElectionResourceLockInterface, role.MayWrite, role.Undisturbed = tenure, tenure.MayWrite, tenure.Undisturbed
	}
	mgr, err := o.NewManager(config, options)
	if err != nil {
		return fmt.Errorf("creating the manager: %w", err)
	}
	if err := errors.Join(service.Setup(mgr, role), peering.Setup(mgr, o.Namespace, role.MayWrite), mgr.AddHealthzCheck("ping", healthz.Ping)); err != nil {
		return fmt.Errorf("registering the role: %w", err)
	}
	log.Info("Starting", "namespace", o.Namespace, "class", o.class, "pod", o.podName)
	err = mgr.Start(ctx)
	if errors.Is(context.Cause(ctx), errLost) {
		return errors.Join(errLost, err)
	}
	return err
}

func (o *options) managerOptions(scheme *runtime.Scheme, log logr.Logger) ctrl.Options {
	options := o.ManagerOptions(scheme, log)
	options.Cache = service.CacheOptions(o.Namespace)
	peering.AddToCache(&options.Cache, o.Namespace)
	// The check is against two controllers of one name at the same time, which the Lease prevents.
	options.Controller.SkipNameValidation = ptr.To(true)
	options.LeaderElection = o.leaderElect
	options.LeaderElectionID = leaderElectionID
	options.LeaderElectionNamespace = o.Namespace
	options.LeaseDuration, options.RenewDeadline, options.RetryPeriod = &o.lease.duration, &o.lease.renew, &o.lease.retry
	// Nothing is written any more once the manager has ended, so the next replica need not wait for the Lease to expire.
	options.LeaderElectionReleaseOnCancel = true
	return options
}
