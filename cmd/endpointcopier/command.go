// SPDX-License-Identifier: Apache-2.0

// Package endpointcopier wires the endpoint-copier role: options, clients, run group.
//
// It decides nothing about endpoints. Everything but health and metrics runs in the goroutines of a manager, which ends with the context of
// the command. A manager that ends before, since its Lease was not renewed or another replica has acquired it, is followed by another in the
// same process once all of its goroutines have ended.
package endpointcopier

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"metalsuite.io/cmd/process"
	"metalsuite.io/endpointcopier"
	"metalsuite.io/internal/kube"
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
	lease          process.LeaseTimes
	registerer     prometheus.Registerer
}

// New returns the endpoint-copier command.
func New() *cobra.Command { return newOptions().command() }

func newOptions() *options {
	return &options{
		lease:      process.LeaseTimes{Duration: 15 * time.Second, Renew: 10 * time.Second, Retry: 2 * time.Second},
		registerer: metrics.Registry,
	}
}

func (o *options) command() *cobra.Command {
	command := &cobra.Command{
		Use:   "endpoint-copier",
		Short: "Copy the endpoints of one Service into another (for a virtual IP of the Kubernetes API)",
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
	flags.BoolVar(&o.annotated, "annotated-services", false,
		"serve Services with the annotation endpoint-copier/enabled, too; needs rights on Services and EndpointSlices of all namespaces")
	flags.StringSliceVar(&o.allowed, "allow-source", nil,
		"namespace/name or namespace/* that annotated Services of every namespace may copy; their own namespace is always allowed")
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "elect a leader among several replicas; only the leader writes")
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
	log, err := o.Logger()
	if err != nil {
		return err
	}
	return o.copy(ctx, log, config)
}

// copy runs managers, one after the other, until the context ends.
func (o *options) copy(ctx context.Context, log logr.Logger, config endpointcopier.Config) error {
	counters, err := endpointcopier.NewMetrics(o.registerer)
	if err != nil {
		return err
	}
	server, err := o.RestConfig()
	if err != nil {
		return err
	}
	identity, err := process.Identity()
	if err != nil {
		return err
	}
	election := process.Election{Config: server, Namespace: o.Namespace, Name: leaderElectionID, Identity: identity, Times: o.lease}
	health := &process.Health{}
	return o.Serve(ctx, server, log, health, func(ctx context.Context) error {
		return process.Managers(ctx, log, func(ctx context.Context) (func(context.Context) error, error) {
			return o.build(ctx, log, election, health, config, counters)
		})
	})
}

// build makes a manager with the reconciler in it and returns how to run it. It asks no API server, so an error is a mistake in flags.
func (o *options) build(
	ctx context.Context, log logr.Logger, election process.Election, health *process.Health, config endpointcopier.Config, counters *endpointcopier.Metrics,
) (func(context.Context) error, error) {
	options, err := o.managerOptions(log, config)
	if err != nil {
		return nil, err
	}
	run, mayWrite := func(ctx context.Context, mgr ctrl.Manager) error { return mgr.Start(ctx) }, (func() (time.Time, error))(nil)
	if o.leaderElect {
		lead, err := election.New()
		if err != nil {
			return nil, err
		}
		lead.Apply(&options)
		run, mayWrite = lead.Run, lead.MayWrite
	}
	mgr, err := ctrl.NewManager(election.Config, options)
	if err != nil {
		return nil, fmt.Errorf("building the manager: %w", err)
	}
	mgr = health.Of(mgr)
	if err := addReadiness(mgr); err != nil {
		return nil, fmt.Errorf("adding health checks: %w", err)
	}
	reconciler := &endpointcopier.Reconciler{
		Client: kube.Fenced(mgr.GetClient(), mayWrite), Config: config, Events: mgr.GetEventRecorder("endpoint-copier"), Metrics: counters,
	}
	if err := reconciler.SetupWithManager(ctx, mgr); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		// A replica that does not lead knows nothing of the targets.
		defer counters.ForgetTargets()
		return run(ctx, mgr)
	}, nil
}

func (o *options) managerOptions(log logr.Logger, config endpointcopier.Config) (ctrl.Options, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return ctrl.Options{}, fmt.Errorf("building the scheme: %w", err)
	}
	options := o.ManagerOptions(scheme, log)
	process.Unserved(&options)
	options.Cache = config.CacheOptions()
	options.MapperProvider = func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return endpointcopier.Mapper(), nil }
	// The check is against two controllers of one name at the same time; managers of this process follow one another.
	options.Controller.SkipNameValidation = ptr.To(true)
	return options, nil
}

// addReadiness makes the process ready once its memory is filled, whether it leads or not.
func addReadiness(mgr ctrl.Manager) error {
	synced := &syncedSignal{done: make(chan struct{})}
	return errors.Join(mgr.Add(synced), mgr.AddReadyzCheck("caches", func(*http.Request) error {
		select {
		case <-synced.done:
			return nil
		default:
			return errors.New("the cache has not synced yet")
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
