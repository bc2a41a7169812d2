// SPDX-License-Identifier: Apache-2.0

// Package endpointcopier wires the endpoint-copier role: options, clients, run group.
//
// It decides nothing about endpoints. Everything runs in the manager's goroutines, which end with the context of the command.
package endpointcopier

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"metalsuite.io/cmd/process"
	"metalsuite.io/endpointcopier"
)

// leaderElectionID names the Lease by which one of several replicas writes.
const leaderElectionID = "endpoint-copier.metallb.io"

// options are the flags of the role.
type options struct {
	process.Options
	source, target types.NamespacedName
	annotated      bool
	allowed        []string
	leaderElect    bool
}

// New returns the endpoint-copier command.
func New() *cobra.Command {
	o := &options{}
	command := &cobra.Command{
		Use:   "endpoint-copier",
		Short: "Mirror the endpoints of one Service into another (the Kubernetes API behind a virtual IP)",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	o.bind(command.Flags())
	return command
}

func (o *options) bind(flags *pflag.FlagSet) {
	o.Bind(flags)
	flags.StringVar(&o.source.Namespace, "source-namespace", "default", "namespace of the Service whose endpoints are copied")
	flags.StringVar(&o.source.Name, "source-name", "kubernetes", "name of the Service whose endpoints are copied")
	flags.StringVar(&o.target.Namespace, "target-namespace", "default", "namespace of the Service that gets the endpoints")
	flags.StringVar(&o.target.Name, "target-name", "kubernetes-vip", "name of the Service that gets the endpoints; it may appear later")
	flags.BoolVar(&o.annotated, "annotated-services", true,
		"serve Services with the annotation endpoint-copier/enabled, too; false keeps only one pair of Services in memory")
	flags.StringSliceVar(&o.allowed, "allow-source", nil,
		"namespace/name or namespace/* that annotated Services of every namespace may copy; their own namespace is always allowed")
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "let one of several replicas write")
}

// config checks the flags and turns them into the copier's configuration.
func (o *options) config() (endpointcopier.Config, error) {
	config := endpointcopier.Config{Source: o.source, Target: o.target, Annotated: o.annotated}
	for _, part := range []string{o.source.Namespace, o.source.Name, o.target.Namespace, o.target.Name} {
		if part == "" {
			return config, errors.New("the source and the target each need a namespace and a name")
		}
	}
	if o.source == o.target {
		return config, fmt.Errorf("the Service %s cannot be source and target", o.source)
	}
	for _, s := range o.allowed {
		allowed, err := endpointcopier.ParseSource(s)
		if err != nil {
			return config, fmt.Errorf("reading --allow-source: %w", err)
		}
		config.Allowed = append(config.Allowed, allowed)
	}
	return config, nil
}

func (o *options) run(ctx context.Context) error {
	config, err := o.config()
	if err != nil {
		return err
	}
	mgr, err := o.manager(config)
	if err != nil {
		return err
	}
	counters, err := endpointcopier.NewMetrics(metrics.Registry)
	if err != nil {
		return err
	}
	reconciler := &endpointcopier.Reconciler{
		Client: mgr.GetClient(), Config: config, Events: mgr.GetEventRecorder("endpoint-copier"), Metrics: counters,
	}
	if err := reconciler.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running the endpoint-copier: %w", err)
	}
	return nil
}

func (o *options) manager(config endpointcopier.Config) (ctrl.Manager, error) {
	log, err := o.Logger()
	if err != nil {
		return nil, err
	}
	rest, err := o.RestConfig()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("building the scheme: %w", err)
	}
	options := o.ManagerOptions(scheme, log)
	options.Cache = config.CacheOptions()
	options.LeaderElection = o.leaderElect
	options.LeaderElectionID = leaderElectionID
	options.LeaderElectionNamespace = o.Namespace
	// The process ends right after the manager does, so the next replica need not wait for the Lease to expire.
	options.LeaderElectionReleaseOnCancel = true
	mgr, err := ctrl.NewManager(rest, options)
	if err != nil {
		return nil, fmt.Errorf("building the manager: %w", err)
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), addReadiness(mgr)); err != nil {
		return nil, fmt.Errorf("adding health checks: %w", err)
	}
	return mgr, nil
}

// addReadiness makes the process ready once its memory is filled, whether it leads or not.
func addReadiness(mgr ctrl.Manager) error {
	synced := &syncedSignal{done: make(chan struct{})}
	return errors.Join(mgr.Add(synced), mgr.AddReadyzCheck("caches", func(*http.Request) error {
		select {
		case <-synced.done:
			return nil
		default:
			return errors.New("the objects of the cluster have not been read yet")
		}
	}))
}

// syncedSignal is started by the manager after its caches are filled.
type syncedSignal struct{ done chan struct{} }

// Start notes that the caches are filled and returns.
func (s *syncedSignal) Start(context.Context) error {
	close(s.done)
	return nil
}

// NeedLeaderElection says that replicas that do not lead are started as well.
func (s *syncedSignal) NeedLeaderElection() bool { return false }
