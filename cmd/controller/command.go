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

// options are the flags of the role.
type options struct {
	process.Options
	class      string
	deployment string
	podName    string

	leaderElect bool
	lease       process.LeaseTimes
}

// New returns the controller command.
func New() *cobra.Command { return newOptions().command() }

func newOptions() *options {
	return &options{lease: process.LeaseTimes{Duration: 5 * time.Second, Renew: 3 * time.Second, Retry: 500 * time.Millisecond}}
}

func (o *options) command() *cobra.Command {
	command := &cobra.Command{
		Use:   "controller",
		Short: "Run the controller, which assigns addresses to LoadBalancer Services",
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
		"Deployment of the controller, set as owner of the objects that the controller creates; empty sets no owner (env METALLB_DEPLOYMENT)")
	flags.StringVar(&o.podName, "pod-name", environment("METALLB_POD_NAME", ""), "name of this pod, for the log (env METALLB_POD_NAME)")
	flags.BoolVar(&o.leaderElect, "leader-elect", true, "assign addresses only while holding the Lease "+leaderElectionID+", so that only one controller assigns addresses at a time")
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

// serve runs the role until the context ends. A lost Lease ends a manager and with it all that it knew, not the process.
func (o *options) serve(ctx context.Context, log logr.Logger) error {
	config, err := o.RestConfig()
	if err != nil {
		return err
	}
	identity, err := process.Identity()
	if err != nil {
		return err
	}
	election := process.Election{Config: config, Namespace: o.Namespace, Name: leaderElectionID, Identity: identity, Times: o.lease}
	health, first := &process.Health{}, true
	return o.Serve(ctx, config, log, health, func(ctx context.Context) error {
		return process.Managers(ctx, log, func(ctx context.Context) (func(context.Context) error, error) {
			defer func() { first = false }()
			return o.build(ctx, log, election, health, first)
		})
	})
}

// build makes a manager with the role in it, once the API server answers.
func (o *options) build(ctx context.Context, log logr.Logger, election process.Election, health *process.Health, first bool) (func(context.Context) error, error) {
	if err := o.reach(ctx, election.Config, log, health, first); err != nil || ctx.Err() != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1beta1.AddToScheme(scheme), v1beta2.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("building the scheme: %w", err)
	}
	role := service.Options{Namespace: o.Namespace, Class: o.class, Deployment: o.deployment}
	options := o.managerOptions(scheme, log)
	var lead *process.Lead
	if o.leaderElect {
		var err error
		if lead, err = o.stand(ctx, log, election, first); err != nil {
			return nil, err
		}
		lead.Apply(&options)
		role.MayWrite, role.Undisturbed = lead.MayWrite, lead.Undisturbed
	}
	mgr, err := ctrl.NewManager(election.Config, options)
	if err != nil {
		return nil, fmt.Errorf("creating the manager: %w", err)
	}
	mgr = health.Of(mgr)
	if err := errors.Join(service.Setup(mgr, role), peering.Setup(mgr, o.Namespace, role.MayWrite)); err != nil {
		return nil, fmt.Errorf("registering the role: %w", err)
	}
	log.Info("Starting", "namespace", o.Namespace, "class", o.class, "pod", o.podName)
	if lead == nil {
		return mgr.Start, nil
	}
	return func(ctx context.Context) error { return lead.Run(ctx, mgr) }, nil
}

// stand returns the lead for which the next manager is a candidate. Only the first one of a process may find that nobody has written since
// before it read the cluster: a write of the one before it may still be on its way.
func (o *options) stand(ctx context.Context, log logr.Logger, election process.Election, first bool) (*process.Lead, error) {
	lead, err := election.New()
	if err != nil || !first {
		return lead, err
	}
	if err := lead.Look(ctx); err != nil {
		log.V(1).Info("Reading the Lease failed", "error", err.Error())
	}
	return lead, nil
}

func (o *options) managerOptions(scheme *runtime.Scheme, log logr.Logger) ctrl.Options {
	options := o.ManagerOptions(scheme, log)
	process.Unserved(&options)
	options.Cache = service.CacheOptions(o.Namespace)
	peering.AddToCache(&options.Cache, o.Namespace)
	// The check is against two controllers of one name at the same time; managers of this process follow one another.
	options.Controller.SkipNameValidation = ptr.To(true)
	return options
}
